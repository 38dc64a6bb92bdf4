"""Text that comes from outside, made safe and short enough to show."""

# A hook's URL, a name or a message in one line. Longer ones say nothing more to a person.
SHOWN_MAX = 300


def printable(text):
    """The text without what a terminal would obey: control characters, escapes, marks that turn the direction."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def short(text, most=SHOWN_MAX):
    """One line of it."""
    text = " ".join(printable(text[: 4 * most]).split())
    return text if len(text) <= most else f"{text[:most]}…"
