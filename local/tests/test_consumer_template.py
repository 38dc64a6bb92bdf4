"""consumers/template.yaml and its samconfig.toml: neither environment is deployed by accident, and never as the bundle."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import alarms
import pytest
import samconfig
from checkout import SAMCONFIG
from stack import ROOT, yaml_parse

sys.path.insert(0, str(ROOT / "consumers"))

import worker as python_worker  # noqa: E402

FOLDER = ROOT / "consumers"
BUNDLE = yaml_parse((FOLDER / "template.yaml").read_text())
CONFIG = tomllib.loads((FOLDER / "samconfig.toml").read_text())
ENVIRONMENTS = [name for name in CONFIG if name != "version"]


def sam(*arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # Nothing may leave this machine.
    environment |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "SAM_CLI_TELEMETRY": "0"}
    command = [Path(sys.executable).with_name("sam"), *arguments, "--template", "template.yaml"]
    result = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize("arguments", [[], ["--config-env", "prd"]], ids=["none", "unknown"])
def test_without_an_environment_nothing_is_deployed(arguments):
    code, said = sam("deploy", *arguments)
    assert code == 2 and "Missing option '--stack-name'" in said


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_has_a_stack_of_its_own(environment):
    ours = tomllib.loads(SAMCONFIG.read_text())
    taken = {one["global"]["parameters"]["stack_name"] for one in ours.values() if isinstance(one, dict)}
    taken |= {CONFIG[other]["global"]["parameters"]["stack_name"] for other in ENVIRONMENTS if other != environment}
    chosen = CONFIG[environment]
    name = chosen["global"]["parameters"]["stack_name"]
    assert name not in taken and chosen["deploy"]["parameters"]["s3_prefix"] == name
    assert chosen["deploy"]["parameters"]["confirm_changeset"] is True and chosen["deploy"]["parameters"]["fail_on_empty_changeset"] is False
    assert not list(samconfig.misplaced(environment, chosen))
    given, problems = samconfig.read(chosen["global"]["parameters"]["parameter_overrides"])
    assert not problems and not list(samconfig.unfit(given, BUNDLE["Parameters"]))


def test_the_parameters_that_have_to_be_written_are_named_in_it():
    needed = [name for name, one in BUNDLE["Parameters"].items() if "Default" not in one]
    text = (FOLDER / "samconfig.toml").read_text()
    assert all(text.count(f'"{name}=') == len(ENVIRONMENTS) for name in needed)


def test_it_is_built_for_the_processor_that_is_asked_for():
    assert BUNDLE["Parameters"]["Architecture"]["AllowedValues"] == ["arm64", "x86_64"]
    assert BUNDLE["Resources"]["Worker"]["Properties"]["Architectures"] == [{"Ref": "Architecture"}]
    # And the build reads it, because it stands under `global`.
    assert all("parameter_overrides" in CONFIG[environment]["global"]["parameters"] for environment in ENVIRONMENTS)


ALARM = BUNDLE["Resources"]["FailingAlarm"]["Properties"]


@pytest.mark.parametrize(
    ("seconds", "rings"),
    [
        # An event that fails for twelve minutes, with the pauses that it has.
        ("0 15 - 60 - 120 - - 240 - - - 720", False),
        # The ERP system is away for two hours: it rings after a quarter of one, and does not stop between two attempts.
        (f"0 60 - 240 - - - - 480 - - - - - - 900 {'- ' * 14} 1800 {'- ' * 29} 3600 {'- ' * 29} 5400 {'- ' * 29} 7200", True),
    ],
)
def test_the_alarm_rings_for_what_fails_for_long_and_until_it_no_longer_does(seconds, rings):
    alarm, minutes = alarms.Alarm(ALARM), alarms.minutes(seconds)
    for extra in alarms.EXTRA:
        rung = alarm.rings({"FailingSeconds": alarms.series(seconds)}, minutes + 120, extra)
        assert bool(rung) == rings
        if rings:
            assert rung == list(range(rung[0], rung[-1] + 1)), "without a break"
            assert rung[0] <= 17 and minutes < rung[-1] < minutes + 100
    longest = BUNDLE["Parameters"]["PauseMaxSeconds"]["MaxValue"]
    assert ALARM["Period"] * ALARM["EvaluationPeriods"] > longest


def test_a_worker_that_dies_rings_an_alarm():
    alarm = alarms.Alarm(BUNDLE["Resources"]["ErrorsAlarm"]["Properties"])
    for extra in alarms.EXTRA:
        assert alarm.rings({"Errors": alarms.series("0*10 1 0*30")}, 41, extra)
        assert not alarm.rings({"Errors": alarms.series("0*40")}, 40, extra)


def test_the_alarm_is_made_of_the_lines_that_the_worker_writes():
    pattern = BUNDLE["Resources"]["Failing"]["Properties"]["FilterPattern"]
    line = {"message": "handled", "outcome": "failed", "reason": "erp_failed", "counted": 0, "failing_s": 1200, "pause_s": 300}
    assert alarms.counts(pattern, json.dumps(line))
    assert alarms.counts(pattern, json.dumps(line | {"failing_s": 0}))
    assert not alarms.counts(pattern, json.dumps({"message": "handled", "outcome": "failed", "reason": "behind_a_failure"}))
    assert not alarms.counts(pattern, json.dumps({"message": "handled", "outcome": "done"}))


# What both consumers do with a failure, written in each of them, because each is copied alone


RUST = FOLDER / "worker" / "src"
UNITS = {"secs": 1, "mins": 60, "hours": 3600}


def rust_seconds(file, name):
    """The value of a constant or of a default that is a time."""
    unit, number = re.search(rf"\b{name}(?:: Duration =|:) Duration::from_(\w+)\((\d+)\)", (RUST / file).read_text()).groups()
    return UNITS[unit] * int(number)


def rust_number(file, name):
    return int(re.search(rf"\bconst {name}: \w+ = (\d+);", (RUST / file).read_text())[1])


def test_both_consumers_and_the_template_have_the_same_times_and_numbers():
    shortest, longest, give_up = (rust_seconds("settings.rs", name) for name in ("pause_min", "pause_max", "give_up_after"))
    defaults = [BUNDLE["Parameters"][name]["Default"] for name in ("PauseMinSeconds", "PauseMaxSeconds", "GiveUpAfterSeconds")]
    assert [shortest, longest, give_up] == defaults
    assert python_worker.PAUSE_SECONDS == (shortest, longest)
    assert (python_worker.ATTEMPTS_MIN, python_worker.ATTEMPTS_SECONDS_MIN) == (rust_number("attempts.rs", "COUNTED_MIN"), give_up)
    assert rust_seconds("attempts.rs", "RETRY_AFTER_MAX") == python_worker.RETRY_AFTER_SECONDS_MAX
    assert rust_number("attempts.rs", "RETENTION_PERCENT") / 100 == python_worker.EXPIRES_SOON
    recent = [rust_number("attempts.rs", name) for name in ("RECENT_MIN", "RECENT_MAX")]
    assert recent == [python_worker.OTHERS_MIN, python_worker.OTHERS_MAX]
    names = [rust_number("event.rs", name) for name in ("EVENT_NAME_BYTES_MAX", "CHANNEL_BYTES_MAX")]
    assert names == [python_worker.EVENT_NAME_BYTES_MAX, python_worker.CHANNEL_BYTES_MAX]
    listed = re.search(r"const ENTITIES: \[&str; \d+\] = \[(.*?)\];", (RUST / "event.rs").read_text(), re.DOTALL)[1]
    assert set(re.findall(r'"(\w+)"', listed)) == python_worker.ENTITIES
    assert rust_seconds("settings.rs", "ERP_TIMEOUT") * 1000 == BUNDLE["Parameters"]["ErpTimeoutMs"]["Default"]


def test_the_worst_message_fits_into_the_time_of_the_function():
    overhead = int(re.search(r"OPERATION_MAX\.saturating_mul\((\d+)\)", (RUST / "worker.rs").read_text())[1])
    slowest = BUNDLE["Parameters"]["ErpTimeoutMs"]["MaxValue"] / 1000 + overhead * rust_seconds("aws.rs", "OPERATION_MAX")
    assert slowest < BUNDLE["Resources"]["Worker"]["Properties"]["Timeout"]
