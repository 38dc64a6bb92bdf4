"""`sam local` by one command: a clear line where it cannot run, and, with SAM_LOCAL=1 and Docker, the samples through it."""

import http.server
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import boto3
import docker
import pytest
import sam
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from shop import raw_body
from stack import CREDENTIALS, EVENTS, REGION, ROOT, channels, paths, readable, sample_requests, template

real = pytest.mark.skipif(not os.environ.get("SAM_LOCAL"), reason="builds for minutes and needs Docker; SAM_LOCAL=1 runs it")


def refusal(act, *arguments):
    """The line with which the command gives up, before it has built or started anything."""
    with pytest.raises(SystemExit) as given_up:
        act(*arguments)
    return given_up.value.code


def test_a_command_that_cannot_run_fails_with_one_line():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    environment = {**os.environ, "DOCKER_HOST": address}
    command = [sys.executable, ROOT / "local" / "sam.py", "invoke"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"sam local needs a container engine: none answers at {address}, which DOCKER_HOST names\n"


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refusal(sam.start_api, None, port, []) == f"port {port} is taken; choose another: make start-api PORT=…"


def test_a_sample_that_is_not_there_is_named_beside_those_that_are():
    line = refusal(sam.invoke, "customer_delete_after", "nonsense", [])
    assert line == "customer_delete_after has no sample nonsense, but: default, ideal, wrong-secret"


def test_docker_is_not_installed_or_not_running(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sam, "SOCKET", str(tmp_path / "docker.sock"))
    assert sam.why_none(None) == "Docker is not installed (make run does without)"
    program = tmp_path / "docker"
    program.write_text("")
    program.chmod(stat.S_IRWXU)
    assert sam.why_none(None).startswith(f"Docker is not running, none answers at {sam.SOCKET}; start it")


def test_a_socket_that_one_may_not_use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind("engine")
        engine.listen()
        assert sam.why_none("unix://engine") == "what answers at engine is none that sam can use"
        os.chmod("engine", 0)
        # Whoever may do everything is somebody else for a moment.
        me = os.geteuid()
        os.seteuid(me or 65534)
        try:
            assert sam.why_none("unix://engine").startswith("you may not use engine; add yourself to its group")
        finally:
            os.seteuid(me)


class EngineWithoutNet(http.server.BaseHTTPRequestHandler):
    """Speaks as Docker does when it has no image and cannot reach the registry."""

    def do_GET(self):
        self.answer(200, "OK") if self.path.endswith("/_ping") else self.answer(404, {"message": "No such image"})

    def do_POST(self):
        self.answer(500, {"message": "dial tcp: lookup public.ecr.aws: no such host"})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_an_image_that_cannot_be_pulled_is_named(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EngineWithoutNet) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
            line = refusal(sam.prepare, None)
            assert sam.host_of(sam.engine()) == "host.docker.internal", "there is no bridge either"
        finally:
            server.shutdown()
    assert line == f"the image {sam.IMAGE} is not here, and cannot be pulled: dial tcp: lookup public.ecr.aws: no such host"


def test_sam_never_sees_real_credentials_and_may_tidy_up(tmp_path, monkeypatch):
    program = tmp_path / "sam"
    program.write_text("#!/bin/sh\ntrap 'echo tidy; exit 0' INT\nenv | grep ^AWS_\necho ready\nwhile :; do sleep 0.1; done\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "real")
    with pytest.raises(KeyboardInterrupt), sam.sam("local", "invoke", stdout=subprocess.PIPE) as process:
        seen = set(iter(process.stdout.readline, "ready\n"))
        raise KeyboardInterrupt
    assert {"AWS_ACCESS_KEY_ID=test\n", "AWS_SECRET_ACCESS_KEY=test\n"} <= seen and not [line for line in seen if "real" in line]
    assert process.stdout.read() == "tidy\n" and process.returncode == 0


def test_functions_in_containers_are_told_their_queue_by_variables_that_the_template_has():
    with sam.Queues("host.docker.internal") as queues:
        options = queues.options()
        told = json.loads((ROOT / options[options.index("--env-vars") + 1]).read_text())
        there = {url.partition(queues.endpoint)[2] for url in queues.client("sqs").list_queues()["QueueUrls"]}
    assert len(there) == 5 and "" not in there
    bundle = template()
    shared = bundle["Globals"]["Function"]["Environment"]["Variables"]
    assert set(told) == set(channels().values())
    for name, variables in told.items():
        own = bundle["Resources"][name]["Properties"]["Environment"]["Variables"]
        assert set(variables) <= {*shared, *own}, "sam local sets no other"
        host, _, path = variables["QUEUE_URL"].removeprefix("http://").partition("/")
        assert host == f"host.docker.internal:{queues.port}" and f"/{path}" in there
        assert queues.outputs[f"{own['QUEUE_URL']['Ref']}Url"].endswith(f"/{path}")


def test_sam_local_runs_the_functions_of_the_channels_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    path = tmp_path / "local.json"

    def names(bundle):
        path.write_text(json.dumps(bundle))
        stacks, _ = SamLocalStackProvider.get_stacks(str(path))
        return {function.name for function in SamFunctionProvider(stacks).get_all()}

    others = names(template()) - set(channels().values())
    assert others, "there is nothing to leave out any more"
    assert names(sam.without_inline_code(template())) == set(channels().values())


def expected(channel, case, kind):
    path = EVENTS / channel / f"{case}.{kind}.json"
    return json.loads(path.read_text()) if path.exists() else None


@real
@pytest.mark.timeout(12_000)  # sam builds
@pytest.mark.parametrize(
    ("channel", "case"),
    [("sales_order_place_after", "ideal"), ("sales_order_place_after", "invalid"), ("customer_delete_after", "wrong-secret")],
)
def test_invoke(channel, case):
    command = ["make", "invoke", f"CHANNEL={channel}", f"CASE={case}"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert result.returncode == 0
    answer = json.loads(re.search(r"^Answer: (.*)$", result.stdout, re.MULTILINE)[1])
    answer["body"] = json.loads(answer["body"])
    assert answer == expected(channel, case, "answer")
    message = re.search(r"^Message in the queue: (.*)", result.stdout, re.MULTILINE | re.DOTALL)
    assert (json.loads(message[1]) if message else None) == expected(channel, case, "message")
    assert message or "No message in the queue." in result.stdout


@real
@pytest.mark.timeout(12_000)  # sam builds
@pytest.mark.parametrize("more", ["", "--warm-containers EAGER"])
def test_start_api_serves_every_sample_and_leaves_nothing_running(more):
    before = {container.id for container in docker.from_env().containers.list(all=True)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["make", "start-api", f"PORT={port}", f"ARGS={more}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        printed = ""
        while "Press Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        emulator = re.search(r"--endpoint-url (\S+)", printed)[1]
        sqs = boto3.client("sqs", endpoint_url=emulator, **CREDENTIALS)
        queues = re.findall(r"^  (?:ERP|CRM)  (\S+)$", printed, re.MULTILINE)
        differ = {
            f"{channel}/{case}": (answer, message)
            for channel, case, request in sample_requests()
            for answer, message in [(post(port, channel, request), comparable(taken(sqs, queues)))]
            if answer != whole(expected(channel, case, "answer")) or message != comparable(expected(channel, case, "message"))
        }
        assert not differ
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    left = {container.id for container in docker.from_env().containers.list(all=True)} - before
    assert not left, "containers"
    address = emulator.removeprefix("http://").split(":")
    for closed in (("127.0.0.1", port), (address[0], int(address[1]))):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(closed, 1)


def whole(answer):
    return answer["statusCode"], answer["headers"]["content-type"], unnumbered(answer["body"])


def unnumbered(body):
    """The answer without the gateway's id of the request."""
    return {**body, "request_id": None} if "request_id" in body else body


def comparable(message):
    """The message without what SAM says otherwise than API Gateway: the time, of which it counts the seconds since 1970 and not the
    milliseconds, and the id of the request, of which the event's id is made if the shop has given none."""
    if message:
        del message["MessageBody"]["time"]
        event_id = message["MessageBody"].pop("id")
        message |= {name: "the event's id" for name in ("MessageDeduplicationId", "MessageGroupId") if message[name] == event_id}
    return message


def post(port, channel, request):
    url = f"http://127.0.0.1:{port}{paths(channel)[0]}"
    sent = urllib.request.Request(url, raw_body(request), request["headers"], method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=60) as response:
            return response.status, response.headers["content-type"], unnumbered(json.load(response))
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], unnumbered(json.load(error))


def taken(sqs, queues):
    """The message of one event, out of whichever queue has it."""
    for queue in queues:
        for message in sqs.receive_message(
            QueueUrl=queue, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return readable(message)
    return None
