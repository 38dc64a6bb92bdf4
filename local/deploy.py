"""Deploys what `sam build` has built: `sam deploy` uploads it and makes a change set, this executes the change set and follows it.

SAM itself would execute it without RetainExceptOnCreate. What a first deployment had made when it failed would then stay: queues and a
secret that no stack knows. In the template that option cannot be said, because AWS::LanguageExtensions refuses it.
"""

import argparse
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime

import botocore.exceptions
from preflight import target
from stack import ROOT

POLL_SECONDS = 3
# So many looks in a row may fail before it gives up looking.
FAILED_LOOKS_MAX = 20
# What CloudFormation says of resources that it did not try, because another had failed.
CANCELLED = "cancelled"
HELP = "RUNBOOK.md, A deployment fails, says what helps."


def main(environment, yes):
    account, stack = target(environment)
    client = account.client("cloudformation")
    try:
        change_set = prepare(client, environment, stack)
        if not change_set:
            print(f"Nothing to change: {stack} is as template.yaml and samconfig.toml say.")
            return
        if not (yes or agreed(f"Deploy these changes to {stack} in {account.region}?")):
            discard(client, stack, change_set)
            sys.exit("make: nothing was deployed")
        begun = execute(client, stack, change_set)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        sys.exit(f"make: {error}\nmake: {HELP}")
    try:
        status, failed = follow(client, stack, begun)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            explain(stack, status, failed)
        show_outputs(client, stack)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, KeyboardInterrupt) as error:
        sys.exit(f"make: {str(error) or 'stopped'}\nmake: AWS goes on with the deployment of {stack} all the same. {HELP}")


def prepare(client, environment, stack):
    """Lets SAM upload the code and show what changes. The id of the change set, or None if nothing changes."""
    known = {one["ChangeSetId"] for one in available(client, stack)}
    command = ["sam", "deploy", "--no-execute-changeset", "--config-env", environment]
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(f"make: sam deploy failed. {HELP}")
    new = [one for one in available(client, stack) if one["ChangeSetId"] not in known]
    return max(new, key=lambda one: one["CreationTime"])["ChangeSetId"] if new else None


def available(client, stack):
    """The change sets of the stack that can be executed."""
    try:
        pages = client.get_paginator("list_change_sets").paginate(StackName=stack)
        return [one for page in pages for one in page["Summaries"] if one.get("ExecutionStatus") == "AVAILABLE"]
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("ValidationError", "ChangeSetNotFound"):
            return []
        raise


def agreed(question):
    try:
        return input(f"\n{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def discard(client, stack, change_set):
    """Leaves nothing of a change set that nobody wants, and of a stack that was only made for it."""
    client.delete_change_set(ChangeSetName=change_set, StackName=stack)
    if describe(client, stack)["StackStatus"] == "REVIEW_IN_PROGRESS":
        client.delete_stack(StackName=stack)


def execute(client, stack, change_set):
    """Begins, and says when that was by CloudFormation's clock."""
    events = client.describe_stack_events(StackName=stack)["StackEvents"]
    last = events[0]["Timestamp"] if events else datetime.fromtimestamp(0, UTC)
    client.execute_change_set(ChangeSetName=change_set, StackName=stack, RetainExceptOnCreate=True)
    return last


def follow(client, stack, begun):
    """Shows what happens until it ends: the last status, and the events of what failed by itself."""
    seen, failed, failed_looks = set(), [], 0
    while True:
        try:
            events = events_since(client, stack, begun)
            failed_looks = 0
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            failed_looks += 1
            if failed_looks == FAILED_LOOKS_MAX:
                raise
            events = []
        for event in events:
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            show(event)
            if event["PhysicalResourceId"] == event["StackId"]:
                # The stack's own events end it, and not its status, which right after the beginning can still be the one before.
                if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
                    return event["ResourceStatus"], failed
            elif event["ResourceStatus"].endswith("_FAILED") and CANCELLED not in event.get("ResourceStatusReason", "").lower():
                failed.append(event)
        time.sleep(POLL_SECONDS)


def describe(client, stack):
    return client.describe_stacks(StackName=stack)["Stacks"][0]


def events_since(client, stack, begun):
    """The events after that time, oldest first."""
    found = []
    for page in client.get_paginator("describe_stack_events").paginate(StackName=stack):
        new = [event for event in page["StackEvents"] if event["Timestamp"] > begun]
        found += new
        if len(new) < len(page["StackEvents"]):
            break
    return reversed(found)


def show(event):
    at = event["Timestamp"].astimezone().strftime("%H:%M:%S")
    print(f"{at}  {event['ResourceStatus']:<28}  {event['LogicalResourceId']}", flush=True)
    if event["ResourceStatus"].endswith("_FAILED"):
        print(textwrap.indent(textwrap.fill(event.get("ResourceStatusReason", "no reason"), 88), " " * 10), flush=True)


def explain(stack, status, failed):
    first = f" First failed: {failed[0]['LogicalResourceId']}." if failed else ""
    sys.exit(f"make: the deployment failed: {stack} is in {status}.{first} {HELP}")


def show_outputs(client, stack):
    outputs = describe(client, stack).get("Outputs", [])
    width = max((len(one["OutputKey"]) for one in outputs), default=0)
    print()
    for one in sorted(outputs, key=lambda one: one["OutputKey"]):
        print(f"{one['OutputKey']:<{width}}  {one['OutputValue']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", help="a section of samconfig.toml")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    chosen = parser.parse_args()
    main(chosen.environment, chosen.yes)
