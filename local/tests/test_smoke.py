"""`make smoke`: against the real functions, and against stand-ins for all that can answer in their place. And what the functions make of
its checks, which reach no queue and count as nothing."""

import contextlib
import http.server
import json
import re
import socket
import sys
import threading
import time
import uuid

import pytest
from certificates import certificates
from function import Function
from shop import request
from stack import CREDENTIALS, REGION, ROOT, channels, is_metrics, paths, sample_secret, shipped, template
from test_deploy import run as command

sys.path.append(str(ROOT / "commerce"))

import bundle  # noqa: E402
import smoke  # noqa: E402

ALL = channels()


def channels():  # noqa: F811
    """Those that are asked at a URL, about whose stack nothing is known."""
    left_out = bundle.left_out(None)
    return {channel: function for channel, function in ALL.items() if channel not in left_out}


PLACED = "sales_order_place_after"
OURS = {"type": "urn:commerce-webhooks:signature_missing", "title": "Unverified event", "status": 401}
PROBLEM, JSON = "application/problem+json", "application/json"
# A channel that a parameter switches on is left out by default.
ASKED = {channel: name for channel, name in channels().items() if "Condition" not in template()["Resources"][name]}
REACHED = {paths(channel)[0] for channel in ASKED}


class Api(http.server.ThreadingHTTPServer):
    """A stand-in for API Gateway: it answers as `answers` says for the path, or else for all, after so many seconds."""

    daemon_threads = True

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Call)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers, self.posts = answers, []
        self.lock, self.at_work, self.most_at_work = threading.Lock(), 0, 0

    def handle_error(self, *_):
        pass  # clients that hang up are part of the tests


class Call(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        with server.lock:
            server.posts.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            server.at_work += 1
            server.most_at_work = max(server.most_at_work, server.at_work)
            answers = server.answers.get(self.path, server.answers.get("*"))
            status, kind, content, seconds = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(seconds)
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        with server.lock:
            server.at_work -= 1
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def api(*answers, tls=None, **others):
    """Answers: status, content type, content, seconds before."""
    with Api({"*": list(answers), **others}) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def answer(status=401, kind=PROBLEM, content=OURS, after=0.0):
    return status, kind, content, after


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the tool: exit code, and all that it printed."""
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = smoke.main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        # A merchant's own channel can have a name of 64 characters, and those make the table wider.
        wider = max(map(len, channels())) - max(map(len, shipped()))
        assert all(len(line) <= 100 + max(wider, 0) for line in out.splitlines()), out
        return code, out + err

    return run


def verdicts(said):
    """The table: channel -> status and verdict."""
    lines = [re.split(r"  +", line) for line in said.splitlines()]
    return {line[0]: (line[1], line[3]) for line in lines if line[0] in ASKED}


# The functions


def take_all(stack):
    queues = {url for name, url in stack.outputs.items() if name.endswith("QueueUrl")}
    assert len(queues) == 5
    return [message for queue in queues for message in stack.take(queue)]


def test_every_channel_of_the_deployed_stack_answers_and_nothing_comes_of_it(stack, run):
    take_all(stack)
    known = len(checks(stack))
    code, said = run("--url", stack.base, "--soft-timeout-ms", "29000")
    assert code == 0, said
    assert verdicts(said) == {channel: ("401", "ok") for channel in ASKED}
    assert said.endswith(f"\nAll {len(ASKED)} channels answer, and each function can read its keys.\n")
    assert take_all(stack) == []
    for _ in range(50):
        if len(checks(stack)) - known >= len(ASKED):
            break
        time.sleep(0.2)
    lines = checks(stack)[known:]
    assert {line["channel"] for line in lines} == set(ASKED)
    assert {(line["level"], line["status"], line["forwarded"]) for line in lines} == {("INFO", 401, "no")}
    counted = {json.loads(line)["request_id"] for line in stack.logs() if is_metrics(line)}
    assert not counted & {line["request_id"] for line in lines}


def checks(stack):
    lines = [json.loads(line) for line in stack.logs() if line.startswith("{") and not is_metrics(line)]
    return [line for line in lines if line.get("outcome") == "check"]


def check(made, signed=False):
    headers = {name: value for name, value in made["headers"].items() if signed or "signature" not in name}
    return made | {"headers": headers | {"x-webhook-check": "1"}}


def order():
    """An order that never was before."""
    content = {"increment_id": uuid.uuid4().hex, "grand_total": 1, "order_currency_code": "EUR", "items": [{"sku": "x", "qty_ordered": 1}]}
    return request(PLACED, {"order": content})


@contextlib.contextmanager
def function(stack, **environment):
    quarantine = {"INVALID_EVENTS": "quarantine", "QUARANTINE_QUEUE_URL": stack.outputs["QuarantineQueueUrl"]}
    with Function(PLACED, stack.queue(PLACED), **quarantine | environment) as one:
        yield one


@pytest.mark.parametrize("schemes", ["hmac,rsa", "hmac", "rsa", "ims", "rsa+ims", "accept-unsigned"])
@pytest.mark.parametrize("made", [order, lambda: request(PLACED, {"order": {}}), lambda: request(PLACED, b"[]")], ids=["event", "unusable", "none"])
def test_a_check_reaches_no_queue_and_counts_as_nothing_whatever_its_body(stack, schemes, made):
    take_all(stack)
    # No check has a token, so IMS is not needed.
    with function(stack, SIGNATURE_SCHEMES=schemes, WEBHOOK_KEYS=sample_secret(), IMS_KEYS_URL="http://127.0.0.1:9/keys") as one:
        result = one.invoke(check(made()))
    assert (result.status, result.body["type"]) == (401, OURS["type"])
    line = result.line
    assert (line["level"], line["outcome"], line["forwarded"], line["cold_start"]) == ("INFO", "check", "no", True)
    assert result.metrics == [] and take_all(stack) == []


def test_the_answer_to_a_check_is_that_to_any_unsigned_request(stack):
    with function(stack) as one:
        made = check(order())
        checked = one.invoke(made)
        del made["headers"]["x-webhook-check"]
        unsigned = one.invoke(made)
    assert checked.answer == unsigned.answer
    assert unsigned.line["outcome"] == "signature_missing" and unsigned.metrics


def test_an_event_is_never_lost_because_it_says_that_it_is_a_check(stack):
    take_all(stack)
    with function(stack) as one:
        result = one.invoke(check(order(), signed=True))
    assert (result.status, result.line["outcome"]) == (200, "accepted")
    assert len(take_all(stack)) == 1 and result.metrics


@pytest.mark.parametrize(
    ("signature", "outcome", "schemes"),
    [
        ({"x-adobe-signature": "0" * 64}, "signature_wrong", "hmac,rsa"),
        ({"x-adobe-signature": ""}, "signature_wrong", "hmac,rsa"),
        ({"x-adobe-commerce-webhook-signature": "x"}, "signature_wrong", "hmac,rsa"),
        ({"x-adobe-commerce-webhook-signature": "x"}, "signature_without_key", "hmac"),
    ],
)
def test_a_wrong_signature_counts_whatever_else_the_request_says(stack, signature, outcome, schemes):
    made = check(order())
    with function(stack, SIGNATURE_SCHEMES=schemes) as one:
        result = one.invoke(made | {"headers": made["headers"] | signature})
    assert (result.line["outcome"], result.line["level"]) == (outcome, "WARN")
    assert any('"Unverified"' in line for line in result.metrics)


def test_a_check_says_that_the_secret_cannot_be_read(stack):
    without = {"WEBHOOK_KEYS": None, "WEBHOOK_KEYS_SECRET": "there-is-none", "AWS_ENDPOINT_URL_SECRETS_MANAGER": stack.endpoint}
    with function(stack, **without) as one:
        result = one.invoke(check(order()))
    assert (result.status, result.line["outcome"], result.line["level"]) == (503, "keys_unavailable", "ERROR")
    assert any('"Failed"' in line for line in result.metrics)


# The tool


def test_it_posts_a_check_to_every_route_of_a_stack_and_takes_its_soft_timeout(stack, run, monkeypatch):
    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    environment = {"AWS_ENDPOINT_URL": stack.endpoint, "AWS_REGION": REGION} | {names[one]: CREDENTIALS[one] for one in names}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with api(answer()) as server:
        deployed = deploy(stack, server.url)
        code, said = run("--stack", deployed)
        assert code == 0 and said.startswith(f"Bundle  {server.url}  (soft timeout 2345 ms)\n"), said
        assert {path for path, _, _ in server.posts} == REACHED and len(server.posts) == len(REACHED)
        for _, headers, body in server.posts:
            assert (headers["x-webhook-check"], headers["content-type"], body) == ("1", JSON, b"[]")
            assert not any("signature" in name or name == "authorization" for name in headers)
        assert command("make", "smoke", f"STACK={deployed}", COLUMNS="100", **environment)[0] == 0
    code, said = run("--stack", "there-is-none")
    assert code == 1 and said.startswith(f"smoke: there is no stack there-is-none in {REGION}.") and said.count("\n") == 1


def deploy(stack, url):
    """A stack of which only what the tool asks for is there."""
    name = f"smoke-{uuid.uuid4().hex[:8]}"
    bundle = {
        "Parameters": {"SoftTimeoutMs": {"Type": "Number", "Default": 2345}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {f"{function}Url": {"Value": f"{url}{paths(channel)[0]}"} for channel, function in ASKED.items()},
    }
    cloudformation = stack.client("cloudformation")
    parameters = [{"ParameterKey": "SoftTimeoutMs", "ParameterValue": "2345"}]
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(bundle), Parameters=parameters)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    return name


@pytest.mark.parametrize("arguments", [[], ["--stack", "one", "--url", "https://a.example"]])
def test_it_asks_which_stack(run, arguments):
    assert run(*arguments) == (1, "smoke: which stack? Add ENV=… or STACK=…, or URL=… with the API's endpoint; one of them\n")


def test_make_names_the_stack_of_the_environment_or_the_url():
    for arguments, expected in [([], '--stack "commerce-webhooks-dev"'), (["ENV=prod"], '--stack "commerce-webhooks"'),
                                (["URL=https://a.example"], 'smoke.py  --url "https://a.example"')]:  # fmt: skip
        _, said = command("make", "-n", "smoke", *arguments)
        assert expected in said and said.count("--stack") == ("--stack" in expected), said


@pytest.mark.parametrize(
    ("answers", "status", "verdict", "words"),
    [
        (answer(503, content=OURS | {"type": "urn:commerce-webhooks:keys_unavailable"}), "503", "keys unavailable", "(output WebhookKeysArn)"),
        (answer(400, content=OURS | {"type": "urn:commerce-webhooks:not_json"}), "400", "other problem", "with status 400, not_json."),
        (answer(401, content=OURS | {"title": "Other"}), "401", "other problem", "with status 401, signature_missing."),
        (answer(403, JSON, {"message": "Forbidden"}), "403", "forbidden", "give URL=https://<the domain>"),
        (answer(404, JSON, {"message": "Not Found"}), "404", "no such route", "deployed from this checkout"),
        (answer(429, JSON, {"message": "Too Many Requests"}), "429", "turned away", "ThrottlesAlarm"),
        (answer(500, JSON, {"message": "Internal Server Error"}), "500", "function fails", "Look for `not started`"),
        (answer(502, JSON, {"message": "Bad Gateway"}), "502", "function fails", "(output FunctionLogGroup)"),
        (answer(503, JSON, {"message": "Service Unavailable"}), "503", "function fails", "took too long"),
        (answer(401, JSON, {"message": "Unauthorized"}), "401", "401, not ours", "an authorizer, or a proxy"),
        (answer(401, JSON, OURS), "401", "401, not ours", "an authorizer, or a proxy"),
        (answer(401, PROBLEM, {"type": "about:blank"}), "401", "401, not ours", "an authorizer, or a proxy"),
        (answer(401, PROBLEM, b"<html>"), "401", "401, not ours", "an authorizer, or a proxy"),
        (answer(401, PROBLEM, b"[" * 100_000), "401", "401, not ours", "an authorizer, or a proxy"),
        (answer(200, JSON, {"op": "success"}), "200", "somebody else", "status 200 is an answer that these functions do not give"),
        (answer(302, "text/html", b""), "302", "somebody else", "status 302 is an answer"),
        (answer(200, JSON, b" " * 9 * 1024 * 1024), "-", "somebody else", "answered with more than 8 MB"),
    ],
)
def test_each_way_to_fail_is_named_with_what_helps(run, answers, status, verdict, words):
    with api(answers) as server:
        code, said = run("--url", server.url, "--soft-timeout-ms", "29000")
    assert code == 1
    assert verdicts(said) == {channel: (status, verdict) for channel in ASKED}
    (sentence,) = re.findall(rf"^{verdict}: (.*?)\n\n", said, re.MULTILINE | re.DOTALL)
    assert words in " ".join(sentence.split()), sentence
    assert said.endswith(f"\n{len(ASKED)} of {len(ASKED)} channels do not answer as they should.\n")


def test_one_channel_that_fails_is_enough(run):
    with api(answer(), **{f"/webhook/observer.{PLACED}": [answer(404, JSON, {"message": "Not Found"})]}) as server:
        code, said = run("--url", server.url, "--soft-timeout-ms", "29000")
    assert code == 1
    assert verdicts(said) == {channel: ("404", "no such route") if channel == PLACED else ("401", "ok") for channel in ASKED}
    assert said.endswith(f"\n1 of {len(ASKED)} channels do not answer as they should.\n")


def test_a_slow_first_answer_is_decided_by_a_second_and_both_times_are_shown(run):
    path = f"/webhook/observer.{PLACED}"
    with api(answer(), **{path: [answer(after=3.5), answer()]}) as server:
        code, said = run("--url", server.url, "--soft-timeout-ms", "3000")
        assert len(server.posts) == len(ASKED) + 1
    assert code == 0, said
    assert verdicts(said)[PLACED] == ("401", "ok, slow only at its first request")
    assert re.search(rf"^{PLACED} +401 +3[5-9]\d\d, \d+ +ok, slow only", said, re.MULTILINE), said


def test_two_slow_answers_are_too_slow(run):
    with api(answer(), **{f"/webhook/observer.{PLACED}": [answer(after=3.2)]}) as server:
        code, said = run("--url", server.url, "--soft-timeout-ms", "3000")
    assert code == 1 and verdicts(said)[PLACED] == ("401", "slow")
    assert "longer than SoftTimeoutMs (3000 ms) a second time" in " ".join(said.split())


def test_a_second_answer_that_is_wrong_counts(run):
    with api(answer(), **{f"/webhook/observer.{PLACED}": [answer(after=3.2), answer(502, JSON, {})]}) as server:
        code, said = run("--url", server.url, "--soft-timeout-ms", "3000")
    assert code == 1 and verdicts(said)[PLACED] == ("502", "function fails")


def test_only_a_few_are_asked_at_once(run):
    with api(answer(after=0.2)) as server:
        assert run("--url", server.url, "--soft-timeout-ms", "29000")[0] == 0
        assert server.most_at_work <= smoke.AT_ONCE < len(ASKED)


def test_an_api_that_is_silent_is_given_up(run, monkeypatch):
    monkeypatch.setattr(smoke, "ANSWER", 0.5)
    with api(answer(after=3)) as server:
        code, said = run("--url", server.url)
    assert code == 1 and verdicts(said) == {channel: ("-", "no answer") for channel in ASKED}
    assert "no answer in time." in said


@pytest.mark.parametrize("begins", [b"HTTP/1.1 401 Unauthorized\r\n", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 60000\r\n\r\n"], ids=["headers", "body"])
def test_an_answer_that_never_ends_is_left_behind(run, monkeypatch, begins):
    monkeypatch.setattr(smoke, "CONNECT", 0.5)
    monkeypatch.setattr(smoke, "ANSWER", 0.5)
    stopped = threading.Event()

    def drip(connection):
        with contextlib.suppress(OSError), connection:
            connection.sendall(begins)
            while not stopped.wait(0.1):
                connection.sendall(b"a")

    def accept(listening):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=listening.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        try:
            code, said = run("--url", f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            stopped.set()
    assert code == 1 and verdicts(said) == {channel: ("-", "no answer") for channel in ASKED}
    assert "an answer that began and did not end in time" in said and "not asked, because the others took too long" in " ".join(said.split())


def test_an_address_at_which_nobody_listens(run):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    code, said = run("--url", f"http://{address}")
    assert code == 1 and verdicts(said) == {channel: ("-", "no answer") for channel in ASKED}
    assert f"no answer: {address}: " in said


def test_a_domain_that_dns_does_not_know(run):
    code, said = run("--url", "https://nowhere.invalid")
    assert code == 1 and verdicts(said) == {channel: ("-", "no such host") for channel in ASKED}
    assert "DNS does not know nowhere.invalid. A CNAME record of the domain must point to the output DomainTarget" in " ".join(said.split())


def test_a_certificate_of_somebody_else(run, tmp_path):
    _, tls = certificates(tmp_path)
    with api(answer(), tls=tls) as server:
        code, said = run("--url", server.url.replace("http:", "https:"))
        assert server.posts == []
    assert code == 1 and verdicts(said) == {channel: ("-", "TLS fails") for channel in ASKED}
    assert "there is no safe connection: " in said and "the certificate must be for the domain" in " ".join(said.split())


@pytest.mark.parametrize("url", ["http://a.example", "a.example", "https://a.example/?x=1", "https://:hush@a.example", "https://a..b", f"https://{'a' * 64}.example"])
def test_an_address_that_is_none_is_refused_in_one_line(run, url):
    code, said = run("--url", url)
    assert code == 1 and said.startswith("smoke: URL must ") and said.count("\n") == 1


def test_every_verdict_says_what_helps_and_fits_the_table():
    assert all(len(verdict) <= 40 for verdict in (smoke.OK, smoke.COLD, *smoke.HELP))
    assert max(map(len, shipped())) + max(map(len, (smoke.COLD, *smoke.HELP))) + len("STATUS") + len("35000, 35000") + 6 <= 100
