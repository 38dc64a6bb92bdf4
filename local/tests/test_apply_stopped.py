"""No hook is lost, whatever ends `make apply`: the real program is killed and signalled at every point between two requests, its terminal
is closed, and its shop answers nonsense while a hook is out."""

import contextlib
import fcntl
import itertools
import json
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stand_in
from shop_tool import ADDRESS, BUNDLE, Journal, applying, environment, flat, rest, run, wanted  # noqa: F401 — fixtures, too
from stack import ROOT
from stand_in import TOKEN, identity, running

PROGRAM = [sys.executable, ROOT / "commerce" / "shop.py"]
CHANGED = {"sales_order_place_after": {"timeout": 1}, "sales_order_save_after": {"timeout": 2}}
# What an apply of CHANGED asks: the list, each hook out and in, the list again.
REQUESTS = 6
WHOLE = {identity(hook) for hook in wanted()}
SECRET = "of-this-tenant-only"


def begin(shop, state, command="apply", **how):
    where = ["--shop", shop.url, "--url", BUNDLE]
    yes = ["--yes"] if command == "apply" else []
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | how
    return subprocess.Popen([*PROGRAM, command, *where, *yes], env=os.environ | {"XDG_STATE_HOME": str(state)}, **how)


def stopped_at(shop, state, number, when, how, **more):
    """Runs the program, and at one point between two of its requests does something to it: exit code, and its output."""
    started, process = threading.Event(), None

    def watch(request, place):
        if (request, place) == (number, when):
            started.wait()
            how(process)

    shop.watch = watch
    process = begin(shop, state, **more)
    started.set()
    # It prints little, so no pipe is full.
    process.wait(120)
    out, err = (stream.read().decode() if stream and not stream.closed else "" for stream in (process.stdout, process.stderr))
    shop.watch = lambda *_: None
    return process.returncode, out, err


def signalled(number):
    def send(process):
        process.send_signal(number)
        if number == signal.SIGKILL:
            # The answer must not reach it, nor may it ask once more.
            process.wait()

    return send


POINTS = list(itertools.product(range(1, REQUESTS + 1), ("before", "after")))
SIGNALS = [signal.SIGKILL, *applying.SIGNALS]


def test_killed_or_signalled_at_any_point_it_loses_no_hook(run, monkeypatch, tmp_path):
    """The processes run two at a time; what the tools say afterwards is asked in this one."""

    def case(number, point):
        shop = stack.enter_context(running(wanted(**CHANGED)))
        state = tmp_path / f"{number.name}-{point[0]}-{point[1]}"
        return number, point, shop, state, stopped_at(shop, state, *point, signalled(number))

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        cases = list(pool.map(case, *zip(*itertools.product(SIGNALS, POINTS))))
        lost = []
        for number, point, shop, state, (code, _, err) in cases:
            name = f"{number.name} {point}"
            monkeypatch.setenv("XDG_STATE_HOME", str(state))
            missing = WHOLE - set(shop.live)
            if number == signal.SIGKILL:
                assert code == -signal.SIGKILL, name
                lost += [point] if missing else []
            else:
                assert not missing, name
                begun = point[0] > 1
                assert code == (1 if begun else -number) or (number == signal.SIGINT and code == 1), (name, code, err)
                assert not begun or f"make apply SHOP={shop.url}" in err.splitlines()[-1], (name, err)
            assert "Traceback" not in err and TOKEN not in err, name
            planned = run("plan", shop)[1]
            assert ("MISSING" in planned) == bool(missing), name
            for _, _, _, hook in missing:
                assert f"+ {hook:31}  MISSING since an `apply` took it out" in planned, name
                examined = run("doctor", shop)[1]
                assert f"✗ {hook}" in examined.splitlines() and "is missing: make apply took it out at 20" in flat(examined), name
            code, said = run("apply", shop, "--yes")
            assert code == 0 and set(shop.live) == WHOLE, (name, said)
            for _, _, _, hook in missing:
                assert f"✓ {hook}: put in again" in said, name
            assert {hook["timeout"] for hook in shop.live.values()} == {5000}, name
            assert not list(state.rglob("*.json")), f"{name}: the journal is gone"
    # The shop still does what it was asked before the process was killed; what would have come next is never asked.
    assert lost == [(2, "before"), (2, "after"), (4, "before"), (4, "after")]


@pytest.mark.parametrize("numbers", [[signal.SIGTERM] * 3, list(applying.SIGNALS), [signal.SIGTSTP, signal.SIGHUP]])
def test_however_many_signals_come_the_hook_is_put_in(tmp_path, numbers):
    def send(process):
        for number in numbers:
            process.send_signal(number)

    with running(wanted(**CHANGED)) as shop:
        code, out, err = stopped_at(shop, tmp_path, 3, "before", send)
        assert code == 1 and set(shop.live) == WHOLE
        assert "✓ sales_order_place_after: changed" in out and "sales_order_save_after: " not in out, "the one that was begun"
        assert "stopping as soon as the hook in hand is whole" in err
        assert shop.changes() == ["unsubscribe", "subscribe"]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    with running(wanted(**CHANGED)) as shop:
        ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
        code, out, err = stopped_at(shop, tmp_path, 3, "before", signalled(signal.SIGHUP), **ignore)
        assert code == 0, (out, err)
        assert err == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_without_a_reader_of_its_output_it_puts_the_hook_in_and_stops(tmp_path, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with running(wanted(**CHANGED)) as shop:
        # A fault that is told on standard error while the hook is out.
        shop.faults = [("POST subscribe", 429)]
        code, _, _ = stopped_at(shop, tmp_path, 2, "after", lambda process: (process.stdout.close(), process.stderr.close()))
        assert code == 1 and set(shop.live) == WHOLE
        assert shop.changes() == ["unsubscribe", "subscribe", "subscribe"], "and no other hook"


def test_a_reader_that_has_read_enough_is_told_what_was_done(tmp_path):
    with running(wanted(**CHANGED)) as shop:
        code, _, err = stopped_at(shop, tmp_path, 2, "after", lambda process: process.stdout.close())
        assert code == 1 and set(shop.live) == WHOLE
        assert err.startswith("shop: stopped, because nobody reads the output; every hook that was begun is whole. Go on by: make apply ")


@pytest.mark.parametrize("how", [">&-", "2>&-", ">&- 2>&-", "> /dev/full", "> /dev/full 2>&1"])
def test_without_an_output_at_all_it_does_its_work(tmp_path, how):
    with running(wanted(**CHANGED)) as shop:
        line = " ".join(map(str, [*PROGRAM, "apply", "--shop", shop.url, "--url", BUNDLE, "--yes", how]))
        environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"}
        subprocess.run(["sh", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        assert set(shop.live) == WHOLE
        if "full" not in how:
            assert {hook["timeout"] for hook in shop.live.values()} == {5000}


def test_a_closed_terminal_leaves_no_hook_out(tmp_path):
    """Closing it sends SIGHUP, and what is written to it fails."""
    master, slave = pty.openpty()

    def control():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with running(wanted(**CHANGED)) as shop:
        terminal = {"stdin": slave, "stdout": slave, "stderr": slave, "preexec_fn": control}

        def close(_):
            os.close(slave)
            os.close(master)

        code, _, _ = stopped_at(shop, tmp_path, 2, "after", close, **terminal)
        assert code == 1 and set(shop.live) == WHOLE
        assert shop.changes() == ["unsubscribe", "subscribe"]


# Answers while a hook is out


def raw(content):
    """Sends bytes that no server should send, and hangs up."""

    def send(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(content)
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    return send


ODD = {
    "bad redirect": (302, b"", {"Location": "http://[::"}),
    "redirect that a terminal would obey": (302, b"", {"Location": "https://x\x1b[2J.example/"}),
    "bad Retry-After": (429, b"{}", {"Retry-After": "soon"}),
    "Retry-After of many digits": (429, b"{}", {"Retry-After": "9" * 5000}),
    "Retry-After in the year 9999": (429, b"{}", {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}),
    "Retry-After in no year": (429, b"{}", {"Retry-After": "Fri, 31 Dec 99999999999 23:59:59 GMT"}),
    "page": (200, b"<html>Log in</html>", {"Content-Type": "text/html"}),
    "password": (401, b"<html>401</html>", {"Content-Type": "text/html", "WWW-Authenticate": "Basic realm=x"}),
    "nothing": (200, b""),
    "half of it": (200, b'{"message": "Servi'),
    "too deep": (200, b"[" * 100_000),
    "error that is too deep": (500, b"[" * 100_000),
    "fewer bytes than promised": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n["),
    "no HTTP": raw(b"220 mail.example ESMTP\r\n"),
    "a chunk of no length": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "wrong compression": (200, b"x", {"Content-Encoding": "gzip"}),
    "broken connection": "break",
    "server error": 500,
}


@pytest.fixture
def odd(monkeypatch):
    """Whether a fault that writes for itself is all that is sent."""
    original = stand_in.Handler.misbehave

    def misbehave(self, what, content):
        if callable(what):
            what(self)
            return True
        return original(self, what, content)

    monkeypatch.setattr(stand_in.Handler, "misbehave", misbehave)


@pytest.mark.parametrize("what", ODD.values(), ids=ODD)
def test_after_an_odd_answer_the_hook_is_put_back(run, odd, what):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", what)]
        code, said = run("apply", shop, "--yes")
        assert set(shop.live) == WHOLE, said
        assert code == 0 or "The old hook is in place." in flat(said)
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


@pytest.mark.parametrize("what", ODD.values(), ids=ODD)
def test_if_it_cannot_be_put_back_the_last_line_names_it_and_the_next_run_repairs_it(run, odd, what):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", what)] * 40
        code, said = run("apply", shop, "--yes")
        repair = f"make apply SHOP={shop.url} URL={BUNDLE}"
        last = f"shop: sales_order_place_after is MISSING in the shop. The events are lost until this succeeds: {repair}"
        assert code == 1 and said.splitlines()[-1] == last, said
        assert len(shop.live) == 7
        assert "MISSING since an `apply` took it out" in run("plan", shop)[1]
        shop.faults = []
        code, said = run("apply", shop, "--yes")
        assert code == 0 and set(shop.live) == WHOLE and "✓ sales_order_place_after: put in again" in said
        assert "MISSING" not in run("plan", shop)[1]


@pytest.mark.parametrize("error", [RuntimeError("oh"), RecursionError(), MemoryError(), UnicodeError("oh"), OSError(28, "No space left")])
def test_an_error_that_nobody_foresaw_is_a_failure_like_another(run, monkeypatch, error):
    original, calls = rest.Shop.subscribe, []

    def once(self, body):
        calls.append(body)
        if len(calls) == 1:
            raise error
        return original(self, body)

    monkeypatch.setattr(rest.Shop, "subscribe", once)
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and set(shop.live) == WHOLE
        assert f"unexpected: {type(error).__name__}" in said and "The old hook is in place." in flat(said)


def test_a_hook_that_the_shop_does_not_take_as_it_shall_be_is_put_back_as_it_was(run):
    """By the next run, out of the journal, with what its headers held."""
    old = {"timeout": 1, "headers": [{"name": "x-tenant", "value": SECRET}]}

    def refuse(body):
        return "The URL is not allowed" if body["webhook"]["timeout"] == 5000 else None

    with running(wanted(sales_order_place_after=old)) as shop:
        shop.faults = [("POST subscribe", "no"), ("POST subscribe", "no")]
        assert run("apply", shop, "--yes")[0] == 1 and len(shop.live) == 7
        shop.faults = [("POST subscribe", "The URL is not allowed")]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "The URL is not allowed" in flat(said) and "The old hook is in place." in flat(said)
        [hook] = [hook for hook in shop.live.values() if hook["hook_name"] == "sales_order_place_after"]
        assert hook["headers"] == old["headers"] and SECRET not in said
        assert not journals(), "the hook is whole, so nothing is kept"


# The journal


def journals():
    return list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.json"))


def lose_a_hook(run, shop):
    shop.faults = [("POST subscribe", "no")] * 2
    assert run("apply", shop, "--yes")[0] == 1
    shop.faults = []


def test_nobody_else_may_read_the_journal(run):
    headers = {"timeout": 1, "headers": [{"name": "x-tenant", "value": SECRET}]}
    with running(wanted(sales_order_place_after=headers)) as shop:
        lose_a_hook(run, shop)
        [journal] = journals()
        assert SECRET in journal.read_text() and TOKEN not in journal.read_text()
        assert stat.S_IMODE(journal.stat().st_mode) == 0o600 and stat.S_IMODE(journal.parent.stat().st_mode) == 0o700
        journal.parent.chmod(0o755)
        for command in ("plan", "doctor"):
            assert SECRET not in run(command, shop)[1]
        assert run("apply", shop, "--yes")[0] == 0
        assert journals() == [] and stat.S_IMODE(journal.parent.stat().st_mode) == 0o700


def test_a_hook_that_somebody_else_put_in_is_no_longer_missing(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        [hook] = [hook for hook in wanted() if hook["hook_name"] == "sales_order_place_after"]
        shop.live[identity(hook)] = hook
        assert "MISSING" not in run("plan", shop)[1] and journals(), "a plan changes nothing"
        assert run("apply", shop, "--yes")[0] == 0 and not journals()


def test_what_is_missing_comes_first_and_with_any_channel(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        code, said = run("apply", shop, "--yes", "--channel", "sales_order_save_after")
        assert code == 0 and shop.changes()[-3:] == ["subscribe", "unsubscribe", "subscribe"]
        assert said.index("✓ sales_order_place_after: put in again") < said.index("✓ sales_order_save_after: changed")


def test_what_is_missing_is_named_also_where_nothing_can_be_done_about_it(run, monkeypatch):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        shop.faults = [("GET list", (403, b"<html>", {"Content-Type": "text/html"}))]
        said = flat(run("doctor", shop)[1])
        assert "✗ sales_order_place_after error may be missing: make apply took it out at 20" in said
        with Journal(shop.url).alone():
            assert f"→ Wait: another make apply (process {os.getpid()}) is changing the shop now." in flat(run("doctor", shop)[1])
        monkeypatch.setattr(ADDRESS, "usual", (502, "application/json", b"{}"))
        code, said = run("apply", shop, "--yes")
        assert code == 1 and said.endswith("REQUIRED=false. Still MISSING in the shop: sales_order_place_after\n")
        assert run("apply", shop, "--yes", "--required", "false")[0] == 0


def test_each_shop_has_a_journal_of_its_own(run):
    with running(wanted(**CHANGED)) as one, running(wanted(**CHANGED)) as other:
        lose_a_hook(run, one)
        assert "MISSING" not in run("plan", other)[1]
        assert "MISSING" in run("plan", one)[1]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "hooks": [{"old": 1}]}', '{"version": 2, "hooks": []}', "[" * 100_000])
def test_a_journal_that_cannot_be_read_is_told_and_nothing_is_changed(run, content):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        [journal] = journals()
        journal.write_text(content)
        changes = len(shop.changes())
        code, said = run("apply", shop, "--yes")
        assert code == 1 and str(journal) in flat(said) and "delete the file" in said and len(shop.changes()) == changes
        assert "delete the file" in flat(run("plan", shop)[1]) and "delete the file" in flat(run("doctor", shop)[1])


def test_without_a_place_for_the_journal_nothing_is_changed(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == [] and "Set XDG_STATE_HOME to a directory of yours." in said
        assert run("plan", shop)[0] == 2


def test_a_journal_that_cannot_be_written_keeps_the_hook_in(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == [] and "No space left on device" in said and "The old hook is in place." in flat(said)


def test_a_state_directory_that_is_not_absolute_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("", "state"):
        path = Journal("https://shop.example/rest/all", {"XDG_STATE_HOME": given}).path
        assert path.parent == tmp_path / ".local" / "state" / "commerce-webhooks"
        assert path.name.startswith("shop.example-")


def test_two_at_a_time_do_not_change_one_shop(run):
    with running(wanted(**CHANGED)) as shop:
        with Journal(shop.url).alone():
            code, said = run("apply", shop, "--yes")
            told = f"another `make apply` (process {os.getpid()}) is changing this shop. Nothing was changed. Wait until it has ended."
            assert code == 1 and said == f"shop: {told}\n" and shop.changes() == []
            assert f"Another `make apply` (process {os.getpid()}) is changing the shop now." in run("plan", shop)[1]
            assert run("apply", shop, "--dry-run")[0] == 2
        assert run("apply", shop, "--yes")[0] == 0
        assert "Another" not in run("plan", shop)[1]


def test_the_journal_holds_only_what_a_hook_is(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        [journal] = journals()
        [entry] = json.loads(journal.read_text())["hooks"]
        assert entry.keys() == {"old", "new", "began"} and entry["old"]["timeout"] == 1 and entry["new"]["timeout"] == 5000
