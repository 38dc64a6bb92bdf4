"""What `make deploy` does with the change set that SAM has made (local/deploy.py), in the emulator: executes it, follows it, says how it
ended, and leaves nothing of a first deployment that failed. In the place of `sam deploy`: what makes a change set of a small template."""

import json
import os
import subprocess
import sys
import time
import uuid

import deploy
import pytest
from stack import CREDENTIALS, REGION, ROOT

QUEUE = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
GOOD = {"Resources": {"Queue": QUEUE}, "Outputs": {"QueueUrl": {"Value": {"Ref": "Queue"}}}}
# CloudWatch wants to know what to compare.
BROKEN = {"Type": "AWS::CloudWatch::Alarm", "DependsOn": "Queue", "Properties": {"Namespace": "a", "MetricName": "b", "Threshold": 1}}
SAM = f"""#!{sys.executable}
import json, os, sys, time
import boto3
print("sam", *sys.argv[1:], flush=True)
bundle, stack = os.environ["BUNDLE"], os.environ["STACK"]
client = boto3.client("cloudformation")
if bundle == "none":
    sys.exit(int(os.environ.get("FAILS", "0")))
known = [one for one in client.list_stacks()["StackSummaries"] if one["StackName"] == stack and "DELETE" not in one["StackStatus"]]
fresh = not known or known[0]["StackStatus"] == "REVIEW_IN_PROGRESS"
name = f"samcli-deploy{{time.time_ns()}}"
made = client.create_change_set(StackName=stack, ChangeSetName=name, TemplateBody=bundle, ChangeSetType="CREATE" if fresh else "UPDATE")
if os.environ.get("MEANWHILE"):
    time.sleep(1)
    client.create_change_set(StackName=stack, ChangeSetName="theirs", TemplateBody=os.environ["MEANWHILE"], ChangeSetType="UPDATE")
print("\\nChangeset created successfully.", made["Id"], "\\n")
"""


class Deploying:
    def __init__(self, stack, folder):
        self.name = f"deployed-{uuid.uuid4().hex[:8]}"
        self.cloudformation, self.sqs = stack.client("cloudformation"), stack.client("sqs")
        # Done before it, in the same process.
        self.folder, self.before = folder, ""
        sam = folder / "sam"
        sam.write_text(SAM)
        sam.chmod(0o755)
        (folder / "samconfig.toml").write_text(f'[prod.global.parameters]\nstack_name = "{self.name}"\n[prod.deploy.parameters]\nconfirm_changeset = true\n')
        keys = {"AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"]}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = clean | keys | {"AWS_ENDPOINT_URL": stack.endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        self.environment |= {"PATH": f"{folder}:{os.environ['PATH']}", "STACK": self.name}

    def deploy(self, bundle, *arguments, answer=None, **environment):
        script = (
            f"import sys, pathlib; sys.path.insert(0, 'local')\n{self.before}\nimport deploy, preflight; "
            "preflight.CONFIG = pathlib.Path(sys.argv[1]) / 'samconfig.toml'; deploy.POLL_SECONDS = 0.2; "
            "deploy.main('prod', '--yes' in sys.argv)"
        )
        result = subprocess.run(
            [sys.executable, "-c", script, self.folder, *arguments],
            cwd=ROOT,
            env=self.environment | {"BUNDLE": bundle if isinstance(bundle, str) else json.dumps(bundle)} | environment,
            input="" if answer is None else f"{answer}\n",
            capture_output=True,
            text=True,
            timeout=120,
        )
        return result.returncode, result.stdout + result.stderr

    def status(self):
        known = [one for one in self.cloudformation.list_stacks()["StackSummaries"] if one["StackName"] == self.name]
        return known[0]["StackStatus"] if known else None

    def queues(self):
        return self.sqs.list_queues(QueueNamePrefix=self.name).get("QueueUrls", [])


@pytest.fixture
def deploying(stack, tmp_path):
    running = Deploying(stack, tmp_path)
    yield running
    running.cloudformation.delete_stack(StackName=running.name)


def test_a_change_set_is_executed_and_its_outputs_are_shown(deploying):
    code, said = deploying.deploy(GOOD, "--yes")
    assert code == 0 and deploying.status() == "CREATE_COMPLETE", said
    assert "sam deploy --no-execute-changeset --config-env prod\n" in said
    assert "CREATE_COMPLETE               Queue\n" in said and f"QueueUrl  {deploying.queues()[0]}\n" in said
    assert all(len(line) <= 100 for line in said.splitlines() if "Changeset created" not in line), "but for what SAM says"


def test_a_queue_that_is_replaced_is_announced_before_anything_is_deployed(deploying):
    named = {"Resources": {"Queue": {**QUEUE, "Properties": {"QueueName": f"{deploying.name}-named"}}}}
    _, said = deploying.deploy({"Resources": {"Queue": QUEUE}}, "--yes")
    assert "warning" not in said
    code, said = deploying.deploy(named, answer="n")
    assert code == 1 and said.index("make: warning: Queue becomes a new queue.") < said.index("Deploy these changes"), said
    assert "make: docs/upgrade.md, New queues, says what to do before you deploy this, and after.\n" in said
    assert all(len(line) <= 100 for line in said.splitlines() if "Changeset created" not in line)


def test_nothing_to_change_is_no_error(deploying):
    deploying.deploy(GOOD, "--yes")
    code, said = deploying.deploy("none", "--yes")
    assert code == 0 and said.endswith(f"Nothing to change: {deploying.name} is as template.yaml and samconfig.toml say.\n")


def test_a_first_deployment_that_fails_leaves_nothing_behind(deploying):
    code, said = deploying.deploy({"Resources": {"Queue": QUEUE, "Alarm": BROKEN}}, "--yes")
    assert code == 1 and deploying.status() == "ROLLBACK_COMPLETE", said
    assert said.endswith(
        f"make: the deployment failed: {deploying.name} is in ROLLBACK_COMPLETE. First failed: Alarm. RUNBOOK.md, A deployment fails, says what "
        "helps.\n"
    )
    assert "ComparisonOperator" in said, "the reason that AWS gives"
    assert deploying.queues() == []
    # And then it can be repeated.
    deploying.cloudformation.delete_stack(StackName=deploying.name)
    assert deploying.deploy(GOOD, "--yes")[0] == 0


def test_executed_as_sam_does_it_would_leave_the_queue(deploying):
    """Without this, the test above could not fail."""
    bundle = json.dumps({"Resources": {"Queue": QUEUE, "Alarm": BROKEN}})
    client = deploying.cloudformation
    client.create_change_set(StackName=deploying.name, ChangeSetName="as-sam", TemplateBody=bundle, ChangeSetType="CREATE")
    client.get_waiter("change_set_create_complete").wait(StackName=deploying.name, ChangeSetName="as-sam", WaiterConfig={"Delay": 1})
    client.execute_change_set(StackName=deploying.name, ChangeSetName="as-sam")
    while deploying.status() != "ROLLBACK_COMPLETE":
        time.sleep(0.2)
    assert len(deploying.queues()) == 1


def test_an_update_that_fails_is_rolled_back_and_keeps_what_was_there(deploying):
    deploying.deploy(GOOD, "--yes")
    (queue,) = deploying.queues()
    topic = {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Retain"}
    code, said = deploying.deploy({"Resources": {"Queue": QUEUE, "Topic": topic, "Alarm": {**BROKEN, "DependsOn": ["Queue", "Topic"]}}}, "--yes")
    assert code == 1 and "is in UPDATE_ROLLBACK_COMPLETE. First failed: Alarm." in said
    assert "DELETE_COMPLETE               Topic\n" in said
    assert deploying.queues() == [queue]


def test_an_update_that_is_rolled_back_keeps_the_new_queues_that_functions_may_have_sent_to(deploying):
    deploying.deploy(GOOD, "--yes")
    (old,) = deploying.queues()
    named = {**QUEUE, "Properties": {"QueueName": f"{deploying.name}-named"}}
    # The alarm fails after the queues are there, as an alias can after others have moved.
    broken = {"Resources": {"Queue": named, "Added": QUEUE, "Alarm": {**BROKEN, "DependsOn": ["Queue", "Added"]}}}
    code, said = deploying.deploy(broken, "--yes")
    assert code == 1 and deploying.status() == "UPDATE_ROLLBACK_COMPLETE", said
    kept = set(deploying.queues())
    assert len(kept) == 3 and {old, f"{old.rpartition('/')[0]}/{deploying.name}-named"} < kept
    assert all(f"kept: {url}\n" in said for url in kept - {old}) and f"kept: {old}" not in said


@pytest.mark.parametrize(
    ("status", "action", "replacement", "kind", "keeps"),
    [
        (None, "Add", None, "SQS::Queue", False),
        ("REVIEW_IN_PROGRESS", "Add", None, "SQS::Queue", False),
        ("UPDATE_COMPLETE", "Add", None, "SQS::Queue", True),
        ("UPDATE_COMPLETE", "Modify", "True", "SQS::Queue", True),
        ("UPDATE_COMPLETE", "Modify", "Conditional", "SQS::Queue", True),
        ("UPDATE_COMPLETE", "Modify", "Conditional", "SecretsManager::Secret", True),
        ("UPDATE_COMPLETE", "Modify", "False", "SQS::Queue", False),
        ("UPDATE_COMPLETE", "Remove", None, "SQS::Queue", False),
        ("UPDATE_COMPLETE", "Modify", "True", "Lambda::Version", False),
    ],
)
def test_a_rollback_keeps_what_it_made_only_where_that_may_hold_data(capsys, status, action, replacement, kind, keeps):
    change = {"Action": action, "ResourceType": f"AWS::{kind}", "LogicalResourceId": "It"} | ({"Replacement": replacement} if replacement else {})
    assert deploy.keeps_new_data(status and {"StackStatus": status}, [change]) == keeps
    deploy.warn_of_replaced_queues([change])
    said = {"True": "It becomes a new queue", "Conditional": "It may become a new queue"}.get(replacement) if kind == "SQS::Queue" else None
    warning = capsys.readouterr().out
    assert said in warning if said else warning == ""


@pytest.mark.parametrize("answer", ["n", "", None])
def test_without_a_yes_nothing_is_deployed_and_nothing_stays(deploying, answer):
    code, said = deploying.deploy(GOOD, answer=answer)
    assert code == 1 and said.endswith("make: nothing was deployed\n") and "Deploy these changes to" in said
    assert deploying.status() in (None, "DELETE_COMPLETE")


def test_an_environment_that_asks_nothing_is_not_asked(deploying):
    config = deploying.folder / "samconfig.toml"
    config.write_text(config.read_text().replace("true", "false"))
    code, said = deploying.deploy(GOOD)
    assert code == 0 and "Deploy these changes" not in said and deploying.status() == "CREATE_COMPLETE"


def test_a_no_to_an_update_leaves_the_stack_and_no_change_set(deploying):
    deploying.deploy(GOOD, "--yes")
    assert deploying.deploy({"Resources": {"Queue": QUEUE, "Other": QUEUE}}, answer="n")[0] == 1
    assert deploying.status() == "CREATE_COMPLETE"
    assert [one["ChangeSetName"] for one in deploying.cloudformation.list_change_sets(StackName=deploying.name)["Summaries"]
            if one["ExecutionStatus"] == "AVAILABLE"] == []  # fmt: skip


def test_a_change_set_that_somebody_else_makes_meanwhile_is_not_executed(deploying):
    deploying.deploy(GOOD, "--yes")
    theirs = json.dumps({"Resources": {"Queue": QUEUE, "Theirs": QUEUE}})
    code, said = deploying.deploy({"Resources": {"Queue": QUEUE, "Ours": QUEUE}}, "--yes", MEANWHILE=theirs)
    assert code == 0 and "Ours" in said and "Theirs" not in said and len(deploying.queues()) == 2


def test_a_no_deletes_no_stack_that_somebody_else_has_deployed_meanwhile(deploying):
    deploying.before = (
        "import builtins, boto3, os, time\n"
        "def no(_):\n"
        "    client, name = boto3.client('cloudformation'), os.environ['STACK']\n"
        "    client.create_change_set(StackName=name, ChangeSetName='theirs', TemplateBody=os.environ['BUNDLE'], ChangeSetType='CREATE')\n"
        "    time.sleep(1)\n"
        "    client.execute_change_set(StackName=name, ChangeSetName='theirs')\n"
        "    while client.describe_stacks(StackName=name)['Stacks'][0]['StackStatus'] != 'CREATE_COMPLETE': time.sleep(0.2)\n"
        "    return 'n'\n"
        "builtins.input = no\n"
    )
    code, said = deploying.deploy(GOOD)
    assert code == 1 and said.endswith("make: nothing was deployed\n"), said
    assert deploying.status() == "CREATE_COMPLETE"


def test_ctrl_c_at_the_question_is_a_no(deploying):
    deploying.before = (
        "import builtins\n"
        "def stopped(_): raise KeyboardInterrupt\n"
        "builtins.input = stopped\n"
    )  # fmt: skip
    code, said = deploying.deploy(GOOD)
    assert code == 1 and said.endswith("make: nothing was deployed\n") and deploying.status() in (None, "DELETE_COMPLETE")


def test_a_stack_that_waited_for_a_change_set_of_somebody_else_stays(deploying):
    client = deploying.cloudformation
    client.create_change_set(StackName=deploying.name, ChangeSetName="theirs", TemplateBody=json.dumps(GOOD), ChangeSetType="CREATE")
    client.get_waiter("change_set_create_complete").wait(StackName=deploying.name, ChangeSetName="theirs", WaiterConfig={"Delay": 1})
    assert deploying.deploy(GOOD, answer="n")[0] == 1
    assert deploying.status() == "REVIEW_IN_PROGRESS"
    assert [one["ChangeSetName"] for one in client.list_change_sets(StackName=deploying.name)["Summaries"]] == ["theirs"]


def test_a_change_set_that_somebody_else_left_is_not_executed(deploying):
    deploying.deploy(GOOD, "--yes")
    bundle = json.dumps({"Resources": {"Queue": QUEUE, "Other": QUEUE}})
    client = deploying.cloudformation
    client.create_change_set(StackName=deploying.name, ChangeSetName="theirs", TemplateBody=bundle, ChangeSetType="UPDATE")
    client.get_waiter("change_set_create_complete").wait(StackName=deploying.name, ChangeSetName="theirs", WaiterConfig={"Delay": 1})
    code, said = deploying.deploy("none", "--yes")
    assert code == 0 and "Nothing to change" in said and len(deploying.queues()) == 1


def test_what_sam_refuses_is_not_executed(deploying):
    code, said = deploying.deploy("none", "--yes", FAILS="1")
    assert code == 1 and said.endswith("make: sam deploy failed. RUNBOOK.md, A deployment fails, says what helps.\n")


@pytest.mark.parametrize(("failures", "code"), [(3, 0), (1000, 1)], ids=["for a moment", "for good"])
def test_a_look_that_fails_does_not_end_the_deployment(deploying, failures, code):
    deploying.before = (
        "import deploy, itertools, botocore.exceptions; original, number = deploy.events_since, itertools.count(); deploy.FAILED_POLLS_MAX = 5\n"
        "def failing(*arguments):\n"
        f"    if next(number) < {failures}: raise botocore.exceptions.EndpointConnectionError(endpoint_url='https://aws')\n"
        "    return original(*arguments)\n"
        "deploy.events_since = failing\n"
    )
    ended, said = deploying.deploy(GOOD, "--yes")
    assert ended == code, said
    assert ("AWS goes on with the deployment" in said) == bool(code) and "Traceback" not in said
    while deploying.status() != "CREATE_COMPLETE":
        time.sleep(0.2)


def test_whoever_stops_looking_is_told_that_it_goes_on(deploying):
    deploying.before = (
        "import deploy\n"
        "def stopped(*_): raise KeyboardInterrupt\n"
        "deploy.show = stopped\n"
    )  # fmt: skip
    code, said = deploying.deploy(GOOD, "--yes")
    assert code == 1 and f"make: stopped\nmake: AWS goes on with the deployment of {deploying.name} all the same." in said
    while deploying.status() != "CREATE_COMPLETE":
        time.sleep(0.2)


def test_an_endpoint_out_of_reach_is_named(deploying):
    deploying.environment["AWS_ENDPOINT_URL_CLOUDFORMATION"] = "http://127.0.0.1:9"
    code, said = deploying.deploy("none", "--yes")
    assert code == 1 and "Could not connect" in said and "Traceback" not in said
