"""How `make reconcile` ends: what it refuses, what it says of a failure, and what ends it from outside."""

import os
import signal
import subprocess
import sys
import time

import botocore.exceptions
import pytest
from reconciling import PLACED, SAVED, Bundle, api, bundle, deployed, orders_missing, run, shop  # noqa: F401
from stack import ROOT
from stand_in import TOKEN
from test_deploy import run as command

sys.path.append(str(ROOT / "commerce"))

import accepted  # noqa: E402


@pytest.mark.parametrize(
    ("secret", "parameters", "words"),
    [
        ("{}", {}, "has no HMAC secret to sign with. Add one: make keys HMAC=FILE"),
        ("[]", {}, "is not a JSON object"),
        (None, {"SignatureSchemes": "rsa"}, "take no HMAC (SignatureSchemes=rsa)"),
    ],
)
def test_without_a_secret_to_sign_with_it_lists_and_does_not_send(stack, run, shop, api, secret, parameters, words):
    bundle = Bundle(stack, api.url).deploy(secret, **parameters)
    orders_missing(shop, 1)
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and words in said and api.posts == []
    assert run(bundle.name, "--since", "6h")[0] == 2


def test_it_does_not_look_back_beyond_the_log(stack, run, shop, api):
    bundle = Bundle(stack, api.url).deploy(LogRetentionDays="7")
    code, said = run(bundle.name, "--since", "8d")
    assert code == 1 and "the functions' log is kept for 7 days (LogRetentionDays): give a later SINCE=…" in said
    assert shop.seen == [], "the shop is not asked for nothing"


@pytest.mark.parametrize("level", ["warn", "error"])
def test_a_stack_that_logs_no_accepted_events_is_not_compared(stack, run, shop, api, level):
    bundle = Bundle(stack, api.url).deploy(LogLevel=level)
    orders_missing(shop, 3)
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and f"log no accepted event (LogLevel={level})" in said and api.posts == [] and shop.seen == []
    bundle.end()


def test_a_stack_without_its_log_group_is_named(stack, run, api):
    bundle = Bundle(stack, api.url).deploy(without=("FunctionLogGroup",))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and f"the stack {bundle.name} has no output FunctionLogGroup" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "since when? Add SINCE=…"),
        (("--since", "yesterday"), "'yesterday' is no time as 6h, 2d or 2026-06-18T20:00"),
        (("--since", "6h", "--channel", "customer_delete_after"), "the shop keeps nothing of the others"),
        (("--since", "6h", "--channel", ","), "choose out of"),
        (("--since", "6h", "--settle", "5"), "is no time as 90s"),
        (("--since", "6h", "--max", "0"), "at least 1"),
        (("--since", "1m"), "nothing is between SINCE and the last 2 min"),
        (("--since", "0001-01-01T00:00+14:00"), "give a later SINCE=…"),
        (("--since", "9999-12-31T23:59-14:00"), "nothing is between SINCE and"),
        (("--since", "2100-01-01"), "nothing is between SINCE and"),
    ],
)
def test_options_that_make_no_sense_are_refused(bundle, run, arguments, words):
    code, said = run(bundle.name, *arguments)
    assert code == 1 and words in said


def test_make_passes_on_what_it_is_given():
    shop = {"SHOP": "https://shop.example/rest/all", "STACK": "mine", "SINCE": "6h"}
    given = shop | {"CHANNEL": "a,b", "TOLERANCE": "9s", "SETTLE": "1m"}
    more = {"MAX": "9", "RATE": "3", "URL": "https://api.example"}
    variables = [f"{name}={value}" for name, value in (given | more).items()]
    _, said = command("make", "-n", "reconcile", "ALL=1", "SEND=1", "YES=1", *variables)
    first, last = (" ".join(f'--{name.lower()} "{value}"' for name, value in some.items()) for some in (given, more))
    called = f"exec python commerce/reconcile.py --exit-zero {first} --all --send --yes {last}"
    assert called in " ".join(said.replace("\\\n", " ").split()), said


def program(account, shop, bundle, *more, **variables):
    environment = os.environ | account | {"COMMERCE_TOKEN": TOKEN} | variables
    called = [sys.executable, str(ROOT / "commerce" / "reconcile.py"), "--shop", shop.url, "--stack", bundle.name, "--since", "6h"]
    return subprocess.Popen([*called, *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_closed_pipe_or_a_terminal_without_utf_8_is_no_fault(bundle, shop, account):
    orders_missing(shop, 60)
    closed, ascii = program(account, shop, bundle), program(account, shop, bundle, PYTHONIOENCODING="ascii")
    closed.stdout.close()
    with closed:
        assert closed.stderr.read() == b"" and closed.wait() == 141
    out, err = ascii.communicate()
    assert ascii.returncode == 2 and err == b"" and b"? and 10 more. ALL=1 lists all.\n" in out


def test_whoever_ends_it_by_sigterm_knows_what_was_done(bundle, shop, account, api):
    orders_missing(shop, 200)
    one = program(account, shop, bundle, "--send", "--yes", "--rate", "20")
    while len(api.posts) < 3 and one.poll() is None:
        time.sleep(0.05)
    one.send_signal(signal.SIGTERM)
    out, err = one.communicate()
    assert one.returncode == 130 and err.decode().endswith("reconcile: stopped\n")
    assert f"\n{len(api.posts)} accepted, {200 - len(api.posts)} left.\n" in out.decode()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (botocore.exceptions.NoCredentialsError(), "there are no credentials of AWS (NoCredentialsError)"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"), "AWS is out of reach (EndpointConnectionError)"),
        (botocore.exceptions.ParamValidationError(report="\x1b[2J odd"), "AWS cannot be asked: Parameter validation failed: [2J odd"),
        (botocore.exceptions.ClientError({"Error": {"Code": "ExpiredToken"}}, "X"), "AWS does not take the credentials (ExpiredToken)"),
    ],
)
def test_a_failure_of_aws_is_told_as_what_it_is(bundle, run, shop, monkeypatch, error, words):
    orders_missing(shop, 1)

    def broken(*_):
        raise error

    monkeypatch.setattr(accepted, "read", broken)
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and words in said, said


def test_an_address_to_post_to_may_be_that_of_a_route_and_is_named_as_it_is_given(bundle, run, shop, api):
    orders_missing(shop, 1)
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes", "--url", f"{api.url}/webhook/observer.{SAVED}/")
    assert code == 0 and api.posts[0][0] == f"/webhook/observer.{PLACED}"
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes", "--url", "http://api.example")
    assert code == 1 and "reconcile: URL must begin with https://" in said and "WebhooksUrl" not in said


def test_which_permission_is_missing_is_said(bundle, run, shop, monkeypatch):
    orders_missing(shop, 1)

    def denied(*_):
        raise botocore.exceptions.ClientError({"Error": {"Code": "AccessDeniedException", "Message": TOKEN}}, "StartQuery")

    monkeypatch.setattr(accepted, "by_filter", denied)
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and "AWS refuses StartQuery: AccessDeniedException. These credentials need logs:StartQuery." in said
