"""The example of a consumer in Python, as a process or in that of the test. Its work fails, waits or dies as the test says."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest
from test_consumers import CONSUMERS, aws, cloud_event, python_worker, queue_pair, queues, strings  # noqa: F401 (a fixture)

# The worker as it is, but that its work does what a test has put into a file with the event's id, or into one for all events.
# What the usual work wrote is there until then: a failure must take it back.
PROGRAM = """
import json, os, pathlib, signal, sys, time
import worker

folder = pathlib.Path(os.environ["FOLDER"])
for name, value in json.loads((folder / "constants").read_text()).items():
    assert hasattr(worker, name), name
    setattr(worker, name, value)
usual = worker.work

def wanted(event):
    files = folder / event["id"], folder / "all"
    return next((file.read_text() for file in files if file.exists()), "")

def work(database, event, text, origin):
    usual(database, event, text, origin)
    with (folder / "tried").open("a") as tried:
        tried.write(event["id"] + "\\n")
    while (what := wanted(event)) == "waits":
        time.sleep(0.02)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what:
        raise {"refused": worker.Refused, "conflict": worker.Conflict, "fails": RuntimeError}[what]

worker.work = work
worker.main()
"""
SOON = {"PAUSE_SECONDS": [1, 1], "AWAY_SECONDS": [0.1, 0.2]}
AGAIN = "It works again.\n"


class Loop:
    """A process of the worker, at work until it is ended. Several may have one folder, and so one database."""

    def __init__(self, stack, queues, folder, *options, **environment):
        self.folder, self.queues = folder, queues
        self.settings, environment = {**SOON, **environment.pop("constants", {})}, aws(stack) | environment
        (folder / "constants").write_text(json.dumps(self.settings))
        (folder / "program.py").write_text(PROGRAM)
        self.outputs = [folder / f"{name}-{len(list(folder.iterdir()))}" for name in ("stdout", "stderr")]
        given = {"FOLDER": str(folder), "PYTHONPATH": str(CONSUMERS), **environment}
        command = [sys.executable, folder / "program.py", queues.live, queues.dead, folder / "events.sqlite", *options]
        with self.outputs[0].open("w") as stdout, self.outputs[1].open("w") as stderr:
            given = {name: value for name, value in given.items() if value is not None}
            self.process = subprocess.Popen(command, env=given, stdout=stdout, stderr=stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def outcomes(self):
        return [line.split(" ", 1)[1] for line in self.outputs[0].read_text().splitlines()]

    def errors(self):
        return self.outputs[1].read_text()

    def end(self, number=signal.SIGTERM):
        """Ends it by a signal: exit code, errors."""
        self.process.send_signal(number)
        return self.process.wait(60), self.errors()


def tell(folder, what, event=None):
    """What the work does from now on, with one event or with all that have nothing of their own."""
    part = folder / "part"
    part.write_text(what)
    part.rename(folder / (id_of(event) if event else "all"))


def id_of(event):
    return json.loads(event)["id"]


def tried(folder):
    """Ids of the events that were tried, in that order."""
    file = folder / "tried"
    return file.read_text().splitlines() if file.exists() else []


def rows(folder, query="SELECT event FROM events ORDER BY number"):
    with contextlib.closing(python_worker.open_database(folder / "events.sqlite")) as database:
        return database.execute(query).fetchall()


def done(folder):
    return [event for (event,) in rows(folder)]


def reasons(queues):
    return {id_of(message["Body"]): strings(message)["reason"] for message in queues.peek(queues.dead)}


class Clock:
    def __init__(self):
        self.ahead = 0

    def time(self):
        return time.time() + self.ahead


class Here:
    """The worker in this process, by a clock that can be put forward, without pauses."""

    def __init__(self, queues, others, monkeypatch, capsys):  # noqa: F811
        self.queues, self.others, self.capsys, self.clock = queues, others, capsys, Clock()
        self.database, self.recent = python_worker.open_database(":memory:"), python_worker.Recent()
        monkeypatch.setattr(python_worker, "time", self.clock)
        monkeypatch.setattr(python_worker, "PAUSE_SECONDS", (0, 0))
        monkeypatch.setattr(python_worker, "VISIBILITY_SECONDS", 0)
        self.fate, self.tried = {}, []
        usual = python_worker.work

        def work(database, event, text, origin):
            usual(database, event, text, origin)
            self.tried.append(text)
            if text in self.fate:
                raise self.fate[text]

        monkeypatch.setattr(python_worker, "work", work)

    def attempt(self, queues=None, retention=14 * 24 * 3600):  # noqa: F811
        """Handles the next message: the outcome."""
        queues = queues or self.queues
        python_worker.handle_next(queues.sqs, queues.live, queues.dead, self.database, self.recent, 0.8 * retention)
        return self.outcome()

    def outcome(self):
        return self.capsys.readouterr().out.rstrip("\n").split(" ", 1)[-1]

    def another_is_done(self):
        assert self.another(cloud_event()) == "done"

    def another_fails(self):
        event = cloud_event()
        self.fate[event] = python_worker.Busy()
        self.fate[event].retry_after = 3600
        assert self.another(event) == "failed: Busy, next attempt in 3600 s"

    def another(self, event):
        """By the same ledger, but from another queue, because here what fails comes again at once."""
        self.others.send(event, group=id_of(event))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(python_worker, "VISIBILITY_SECONDS", 60)
            return self.attempt(self.others)

    def counted(self, event):
        return self.database.execute("SELECT counted FROM attempts WHERE id = ?", (id_of(event),)).fetchone()[0]


@pytest.fixture
def here(stack, queues, monkeypatch, capsys):  # noqa: F811
    with queue_pair(stack) as others:
        made = Here(queues, others, monkeypatch, capsys)
        with contextlib.closing(made.database):
            yield made
