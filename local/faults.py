"""What stands between a function and AWS when AWS has a bad day: a proxy before the emulator that misbehaves on demand.

What it passes on reaches the real queue API, so a message counts as queued only if it is there.
"""

import contextlib
import http.client
import json
import socket
import struct
import threading

# What can happen to one request, and whether AWS has then acted on it.
REACHES_AWS = {
    "passes": True,
    "throttled": False,
    "denied": False,
    "fails": False,
    "resets": False,
    "hangs": False,
    "garbage": False,
    "empty": False,
    "resets-after": True,
    "hangs-after": True,
    "truncated-after": True,
    "fails-after": True,
}
AFTERWARDS = [name for name, reaches in REACHES_AWS.items() if reaches and name != "passes"]
PATIENCE = 60


def answer(code, reason, kind="", body=None):
    body = json.dumps({"__type": kind, "message": "a fault"} if body is None else body).encode()
    head = f"HTTP/1.1 {code} {reason}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(body)}\r\n"
    return (head + (f"x-amzn-errortype: {kind}\r\n" if kind else "") + "\r\n").encode() + body


ANSWERS = {
    "throttled": answer(400, "Bad Request", "ThrottlingException"),
    "denied": answer(403, "Forbidden", "AccessDeniedException"),
    "fails": answer(500, "Internal Server Error", "InternalFailure"),
    "fails-after": answer(503, "Service Unavailable", "ServiceUnavailable"),
    "garbage": b"220 mail.example ESMTP\r\n",
    "empty": b"",
}


class Proxy:
    """Passes requests on to AWS, or does to them what `fault` says: a name out of REACHES_AWS, or a function that is given the
    operation (`SendMessage`) and chooses one. Use it in a `with`."""

    # The fault that is none.
    WORKS = "passes"

    def __init__(self, port, fault="passes"):
        self.upstream = port
        self.fault = fault
        self.requests = []
        self.open = set()

    def __enter__(self):
        self.listen(0)
        return self

    def __exit__(self, *_):
        self.stop_listening()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def listen(self, port):
        self.server = socket.create_server(("127.0.0.1", port), backlog=256, reuse_port=False)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def stop_listening(self):
        """From now on connections are refused, and those that there were are gone."""
        # shutdown, because close alone does not wake the thread that waits in accept.
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for connection in list(self.open):
            reset(connection)

    def listen_again(self):
        self.listen(self.port)

    def accept(self, server):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.open.add(connection)
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=PATIENCE)
        try:
            with connection.makefile("rb") as reader:
                while request := read_request(reader):
                    if not self.treat(request, connection, upstream):
                        break
        except OSError:
            pass  # the other side hung up: what is tested
        finally:
            self.open.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()
            upstream.close()

    def treat(self, request, connection, upstream):
        """What becomes of one request. True if the connection lives on."""
        method, path, headers, body = request
        operation = headers.get("x-amz-target", path).rpartition(".")[2]
        fault = self.fault(operation) if callable(self.fault) else self.fault
        self.requests.append((operation, fault))
        if REACHES_AWS[fault]:
            passed_on = {name: value for name, value in headers.items() if name != "connection"}
            upstream.request(method, path, body, passed_on)
            response = upstream.getresponse()
            content = response.read()
        if fault == "passes":
            head = [f"HTTP/1.1 {response.status} {response.reason}"]
            skipped = ("transfer-encoding", "content-length", "connection")
            head += [f"{name}: {value}" for name, value in response.getheaders() if name.lower() not in skipped]
            head += [f"content-length: {len(content)}", "", ""]
            connection.sendall("\r\n".join(head).encode() + content)
            return True
        if fault in ("resets", "resets-after"):
            reset(connection)
        elif fault in ("hangs", "hangs-after"):
            # Until the function gives up, or this proxy ends and resets the connection.
            connection.settimeout(PATIENCE)
            connection.recv(1)
        elif fault == "truncated-after":
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + content[:20])
        else:
            connection.sendall(ANSWERS[fault])
            return fault not in ("garbage", "empty")
        return False


def read_request(reader):
    """Method, path, headers and body of the next request; None when there is none."""
    line = reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers, reader.read(int(headers.get("content-length", 0)))


def reset(connection):
    """Ends a connection as a crashed machine does: with RST."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
