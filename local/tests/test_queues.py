"""What SQS does with a message that is not dealt with, as template.yaml sets its queues up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from stack import CREDENTIALS, REGION, ROOT, STACK_NAME, template
from test_template import of_type

QUEUES = {name: queue["Properties"] for name, queue in of_type(template()["Resources"], "AWS::SQS::Queue").items()}


def test_sqs_gives_up_only_on_what_no_consumer_deals_with_and_before_it_expires():
    days = {}
    for name, properties in QUEUES.items():
        if "RedrivePolicy" in properties:
            # A consumer that leaves a failed message alone receives it again when its visibility timeout is over.
            given_up = properties["RedrivePolicy"]["maxReceiveCount"] * properties["VisibilityTimeout"]
            assert 0.75 <= given_up / properties["MessageRetentionPeriod"] <= 0.85, name
            assert properties["RedrivePolicy"]["maxReceiveCount"] <= 1000, "SQS's maximum"
            days[name] = (int(given_up // 86_400), properties["MessageRetentionPeriod"] // 86_400)
    assert set(days) == {"ErpQueue", "CrmQueue"}
    ((any_consumer, retention),) = set(days.values())
    # What the runbook promises about a long outage.
    runbook = (ROOT / "RUNBOOK.md").read_text()
    assert f"With any consumer nothing is given up within {any_consumer} days" in runbook
    assert f"until 80 % of the {retention} days" in runbook


def test_a_dead_letter_queue_takes_the_messages_of_its_source_queue_only():
    dead = {name for name in QUEUES if name.endswith("DeadLetterQueue")}
    for name in dead:
        policy, source = QUEUES[name]["RedriveAllowPolicy"], QUEUES[name.replace("DeadLetterQueue", "Queue")]
        separator, [start, instance, end] = source["QueueName"]["Fn::Join"]
        arn = {"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:" + start["Fn::Sub"]}
        assert policy == {"redrivePermission": "byQueue", "sourceQueueArns": [{"Fn::Join": [separator, [arn, instance, end]]}]}
        assert source["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [name, "Arn"]}
        # The part of the id that differs in each stack of the name.
        assert instance == {"Fn::Select": [4, {"Fn::Split": ["-", {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}]}]}
        longest = start["Fn::Sub"].replace("${AWS::StackName}", "x" * 42) + "x" * 12 + end
        assert separator == "" and len(longest) <= 80 and end == ".fifo", "SQS's maximum, for the longest name of a stack that is deployed"
    others = {name: QUEUES[name]["RedriveAllowPolicy"] for name in set(QUEUES) - dead}
    assert others == dict.fromkeys(("ErpQueue", "CrmQueue", "QuarantineQueue"), {"redrivePermission": "denyAll"})


def test_the_emulator_makes_the_queues_with_these_settings(stack):
    sqs = stack.client("sqs")
    for side in ("Erp", "Crm"):
        source, dead = (
            sqs.get_queue_attributes(QueueUrl=stack.outputs[f"{side}{name}"], AttributeNames=["All"])["Attributes"]
            for name in ("QueueUrl", "DeadLetterQueueUrl")
        )
        assert (source["VisibilityTimeout"], json.loads(source["RedrivePolicy"])) == (
            "960", {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 1000},
        )
        assert json.loads(dead["RedriveAllowPolicy"]) == {"redrivePermission": "byQueue", "sourceQueueArns": [source["QueueArn"]]}
        assert re.fullmatch(rf".+:{STACK_NAME}-{side.lower()}-[0-9a-f]{{12}}\.fifo", source["QueueArn"])


def test_the_upgrade_gives_the_old_queues_the_settings_of_the_new_ones(tmp_path):
    """An old queue gives a message up after five receives, which a new consumer makes within a minute."""
    (section,) = re.findall(r"^## 0\. .*?```\n(.*?)```", (ROOT / "docs" / "upgrade.md").read_text(), re.DOTALL | re.MULTILINE)
    aws = tmp_path / "aws"
    aws.write_text(
        "#!/bin/sh\n"
        'case "$2" in\n'
        '  describe-stack-resource) echo "url-of-$6" ;;\n'
        '  get-queue-attributes) echo "arn-of-$4" ;;\n'
        '  set-queue-attributes) echo "[\\"$4\\", $6]" ;;\n'
        "esac\n"
    )
    aws.chmod(0o755)
    shell = ["bash", "-euc", section]
    said = subprocess.run(shell, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True, capture_output=True, text=True).stdout
    done = {url: (given, json.loads(given.pop("RedrivePolicy"))) for url, given in map(json.loads, said.splitlines())}
    assert done == {
        f"url-of-{side}Queue": (
            {"VisibilityTimeout": str(QUEUES[f"{side}Queue"]["VisibilityTimeout"])},
            {
                "deadLetterTargetArn": f"arn-of-url-of-{side}DeadLetterQueue",
                "maxReceiveCount": QUEUES[f"{side}Queue"]["RedrivePolicy"]["maxReceiveCount"],
            },
        )
        for side in ("Erp", "Crm")
    }


def test_sam_uploads_the_names_as_they_are(tmp_path):
    """To look into the template SAM resolves what it can, and makes text of what it cannot, such as a part of the stack's id."""
    bundle = template()
    bundle["Globals"]["Function"]["CodeUri"] = "s3://code/functions"
    for resource in bundle["Resources"].values():
        resource.get("Properties", {}).pop("CodeUri", None)
    bundle["Resources"]["Rules"]["Properties"]["ContentUri"] = "s3://code/rules"
    (tmp_path / "template.json").write_text(json.dumps(bundle))
    command = [Path(sys.executable).parent / "sam", "package", "--template-file", "template.json", "--output-template-file", "out.yaml"]
    keys = {name.upper(): value for name, value in CREDENTIALS.items()}
    # Nothing has to be uploaded, so nothing listens there.
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "SAM_CLI_TELEMETRY": "0"}
    environment = os.environ | keys | nowhere
    subprocess.run([*command, "--s3-bucket", "code", "--region", REGION], cwd=tmp_path, env=environment, check=True, capture_output=True)
    uploaded = yaml.safe_load((tmp_path / "out.yaml").read_text())["Resources"]
    assert {name: uploaded[name]["Properties"] for name in QUEUES} == QUEUES
