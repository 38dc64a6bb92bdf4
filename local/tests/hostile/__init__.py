"""Requests that nobody's shop sends, and some that only look like it. Each module is a theme, each entry of its CASES one case."""

import importlib
from pathlib import Path

THEMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "case"))


def corpus():
    """Every case, as theme and case."""
    for theme in THEMES:
        for case in importlib.import_module(f"hostile.{theme}").CASES:
            yield theme, case
