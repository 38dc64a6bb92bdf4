"""Moving dead letters back while AWS or the credentials fail, or the program is ended; the rest is in test_consumers.py."""

import json
import signal
import subprocess
import sys

import faults
import pytest
from test_consumers import (  # noqa: F401 (fixtures among them)
    CONSUMERS, aws, dead_letters, eventually, queues, started, strings,
)  # fmt: skip

ALL = "--min-age", "0"


@pytest.fixture
def proxy(stack):
    with faults.Proxy(stack.port) as made:
        yield made


def receives_and_then(fault):
    return lambda operation: "passes" if operation != "SendMessage" else fault


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("expired", "AWS refuses SendMessage: ExpiredTokenException. Log in to AWS again.\n"),
        ("denied", "AWS refuses SendMessage: AccessDeniedException\n"),
    ],
    ids=["expired", "denied"],
)
def test_when_aws_refuses_in_the_middle_all_is_visible(stack, queues, proxy, monkeypatch, fault, expected):  # noqa: F811
    monkeypatch.setitem(faults.REACHES_AWS, "expired", False)
    monkeypatch.setitem(faults.ANSWERS, "expired", faults.answer(403, "Forbidden", "ExpiredTokenException"))
    dead_letters(queues, 3)
    proxy.fault = receives_and_then(fault)
    code, _, errors = started(stack, "redrive.py", queues.dead, *ALL, AWS_ENDPOINT_URL=proxy.endpoint)
    assert (code, errors) == (1, expected)
    assert queues.holds(queues.dead) == (3, 3) and queues.holds(queues.live) == (0, 0)


def test_what_cannot_be_given_back_is_said(stack, queues, proxy):  # noqa: F811
    dead_letters(queues, 3)
    proxy.fault = lambda operation: "denied" if operation in ("SendMessage", "ChangeMessageVisibilityBatch") else "passes"
    code, _, errors = started(stack, "redrive.py", queues.dead, *ALL, AWS_ENDPOINT_URL=proxy.endpoint)
    told = "Up to 3 messages were not given back. SQS shows them again in 10 minutes.\n"
    assert (code, errors) == (1, f"{told}AWS refuses SendMessage: AccessDeniedException\n")
    assert queues.holds(queues.dead) == (3, 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_redrive_that_is_ended_gives_back_what_it_held(stack, queues, proxy, number, code):  # noqa: F811
    dead_letters(queues, 3)
    proxy.fault = receives_and_then("hangs")
    command = [sys.executable, CONSUMERS / "redrive.py", queues.dead, *ALL]
    environment = aws(stack) | {"AWS_ENDPOINT_URL": proxy.endpoint}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: ("SendMessage", "hangs") in proxy.requests)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, b"")
    assert queues.holds(queues.dead) == (3, 3)


def test_a_login_that_has_ended_is_said(stack, queues, tmp_path):  # noqa: F811
    account = "sso_account_id = 123456789012\nsso_role_name = Erp\n"
    (tmp_path / "config").write_text(f"[default]\nsso_start_url = https://x.invalid\nsso_region = eu-west-1\n{account}")
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "HOME": str(tmp_path)}
    none |= {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "config")}
    code, _, errors = started(stack, "redrive.py", queues.dead, **none)
    assert (code, errors) == (1, "There are no credentials of AWS. Log in to AWS.\n")


def test_a_policy_that_says_whose_dead_letters_these_are_does_not_stop_a_redrive(stack, queues):  # noqa: F811
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [queues.arn(queues.live)]}
    queues.sqs.set_queue_attributes(QueueUrl=queues.dead, Attributes={"RedriveAllowPolicy": json.dumps(allowed)})
    for reason in ("failed_alone", "expires_soon"):
        queues.send("{}", group=reason, queue=queues.dead, channel="sales_order_save_after", reason=reason)
    code, said, errors = started(stack, "redrive.py", queues.dead, *ALL)
    assert (code, errors) == (0, "") and "2 listed, 2 moved" in said
    assert "failed_alone" in said and "expires_soon" in said
    assert [strings(message) for message in queues.peek(queues.live)] == [{"channel": "sales_order_save_after"}] * 2
