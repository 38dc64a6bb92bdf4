"""What the tests of `make reconcile` share: how it is run, and a bundle with a log and an API of our own."""

import contextlib
import functools
import hashlib
import json
import sys
import threading
import time
import uuid

import boto3
import pytest
import record_shop
from record_shop import order
from shop import SECRET
from stack import REGION, ROOT
from stand_in import TOKEN
from test_quarantine import KEY, Api

sys.path.append(str(ROOT / "commerce"))

import aws  # noqa: E402
import reconcile  # noqa: E402
import resend  # noqa: E402
import routes  # noqa: E402

PLACED, SAVED, PAID = "sales_order_place_after", "sales_order_save_after", "sales_order_invoice_pay"
SHIPPED, ACCOUNT, CATALOG = "sales_order_shipment_save_after", "customer_save_after_data_object", "catalog_product_save_after"
# What no output may hold: who the orders are of, and how one signs.
PERSONAL = ("Zoë", "Núñez", "zoe@", "Springfield", "555-0100", TOKEN, KEY, SECRET)
HOUR = 3600


@functools.cache
def session():
    """One for all runs: to make its clients takes longer than all else."""
    return boto3.Session(region_name=REGION)


@pytest.fixture
def shop():
    with record_shop.running() as running:
        yield running


@pytest.fixture
def run(account, shop, capsys, monkeypatch):
    """Runs the tool: exit code, and all that it printed."""
    for name, value in (account | {"COLUMNS": "100", "COMMERCE_TOKEN": TOKEN}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(resend, "PAUSES", (0, 0))
    for module in (aws, routes, reconcile):
        monkeypatch.setattr(module, "boto3_session", session)

    def run(stack, *arguments):
        capsys.readouterr()
        try:
            code = reconcile.main(["--shop", shop.url, "--stack", stack, *arguments])
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        assert not any(text in out + err for text in PERSONAL), "nothing personal and no secret is shown"
        assert "Traceback" not in err and all(letter.isprintable() or letter == "\n" for letter in out + err)
        assert all(len(line) <= 100 for line in out.splitlines()), "it fits the terminal"
        return code, out + err

    return run


def missing(said, channel):
    """The records that are listed under a channel."""
    part = said.partition(f"\n{channel}\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in part.splitlines()]


# A bundle of our own


class Bundle:
    """A stack of which only what the tool asks for is there: a log group of its own, a secret, and where to post to."""

    def __init__(self, stack, url):
        self.stack, self.logs = stack, stack.client("logs")
        self.name = f"reconcile-{uuid.uuid4().hex[:8]}"
        self.url = url

    def forget(self):
        """Begins a new log."""
        self.end()
        self.logs.create_log_group(logGroupName=self.name)
        self.logs.create_log_stream(logGroupName=self.name, logStreamName="functions")

    def end(self):
        with contextlib.suppress(self.logs.exceptions.ResourceNotFoundException):
            self.logs.delete_log_group(logGroupName=self.name)

    def deploy(self, secret=None, without=(), **parameters):
        secret = json.dumps({"hmac_secrets": KEY}) if secret is None else secret
        outputs = {"FunctionLogGroup": self.name, "WebhooksUrl": self.url, "WebhookKeysArn": {"Ref": "Keys"}}
        parameters = {"SignatureSchemes": "hmac,rsa", "LogRetentionDays": "30", **parameters}
        bundle = {
            "Parameters": {name: {"Type": "String"} for name in parameters},
            "Resources": {"Keys": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": secret}}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items() if name not in without},
        }
        cloudformation = self.stack.client("cloudformation")
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(bundle), Parameters=given)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=self.name, WaiterConfig={"Delay": 0.1})
        self.forget()
        return self

    def log(self, *events):
        """Writes lines: (channel, subject or None, store, when)."""
        made = [{"timestamp": int(when * 1000), "message": line(channel, subject, store)} for channel, subject, store, when in events]
        made.sort(key=lambda one: one["timestamp"])
        for first in range(0, len(made), 5000):
            self.logs.put_log_events(logGroupName=self.name, logStreamName="functions", logEvents=made[first : first + 5000])


def line(channel, subject, store="", **more):
    said = {"message": "answered", "channel": channel, "outcome": "accepted", "event_id": str(uuid.uuid4()), "request_id": "r"}
    if subject:
        said["subject_digest"] = hashlib.sha256(f"{subject}\0{store}".encode()).hexdigest()[:32]
    return json.dumps(said | more)


@pytest.fixture(scope="module")
def deployed(stack):
    with Api() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Bundle(stack, server.url).deploy(), server
        server.shutdown()


@pytest.fixture
def bundle(deployed):
    deployed[0].forget()
    yield deployed[0]
    deployed[0].end()


@pytest.fixture
def api(deployed):
    deployed[1].posts.clear()
    deployed[1].answers.clear()
    return deployed[1]


def orders_missing(shop, number):
    then = time.time() - HOUR
    return [shop.add("orders", order(one + 1, f"{one + 100}", then + one)) for one in range(number)]
