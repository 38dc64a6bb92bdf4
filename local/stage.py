#!/usr/bin/env python3
"""Runs one stage of the tests under a time limit, and leaves nothing of it running.

    stage.py NAME SECONDS -- COMMAND…        runs the command, and says when it begins, how it ends and how long it took
    stage.py --all NAME SECONDS -- COMMAND…  the command runs stages, several at once: a table of them follows

The exit code is the command's; 124 if it was over its limit. Within `--all` the output of a stage comes when the stage ends, in one
piece, because two stages may run side by side.
"""

import argparse
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STAGES = Path(__file__).resolve().parent.parent / "target" / "stages"
# Names the file into which the stages of a run write how they ended.
RUN = "STAGES"
# How long a command may take to tidy up after the signal to end.
GRACE_SECONDS = 20
# Exit codes, as timeout and a shell have them.
OVER_THE_LIMIT, NOT_STARTED = 124, 127
WIDTH = 100
PR_SET_CHILD_SUBREAPER = 36


class Command:
    """A command under a limit."""

    def __init__(self, command, limit_seconds, grace_seconds, environment, output=None):
        self.grace_seconds, self.verdict, self.received = grace_seconds, None, []
        self.ends = time.monotonic() + limit_seconds
        adopt_orphans()
        self.listen()
        # In a session of its own, so that one signal reaches all of it, and nothing of it waits for a terminal.
        self.process = subprocess.Popen(
            command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )

    def wait(self):
        """Its exit code, or why it had to end. Nothing of it runs any more."""
        while self.process.poll() is None:
            while self.received:
                number = self.received.pop(0)
                self.tell(number, 128 + number)
            if time.monotonic() > self.ends:
                if self.verdict:
                    break
                # As Ctrl-C: what can tidy up does.
                self.tell(signal.SIGINT, OVER_THE_LIMIT)
            time.sleep(0.05)
        self.kill()
        code = self.process.returncode
        return self.verdict or (code if code >= 0 else 128 - code)

    def tell(self, number, verdict):
        self.verdict = self.verdict or verdict
        self.ends = time.monotonic() + self.grace_seconds
        self.send(number)

    def listen(self):
        """Passes on what would end this process. A command begins with the handlers that the system has, because those of this
        process end with `exec`; so SIGINT counts there even if a script's background job began with it ignored. SIGHUP stays ignored
        where nohup has said so."""
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN:
                # Sent on by `wait`: now, the command may not be there yet.
                signal.signal(one, lambda number, _: self.received.append(number))

    def send(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        """What is left: of the group, and what left the group but has nobody else."""
        self.send(signal.SIGKILL)
        self.process.wait()
        # A process that the kernel cannot end must not hold up the others.
        ends = time.monotonic() + self.grace_seconds
        while (left := descendants()) and time.monotonic() < ends:
            for one in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            time.sleep(0.05)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def adopt_orphans():
    """Processes whose parent has ended become children of this one, where Linux offers that, so that none gets away."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    """The processes below this one that still run."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(path.parent.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def outcome(code, limit_seconds):
    if code == OVER_THE_LIMIT:
        return f"over its limit of {limit_seconds} s"
    if code - 128 in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        return "interrupted"
    return "ok" if code == 0 else f"failed ({code})"


def run(command, limit_seconds, grace_seconds, environment, output=None):
    # Make's variables are for the make that has set them, and not for a cargo or a make below.
    environment = {name: value for name, value in environment.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    try:
        return Command(command, limit_seconds, grace_seconds, environment, output).wait()
    except OSError as error:
        say(f"{command[0]}: {error.strerror}")
        return NOT_STARTED


def stage(name, limit_seconds, command):
    environment = dict(os.environ)
    record = environment.pop(RUN, None)
    began, log = time.time(), STAGES / f"{name}.log"
    say(f"{name}: begins" + (f", see {os.path.relpath(log)}" if record else ""))
    with log.open("wb") if record else contextlib.nullcontext() as output:
        code = run(command, limit_seconds, GRACE_SECONDS, environment, output)
    seconds = time.time() - began
    said = log.read_text(errors="replace").rstrip("\n") + "\n" if record and log.stat().st_size else ""
    say(f"{said}{name}: {outcome(code, limit_seconds)} in {seconds:.0f} s")
    if record:
        with open(record, "a") as file:
            row = {"stage": name, "began": began, "seconds": seconds, "outcome": outcome(code, limit_seconds)}
            file.write(json.dumps(row) + "\n")
    return code


def all_stages(name, limit_seconds, command):
    STAGES.mkdir(parents=True, exist_ok=True)
    record = STAGES / f"{name}.jsonl"
    record.write_text("")
    began = time.time()
    # The stages need their own time to end.
    code = run(command, limit_seconds, 2 * GRACE_SECONDS, {**os.environ, RUN: str(record)})
    seconds = time.time() - began
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    say(f"\n{table(rows, began, seconds)}\n\n{name}: {outcome(code, limit_seconds)} in {seconds:.0f} s")
    return code


def table(rows, began, seconds):
    """When each stage ran, and how long: a line for each, at most WIDTH wide."""
    name = max(len(text) for text in ["STAGE", *(row["stage"] for row in rows)]) + 2
    result = max(len(text) for text in ["RESULT", *(row["outcome"] for row in rows)]) + 2
    bar = max(WIDTH - name - 9 - result, 10)
    lines = [f"{'STAGE':<{name}}{'SECONDS':>7}  {'RESULT':<{result}}WHEN"]
    for row in sorted(rows, key=lambda row: row["began"]):
        start = min(int((row["began"] - began) / seconds * bar), bar - 1)
        length = max(1, min(round(row["seconds"] / seconds * bar), bar - start))
        lines.append(f"{row['stage']:<{name}}{row['seconds']:>7.0f}  {row['outcome']:<{result}}{' ' * start}{'#' * length}")
    return "\n".join(lines)


def say(text):
    # In one write, because two stages may speak at once.
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="the command runs stages")
    parser.add_argument("name")
    parser.add_argument("seconds", type=int, help="the limit")
    # By hand, because the command may have a `--` of its own.
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, command = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    if not command:
        parser.error("no command")
    act = all_stages if arguments.all else stage
    sys.exit(act(arguments.name, arguments.seconds, command))


if __name__ == "__main__":
    main()
