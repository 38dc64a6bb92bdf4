"""The example of a consumer in Python: what it does with failures, without SQS, without credentials, and when it is to end."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import types

import botocore.exceptions
import faults
import pytest
from test_consumers import (  # noqa: F401 (fixtures among them)
    CONSUMERS, aws, bomb, cloud_event, eventually, python_worker, queue_pair, queues, started, strings,
)  # fmt: skip

# The worker as it is, but that its work does what a test has put into a file with the event's id, or into one for all events. What
# the usual work wrote is there until then: a failure must take it back.
PROGRAM = """
import json, os, pathlib, signal, sys, time
import worker

folder = pathlib.Path(os.environ["FOLDER"])
for name, value in json.loads((folder / "constants").read_text()).items():
    assert hasattr(worker, name), name
    setattr(worker, name, value)
usual = worker.work

def wanted(event):
    files = folder / event["id"], folder / "all"
    return next((file.read_text() for file in files if file.exists()), "")

def work(database, event, text):
    usual(database, event, text)
    with (folder / "tried").open("a") as tried:
        tried.write(event["id"] + "\\n")
    while (what := wanted(event)) == "waits":
        time.sleep(0.02)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what:
        raise {"refused": worker.Refused, "conflict": worker.Conflict, "fails": RuntimeError}[what]

worker.work = work
worker.main()
"""
SOON = {"PAUSE_SECONDS": [1, 1], "AWAY_SECONDS": [0.1, 0.2]}
AGAIN = "It works again.\n"


class Loop:
    """A process of the worker, at work until it is ended. Several may have one folder, and so one database."""

    def __init__(self, stack, queues, folder, *options, **environment):  # noqa: F811
        self.folder, self.queues = folder, queues
        self.settings, environment = {**SOON, **environment.pop("constants", {})}, aws(stack) | environment
        (folder / "constants").write_text(json.dumps(self.settings))
        (folder / "program.py").write_text(PROGRAM)
        self.outputs = [folder / f"{name}-{len(list(folder.iterdir()))}" for name in ("stdout", "stderr")]
        given = {"FOLDER": str(folder), "PYTHONPATH": str(CONSUMERS), **environment}
        command = [sys.executable, folder / "program.py", queues.live, queues.dead, folder / "events.sqlite", *options]
        with self.outputs[0].open("w") as stdout, self.outputs[1].open("w") as stderr:
            given = {name: value for name, value in given.items() if value is not None}
            self.process = subprocess.Popen(command, env=given, stdout=stdout, stderr=stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def outcomes(self):
        return [line.split(" ", 1)[1] for line in self.outputs[0].read_text().splitlines()]

    def errors(self):
        return self.outputs[1].read_text()

    def end(self, number=signal.SIGTERM):
        """Ends it by a signal: exit code, errors."""
        self.process.send_signal(number)
        return self.process.wait(60), self.errors()


def tell(folder, what, event=None):
    """What the work does from now on, with one event or with all that have nothing of their own."""
    part = folder / "part"
    part.write_text(what)
    part.rename(folder / (id_of(event) if event else "all"))


def id_of(event):
    return json.loads(event)["id"]


def tried(folder):
    """Ids of the events that were tried, in that order."""
    file = folder / "tried"
    return file.read_text().splitlines() if file.exists() else []


def rows(folder, query="SELECT event FROM events ORDER BY number"):
    with contextlib.closing(python_worker.open_database(folder / "events.sqlite")) as database:
        return database.execute(query).fetchall()


def done(folder):
    return [event for (event,) in rows(folder)]


def reasons(queues):  # noqa: F811
    return {id_of(message["Body"]): strings(message)["reason"] for message in queues.peek(queues.dead)}


@pytest.fixture(autouse=True)
def as_deployed(queues):  # noqa: F811
    """As the template has it; a receive in these tests says its own visibility timeout."""
    policy = {"deadLetterTargetArn": queues.arn(queues.dead), "maxReceiveCount": 1000}
    queues.sqs.set_queue_attributes(QueueUrl=queues.live, Attributes={"RedrivePolicy": json.dumps(policy)})
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [queues.arn(queues.live)]}
    queues.sqs.set_queue_attributes(QueueUrl=queues.dead, Attributes={"RedriveAllowPolicy": json.dumps(allowed)})


# Failures


def test_while_the_work_fails_all_that_is_behind_waits_untried_and_then_comes_in_order(stack, queues, tmp_path):  # noqa: F811
    order, other = [cloud_event() for _ in range(10)], cloud_event()
    for event in order:
        queues.send(event)
    queues.send(other, group="order/2")
    tell(tmp_path, "fails")
    with Loop(stack, queues, tmp_path, constants={"VISIBILITY_SECONDS": 1}) as loop:
        # For five visibility timeouts, and more than five receives.
        eventually(lambda: tried(tmp_path).count(id_of(order[0])) == 6)
        assert set(tried(tmp_path)) == {id_of(order[0]), id_of(other)}
        assert queues.holds(queues.live)[0] == 11 and done(tmp_path) == []
        tell(tmp_path, "")
        eventually(lambda: queues.holds(queues.live) == (0, 0))
        assert loop.end() == (0, "")
    assert [event for event in done(tmp_path) if event != other] == order
    assert queues.holds(queues.dead) == (0, 0)
    assert set(loop.outcomes()) == {"failed: RuntimeError, next attempt in 1 s", "done"}


def test_what_fails_while_others_succeed_and_what_is_refused_is_set_aside_and_those_behind_go_on(stack, queues, tmp_path):  # noqa: F811
    fates = {"fails": "failed_alone", "conflict": "failed_alone", "refused": "refused"}
    heads, behind = {}, {}
    for what in fates:
        heads[what], behind[what] = cloud_event(), cloud_event()
        tell(tmp_path, what, heads[what])
        queues.send(heads[what], group=what)
        queues.send(behind[what], group=what)
    others = []
    with Loop(stack, queues, tmp_path, constants={"ATTEMPTS_MIN": 3, "ATTEMPTS_SECONDS_MIN": 1}) as loop:

        def another_is_done():
            others.append(cloud_event())
            queues.send(others[-1], group="others")
            return set(behind.values()) < set(done(tmp_path))

        while not another_is_done():
            before = len(tried(tmp_path))
            eventually(lambda: len(tried(tmp_path)) > before)
        assert loop.end() == (0, "")
    assert reasons(queues) == {id_of(heads[what]): reason for what, reason in fates.items()}
    attempts = {what: tried(tmp_path).count(id_of(event)) for what, event in heads.items()}
    assert attempts["refused"] == 1 and attempts["fails"] >= 4 and attempts["conflict"] >= 3, attempts
    assert not set(heads.values()) & set(done(tmp_path))


class Clock:
    def __init__(self):
        self.ahead = 0

    def time(self):
        return time.time() + self.ahead


class Here:
    """The worker in this process, by a clock that can be put forward, without pauses."""

    def __init__(self, queues, others, monkeypatch, capsys):  # noqa: F811
        self.queues, self.others, self.capsys, self.clock = queues, others, capsys, Clock()
        self.database = python_worker.open_database(":memory:")
        monkeypatch.setattr(python_worker, "time", self.clock)
        monkeypatch.setattr(python_worker, "PAUSE_SECONDS", (0, 0))
        monkeypatch.setattr(python_worker, "VISIBILITY_SECONDS", 0)
        self.fate, self.tried = {}, []
        usual = python_worker.work

        def work(database, event, text):
            usual(database, event, text)
            self.tried.append(text)
            if text in self.fate:
                raise self.fate[text]

        monkeypatch.setattr(python_worker, "work", work)

    def attempt(self, queues=None, retention=14 * 24 * 3600):  # noqa: F811
        """Handles the next message: the outcome."""
        queues = queues or self.queues
        python_worker.handle_next(queues.sqs, queues.live, queues.dead, self.database, 0.8 * retention)
        return self.capsys.readouterr().out.rstrip("\n").split(" ", 1)[-1]

    def another_is_done(self):
        """By the same ledger, but from another queue, because here what fails comes again at once."""
        self.others.send(cloud_event())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(python_worker, "VISIBILITY_SECONDS", 60)
            assert self.attempt(self.others) == "done"


@pytest.fixture
def here(stack, queues, monkeypatch, capsys):  # noqa: F811
    with queue_pair(stack) as others:
        made = Here(queues, others, monkeypatch, capsys)
        with contextlib.closing(made.database):
            yield made


class Crash(BaseException):
    """Ends the work as the end of the process does: nothing after it is done."""


FAILED = "failed: RuntimeError, next attempt in 0 s"


def test_an_event_fails_alone_after_ten_attempts_that_count_and_an_hour(here):
    event = cloud_event()
    here.fate[event] = RuntimeError()
    here.queues.send(event)
    for _ in range(20):
        assert here.attempt() == FAILED
        here.clock.ahead += 3600
    # Nothing else was done: that was only an outage. From here each attempt counts.
    for number in range(10):
        here.another_is_done()
        here.clock.ahead += 399
        assert here.attempt() == FAILED, number
    here.another_is_done()
    here.clock.ahead += 10
    assert here.attempt() == "set aside: failed_alone"
    assert reasons(here.queues) == {id_of(event): "failed_alone"}


def test_an_hour_with_fewer_attempts_is_not_enough(here):
    event = cloud_event()
    here.fate[event] = python_worker.Conflict()
    here.queues.send(event)
    for _ in range(9):
        assert here.attempt() == "failed: Conflict, next attempt in 0 s"
        here.clock.ahead += 3600
    # Without another that is done, because a conflict is about this event.
    assert here.attempt() == "set aside: failed_alone"


def test_a_dead_letter_that_is_moved_back_begins_anew(here):
    event = cloud_event()
    here.fate[event] = python_worker.Refused()
    here.queues.send(event)
    assert here.attempt() == "set aside: refused"
    here.fate[event] = python_worker.Conflict()
    here.database.execute("UPDATE attempts SET counted = 9, first_counted = 1, last = last - 60")
    here.queues.send(event)
    assert here.attempt() == "failed: Conflict, next attempt in 0 s"
    del here.fate[event]
    assert here.attempt() == "done"
    assert here.database.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_an_attempt_that_never_ended_is_a_failure_like_another(here):
    event = cloud_event()
    here.fate[event] = Crash()
    here.queues.send(event)
    for _ in range(11):
        with pytest.raises(Crash):
            here.attempt()
        here.another_is_done()
        here.clock.ahead += 400
    assert here.attempt() == "set aside: failed_alone"
    assert len([text for text in here.tried if text == event]) == 11, "and it was not tried once more"


@pytest.mark.parametrize("fails", [RuntimeError, Crash])
def test_what_fails_is_set_aside_before_the_queue_deletes_it(here, fails):
    event, behind = cloud_event(), cloud_event()
    here.fate = {event: fails(), behind: RuntimeError()}
    here.queues.send(event)
    here.queues.send(behind)
    here.clock.ahead = 46
    with contextlib.suppress(Crash):
        assert here.attempt(retention=60) == FAILED
    here.clock.ahead = 49
    assert here.attempt(retention=60) == "set aside: expires_soon"
    # That one is as old, but was never tried.
    assert here.tried.count(behind) == 0
    assert here.attempt(retention=60) == "set aside: expires_soon"
    assert here.tried.count(behind) == 1


def test_pauses_grow_within_their_bounds_and_end_before_the_event_is_too_old(monkeypatch):
    monkeypatch.setattr(python_worker, "time", types.SimpleNamespace(time=lambda: 1_000_000))

    def pause(failing, retry_after=0, left=10**6):
        return python_worker.Attempts(1_000_000 - failing, 0).pause(0, left, retry_after)

    assert [pause(failing) for failing in (0, 60, 240, 3600, 10**6)] == [15, 15, 60, 900, 1800]
    assert [pause(0, retry_after=asked) for asked in (2, 120, 10**6)] == [15, 120, 3600]
    assert [pause(0, left=left) for left in (7, 0.2)] == [7, 1]


def test_the_age_is_measured_by_the_time_for_which_the_queue_keeps_a_message(stack, queues, tmp_path):  # noqa: F811
    queues.sqs.set_queue_attributes(QueueUrl=queues.live, Attributes={"MessageRetentionPeriod": "60"})
    event = cloud_event()
    queues.send(event)
    tell(tmp_path, "fails")
    with Loop(stack, queues, tmp_path, constants={"EXPIRES_SOON": 1 / 60}) as loop:
        eventually(lambda: queues.holds(queues.dead) == (1, 1))
        assert loop.end() == (0, "")
    assert reasons(queues) == {id_of(event): "expires_soon"}


# Once, and in order


def test_each_event_is_done_once_and_the_bad_are_set_aside(stack, queues, tmp_path):  # noqa: F811
    file = tmp_path / "events.sqlite"
    large = queues.large_event()
    queues.shop_sends("customer_delete_after")
    repeated = cloud_event()
    queues.send(repeated)
    good = queues.peek(queues.live)
    queues.send(repeated)
    bad = {"nonsense": {}, cloud_event(specversion="2.0"): {}, bomb(): {"content_encoding": "gzip, base64"}, cloud_event(id="Jane"): {}}
    ids = {queues.send(body, group="bad", channel="x", **attributes): body for body, attributes in bad.items()}
    code, said, errors = started(stack, "worker.py", queues.live, queues.dead, file, "--once")
    assert (code, errors) == (0, "")
    assert sorted(line.split(" ", 1)[1] for line in said.splitlines()) == ["done"] * 3 + ["repeated"] + ["set aside: unreadable"] * 4
    kinds = [kind.rpartition(".")[2] for (kind,) in rows(tmp_path, "SELECT type FROM events")]
    assert sorted(kinds) == ["customer_delete_after", "sales_order_save_after", "sales_order_save_after"]
    assert any('"original":' + large.decode() + "}" in text for text in done(tmp_path))
    assert repeated in done(tmp_path)
    assert queues.holds(queues.live) == (0, 0)
    dead = queues.peek(queues.dead)
    assert {message["Attributes"]["MessageDeduplicationId"]: message["Body"] for message in dead} == ids
    assert {(strings(message)["reason"], strings(message)["channel"]) for message in dead} == {("unreadable", "x")}
    # All of them again, to another worker with the same database.
    for message in good:
        queues.send(message["Body"], **{name.replace("-", "_"): value for name, value in strings(message).items()})
    code, said, errors = started(stack, "worker.py", queues.live, queues.dead, file, "--once")
    assert (code, errors) == (0, "")
    assert [line.split(" ", 1)[1] for line in said.splitlines()] == ["repeated"] * 3


def test_an_event_is_done_once_although_the_process_died_at_it(stack, queues, tmp_path):  # noqa: F811
    events = [cloud_event(), cloud_event()]
    for event in events:
        queues.send(event)
    tell(tmp_path, "dies", events[0])
    at_once = {"constants": {"VISIBILITY_SECONDS": 1}}
    with Loop(stack, queues, tmp_path, **at_once) as loop:
        assert loop.process.wait(60) == -signal.SIGKILL
    assert rows(tmp_path, "SELECT id, running FROM attempts") == [(id_of(events[0]), True)]
    assert done(tmp_path) == []
    tell(tmp_path, "", events[0])
    with Loop(stack, queues, tmp_path, **at_once) as loop:
        eventually(lambda: loop.outcomes() == ["done", "done"])
        assert loop.end() == (0, "")
    assert done(tmp_path) == events
    assert tried(tmp_path) == [id_of(events[0]), id_of(events[0]), id_of(events[1])]
    assert queues.holds(queues.live) == (0, 0)


def test_two_copies_with_the_same_message_do_it_once(stack, queues, tmp_path):  # noqa: F811
    event = cloud_event()
    tell(tmp_path, "waits", event)
    queues.send(event)
    # The work takes longer than the message is invisible.
    slow = {"constants": {"VISIBILITY_SECONDS": 1}}
    with Loop(stack, queues, tmp_path, **slow) as one:
        eventually(lambda: tried(tmp_path) and queues.holds(queues.live) == (1, 1))
        with Loop(stack, queues, tmp_path, **slow) as other:
            eventually(lambda: queues.holds(queues.live) == (1, 0))
            tell(tmp_path, "", event)
            eventually(lambda: queues.holds(queues.live) == (0, 0))
            assert (one.end(), other.end()) == ((0, ""), (0, ""))
    assert one.outcomes()[0] == "done, after more than 1 s: it comes again"
    assert {outcome.split(",")[0] for outcome in one.outcomes()[1:] + other.outcomes()} == {"repeated"}
    assert tried(tmp_path) == [id_of(event)] and done(tmp_path) == [event]


# Without SQS, and without credentials


@pytest.fixture
def proxy(stack):
    with faults.Proxy(stack.port) as made:
        yield made


def test_while_sqs_is_away_it_waits_and_goes_on(stack, queues, tmp_path, proxy):  # noqa: F811
    # Connections are refused; and what would be final if it had not worked before.
    says = {"refused": "SQS is out of reach: ", "throttled": "AWS refuses ", "denied": "AWS refuses "}
    # A receive that is broken off can take a message along, until it is visible again.
    with Loop(stack, queues, tmp_path, constants={"VISIBILITY_SECONDS": 1}, AWS_ENDPOINT_URL=proxy.endpoint) as loop:
        eventually(lambda: ("ReceiveMessage", "passes") in proxy.requests)
        for fault in says:
            said = len(loop.errors().splitlines())
            if fault == "refused":
                proxy.stop_listening()
            else:
                proxy.fault = fault
            event = cloud_event()
            queues.send(event)
            eventually(lambda: loop.errors().count("\n") == said + 1)
            if fault == "refused":
                proxy.listen_again()
            else:
                proxy.fault = "passes"
            eventually(lambda: done(tmp_path)[-1:] == [event])
            eventually(lambda: loop.errors().endswith(AGAIN))
            told = loop.errors().splitlines()[said:]
            assert len(told) == 2, (fault, told)
            assert told[0].startswith(says[fault]), (fault, told)
        assert loop.process.poll() is None
        code, errors = loop.end()
    assert code == 0 and "Traceback" not in errors


def test_every_way_in_which_sqs_can_be_out_of_reach_may_pass():
    for error in (
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://nowhere.invalid/"),
        botocore.exceptions.ConnectTimeoutError(endpoint_url="https://nowhere.invalid/"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://nowhere.invalid/"),
        botocore.exceptions.SSLError(endpoint_url="https://nowhere.invalid/", error="expired"),
        botocore.exceptions.ProxyConnectionError(proxy_url="http://nowhere.invalid/", error="x"),
        botocore.exceptions.ConnectionClosedError(endpoint_url="https://nowhere.invalid/"),
        botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired\nand refresh failed"),
    ):
        text, may_pass = python_worker.explained(error)
        assert may_pass and text.startswith("SQS is out of reach: ") and "\n" not in text


class Expiring(faults.Proxy):
    """AWS, where the credentials with these access keys have expired."""

    expired = ()

    def treat(self, request, connection, upstream):
        is_expired = any(f"Credential={key}/" in request[2]["authorization"] for key in self.expired)
        self.fault = "expired" if is_expired else "passes"
        return super().treat(request, connection, upstream)


@pytest.mark.parametrize("problem", ["expired", "no login", "none"])
def test_it_goes_on_with_fresh_credentials(stack, queues, tmp_path, monkeypatch, problem):  # noqa: F811
    monkeypatch.setitem(faults.REACHES_AWS, "expired", False)
    monkeypatch.setitem(faults.ANSWERS, "expired", faults.answer(403, "Forbidden", "ExpiredTokenException"))

    def profile(*lines):
        part = tmp_path / "part"
        part.write_text("\n".join(["[profile shop]", *lines, ""]))
        part.rename(tmp_path / "config")

    def log_in(key):
        profile(f"aws_access_key_id = {key}", "aws_secret_access_key = test")

    environment = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= {"HOME": str(tmp_path), "AWS_PROFILE": "shop"}
    environment |= {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    if problem == "expired":
        log_in("before")
    elif problem == "no login":
        profile("sso_start_url = https://x.invalid", "sso_region = eu-west-1", "sso_account_id = 123456789012", "sso_role_name = Erp")
    else:
        profile("region = eu-west-1")
    with Expiring(stack.port) as proxy, Loop(stack, queues, tmp_path, AWS_ENDPOINT_URL=proxy.endpoint, **environment) as loop:
        if problem == "expired":
            queues.send(cloud_event())
            eventually(lambda: loop.outcomes() == ["done"])
            proxy.expired = ["before"]
        eventually(loop.errors)
        event = cloud_event()
        queues.send(event)
        log_in("after")
        eventually(lambda: loop.errors().endswith(AGAIN) and done(tmp_path)[-1:] == [event])
        code, errors = loop.end()
    assert code == 0 and len(errors.splitlines()) == 2
    expected = {"expired": "ExpiredTokenException. Log in to AWS again.", "no login": "SSO", "none": "credentials"}
    assert expected[problem] in errors.splitlines()[0]


# What no waiting helps


def test_what_no_waiting_helps_is_said_in_one_line(stack, queues, tmp_path, proxy):  # noqa: F811
    given = [queues.live, queues.dead, tmp_path / "events.sqlite"]
    cases = [
        ([f"{queues.live}x", *given[1:]], {}, "NonExistentQueue"),
        ([queues.live, f"{queues.dead}x", given[2]], {}, "NonExistentQueue"),
        ([*given[:2], tmp_path / "nowhere" / "events.sqlite"], {}, "cannot be opened as a database"),
        (given, {"AWS_ENDPOINT_URL": proxy.endpoint}, "AWS refuses GetQueueAttributes: AccessDeniedException."),
        (given, {"AWS_PROFILE": "nobody"}, "nobody"),
        (given, {"AWS_ENDPOINT_URL": "nowhere"}, "nowhere"),
        ([*given, "--once"], {"AWS_ENDPOINT_URL": "http://nowhere.invalid"}, "SQS is out of reach"),
    ]
    proxy.fault = "denied"
    for arguments, environment, expected in cases:
        code, said, errors = started(stack, "worker.py", *arguments, **environment)
        assert (code, said, errors.count("\n")) == (1, "", 1) and expected in errors, (arguments, errors)


# When it is to end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_ends_after_the_message_at_hand(stack, queues, tmp_path, number):  # noqa: F811
    events = [cloud_event() for _ in range(3)]
    for event in events:
        queues.send(event)
    tell(tmp_path, "waits", events[1])
    with Loop(stack, queues, tmp_path) as loop:
        eventually(lambda: len(tried(tmp_path)) == 2)
        loop.process.send_signal(number)
        tell(tmp_path, "", events[1])
        assert (loop.process.wait(60), loop.errors(), loop.outcomes()) == (0, "", ["done", "done"])
    assert done(tmp_path) == events[:2]
    assert queues.holds(queues.live) == (1, 1), "the next one is there for anybody"


def test_it_ends_while_it_waits_for_a_message_or_for_sqs(stack, queues, tmp_path, proxy):  # noqa: F811
    event = cloud_event()
    queues.send(event)
    tell(tmp_path, "fails")
    constants = {"AWAY_SECONDS": [600, 600], "PAUSE_SECONDS": [600, 600]}

    def ended(fault, number, waits):
        proxy.fault = fault
        proxy.requests.clear()
        with Loop(stack, queues, tmp_path, constants=constants, AWS_ENDPOINT_URL=proxy.endpoint) as loop:
            eventually(lambda: waits(loop, [operation for operation, _ in proxy.requests]))
            return loop.end(number)

    assert ended("passes", signal.SIGTERM, lambda _, asked: asked.count("ReceiveMessage") >= 2) == (0, "")
    assert ended("hangs", signal.SIGINT, lambda _, asked: asked) == (0, "")
    code, errors = ended("fails", signal.SIGTERM, lambda loop, _: loop.errors())
    assert (code, errors) == (0, "AWS refuses GetQueueAttributes: InternalFailure. It tries again until it works.\n")
    assert tried(tmp_path) == [id_of(event)], "it had its pause"


def test_ctrl_c_ends_it_in_the_background_of_a_script_and_a_second_signal_whatever_it_does(stack, queues, tmp_path):  # noqa: F811
    worker = [sys.executable, CONSUMERS / "worker.py", queues.live, queues.dead, tmp_path / "events.sqlite"]
    command = ["sh", "-c", """trap '' INT; exec "$@" """, "sh", *worker]
    with subprocess.Popen(command, env=aws(stack), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        queues.send(cloud_event())
        assert process.stdout.readline().endswith(b" done\n")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (b"", b"")
        assert process.returncode == 0
    event = cloud_event()
    tell(tmp_path, "waits")
    queues.send(event)
    with Loop(stack, queues, tmp_path) as loop:
        eventually(lambda: tried(tmp_path))
        loop.process.send_signal(signal.SIGTERM)
        # Until then two would be one.
        eventually(lambda: "SigPnd:\t0000000000000000" in open(f"/proc/{loop.process.pid}/status").read())
        time.sleep(0.1)
        assert loop.end()[0] == -signal.SIGTERM
    assert done(tmp_path)[1:] == []
