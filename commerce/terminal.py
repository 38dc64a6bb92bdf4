"""What is shown to a person, and asked."""

import argparse
import contextlib
import errno
import os
import re
import shutil
import sys
import textwrap

from answers import ShopError
from text import printable

# The terminal is closed, or whoever read on has ended.
NOBODY_READS = {errno.EPIPE, errno.EIO}
# Of one error. None of ours is longer, and what others say is cut before.
ERROR_MAX = 4000


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and ends with 1: argparse's own exit code is that of `shop.py` for changes."""

    def __init__(self, tool, description):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.tool = tool

    def error(self, message):
        self.exit(1, f"{self.tool}: {printable(message)}\n")


def note(text):
    """Tells something on standard error, if anybody still reads it: to fail here must not end what is under way."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text[:ERROR_MAX]), file=sys.stderr, flush=True)


def writable():
    """A letter that the output's encoding does not have is no reason to end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")


def nobody_reads(error):
    """Whether a failure says that the output has no reader any more."""
    return isinstance(error, OSError) and error.filename is None and error.errno in NOBODY_READS


def silence():
    """What could not be written stays in a buffer, and Python would try once more at its end, and complain."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def agreed(question, refusal):
    """Whether whoever sits there says yes. The refusal is for where nobody does."""
    if not can_be_asked():
        raise ShopError(refusal)
    try:
        return input(f"\n{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def can_be_asked():
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # it is closed
        return False


def wrapped(start, text, indent):
    """The text in lines that fit the terminal. What colours `start` takes no room."""
    width = min(shutil.get_terminal_size((120, 24)).columns, 120)
    plain = len(re.sub(r"\033\[\d+m", "", start))
    first = " " * max(plain - len(indent), 0)
    whole = {"break_on_hyphens": False, "break_long_words": False}
    lines = textwrap.wrap(printable(text), max(width - len(indent) - 2, 30), initial_indent=first, **whole) or [""]
    return "\n".join([start + lines[0].lstrip(), *(indent + line for line in lines[1:])])


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if sys.stdout and sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
