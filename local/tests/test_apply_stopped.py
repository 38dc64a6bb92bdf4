"""No hook is lost, whatever ends `make apply`: the real program is killed and signalled at every point between two requests, its terminal
is closed, and its shop answers nonsense while a hook is out."""

import contextlib
import fcntl
import itertools
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stand_in
from shop_tool import BUNDLE, CHANGED, PROGRAM, SECRET, applying, environment, flat, journals, rest, run, wanted  # noqa: F401 — fixtures, too
from stack import ROOT
from stand_in import TOKEN, identity, running

COMMAND = [sys.executable, PROGRAM]
# What an apply of CHANGED asks: the list, each hook out and in and the list, and the list again.
REQUESTS = 8
WHOLE = {identity(hook) for hook in wanted()}


def hears_signals():
    """The tests may run as a background job, where a shell or nohup ignores some of them."""
    for number in applying.SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def begin(shop, state, command="apply", **how):
    where = ["--shop", shop.url, "--url", BUNDLE]
    yes = ["--yes"] if command == "apply" else []
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "preexec_fn": hears_signals} | how
    return subprocess.Popen([*COMMAND, command, *where, *yes], env=os.environ | {"XDG_STATE_HOME": str(state)}, **how)


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
# One that cannot be caught at every point, one that can at those of the first hook, the others while it is out.
CASES = [(signal.SIGKILL, point) for point in POINTS]
CASES += [(signal.SIGTERM, point) for point in POINTS if point[0] <= 4]
CASES += [(number, (2, "after")) for number in applying.SIGNALS if number != signal.SIGTERM]


def test_killed_or_signalled_at_any_point_it_loses_no_hook(run, monkeypatch, tmp_path):
    """The processes run two at a time; what the tools say afterwards is asked in this one."""

    def case(number, point):
        shop = stack.enter_context(running(wanted(**CHANGED)))
        state = tmp_path / f"{number.name}-{point[0]}-{point[1]}"
        return number, point, shop, state, stopped_at(shop, state, *point, signalled(number))

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        cases = list(pool.map(case, *zip(*CASES)))
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
    assert lost == [(2, "before"), (2, "after"), (5, "before"), (5, "after")]


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
        line = " ".join(map(str, [*COMMAND, "apply", "--shop", shop.url, "--url", BUNDLE, "--yes", how]))
        environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"}
        subprocess.run(["sh", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        assert set(shop.live) == WHOLE
        if "full" not in how:
            assert {hook["timeout"] for hook in shop.live.values()} == {5000}


def test_make_that_is_ended_ends_apply_once_its_hook_is_whole(tmp_path):
    """A shell between the two would end at once, and the program go on unseen."""
    with running(wanted(**CHANGED)) as shop:
        started = threading.Event()

        def watch(number, when):
            if (number, when) == (3, "before"):
                started.wait()
                process.send_signal(signal.SIGTERM)

        shop.watch = watch
        made = ["make", "apply", f"SHOP={shop.url}", f"URL={BUNDLE}", "YES=1"]
        environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
        process = subprocess.Popen(made, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.set()
        said = process.communicate()[0]
        assert shop.changes() == ["unsubscribe", "subscribe"] and set(shop.live) == WHOLE
        assert process.returncode != 0 and "✓ sales_order_place_after: changed" in said and "shop: stopped; " in said


def test_to_make_changes_are_no_failure(tmp_path):
    with running(wanted(**CHANGED)) as shop:
        for target, code in (("plan", 0), ("apply", 0), ("doctor", 2)):
            made = ["make", target, f"SHOP={shop.url}", f"URL={BUNDLE}", "DRY_RUN=1"]
            environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
            done = subprocess.run(made, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert done.returncode == code, (target, done.stdout, done.stderr)


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
