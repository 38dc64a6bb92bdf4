"""The example of a consumer in Python: without SQS, without credentials, without its database, and when it is to end."""

import re
import signal
import sqlite3
import subprocess
import sys
import time

import botocore.exceptions
import faults
import pytest
from python_loop import AGAIN, Loop, done, here, id_of, reasons, tell, tried  # noqa: F401 (a fixture among them)
from test_consumers import (  # noqa: F401 (fixtures among them)
    CONSUMERS, aws, cloud_event, eventually, python_worker, queues, started,
)  # fmt: skip

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
        account = "sso_account_id = 123456789012", "sso_role_name = Erp"
        profile("sso_start_url = https://x.invalid", "sso_region = eu-west-1", *account)
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


# Without the database or the dead-letter queue


@pytest.mark.parametrize("away", ["database", "dead-letter queue"])
def test_while_nothing_can_be_noted_a_message_comes_at_the_pauses_of_a_failure(here, monkeypatch, away):  # noqa: F811
    monkeypatch.setattr(python_worker, "PAUSE_SECONDS", (0, 4000))
    event = cloud_event()
    here.queues.send(event)
    if away == "database":
        here.database.execute("ALTER TABLE attempts RENAME TO elsewhere")
        raised, name = sqlite3.OperationalError, "OperationalError"
    else:
        here.fate[event] = python_worker.Refused()
        monkeypatch.setattr(here.queues, "dead", f"{here.queues.dead}x")
        raised, name = botocore.exceptions.ClientError, "QueueDoesNotExist"
    for hours in (0, 3):
        here.clock.ahead = hours * 3600
        monkeypatch.setattr(python_worker, "VISIBILITY_SECONDS", 600)
        with pytest.raises(raised):
            here.attempt()
        outcome, pause = re.fullmatch(r"(.*), next attempt in (\d+) s", here.outcome()).groups()
        assert outcome == f"failed: {name}"
        assert int(pause) <= 60 if hours == 0 else 1350 <= int(pause) <= 4000
        if hours == 0:
            eventually(lambda: here.queues.holds(here.queues.live) == (1, 1))
    assert here.queues.holds(here.queues.live) == (1, 0)


def test_while_the_database_is_away_what_is_too_old_is_set_aside(here):  # noqa: F811
    event = cloud_event()
    here.queues.send(event)
    here.database.execute("ALTER TABLE attempts RENAME TO elsewhere")
    here.clock.ahead = 49
    with pytest.raises(sqlite3.OperationalError):
        here.attempt(retention=60)
    assert here.outcome() == "set aside: expires_soon"
    assert reasons(here.queues) == {id_of(event): "expires_soon"} and here.queues.holds(here.queues.live) == (0, 0)


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
