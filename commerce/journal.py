"""Which hooks of a shop `make apply` has taken out and not yet seen in the shop's list again: a file that outlives the process.

The shop cannot change a hook, so `apply` unsubscribes it and subscribes it anew. Whatever ends the process in between, this file says
which hook it was, and what it was before. It can hold secrets (headers of a hook), so nobody else may read it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from answers import ShopError
from hooks import BadHooks, Hook, from_rest, to_rest
from text import short

VERSION = 1


class JournalError(ShopError):
    """The journal cannot be read or written."""


@dataclass(frozen=True)
class Entry:
    """A hook as it was before it was taken out, as it was to become, and when that began."""

    old: Hook
    new: Hook
    began: str

    @property
    def identity(self):
        return self.old.identity


class Journal:
    """The journal of one shop, for this user on this machine."""

    def __init__(self, base, environment=os.environ):
        given = environment.get("XDG_STATE_HOME", "")
        try:
            state = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
        except RuntimeError:
            raise JournalError("there is no home directory for the journal of `make apply`. Set XDG_STATE_HOME.") from None
        self._folder = state / "commerce-webhooks"
        # Hosts alone are no names of files, and two shops may share one.
        name = f"{urlsplit(base).hostname[:60].replace(':', '_')}-{hashlib.sha256(base.encode()).hexdigest()[:12]}"
        self.path = self._folder / f"{name}.json"
        self._lock = self._folder / f"{name}.lock"

    def entries(self):
        try:
            written = json.loads(self.path.read_bytes())
            if written["version"] != VERSION:
                raise JournalError(f"{self.path} is of another version of this tool. Use that one, or {self._by_hand()}")
            return [Entry(*from_rest([one["old"], one["new"]]), short(one["began"], 40)) for one in written["hooks"]]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalError(f"the journal of `make apply` cannot be read: {self.path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadHooks):
            raise JournalError(f"{self.path} is no journal of `make apply`. {self._by_hand()}") from None

    def begin(self, old, new):
        """Notes, before a hook is taken out, what it is. Only then may it be taken out."""
        others = [entry for entry in self.entries() if entry.identity != old.identity]
        now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._write([*others, Entry(old, new, now)])

    def settle(self, whole):
        """Forgets the hooks that are known to be whole, by their identities, and returns those that are still out."""
        entries = self.entries()
        out = [entry for entry in entries if entry.identity not in whole]
        if len(out) < len(entries):
            self._write(out)
        return out

    def _write(self, entries):
        try:
            self._make_folder()
            if not entries:
                self.path.unlink(missing_ok=True)
            else:
                hooks = [{"old": to_rest(one.old), "new": to_rest(one.new), "began": one.began} for one in entries]
                self._replace(json.dumps({"version": VERSION, "hooks": hooks}).encode())
            self._sync_folder()
        except OSError as error:
            reason = f"the journal of `make apply` cannot be written: {self.path}: {error.strerror}."
            raise JournalError(reason, remedy="Set XDG_STATE_HOME to a directory of yours.") from None

    def _replace(self, content):
        """Puts the content into the place of the file: whole, on the disk, or not at all."""
        draft = self.path.with_suffix(".draft")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, self.path)

    def _sync_folder(self):
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _make_folder(self):
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._folder.stat()
        if found.st_uid != os.geteuid():
            raise JournalError(f"{self._folder} belongs to another user.", remedy="Set XDG_STATE_HOME to a directory of yours.")
        if found.st_mode & 0o077:
            self._folder.chmod(0o700)

    def _by_hand(self):
        return "Look by `make plan` which hooks are missing, subscribe them, and delete the file."

    @contextlib.contextmanager
    def alone(self):
        """Sees to it that nobody else on this machine changes the shop at the same time. The lock ends with the process."""
        try:
            self._make_folder()
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            reason = f"the journal of `make apply` cannot be written: {self._lock}: {error.strerror}."
            raise JournalError(reason, remedy="Set XDG_STATE_HOME to a directory of yours.") from None
        try:
            self._take(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"process %d" % os.getpid(), 0)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor):
        # `plan` and `doctor` hold it for a moment, when they look whether it is free.
        for attempt in range(1, 6):
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt < 5:
                    time.sleep(0.1)
        raise ShopError(
            f"another `make apply` ({self._holder(descriptor)}) is changing this shop. Nothing was changed.",
            remedy="Wait until it has ended.",
        )

    def at_work(self):
        """Who is changing the shop at this moment, or None."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            return self._holder(descriptor)
        finally:
            os.close(descriptor)

    def _holder(self, descriptor):
        return short(os.pread(descriptor, 40, 0).decode(errors="replace"), 40) or "just begun"
