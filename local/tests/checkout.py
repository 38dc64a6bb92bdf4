"""A checkout of the repository with settings and rules of its own: samconfig.toml and functions/*/rules.json are the merchant's, and no
test depends on what is in them."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from stack import NO_RULES, ROOT

SAMCONFIG = ROOT / "local" / "tests" / "samconfig.toml"


@functools.cache
def checkout():
    """A folder for this process, in which all but these files and the programs of local/ are links."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in ROOT.iterdir():
        if path.name not in (".git", ".aws-sam", "functions", "local"):
            (folder / path.name).symlink_to(path)
    (folder / "local").mkdir()
    for path in (ROOT / "local").iterdir():
        # A program looks for the files beside it where it really is.
        shutil.copy2(path, folder / "local") if path.suffix == ".py" else (folder / "local" / path.name).symlink_to(path)
    shutil.copytree(ROOT / "functions", folder / "functions")
    with_own_files(folder)
    return folder


def with_own_files(folder):
    """Replaces the merchant's files in a checkout."""
    (folder / "samconfig.toml").unlink(missing_ok=True)
    shutil.copy(SAMCONFIG, folder / "samconfig.toml")
    for rules in folder.glob("functions/*/rules.json"):
        shutil.copy(NO_RULES, rules)
