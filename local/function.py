"""One function as Lambda runs it: the real binary, and before it a Lambda Runtime API of ours.

Beside the emulator, because here the time of an answer is the function's own, its log is complete when the answer is there, and the
process can be looked at, starved and killed.
"""

import contextlib
import http.server
import json
import os
import queue
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from stack import CREDENTIALS, NO_RULES, REGION, ROOT, STACK_NAME, is_metrics, sample_keys, without_empty

BINARIES = ROOT / "target" / "debug"
# As they are deployed.
RELEASE = ROOT / "target" / "release"
STATE = ROOT / "target" / "functions"
PREFIX = "/2018-06-01/runtime"


@dataclass
class Invocation:
    """What came of one request: what API Gateway would get (None if the function died), what was logged meanwhile, its metrics
    included, and how long the answer took."""

    answer: object
    log: str
    seconds: float

    @property
    def status(self):
        # API Gateway's own answer for a function that died.
        return self.answer["statusCode"] if self.answer else 502

    @property
    def body(self):
        return json.loads(self.answer["body"])

    @property
    def line(self):
        """The log line of the request."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and not is_metrics(line)]
        return [line for line in lines if line["message"] == "answered"][-1]

    @property
    def metrics(self):
        """The metrics of the request, as they were written: a line for each set of dimensions."""
        return list(filter(is_metrics, self.log.splitlines()))


class Function:
    """A channel's function with these environment variables. It is started at the first request, and again when it has died.
    Use it in a `with`, so that nothing is left running."""

    def __init__(self, channel, queue_url, program=None, memory_max=None, under=(), **environment):
        self.channel = channel
        # The program, and what runs it, such as valgrind.
        self.command = [*under, program or BINARIES / channel]
        # Of its address space, in bytes.
        self.memory_max = memory_max
        self.environment = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "HOOK_TIMEOUT_MS": "5000",
            "LOG_LEVEL": "trace",
            "METRICS_NAMESPACE": f"CommerceWebhooks/{STACK_NAME}",
            "QUEUE_URL": queue_url,
            "RULES_FILE": str(NO_RULES),
            "WEBHOOK_KEYS": sample_keys(),
            **environment,
        }
        self.process = None
        self.starts = 0

    def __enter__(self):
        self.server = RuntimeApi()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        STATE.mkdir(parents=True, exist_ok=True)
        self.log_path = STATE / f"{self.channel}-{uuid.uuid4().hex[:12]}.log"
        self.log_file = self.log_path.open("wb")
        self.log_reader = self.log_path.open("rb")
        return self

    def __exit__(self, *_):
        self.kill()
        self.server.shutdown()
        self.server.server_close()
        self.log_file.close()
        self.log_reader.close()
        self.log_path.unlink()

    def sockets(self):
        """What the process has open of connections."""
        found = []
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(descriptor))
        return [name for name in found if name.startswith("socket:")]

    def start(self):
        """A cold start."""
        self.kill()
        self.server.forget()
        self.starts += 1
        address = f"127.0.0.1:{self.server.server_port}"
        lambda_itself = {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": self.channel,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "logs",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        }
        variables = {name: value for name, value in self.environment.items() if value is not None}
        self.process = subprocess.Popen(self.command, env=lambda_itself | variables, stdout=self.log_file, stderr=self.log_file)
        if self.memory_max:
            resource.prlimit(self.process.pid, resource.RLIMIT_AS, (self.memory_max, self.memory_max))

    def kill(self):
        """Ends the process at once, as Lambda does with one that hangs."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def invoke(self, event, lambda_seconds=30, while_it_runs=None):
        """Invokes the function and waits for its answer. `while_it_runs` is done when the function has taken the request."""
        if not self.alive():
            self.start()
        started = time.monotonic()
        invocation = self.server.submit(event, lambda_seconds)
        if while_it_runs:
            invocation.taken.wait(10)
            while_it_runs()
        # Lambda kills what is not done at its deadline.
        while not invocation.done.wait(0.05):
            if not self.alive() or time.monotonic() - started > lambda_seconds:
                self.kill()
                break
        seconds = time.monotonic() - started
        return Invocation(invocation.answer, self.log(), seconds)

    def log(self):
        """What was logged since the last look. A function writes its lines before it answers."""
        return self.log_reader.read().decode()

    def memory_peak(self):
        """The most memory that the process has had so far, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))

    def cpu_seconds(self):
        """How long the threads of the process have kept a processor busy so far."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


class Pending:
    def __init__(self, event, lambda_seconds):
        self.id = str(uuid.uuid4())
        self.payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.lambda_seconds = lambda_seconds
        self.taken, self.done = threading.Event(), threading.Event()
        self.answer = None


class RuntimeApi(http.server.ThreadingHTTPServer):
    """Hands the next request to the function, and takes its answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), RuntimeCall)
        self.trace_header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        self.forget()

    def forget(self):
        """A new process shall not get what an old one left."""
        self.waiting = queue.SimpleQueue()
        self.pending = {}

    def submit(self, event, lambda_seconds):
        invocation = Pending(event, lambda_seconds)
        self.pending[invocation.id] = invocation
        self.waiting.put(invocation)
        return invocation

    def handle_error(self, *_):
        pass  # a function that was killed


class RuntimeCall(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def do_GET(self):
        if self.path != f"{PREFIX}/invocation/next":
            return self.reply(404)
        waiting = self.server.waiting
        invocation = waiting.get()
        if self.is_dead():
            # The process was killed while it waited; the one that came after it shall have the request.
            waiting.put(invocation)
            return None
        headers = {
            "lambda-runtime-aws-request-id": invocation.id,
            "lambda-runtime-deadline-ms": str(int((time.time() + invocation.lambda_seconds) * 1000)),
            "lambda-runtime-invoked-function-arn": f"arn:aws:lambda:{REGION}:000000000000:function:f",
            "lambda-runtime-trace-id": self.server.trace_header,
            "content-type": "application/json",
        }
        self.reply(200, invocation.payload, headers)
        invocation.taken.set()

    def is_dead(self):
        """Whether the function has hung up. One that waits says nothing."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) if "content-length" in self.headers else self.chunks()
        identity = self.path.removeprefix(f"{PREFIX}/invocation/").split("/")[0]
        invocation = self.server.pending.pop(identity, None)
        if invocation and self.path.endswith("/response"):
            invocation.answer = without_empty(json.loads(body))
        self.reply(202, b"{}")
        if invocation:
            invocation.done.set()

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, code, body=b"", headers=()):
        self.send_response_only(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass
