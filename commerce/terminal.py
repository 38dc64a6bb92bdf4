"""What is shown to a person, and asked."""

import argparse
import os
import re
import shutil
import sys
import textwrap

from hooks import printable
from rest import ShopError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and ends with 1: argparse's own exit code is that of `shop.py` for changes."""

    def __init__(self, tool, description):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.tool = tool

    def error(self, message):
        self.exit(1, f"{self.tool}: {message}\n")


def agreed(question, refusal):
    """Whether whoever sits there says yes. The refusal is for where nobody does."""
    if not sys.stdin.isatty():
        raise ShopError(refusal)
    try:
        return input(f"\n{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
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
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
