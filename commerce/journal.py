"""Which hooks of a shop `make apply` has taken out and not yet seen in the shop's list again: a file that outlives the process.

The shop cannot change a hook, so `apply` unsubscribes it and subscribes it anew. Whatever ends the process in between, this file says
which hook it was, and what it was before. It can hold secrets (headers of a hook), so nobody else may read it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from answers import ShopError
from hooks import BadHooks, Hook, as_listed, from_rest, to_rest
from text import short

VERSION = 1
SET_ASIDE = "`make apply` keeps it under another name, and goes on without it."


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


def one_spelling(base):
    """The shop that an address means: host, port and tenant, and no code of a store, which all have the same hooks."""
    parts = urlsplit(base)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    path = re.sub(r"/rest(/[^/]*)?$", "", parts.path.rstrip("/").removesuffix("/V1"))
    return f"{parts.scheme}://{parts.hostname}:{port}{path}"


class Journal:
    """The journal of one shop, for this user on this machine."""

    def __init__(self, base, environment=os.environ):
        given = environment.get("XDG_STATE_HOME", "")
        try:
            state = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
        except RuntimeError:
            # Who only looks needs no journal. Where nothing can be written, there is none.
            state = Path(os.devnull)
        self._folder = state / "commerce-webhooks"
        # Hosts alone are no names of files, and two shops may share one.
        shop = one_spelling(base)
        name = f"{urlsplit(base).hostname[:60].replace(':', '_')}-{hashlib.sha256(shop.encode()).hexdigest()[:12]}"
        self.path = self._folder / f"{name}.json"
        self._lock = self._folder / f"{name}.lock"
        self._draft = self._folder / f"{name}.draft"

    def entries(self):
        try:
            written = json.loads(self.path.read_bytes())
            if written["version"] != VERSION:
                raise JournalError(f"{self.path} is of another version of this tool.", remedy=SET_ASIDE)
            return [Entry(*from_rest([one["old"], one["new"]]), short(one["began"], 40)) for one in written["hooks"]]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            what = f"the journal of `make apply` cannot be read: {self.path}: {error.strerror}."
            raise JournalError(what, remedy=SET_ASIDE) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadHooks):
            raise JournalError(f"{self.path} is no journal of `make apply`.", remedy=SET_ASIDE) from None

    def set_aside(self):
        """Keeps a journal that cannot be read under another name, and says so."""
        broken = self.path.with_suffix(".json.broken")
        try:
            os.replace(self.path, broken)
        except OSError as error:
            raise self._not_written(self.path, error) from None
        return f"It is kept as {broken}. Hooks that it had taken out are subscribed as new ones."

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
                hooks = [{"old": as_listed(one.old), "new": to_rest(one.new), "began": one.began} for one in entries]
                self._replace(json.dumps({"version": VERSION, "hooks": hooks}).encode())
            self._sync_folder()
        except OSError as error:
            raise self._not_written(self.path, error) from None

    def _not_written(self, path, error):
        reason = f"the journal of `make apply` cannot be written: {path}: {error.strerror}."
        return JournalError(reason, remedy="Set XDG_STATE_HOME to a directory of yours.")

    def _replace(self, content):
        """Puts the content into the place of the file: whole, on the disk, or not at all."""
        self._draft.unlink(missing_ok=True)
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(self._draft, self.path)
        except BaseException:
            # It may hold secrets.
            with contextlib.suppress(OSError):
                self._draft.unlink()
            raise

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

    @contextlib.contextmanager
    def alone(self):
        """Sees to it that nobody else on this machine changes the shop at the same time. The lock ends with the process."""
        try:
            self._make_folder()
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._not_written(self._lock, error) from None
        try:
            self._take(descriptor)
            # Only for whoever finds the lock taken.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, b"process %d" % os.getpid(), 0)
            # Of a process that was killed.
            with contextlib.suppress(OSError):
                self._draft.unlink()
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
            except OSError as error:
                what = f"this file system gives no lock: {self._lock}: {error.strerror}."
                raise JournalError(what, remedy="Set XDG_STATE_HOME to a directory of another one.") from None
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
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _holder(self, descriptor):
        return short(os.pread(descriptor, 40, 0).decode(errors="replace"), 40) or "just begun"
