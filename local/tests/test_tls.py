"""The queue behind TLS, as AWS's own is."""

import contextlib
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from certificates import certificates
from function import Function
from shop import sample

PLACED = "sales_order_place_after"


class Queue(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls):
        super().__init__(("127.0.0.1", 0), Answers)
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server_port}"
        self.connections, self.asked, self.versions = set(), [], set()
        # How it answers the next requests; after that, well.
        self.statuses = []

    def handle_error(self, *_):
        """Clients that do not trust it hang up."""


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.connections.add(self.client_address)
        self.server.asked.append(self.headers["x-amz-target"])
        self.server.versions.add(self.connection.version())
        body = json.dumps({"MessageId": "1", "MD5OfMessageBody": "", "SequenceNumber": "1"}).encode()
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def queue(tls):
    with Queue(tls) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


def function(server, **environment):
    return Function(PLACED, f"{server.url}/1/erp.fifo", AWS_ENDPOINT_URL_SQS=server.url, **environment)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_connection_that_is_opened_at_cold_start_is_the_one_that_events_use(tmp_path, version):
    authority, tls = certificates(tmp_path)
    tls.minimum_version = tls.maximum_version = version
    with queue(tls) as server, function(server, AWS_CA_BUNDLE=authority) as placed:
        results = [placed.invoke(sample(PLACED)) for _ in range(3)]
    assert [result.status for result in results] == [200] * 3
    assert server.asked == ["AmazonSQS.GetQueueAttributes", *["AmazonSQS.SendMessage"] * 3]
    assert len(server.connections) == 1
    assert server.versions == {version.name.replace("_", ".")}


def test_who_cannot_prove_to_be_the_queue_gets_no_message(tmp_path):
    _, tls = certificates(tmp_path)
    with queue(tls) as server, function(server) as placed:
        result = placed.invoke(sample(PLACED))
    assert result.status == 503 and result.line["outcome"] == "queue_unreachable" and result.line["forwarded"] == "no"
    assert server.asked == []


def test_what_follows_a_failure_goes_to_another_server(tmp_path):
    authority, tls = certificates(tmp_path)
    with queue(tls) as server, function(server, AWS_CA_BUNDLE=authority) as placed:
        placed.invoke(sample(PLACED))
        server.statuses = [503]
        result = placed.invoke(sample(PLACED))
    assert result.status == 200
    assert server.asked.count("AmazonSQS.SendMessage") == 3
    assert len(server.connections) == 2


def test_a_server_that_never_shakes_hands_has_carried_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}"
        with Function(PLACED, f"{url}/1/erp.fifo", AWS_ENDPOINT_URL_SQS=url, HOOK_TIMEOUT_MS="3000") as placed:
            result = placed.invoke(sample(PLACED))
    assert result.status == 503 and result.line["outcome"] == "queue_unreachable" and result.line["forwarded"] == "no"


RUBBISH = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [None, "", "no certificate", "{good}" + RUBBISH, "{good}-----BEGIN CERTIFICATE-----\nMA"])
def test_a_bundle_that_cannot_all_be_trusted_is_said_at_the_start(tmp_path, content):
    authority, tls = certificates(tmp_path)
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content.replace("{good}", Path(authority).read_text()))
    with queue(tls) as server, function(server, AWS_CA_BUNDLE=str(bundle)) as placed:
        placed.start()
        assert placed.process.wait(10) == 1
        assert "not started: no trusted root certificates for AWS: " in placed.log()
