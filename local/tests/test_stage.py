"""The runner of the tests' stages: whatever a stage does, it ends, and nothing of it is left."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import stage
from stack import ROOT

RUNNER = [sys.executable, ROOT / "local" / "stage.py"]
# Starts something that hears nothing and has left the group, says its id, and waits.
HANGS = "trap '' INT TERM; setsid sleep 600 & echo $!; sleep 600"


def run(name, seconds, *command, options=()):
    command = [*RUNNER, *options, name, str(seconds), "--", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@contextlib.contextmanager
def running(*command, around=()):
    process = subprocess.Popen([*around, *RUNNER, "s", "100", "--", *command], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def runs(process_id):
    with contextlib.suppress(FileNotFoundError):
        with open(f"/proc/{process_id}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)])
def test_the_exit_code_is_the_commands(command, code):
    ended = run("s", 60, "sh", "-c", f"echo said; {command}")
    assert ended.returncode == code
    first, said, last = ended.stdout.splitlines()
    assert (first, said) == ("s: begins", "said")
    assert last.startswith("s: ok in " if code == 0 else f"s: failed ({code}) in ")


def test_a_command_may_have_options_and_a_double_dash_of_its_own():
    assert run("s", 60, "sh", "-c", 'echo "$@"', "sh", "--all", "--", "-D").stdout.splitlines()[1] == "--all -- -D"


def test_a_command_that_is_not_there_fails():
    ended = run("s", 60, "no-such-command")
    assert (ended.returncode, ended.stderr) == (127, "") and "no-such-command: No such file or directory" in ended.stdout


def test_what_is_over_its_limit_may_tidy_up():
    ended = run("s", 5, "sh", "-c", "trap 'echo tidy; exit 0' INT; while :; do sleep 0.1; done")
    assert ended.returncode == 124
    assert ended.stdout.splitlines()[1] == "tidy" and "s: over its limit of 5 s in " in ended.stdout


def test_what_is_over_its_limit_and_hears_nothing_is_killed_with_all_that_it_started():
    program = f"import os, sys; sys.path.insert(0, {str(RUNNER[1].parent)!r}); import stage; sys.exit(stage.run(sys.argv[1:], 5, 1, os.environ))"
    ended = subprocess.run([sys.executable, "-c", program, "sh", "-c", HANGS], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 124
    assert not runs(int(ended.stdout))


def test_what_a_command_leaves_running_ends_with_it():
    ended = run("s", 60, "sh", "-c", "setsid sleep 600 > /dev/null 2>&1 & echo $!")
    assert ended.returncode == 0
    assert not runs(int(ended.stdout.splitlines()[1]))


@pytest.mark.parametrize("around", [(), ("sh", "-c", 'trap "" INT; exec "$@"', "sh")], ids=["foreground", "background of a script"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_command_even_if_the_parent_ignores_it(around, number):
    trap = f"trap 'echo told; exit 0' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.1; done"
    with running("sh", "-c", trap, around=around) as process:
        assert [process.stdout.readline(), process.stdout.readline()] == ["s: begins\n", "ready\n"]
        process.send_signal(number)
        assert process.stdout.readline() == "told\n"
        assert process.stdout.readline().startswith("s: interrupted in ")
        assert process.wait(60) == 128 + number


def test_nohup_means_what_it_says():
    with running("sh", "-c", "echo ready; sleep 1; echo done", around=["nohup"]) as process:
        assert [process.stdout.readline(), process.stdout.readline()] == ["s: begins\n", "ready\n"]
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "done\n"
        assert process.wait(60) == 0


def test_all_stages_stand_in_a_table_also_when_one_fails(tmp_path):
    makefile = tmp_path / "Makefile"
    runner = f"{sys.executable} {RUNNER[1]}"
    makefile.write_text(
        f"all: first second\nfirst:\n\t@{runner} first 60 -- sh -c 'echo one'\nsecond:\n\t@{runner} second 60 -- sh -c 'echo two; exit 3'\n"
    )
    ended = run("of-a-test", 60, "make", "--silent", "--jobs=2", "--keep-going", "-f", makefile, options=["--all"])
    (stage.STAGES / "of-a-test.jsonl").unlink()
    assert ended.returncode == 2
    assert "\none\nfirst: ok in " in ended.stdout and "\ntwo\nsecond: failed (3) in " in ended.stdout
    *_, table, last = ended.stdout.split("\n\n")
    head, *rows = table.splitlines()
    assert head.split() == ["STAGE", "SECONDS", "RESULT", "WHEN"]
    assert {(line.split()[0], line.split()[2]) for line in rows} == {("first", "ok"), ("second", "failed")}
    assert last.startswith("of-a-test: failed (2) in ")


def test_a_table_is_never_wider_than_a_hundred_columns():
    now = time.time()
    rows = [{"stage": f"stage-{n}", "began": now + n * 40, "seconds": 90.0, "outcome": "ok"} for n in range(6)]
    rows.append({"stage": "last", "began": now + 300, "seconds": 0.0, "outcome": "over its limit of 6000 s"})
    lines = stage.table(rows, now, 300.0).splitlines()
    assert len(lines) == 8 and all("#" in line for line in lines[1:])
    assert max(map(len, lines)) <= stage.WIDTH
