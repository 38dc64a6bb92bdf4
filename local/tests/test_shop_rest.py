"""How the tools sign in to a shop, and what they make of everything that may answer in its place."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse

import pytest
import stand_in
from shop_tool import BUNDLE, OWN, PROGRAM, answers, environment, flat, rest, run, wanted  # noqa: F401 — fixtures, too
from stack import ROOT
from stand_in import IMS, IMS_TOKEN, INTEGRATION, TOKEN, running

# Signing in


@pytest.mark.parametrize("credentials", [{"COMMERCE_TOKEN": TOKEN}, INTEGRATION, IMS], ids=["token", "OAuth 1.0a", "IMS"])
def test_each_way_to_sign_in_is_taken(run, monkeypatch, credentials):
    monkeypatch.delenv("COMMERCE_TOKEN")
    with running() as shop:
        for name, value in (credentials | {"COMMERCE_IMS_URL": f"{shop.origin}/ims/token/v3"}).items():
            monkeypatch.setenv(name, value)
        shop.faults = [("GET list", 503)]
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0
    signed_in = [path for _, path in shop.seen if path == "/ims/token/v3"]
    assert len(signed_in) == (2 if credentials is IMS else 0), "once a run"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"COMMERCE_TOKEN": None}, "no credentials in the environment"),
        ({"COMMERCE_CONSUMER_KEY": "x"}, "unset all but one"),
        ({"COMMERCE_TOKEN": None, "COMMERCE_CONSUMER_KEY": "x"}, "COMMERCE_CONSUMER_SECRET, COMMERCE_ACCESS_TOKEN"),
        (
            {"COMMERCE_TOKEN": None, "COMMERCE_CONSUMER_KEY": "x"},
            "COMMERCE_ACCESS_TOKEN and COMMERCE_ACCESS_TOKEN_SECRET are missing",
        ),
        ({"COMMERCE_TOKEN": None, **IMS, "COMMERCE_ORG_ID": None}, "COMMERCE_ORG_ID is missing"),
        (
            {"COMMERCE_TOKEN": None, "COMMERCE_CLIENT_ID": "client"},
            "the credentials of Adobe IMS are not complete: COMMERCE_CLIENT_SECRET and COMMERCE_ORG_ID are missing",
        ),
        (
            {"COMMERCE_TOKEN": None, **IMS, "COMMERCE_CLIENT_SECRET": "b"},
            "shop: COMMERCE_CLIENT_SECRET has fewer than 6 characters, which no real credential has.",
        ),
        (
            {"COMMERCE_TOKEN": None, **INTEGRATION, "COMMERCE_CONSUMER_KEY": "a", "COMMERCE_ACCESS_TOKEN": "12345"},
            "COMMERCE_CONSUMER_KEY and COMMERCE_ACCESS_TOKEN have fewer than 6 characters",
        ),
        ({"COMMERCE_TOKEN": f"{TOKEN}\n"}, "line breaks"),
        ({"COMMERCE_TOKEN": f"{TOKEN}€"}, "beyond ASCII"),
        ({"COMMERCE_IMS_URL": "http://ims.example/"}, "COMMERCE_IMS_URL must begin with https://"),
    ],
)
def test_credentials_that_cannot_be_are_told(run, monkeypatch, change, expected):
    for name, value in change.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with running() as shop:
        code, said = run("plan", shop)
        assert code == 1 and expected in said and said.count("\n") == 1
        assert shop.seen == []


def test_a_token_is_told_from_a_public_name(run, monkeypatch):
    monkeypatch.setenv("COMMERCE_CLIENT_ID", IMS["COMMERCE_CLIENT_ID"])
    monkeypatch.setenv("COMMERCE_ORG_ID", IMS["COMMERCE_ORG_ID"])
    monkeypatch.setenv("COMMERCE_TOKEN", IMS_TOKEN)
    with running() as shop:
        assert run("plan", shop)[0] == 2


def test_ims_that_refuses_is_told(run, monkeypatch):
    monkeypatch.delenv("COMMERCE_TOKEN")
    with running() as shop:
        for name, value in IMS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COMMERCE_IMS_URL", f"{shop.origin}/ims/token/v3")
        monkeypatch.setenv("COMMERCE_CLIENT_SECRET", "another-secret-of-ours")
        code, said = run("plan", shop)
        assert code == 1 and "status 400 (invalid_client)" in said
        assert "another-secret-of-ours" not in said
        shop.faults = [("POST v3", "page")]
        assert "gave no token" in run("plan", shop)[1]


def test_a_wrong_signature_and_wrong_scopes_are_told(run, monkeypatch):
    monkeypatch.delenv("COMMERCE_TOKEN")
    with running() as shop:
        for name, value in (INTEGRATION | {"COMMERCE_ACCESS_TOKEN_SECRET": "another"}).items():
            monkeypatch.setenv(name, value)
        code, said = run("plan", shop)
        assert code == 1 and "One of the integration's four values is wrong, or this machine's clock is." in said
        for name in INTEGRATION:
            monkeypatch.delenv(name)
        for name, value in (IMS | {"COMMERCE_IMS_URL": f"{shop.origin}/ims/token/v3", "COMMERCE_SCOPES": "openid"}).items():
            monkeypatch.setenv(name, value)
        assert "status 400 (invalid_scope)" in run("plan", shop)[1]


def test_a_netrc_does_not_take_the_place_of_the_token(run, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with running() as shop:
        assert run("plan", shop)[0] == 2


@pytest.mark.parametrize("credentials", [{"COMMERCE_TOKEN": TOKEN}, INTEGRATION], ids=["token", "OAuth 1.0a"])
def test_anything_below_v1_can_be_read_with_a_query(monkeypatch, credentials):
    def respond(self, kind, _):
        asked.append((kind, urllib.parse.parse_qsl(self.path.partition("?")[2])))
        return (200, b'{"items": []}') if self.known() else stand_in.problem(404, "No such entity")

    asked = []
    monkeypatch.setattr(stand_in.Handler, "respond", respond)
    query = {"searchCriteria[pageSize]": 100, "searchCriteria[filter_groups][0][filters][0][value]": "2026-06-18 20:27:11"}
    with running() as shop:
        assert rest.Shop(shop.url, credentials).get("orders", **query) == {"items": []}
        with pytest.raises(rest.ShopError, match="has no orders/7.") as failed:
            rest.Shop(shop.url, {"COMMERCE_TOKEN": "another-token"}).get("orders/7")
    assert failed.value.status == 404
    assert asked == [("GET orders", [(name, str(value)) for name, value in query.items()]), ("GET 7", [])]


# What a shop may answer


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("page", "something else than JSON"),
        ("huge", "more than 8 MB"),
        ("redirect", "sends us on to elsewhere.example (status 302)"),
        (400, '(status 400). The shop says: "Service said 400"'),
        (f"your token {TOKEN} is bad", "your token ••• is bad"),
    ],
)
def test_an_answer_of_no_use_is_told_in_one_line(run, fault, expected):
    with running() as shop:
        shop.faults = [("GET list", fault)]
        code, said = run("plan", shop)
    assert code == 1 and expected in said and said.count("\n") == 1


@pytest.mark.parametrize("fault", [429, 500, 503, "break"])
def test_reading_is_repeated_and_ends(run, fault):
    with running(wanted()) as shop:
        shop.faults = [("GET list", fault)] * 4
        assert run("plan", shop)[0] == 0
        shop.faults = [("GET list", fault)] * 5
        code, said = run("plan", shop)
        told = said.splitlines()
        news = "no answer yet" if fault == "break" else f"answered with status {fault}"
        assert code == 1 and len(told) == 5
        assert all(news in line and line.endswith(", trying again") for line in told[:4])
        assert told[4].startswith("shop: ")
        assert len(shop.seen) == 10


def test_a_post_is_repeated_only_if_it_was_certainly_not_done(run):
    with running(wanted(customer_delete_after=None)) as shop:
        shop.faults = [("POST subscribe", 503)]
        assert run("apply", shop, "--yes")[0] == 1
        assert shop.changes() == ["subscribe"]
        shop.seen.clear()
        shop.faults = [("POST subscribe", 429)]
        assert run("apply", shop, "--yes")[0] == 0
        assert shop.changes() == ["subscribe", "subscribe"]


def test_a_role_without_the_resource_is_told_which(run):
    with running(denied={"Magento_AdobeCommerceWebhooks::webhooks_list"}) as shop:
        code, said = run("plan", shop)
        assert code == 1 and "lacks the resource Magento_AdobeCommerceWebhooks::webhooks_list" in said
    with running(denied={"Magento_AdobeCommerceWebhooks::webhooks"}) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "lacks the resource Magento_AdobeCommerceWebhooks::webhooks." in flat(said)


def test_a_wrong_base_and_an_old_shop_are_told_apart(run, monkeypatch):
    with running() as shop:
        code, said = run("plan", f"{shop.origin}/plain/rest")
        assert code == 1 and "is SHOP the base of REST" in said
        shop.modules = {"list"}
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "the module Magento_AdobeCommerceWebhooksSubscriber is missing" in flat(said) and "1.13.0" in said
        shop.modules = set()
        code, said = run("plan", shop)
        assert code == 1 and "the module Magento_AdobeCommerceWebhooks is missing, not enabled, or too old" in said
        code, said = run("plan", f"{shop.origin}/rest/wholesale")
        assert code == 1 and "The store code is wrong, if wholesale is meant as one" in said
        assert run("plan", f"{shop.url}/V1/")[0] == 1, "V1 may be there"
        assert ("GET", "/rest/all/V1/webhooks/list") in shop.seen[-2:]


@pytest.mark.parametrize(
    "base",
    [
        "http://shop.example/rest/all",
        "shop.example",
        "https://user@shop.example/rest",
        "ftp://shop.example",
        "https://shop.example:port/rest",
        "https://shop.example:99999/rest",
        "https://[::1/rest",
        "",
    ],
)
def test_no_credentials_go_where_they_could_be_read(run, base):
    code, said = run("plan", None, "--shop", base)
    assert code == 1 and "SHOP" in said and said.count("\n") == 1


def test_a_shop_that_is_not_there_or_silent_or_not_trusted_is_told(run, monkeypatch, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        code, said = run("plan", f"http://127.0.0.1:{nobody.getsockname()[1]}/rest/all")
        assert code == 1 and "cannot be reached" in said and "object at 0x" not in said
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(rest, "READ", 0.1)
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        code, said = run("plan", f"http://{host}/rest/all")
        again, end = said.splitlines()
        assert code == 1 and again == f"{host}: no answer yet, trying again" and end == f"shop: {host} gave no answer in time"
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with running() as shop:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        shop.socket = context.wrap_socket(shop.socket, server_side=True)
        code, said = run("plan", shop.url.replace("http:", "https:").replace("127.0.0.1", "localhost"))
        assert code == 1 and f"no safe connection to localhost:{shop.server_port}" in said and said.count("\n") == 1
        assert shop.seen == []


def test_a_shop_that_answers_half_and_then_hangs_is_not_waited_for_longer(run, monkeypatch):
    def half(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[")
        handler.wfile.flush()
        handler.rfile.read(1)

    monkeypatch.setattr(rest, "READ", 0.1)
    with running() as shop:
        shop.faults = [("GET list", half)] * 9
        code, said = run("plan", shop)
        assert code == 1 and said.count("no answer yet, trying again") == 1 and "no answer in time" in said
        assert len(shop.seen) == 2


def test_a_shop_whose_answer_comes_byte_by_byte_is_not_waited_for_forever(run, monkeypatch):
    ended = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    monkeypatch.setattr(answers, "WHOLE", 0.3)
    with running() as shop:
        shop.faults = [("GET list", drip)]
        code, said = run("plan", shop)
        ended.set()
        assert code == 1 and f"127.0.0.1:{shop.server_port} did not end its answer within 0.3 s" in said


def test_https_to_a_port_without_it_is_told(run):
    with running() as shop:
        code, said = run("plan", shop.url.replace("http:", "https:"))
    assert code == 1 and said.count("\n") == 1
    assert f"127.0.0.1:{shop.server_port}: what answers there is not TLS; does it speak HTTPS at this port?" in said
    assert "SSL:" not in said


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://shop.example/rest", "shop.example"),
        ("https://shop.example:443/rest", "shop.example"),
        ("https://shop.example:8443/rest", "shop.example:8443"),
        ("http://localhost:80/rest", "localhost"),
        ("http://localhost:443/rest", "localhost:443"),
    ],
)
def test_a_host_is_named_with_a_port_that_is_not_the_usual_one(url, host):
    assert rest.host_of(url) == host


def test_what_nobody_expected_shows_no_secret_either(run, monkeypatch):
    def broken(self):
        raise RuntimeError(f"oh {TOKEN}")

    monkeypatch.setattr(rest.Shop, "hooks", broken)
    code, said = run("plan", "https://shop.example/rest/all")
    assert code == 1 and said == "shop: unexpected: RuntimeError: oh •••\n"


def test_the_program_itself_prints_no_token_at_all():
    with running() as shop:
        command = [sys.executable, PROGRAM, "plan", "--shop", shop.url, "--url", BUNDLE]
        ended = subprocess.run(command, env={**os.environ, "PYTHONWARNINGS": "default"}, capture_output=True, text=True)
    assert ended.returncode == 2 and f"{len(OWN)} to subscribe" in ended.stdout
    assert TOKEN not in ended.stdout + ended.stderr


def test_whoever_starts_it_without_its_modules_is_told_how():
    command = [sys.executable, "-S", ROOT / "commerce" / "shop.py", "plan"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stdout == ""
    assert "`make plan`" in ended.stderr and ".venv/bin/python" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("command", "codes"), [("plan", {2}), ("xml", {0, 1}), ("doctor", {1})])
def test_a_reader_that_has_read_enough_is_no_fault(command, codes, unbuffered):
    with running() as shop:
        where = ["--shop", shop.url, "--url", BUNDLE]
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(
            [sys.executable, PROGRAM, command, *where],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writing)
    assert [line for line in ended.stderr.splitlines() if not line.startswith("Set in the shop's environment") and "is left out" not in line] == []
    assert ended.returncode in codes


# The stack


def test_where_the_bundle_is_comes_from_its_stack(run, stack, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--stack", "commerce-webhooks")
        assert code == 0, said
        channels = {hook["webhook_method"].removeprefix("observer.") for hook in shop.live.values()}
        urls = {hook["url"] for hook in shop.live.values()}
        assert urls == {stack.url(channel) for channel in channels} and len(urls) >= len(OWN), "where the emulator serves its API"
        code, said = run("doctor", shop, "--stack", "commerce-webhooks")
        assert code == 0, said
        # The address that `make run STAY=1` prints, of one channel and with a path.
        for command, more in (("apply", ["--yes"]), ("doctor", [])):
            code, said = run(command, shop, *more, "--url", stack.url("sales_order_place_after"))
            assert code == 0, said
        assert {hook["timeout"] for hook in shop.live.values()} == {5000}
        code, said = run("plan", shop, "--stack", "another-stack")
        assert code == 1 and said.count("\n") == 1
        assert said.startswith("shop: there is no stack another-stack in eu-west-1. Name another with STACK=…, or give URL=…")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        assert run("plan", shop, "--stack", "commerce-webhooks")[0] == 0, "AWS_REGION alone will do"


@pytest.fixture
def no_aws(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "in which region is the stack commerce-webhooks? Set AWS_REGION, or give URL=…"),
        ({"AWS_REGION": "eu west", **KEYS}, "'eu west' is no region of AWS. Set AWS_REGION"),
        ({"AWS_REGION": "eu-west-1"}, "there are no credentials of AWS"),
        ({"AWS_REGION": "eu-west-1", "AWS_PROFILE": "shop"}, "~/.aws has no profile shop, which AWS_PROFILE names. Log in to AWS"),
        ({"AWS_REGION": "eu-west-1", **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS is out of reach in eu-west-1"),
    ],
)
def test_a_stack_that_cannot_be_asked_for_is_told_why(run, monkeypatch, no_aws, given, expected):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with running() as shop:
        code, said = run("plan", shop, "--stack", "commerce-webhooks")
    assert code == 1 and said.startswith(f"shop: {expected}") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "ExpiredToken", "AWS does not take the credentials (ExpiredToken). Log in to AWS again"),
        (403, "AccessDenied", "these credentials of AWS may not read the stack commerce-webhooks (cloudformation:DescribeStacks)"),
        (400, "ValidationError", "the stack commerce-webhooks in eu-west-1 cannot be read: AWS says ValidationError"),
    ],
)
def test_what_aws_refuses_is_told(run, monkeypatch, no_aws, status, code, expected):
    answer = f"<ErrorResponse><Error><Code>{code}</Code><Message>AKIAEXAMPLE is bad</Message></Error></ErrorResponse>"
    monkeypatch.setattr(stand_in.Handler, "respond", lambda *_: (status, answer.encode()))
    with running() as shop:
        for name, value in {"AWS_REGION": "eu-west-1", **KEYS, "AWS_ENDPOINT_URL": shop.origin}.items():
            monkeypatch.setenv(name, value)
        ended, said = run("plan", shop, "--stack", "commerce-webhooks")
    assert ended == 1 and said.startswith(f"shop: {expected}") and said.count("\n") == 1
    assert "AKIA" not in said
