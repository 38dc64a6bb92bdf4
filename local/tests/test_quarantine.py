"""The quarantine: what `make quarantine` shows, sends again and deletes, with a stand-in for the API; and what the functions put there."""

import base64
import contextlib
import gzip
import hashlib
import hmac
import http.server
import json
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
from function import Function
from shop import sample
from stack import CREDENTIALS, REGION, ROOT
from test_deploy import run as command

sys.path.append(str(ROOT / "commerce"))

import quarantine  # noqa: E402
import routes  # noqa: E402

ORDER, CUSTOMER = "sales_order_place_after", "customer_save_after_data_object"
KEY = "an-hmac-secret-of-this-test"
NAME = "Zo\u00eb Quarantined"
SUCCESS, EXCEPTION = (200, {"op": "success"}), (200, {"op": "exception", "message": NAME})
UNUSABLE = (422, {"title": NAME, "errors": [{"pointer": "/data/order/increment_id", "detail": NAME}], "more_errors": 2})
FIFO = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}


class Api(http.server.ThreadingHTTPServer):
    """A stand-in for the API. It answers in the order of `answers`, and then with success."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Call)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.posts, self.answers = [], []

    def bodies(self):
        return [json.loads(body) for _, _, body in self.posts]


class Call(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posts.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status, answer, *headers = self.server.answers.pop(0) if self.server.answers else SUCCESS
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in [("content-length", str(len(content))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    with Api() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


class Quarantine:
    """A stack of its own, of which only what the tool asks for is there."""

    def __init__(self, stack, url):
        self.stack, self.sqs = stack, stack.client("sqs")
        self.name = f"quarantine-{uuid.uuid4().hex[:8]}"
        self.queue = self.sqs.create_queue(QueueName=f"{self.name}.fifo", Attributes=FIFO)["QueueUrl"]
        self.url = url

    def deploy(self, secret=None, schemes="hmac,rsa", without=()):
        secret = {"hmac_secrets": KEY} if secret is None else secret
        content = {"SecretString": secret if isinstance(secret, str) else json.dumps(secret)}
        outputs = {"QuarantineQueueUrl": self.queue, "WebhooksUrl": self.url, "WebhookKeysArn": {"Ref": "Keys"}}
        bundle = {
            "Parameters": {"SignatureSchemes": {"Type": "String", "Default": schemes}},
            "Resources": {"Keys": {"Type": "AWS::SecretsManager::Secret", "Properties": content}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items() if name not in without},
        }
        cloudformation = self.stack.client("cloudformation")
        parameters = [{"ParameterKey": "SignatureSchemes", "ParameterValue": schemes}]
        cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(bundle), Parameters=parameters)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=self.name, WaiterConfig={"Delay": 1})

    def put(self, body='{"data":{"order":{}}}', channel=ORDER, compressed=False, **changes):
        """Puts an event into the quarantine, as a function does: its id."""
        said = {
            "channel": channel,
            "time": "2026-06-18T20:27:11.123Z",
            "delivery": f"request-{NAME}",
            "key": "current/hmac_secrets/0",
            "request_id": "JKJaXmPLvHcESHA=",
            "reasons": [{"pointer": "/data/order/increment_id", "detail": "is required"}],
            "more_reasons": 0,
            "body": body,
        }
        said = {name: value for name, value in (said | changes).items() if value is not None}
        text, attributes = json.dumps(said), {"channel": channel, "content-type": "application/json"}
        if compressed:
            text = base64.b64encode(gzip.compress(text.encode())).decode()
            attributes["content-encoding"] = "gzip, base64"
        return self.put_text(text, **attributes)

    def put_text(self, text, **attributes):
        own_id = str(uuid.uuid4())
        self.sqs.send_message(
            QueueUrl=self.queue,
            MessageBody=text,
            MessageGroupId=own_id,
            MessageDeduplicationId=own_id,
            MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
        )
        return own_id

    def ids(self):
        """Those of the events that are there and that anybody could take now."""
        batches = iter(lambda: self.receive(), [])
        seen = [message for batch in batches for message in batch]
        for message in seen:
            self.sqs.change_message_visibility(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        return [message["Attributes"]["MessageDeduplicationId"] for message in seen]

    def receive(self):
        how = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]}
        return self.sqs.receive_message(QueueUrl=self.queue, **how).get("Messages", [])


@pytest.fixture
def held(stack, api):
    """A quarantine that is deployed."""
    made = Quarantine(stack, api.url)
    made.deploy()
    return made


def account(stack):
    """Environment variables that lead to the emulator."""
    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    return {"AWS_ENDPOINT_URL": stack.endpoint, "AWS_REGION": REGION} | {names[one]: CREDENTIALS[one] for one in names}


@pytest.fixture
def run(stack, capsys, monkeypatch):
    """Runs the tool: exit code, and all that it printed, which never holds anything out of an event, nor a secret."""
    monkeypatch.setenv("COLUMNS", "100")
    for name, value in account(stack).items():
        monkeypatch.setenv(name, value)

    def run(held, *arguments):
        capsys.readouterr()
        try:
            code = quarantine.main([getattr(held, "name", held), *arguments])
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        for secret in (KEY, NAME, NAME.split()[1], base64.b64encode(NAME.encode()).decode()):
            assert secret not in out + err
        assert "Traceback" not in err
        assert all(len(line) <= 100 for line in out.splitlines()), "it fits the terminal"
        return code, out + err

    return run


# What it shows


def test_events_are_listed_without_their_content_and_stay_where_they_are(held, run, api):
    reasons = [{"pointer": f"/data/order/items/{number}/sku"} for number in range(12)]
    ids = [
        held.put(json.dumps({"data": {"order": {"name": NAME}}})),
        held.put(json.dumps({"name": NAME * 2000}), CUSTOMER, compressed=True, key=None, reasons=reasons, more_reasons=88),
    ]
    code, said = run(held)
    assert code == 0
    assert said.splitlines()[0] == f"Quarantine of {held.name}: about 2 events"
    first, second = said.split("\n\n")[1:3]
    assert first.splitlines() == [
        f"{ORDER}  2026-06-18 20:27:11 UTC  {len(json.dumps({'data': {'order': {'name': NAME}}}))} B  kept until 2026-06-22",
        f"    id       {ids[0]}",
        "    request  JKJaXmPLvHcESHA=",
        "    key      current/hmac_secrets/0",
        "    reasons  1: /data/order/increment_id",
    ], "an emulated queue keeps messages for four days"
    flat = " ".join(second.split())
    assert f"{CUSTOMER} 2026-06-18 20:27:11 UTC 39.1 KB" in flat and "key none, signatures are not checked" in flat
    assert "reasons 100: /data/order/items/0/sku, " in flat and flat.endswith("/data/order/items/3/sku, …")
    assert said.endswith("2 listed. SEND=1 sends them again. DELETE=1 deletes those of ID=… or CHANNEL=….\n")
    assert sorted(held.ids()) == sorted(ids) and api.posts == []


def test_an_empty_quarantine_says_so(held, run):
    assert run(held) == (0, f"Quarantine of {held.name}: about 0 events\n\nIt has nothing to show.\n")


def test_no_form_of_a_message_shows_what_it_holds(held, run):
    held.put(reasons=[{"pointer": f"/data/{NAME}"}, {"pointer": 7}, NAME, {"pointer": ""}], request_id=NAME, key=NAME)
    code, said = run(held)
    assert code == 0
    assert "    reasons  4: -, the body\n" in said and "    request  -\n" in said and "    key      -\n" in said


def unreadable(held):
    """Messages that no function writes: their ids."""
    whole = gzip.compress(json.dumps({"channel": ORDER, "body": NAME}).encode())
    packed = {"channel": ORDER, "content-encoding": "gzip, base64"}
    return [
        held.put_text(NAME, channel=ORDER),
        held.put_text(json.dumps([NAME]), channel=NAME),
        held.put_text("[" * 100_000),
        held.put_text(base64.b64encode(whole[:-4]).decode(), **packed),
        held.put_text(NAME, **packed),
        held.put_text("{}", **packed | {"content-encoding": "br"}),
        held.put(body=None),
        held.put(body=7),
        held.put(body="\ud800"),
        held.put(delivery=None),
        held.put(delivery=""),
        held.put(time=NAME),
        held.put(channel="../../"),
    ]


def test_what_cannot_be_read_is_listed_as_such_and_never_sent(held, run, api):
    ids = unreadable(held)
    code, said = run(held)
    assert code == 0 and said.count("! cannot be read, and is never sent: it is not a message that the functions write") == len(ids)
    assert all(f"    id       {one}\n" in said for one in ids)
    code, said = run(held, "--send")
    assert code == 0 and said.endswith(f"\n{len(ids)} not sent.\n")
    assert api.posts == [] and sorted(held.ids()) == sorted(ids)


def test_a_message_that_unpacks_to_too_much_is_not_read(held, run, monkeypatch):
    monkeypatch.setattr(quarantine, "UNPACKED_BYTES_MAX", 10_000)
    held.put(json.dumps({"a": "a" * 20_000}), compressed=True)
    assert "cannot be read" in run(held)[1]


# What it sends


def test_an_event_is_sent_signed_to_its_route_and_leaves_the_quarantine(held, run, api):
    body = f'\n {{ "data" : {{"order":{{"name":"{NAME}","price":1.10,"big":{"9" * 5000}}}}} }}'
    held.put(body)
    held.put(json.dumps({"customer": NAME}), CUSTOMER, compressed=True)
    code, said = run(held, "--send")
    assert code == 0 and said.count("    ✓ accepted, and deleted from the quarantine\n") == 2 and said.endswith("\n2 accepted.\n")
    assert held.ids() == []
    assert sorted(path for path, _, _ in api.posts) == sorted(f"/webhook/observer.{channel}" for channel in (ORDER, CUSTOMER))
    for _, headers, sent in api.posts:
        assert headers["x-adobe-signature"] == hmac.new(KEY.encode(), sent, hashlib.sha256).hexdigest()
        assert headers["content-type"] == "application/json" and headers["x-invalid-events"] == "refuse"
    [sent] = [sent for path, _, sent in api.posts if path.endswith(ORDER)]
    delivery = json.dumps(f"request-{NAME}")
    assert sent.decode() == body.replace("{", f'{{"event_id":{delivery},', 1), "nothing else of it is changed"


def test_the_event_of_a_plugin_is_sent_unchanged_because_it_has_no_envelope(held, run, api):
    body = '{"cartId":"63","couponCode":"SPRING"}'
    held.put(body, "plugin_quote_api_guest_coupon_management_set")
    code, said = run(held, "--send")
    assert code == 0 and said.endswith("\n1 accepted.\n") and "was posted unchanged" in " ".join(said.split())
    assert [sent.decode() for _, _, sent in api.posts] == [body] and held.ids() == []


def test_what_is_still_unusable_or_refused_is_kept(held, run, api):
    ids = [held.put(json.dumps({"number": number})) for number in range(4)]
    add = {"op": "add", "path": "data/order/note", "value": NAME}
    api.answers = [UNUSABLE, EXCEPTION, (200, [add, {"op": "success"}]), (422, NAME.encode())]
    code, said = run(held, "--send")
    assert code == 0
    assert "    ! still unusable, and kept; reasons 3: /data/order/increment_id, …\n" in said
    assert "    ! refused by a rule or the stock check, and kept\n" in said
    assert said.endswith("\n2 still unusable, 1 refused, 1 accepted.\n")
    assert len(api.posts) == 4 and len(held.ids()) == 3 and set(held.ids()) < set(ids)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, b""), "the API answered status 401. Is hmac_secrets of the stack's secret what the functions know?"),
        ((404, {"message": "Not Found"}), "the API answered status 404. Is the stack of this project"),
        ((429, {"message": NAME}), "the API answered status 429. Try again in a moment"),
        ((503, {"title": NAME}), "the API answered status 503. The event stays"),
        ((302, b"", ("location", "https://elsewhere.example/")), "the API answered status 302."),
        ((204, b""), "the API answered status 204."),
        ((200, b"<html>"), "the API answered something else than operations."),
        ((200, b"[]"), "the API answered something else than operations."),
        ((200, {"op": NAME}), "the API answered something else than operations."),
        ((200, [{"op": "success"}, NAME]), "the API answered something else than operations."),
    ],
)
def test_any_other_answer_ends_it_and_keeps_what_is_left(held, run, api, answer, words):
    ids = [held.put(json.dumps({"number": number})) for number in range(3)]
    api.answers = [SUCCESS, answer]
    code, said = run(held, "--send")
    last = said.splitlines()[-1]
    assert code == 1 and last.startswith(f"quarantine: {words}"), said
    assert said.splitlines()[-2] == "1 accepted."
    assert "The event stays in the quarantine, and nothing more was sent." in last
    assert len(api.posts) == 2 and len(held.ids()) == 2 and set(held.ids()) < set(ids), "and visible"


def test_an_api_that_is_not_there_or_breaks_off_ends_it(stack, run, api, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        held = Quarantine(stack, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        held.deploy()
        own_id = held.put()
        code, said = run(held, "--send")
        assert code == 1 and "quarantine: no answer from 127.0.0.1:" in said and "it keeps its id the next time" in said
        assert held.ids() == [own_id]
    monkeypatch.setattr(Call, "do_POST", lambda call: setattr(call, "close_connection", True))
    held = Quarantine(stack, api.url)
    held.deploy()
    own_id = held.put()
    code, said = run(held, "--send")
    assert code == 1 and "quarantine: no answer from 127.0.0.1:" in said and held.ids() == [own_id]


@pytest.mark.parametrize("url", ["http://api.example", "ftp://api.example", "api.example"])
def test_nothing_is_posted_in_the_clear(stack, run, url):
    held = Quarantine(stack, url)
    held.deploy()
    held.put()
    code, said = run(held, "--send")
    assert code == 1 and said.startswith("quarantine: the output WebhooksUrl must be") and said.count("\n") == 1


def test_whoever_ends_it_leaves_what_was_not_sent_visible(held, run, api, monkeypatch):
    ids = [held.put(json.dumps({"number": number})) for number in range(12)]
    post, posted = routes.Api.post, []

    def ended_at_the_third(self, *event):
        posted.append(event)
        if len(posted) == 3:
            raise KeyboardInterrupt
        return post(self, *event)

    monkeypatch.setattr(routes.Api, "post", ended_at_the_third)
    code, said = run(held, "--send")
    assert code == 130 and "\n2 accepted.\n" in said and "quarantine: stopped. What was not accepted stays" in said
    assert len(api.posts) == 2 and len(held.ids()) == 10 and set(held.ids()) < set(ids)


def test_more_than_one_look_holds_are_all_sent(held, run, api):
    for number in range(23):
        held.put(json.dumps({"number": number}))
    code, said = run(held, "--send")
    assert (code, said.splitlines()[-1]) == (0, "23 accepted.")
    assert sorted(body["number"] for body in api.bodies()) == list(range(23)) and held.ids() == []


def test_it_can_choose(held, run, api):
    orders = [held.put(json.dumps({"number": number}), request_id=f"request{number}=") for number in range(4)]
    customer = held.put(json.dumps({"number": 9}), CUSTOMER)
    assert run(held, "--send", "--id", orders[2])[1].endswith("\n1 accepted.\n")
    assert run(held, "--send", "--id", "request1=")[1].endswith("\n1 accepted.\n")
    assert run(held, "--send", "--channel", CUSTOMER)[1].endswith("\n1 accepted.\n")
    assert [body["number"] for body in api.bodies()] == [2, 1, 9]
    assert run(held, "--send", "--max", "1")[1].endswith("\n1 accepted.\n")
    assert len(held.ids()) == 1 and customer not in held.ids()
    assert run(held, "--id", "none-of-them")[1].endswith("\nIt has no such event.\n")
    assert run(held, "--id", "-")[1].endswith("\nIt has no such event.\n"), "which stands for an id that is not shown"


# The event's id


DELIVERY = '"d\\u00e9livery \\"1\\""'


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ('{"a":1}', f'{{"event_id":{DELIVERY},"a":1}}'),
        ("{}", f'{{"event_id":{DELIVERY}}}'),
        (" \n\t{ \r\n}  ", f' \n\t{{"event_id":{DELIVERY} \r\n}}  '),
        ('{"a":{"event_id":"x"},"b":[{"event_id":"x"}]}', f'{{"event_id":{DELIVERY},"a":{{"event_id":"x"}},"b":[{{"event_id":"x"}}]}}'),
        ('{"a":"\\"event_id\\":\\"x\\""}', f'{{"event_id":{DELIVERY},"a":"\\"event_id\\":\\"x\\""}}'),
        ('{"Event_id":"x"}', f'{{"event_id":{DELIVERY},"Event_id":"x"}}'),
        ('{"event_id":"x","a":1}', '{"event_id":"x","a":1}'),
        ('{"a":1 , "event_id" : "x"}', '{"a":1 , "event_id" : "x"}'),
        ('{"a":1,"event\\u005fid":"x"}', '{"a":1,"event\\u005fid":"x"}'),
        ('{"event_id":7}', '{"event_id":7}'),
        # The functions take these for none.
        ('{"a":"null","event_id" : null }', f'{{"a":"null","event_id" : {DELIVERY} }}'),
        ('{"event\\u005fid":"","a":1}', f'{{"event\\u005fid":{DELIVERY},"a":1}}'),
        *((f'{{"event_id":{none},"a":1}}', f'{{"event_id":{DELIVERY},"a":1}}') for none in ("false", "true", "[]", "[ ]", "{}", "[1]", '"\\ud800"')),
        ('{"event_id":null,"event_id":"x"}', '{"event_id":null,"event_id":"x"}'),
        ('{"a":1.50,"b":1e400,"c":' + "9" * 5000 + "}", f'{{"event_id":{DELIVERY},"a":1.50,"b":1e400,"c":{"9" * 5000}}}'),
        ('{"\U0001f4e6":"\u2028"}', f'{{"event_id":{DELIVERY},"\U0001f4e6":"\u2028"}}'),
    ],
)
def test_the_first_delivery_becomes_the_events_id_unless_it_has_one(body, sent):
    made = quarantine.with_event_id(body, 'd\u00e9livery "1"')
    assert made == sent
    before, after = json.loads(body, parse_int=str), json.loads(made, parse_int=str)
    given = before.get("event_id")
    assert after["event_id"] == (given if isinstance(given, str) and given.isprintable() and given else 'd\u00e9livery "1"')
    assert {name: one for name, one in after.items() if name != "event_id"} == {
        name: one for name, one in before.items() if name != "event_id"
    }


@pytest.mark.parametrize("body", ["", "[]", '"{}"', "7", "null", "{", '{"a":1}}', '{"a":1', '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"])
def test_a_body_that_is_no_object_is_kept_and_not_sent(held, run, api, body):
    own_id = held.put(body, compressed=True)
    code, said = run(held, "--send")
    assert code == 0 and "    ! not sent, and kept: its body is not a JSON object, or is nested too deeply\n" in said
    assert said.endswith("\n1 not sent.\n") and api.posts == [] and held.ids() == [own_id]


# The secret


@pytest.mark.parametrize(
    "secrets",
    [KEY, [KEY], [KEY, "another-secret-of-32-bytes-and-so"], f"{KEY}\r\n", ["short", " " * 32, "-----BEGIN PUBLIC KEY-----", 7, KEY]],
)
def test_the_first_hmac_secret_that_the_functions_take_vouches(stack, run, api, secrets):
    held = Quarantine(stack, api.url)
    held.deploy({"hmac_secrets": secrets, "public_keys": []})
    held.put()
    assert run(held, "--send")[0] == 0
    _, headers, sent = api.posts[0]
    assert headers["x-adobe-signature"] == hmac.new(KEY.encode(), sent, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("secret", "schemes", "words"),
    [
        ({}, "hmac,rsa", "has no HMAC secret to sign with. Add one: make keys HMAC=FILE"),
        ({"hmac_secrets": []}, "hmac,rsa", "has no HMAC secret to sign with. Add one: make keys HMAC=FILE"),
        ({"hmac_secrets": {"a": NAME}}, "hmac,rsa", "has no HMAC secret to sign with. Add one: make keys HMAC=FILE"),
        (NAME, "hmac,rsa", "is not a JSON object"),
        ("[]", "hmac,rsa", "is not a JSON object"),
        (None, "rsa", "take no HMAC (SignatureSchemes=rsa). Deploy with hmac,rsa"),
    ],
)
def test_without_a_secret_that_counts_nothing_is_sent(stack, run, api, secret, schemes, words):
    held = Quarantine(stack, api.url)
    held.deploy(secret, schemes)
    held.put()
    code, said = run(held, "--send")
    assert code == 1 and words in said and said.count("\n") == 1 and api.posts == []
    assert run(held)[0] == 0, "a look needs none"


# What it deletes


def test_events_are_deleted_by_id_or_channel_after_asking(held, run, api, monkeypatch):
    orders, customers = [held.put() for _ in range(2)], [held.put(channel=CUSTOMER) for _ in range(3)]
    code, said = run(held, "--delete", "--channel", CUSTOMER)
    assert code == 1 and said.endswith("quarantine: nothing was deleted: there is nobody to ask. Add YES=1 to delete unasked.\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question.strip()) or "n")
    code, said = run(held, "--delete", "--channel", CUSTOMER)
    assert (code, asked) == (0, ["Delete 3 events for good? [y/N]"]) and said.endswith("\nNothing was deleted.\n")
    assert len(held.ids()) == 5
    monkeypatch.setattr("builtins.input", lambda _: "y")
    code, said = run(held, "--delete", "--channel", CUSTOMER)
    assert code == 0 and said.endswith("\n3 deleted.\n") and all(one in said for one in customers)
    assert sorted(held.ids()) == sorted(orders)
    assert run(held, "--delete", "--yes", "--id", orders[0])[1].endswith("\n1 deleted.\n")
    assert held.ids() == orders[1:] and api.posts == []


def test_what_cannot_be_read_can_be_deleted(held, run):
    ids = unreadable(held)
    for own_id in ids:
        assert run(held, "--delete", "--yes", "--id", own_id)[1].endswith("\n1 deleted.\n")
    assert held.ids() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--delete"], "which events shall be deleted? Add ID=… or CHANNEL=…"),
        (["--delete", "--yes"], "which events shall be deleted?"),
        (["--delete", "--send", "--id", "a"], "SEND=1 and DELETE=1: one of them"),
        (["--max", "0"], "argument --max: must be at least 1"),
        (["--max", "some"], "argument --max: invalid count value"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(run, arguments, words):
    code, said = run("any", *arguments)
    assert code == 1 and said.startswith(f"quarantine: {words}") and said.count("\n") == 1


# Where it looks


def test_a_stack_without_a_quarantine_says_so(stack, run, api):
    for output, arguments in {"QuarantineQueueUrl": [], "WebhooksUrl": ["--send"], "WebhookKeysArn": ["--send"]}.items():
        held = Quarantine(stack, api.url)
        held.deploy(without={output})
        code, said = run(held, *arguments)
        assert code == 1 and said.startswith(f"quarantine: the stack {held.name} has no output {output}") and said.count("\n") == 1
        assert output in stack.outputs, "as the template has it"
    code, said = run("no-such-stack")
    assert code == 1 and said.startswith("quarantine: there is no stack no-such-stack in ") and said.count("\n") == 1


def test_a_queue_that_is_gone_says_so(held, run):
    held.sqs.delete_queue(QueueUrl=held.queue)
    code, said = run(held)
    assert code == 1 and re.fullmatch(r"quarantine: AWS refuses GetQueueAttributes: [\w.]+\n", said), said


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ([], '"commerce-webhooks-dev"'),
        (["ENV=prod", "SEND=1", "MAX=3"], '"commerce-webhooks" --send --max "3"'),
        (["STACK=mine", "DELETE=1", "YES=1", "ID=a", "CHANNEL=b"], '"mine" --delete --yes --channel "b" --id "a"'),
    ],
)
def test_make_finds_the_stack_as_for_the_other_commands(given, called):
    _, said = command("make", "-n", "quarantine", *given)
    line = " ".join(said.replace("\\\n", " ").split())
    assert f"python commerce/quarantine.py {called}" in line, said


def test_the_program_itself_starts(held, stack):
    held.put()
    code, said = command(sys.executable, ROOT / "commerce" / "quarantine.py", held.name, **account(stack))
    assert code == 0 and "1 listed." in said


# With the real functions


class Gateway(Call):
    """API Gateway's part: makes a request of what is posted, for the function that the server has."""

    def do_POST(self):
        made = sample(self.path.rpartition(".")[2], "ideal")
        made["headers"] = {name.lower(): value for name, value in self.headers.items()}
        made["body"], made["isBase64Encoded"] = self.rfile.read(int(self.headers["content-length"])).decode(), False
        made["requestContext"] |= {"requestId": uuid.uuid4().hex, "timeEpoch": int(time.time() * 1000)}
        invocation = self.server.function.invoke(made)
        self.server.lines.append(invocation.line)
        content = invocation.answer["body"].encode()
        self.send_response(invocation.status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def real(stack):
    """A function behind its own API, and its quarantine: `real(**environment)` starts it anew."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server, contextlib.ExitStack() as opened:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        server.lines = []
        held = Quarantine(stack, f"http://127.0.0.1:{server.server_port}")
        held.deploy()

        def start(**environment):
            given = {"INVALID_EVENTS": "quarantine", "QUARANTINE_QUEUE_URL": held.queue, "WEBHOOK_KEYS": json.dumps({"hmac_secrets": KEY})}
            server.function = opened.enter_context(Function(ORDER, stack.queue(ORDER), **given | environment))
            return held, server

        stack.client("sqs").purge_queue(QueueUrl=stack.queue(ORDER))
        yield start
        server.shutdown()


def post(server, body, **headers):
    """Posts a signed body as the shop does: status and answer."""
    raw = json.dumps(body, separators=(",", ":")).encode()
    signature = hmac.new(KEY.encode(), raw, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-adobe-signature": signature, **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/webhook/observer.{ORDER}", raw, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_an_unusable_event_is_quarantined_as_it_came_and_the_shop_goes_on(real, stack, run):
    held, server = real()
    body = {"data": {"order": {"customer_firstname": NAME, "increment_id": None}}}
    assert post(server, body) == (200, {"op": "success"})
    line = server.lines[-1]
    assert (line["outcome"], line["status"], line["forwarded"], line["level"]) == ("quarantined", 200, "no", "WARN")
    assert line["pointers"] == "/data/order/increment_id /data/order/entity_id" and line["violations"] == 2
    assert stack.messages(stack.queue(ORDER)) == []

    [message] = held.receive()
    said = json.loads(message["Body"])
    assert json.loads(said["body"]) == body and said["body"] == json.dumps(body, separators=(",", ":"))
    assert (said["channel"], said["key"], said["delivery"]) == (ORDER, "inline/hmac_secrets/0", said["request_id"])
    assert [reason["pointer"] for reason in said["reasons"]] == line["pointers"].split()
    held.sqs.change_message_visibility(QueueUrl=held.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)

    code, told = run(held, "--send")
    assert code == 0 and "/data/order/increment_id" in told
    assert len(held.ids()) == 1, "it stays, and no second one has come"
    assert server.lines[-1]["outcome"] == "invalid"


def test_what_is_sent_again_after_an_upgrade_keeps_its_first_delivery(real, stack, run):
    held, server = real(CONTRACT="strict")
    order = {"increment_id": "q-1", "entity_id": 77, "customer_email": "n/a", "grand_total": 5, "order_currency_code": "EUR"}
    body = {"eventName": ORDER, "data": {"order": order | {"items": [{"sku": "A", "qty_ordered": 1}]}}}
    unnamed = {"eventName": ORDER, "data": {"order": {**body["data"]["order"], "entity_id": None}}}
    for sent in (body, unnamed):
        assert post(server, sent) == (200, {"op": "success"})
    deliveries = [json.loads(message["Body"])["delivery"] for message in received(held)]
    assert len(deliveries) == 2

    # What a newer version can read.
    real()
    code, _ = run(held, "--send")
    assert code == 0 and held.ids() == []
    messages = stack.messages(stack.queue(ORDER))
    assert [message["MessageBody"]["data"]["issues"][0]["pointer"] for message in messages] == ["/data/order/customer_email"] * 2
    for message in messages:
        content = message["MessageBody"]["contentid"]
        itself = message["MessageBody"]["data"]["order"].get("entity_id")
        expected = {event_id(content, delivery) for delivery in ([""] if itself else deliveries)}
        assert message["MessageBody"]["id"] in expected


def received(held):
    messages = held.receive()
    for message in messages:
        held.sqs.change_message_visibility(QueueUrl=held.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    return messages


def event_id(content, delivery):
    digest = bytearray(hashlib.sha256(f"{content}\0{delivery}".encode()).digest()[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def test_what_is_refused_for_another_reason_is_not_quarantined(real):
    held, server = real()
    good = {"order": {"entity_id": 1}}
    assert post(server, good, **{"x-adobe-signature": "0" * 64})[0] == 401
    assert post(server, {"event": "observer.customer_delete_after", **good})[0] == 400
    assert post(server, {"order": {"status": "new"}}, **{"x-invalid-events": "refuse"})[0] == 422
    assert post(server, {"order": {"entity_id": 1, "items": [{}] * 20_001}})[0] == 413
    assert held.ids() == []


def test_a_quarantine_that_is_away_is_answered_503(real):
    _, server = real(QUARANTINE_QUEUE_URL="http://127.0.0.1:9/000000000000/away.fifo", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    status, problem = post(server, {"order": {"status": "new"}})
    assert (status, problem["type"]) == (503, "urn:commerce-webhooks:queue_unreachable")
    assert server.lines[-1]["forwarded"] == "no"


def test_a_large_unusable_event_travels_compressed(real):
    held, server = real()
    body = {"order": {"status": "new", "note": "0123456789" * 150_000}}
    assert post(server, body)[0] == 200
    how = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
    [message] = held.sqs.receive_message(QueueUrl=held.queue, **how)["Messages"]
    assert message["MessageAttributes"]["content-encoding"]["StringValue"] == "gzip, base64"
    said = json.loads(gzip.decompress(base64.b64decode(message["Body"])))
    assert json.loads(said["body"]) == body
