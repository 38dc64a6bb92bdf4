"""What the tests measure, kept for the page of figures: `python local/figures.py` prints it."""

import json
import sys

from stack import ROOT

FOLDER = ROOT / "target" / "figures"


def write(name, rows):
    """Keeps a table: a list of dictionaries, all with the same keys."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n")


def table(rows):
    """A table in Markdown, wide enough to be read as it is."""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def main():
    found = sorted(FOLDER.glob("*.json"))
    if not found:
        sys.exit("nothing was measured yet; make test and make test-all do it")
    for path in found:
        print(f"\n{path.stem}\n\n{table(json.loads(path.read_text()))}")


if __name__ == "__main__":
    main()
