"""What the look before a deployment found, and how it is shown."""

import textwrap
from typing import NamedTuple

WIDTH = 100


def printable(text):
    """Without what could move the cursor or hide text: some of what is shown was written by others."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def first_line(error):
    """What an error says, in one line. An answer of a proxy on the way can be a whole page."""
    return printable((str(error).splitlines() or [""])[0])[:300]


class Finding(NamedTuple):
    text: str
    # What helps, to be pasted into a shell.
    commands: tuple = ()
    # Whether the deployment would fail, or do what nobody wants.
    stops: bool = True

    def __str__(self):
        text = textwrap.fill(printable(f"make: {self.text}"), WIDTH, break_on_hyphens=False, break_long_words=False)
        return "\n".join([text, *map(folded, self.commands)])


def cloudformation(action, stack, region):
    """An action of `aws cloudformation` on a stack, in full."""
    name, _, query = action.partition(" --query ")
    return f"aws cloudformation {name} --stack-name {stack} --region {region}" + (f" --output text --query {query}" if query else "")


def note(text, *commands):
    return Finding(text, commands, stops=False)


def folded(command):
    """A command in lines that fit, as a shell takes them. It is cut before options only."""
    first, *options = command.split(" --")
    lines = [f"  {first}"]
    for option in options:
        if len(f"{lines[-1]} --{option} \\") > WIDTH:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" --{option}"
    return "\n".join(lines)
