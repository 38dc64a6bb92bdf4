"""The merchant's rules in the bundle on one machine: a changed file takes effect within a second.

The functions never read functions/*/rules.json, but a copy that has been checked. So a file with a mistake changes nothing.
"""

import itertools
import subprocess
from pathlib import Path

import botocore.exceptions

from stack import ROOT, channels, merchant_rules

LOCAL = ROOT / "target" / "debug" / "local"


class Rules:
    """The rules files of all channels, and the copies of them in a folder."""

    def __init__(self, folder, source=merchant_rules):
        self.folder, self.source = Path(folder), source
        self.numbers = itertools.count(1)
        # By channel: what was copied last, and what was there at the last look.
        self.taken, self.seen = {}, {}

    def copy(self, channel):
        """Copies the file of a channel as it is now: the path of the copy."""
        path = self.folder / f"{channel}-{next(self.numbers)}.json"
        self.taken[channel] = self.read(channel)
        path.write_text(self.taken[channel])
        return path

    def read(self, channel):
        """The text of a rules file. What cannot be read is empty, which is no valid file."""
        try:
            return self.source(channel).read_text(errors="replace")
        except OSError:
            return ""

    def changed(self):
        """The channels with another file than was copied. The file was the same at the last look: nobody is writing it."""
        for channel in channels():
            last, self.seen[channel] = self.seen.get(channel), self.read(channel)
            if last == self.seen[channel] != self.taken.get(channel):
                yield channel

    def reload(self, stack):
        """Takes over the files that have changed: a line for each."""
        for channel in self.changed():
            try:
                yield self.reload_one(stack, channel)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                yield f"{self.name(channel)}: not reloaded: {error}"

    def reload_one(self, stack, channel):
        hooks = ""
        if self.source is merchant_rules:
            # The shop's hook must send what a rule looks at. What is wrong with the file is said by the check.
            written = subprocess.run([LOCAL, "hooks"], cwd=ROOT, capture_output=True, text=True)
            hooks = written.stderr if written.returncode == 0 else ""
        path = self.copy(channel)
        checked = subprocess.run([LOCAL, "rules", channel, path], cwd=ROOT, capture_output=True, text=True)
        said = (checked.stdout + checked.stderr).strip().replace(str(path), self.name(channel))
        if checked.returncode:
            return f"{said}\nThe rules of {channel} stay as they were."
        stack.release(channel, RULES_FILE=str(path))
        return f"Reloaded {said}\n{hooks}".rstrip()

    def name(self, channel):
        """The file as its merchant knows it."""
        path = self.source(channel)
        return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
