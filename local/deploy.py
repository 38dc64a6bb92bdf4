"""Deploys what `sam build` has built: `sam deploy` uploads it and makes a change set, this executes the change set and follows it.

SAM itself would execute it without RetainExceptOnCreate. What a first deployment had made when it failed would then stay: queues and a
secret that no stack knows. The template cannot contain that option, because AWS::LanguageExtensions refuses it.
"""

import argparse
import os
import re
import subprocess
import sys
import textwrap
import time
import uuid
from datetime import UTC, datetime

from account import AWS_ERRORS
from finding import first_line, printable
from preflight import asks, target
from stack import ROOT

CHANGE_SET = re.compile(r"\barn:\S+:changeSet/\S+")
# Resources that hold what exists nowhere else. The template retains them.
HOLD_DATA = ("AWS::SQS::Queue", "AWS::SecretsManager::Secret")
POLL_SECONDS = 3
# It stops after this many failed polls in a row.
FAILED_POLLS_MAX = 20
# What CloudFormation says of resources that it did not try, because another had failed.
CANCELLED = re.compile(r"Resource (creation|update|deletion) cancelled\.?", re.IGNORECASE)
HELP = "RUNBOOK.md, A deployment fails, says what helps."


def main(environment, yes):
    account, settings = target(environment)
    stack = settings["stack_name"]
    client = account.client("cloudformation")
    try:
        before = account.described(stack)
        change_set = prepare(environment)
        if not change_set:
            print(f"Nothing to change: {stack} is as template.yaml and samconfig.toml say.")
            return
        changes = changes_of(client, change_set)
        warn_of_replaced_queues(changes)
        if asks(settings) and not (yes or agreed(f"Deploy these changes to {stack} in {account.region}?")):
            discard(client, stack, change_set, before)
            sys.exit("make: nothing was deployed")
        last = last_event(client, stack)
    except KeyboardInterrupt:
        sys.exit("make: stopped; nothing was deployed")
    except AWS_ERRORS as error:
        sys.exit(f"make: {first_line(error)}\nmake: {HELP}")
    try:
        client.execute_change_set(
            ChangeSetName=change_set,
            StackName=stack,
            RetainExceptOnCreate=not keeps_new_data(before, changes),
            # With it the client can ask again when no answer comes.
            ClientRequestToken=str(uuid.uuid4()),
        )
    except (*AWS_ERRORS, KeyboardInterrupt) as error:
        sys.exit(f"make: {first_line(error) or 'stopped'}\nmake: perhaps AWS has begun with the deployment of {stack}. {HELP}")
    try:
        status, failed = follow(client, stack, last)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            first = f" First failed: {failed[0]['LogicalResourceId']}." if failed else ""
            sys.exit(f"make: the deployment failed: {stack} is in {status}.{first} {HELP}")
        show_outputs(client, stack)
    except (*AWS_ERRORS, KeyboardInterrupt) as error:
        sys.exit(f"make: {first_line(error) or 'stopped'}\nmake: AWS goes on with the deployment of {stack} all the same. {HELP}")


def prepare(environment):
    """Lets SAM upload the code and show what changes. The ARN of the change set, or None if nothing changes."""
    command = ["sam", "deploy", "--no-execute-changeset", "--config-env", environment]
    # As SAM says it, because a list of change sets can have one of somebody else.
    made = None
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            made = next(iter(CHANGE_SET.findall(line)), made)
    if process.returncode:
        sys.exit(f"make: sam deploy failed. {HELP}")
    return made


def changes_of(client, change_set):
    pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    return [one["ResourceChange"] for page in pages for one in page["Changes"]]


def is_replaced(change):
    # Conditional: CloudFormation does not know yet.
    return change.get("Replacement") in ("True", "Conditional")


def warn_of_replaced_queues(changes):
    """A consumer goes on to read the queue that it knows, which gets no messages any more."""
    for one in sorted(changes, key=lambda one: one["LogicalResourceId"]):
        if one["ResourceType"] == "AWS::SQS::Queue" and is_replaced(one):
            becomes = "becomes" if one["Replacement"] == "True" else "may become"
            print(f"make: warning: {one['LogicalResourceId']} {becomes} a new queue. The old one stays, with its messages.")
    if any(one["ResourceType"] == "AWS::SQS::Queue" and is_replaced(one) for one in changes):
        print("make: docs/upgrade.md, New queues, says what to do before you deploy this, and after.")


def keeps_new_data(before, changes):
    """Whether a rollback must keep the queues and the secret that the deployment makes. In a stack that is in use, functions may have sent
    events to a new queue before the rollback, and answered 200."""
    if before is None or before["StackStatus"] == "REVIEW_IN_PROGRESS":
        return False
    return any(one["ResourceType"] in HOLD_DATA and (one["Action"] == "Add" or is_replaced(one)) for one in changes)


def agreed(question):
    try:
        return input(f"\n{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


def discard(client, stack, change_set, before):
    """Deletes a change set that nobody wants, and the stack if it was made for that alone."""
    client.delete_change_set(ChangeSetName=change_set, StackName=stack)
    if before is None and describe(client, stack)["StackStatus"] == "REVIEW_IN_PROGRESS":
        if not client.list_change_sets(StackName=stack)["Summaries"]:
            client.delete_stack(StackName=stack)


def last_event(client, stack):
    """When the last thing happened before the deployment, by CloudFormation's clock."""
    events = client.describe_stack_events(StackName=stack)["StackEvents"]
    return events[0]["Timestamp"] if events else datetime.fromtimestamp(0, UTC)


def follow(client, stack, last):
    """Shows what happens until it ends: the last status, and the events of what failed by itself."""
    seen, failed, failed_polls = set(), [], 0
    while True:
        try:
            events = events_since(client, stack, last)
            failed_polls = 0
        except AWS_ERRORS:
            failed_polls += 1
            if failed_polls == FAILED_POLLS_MAX:
                raise
            events = []
        for event in events:
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            show(event)
            if event.get("PhysicalResourceId") == event["StackId"]:
                # The stack's own events end it, and not its status, which right after the beginning can still be the one before.
                if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
                    return event["ResourceStatus"], failed
            elif event["ResourceStatus"].endswith("_FAILED") and not CANCELLED.fullmatch(event.get("ResourceStatusReason", "")):
                failed.append(event)
        time.sleep(POLL_SECONDS)


def describe(client, stack):
    return client.describe_stacks(StackName=stack)["Stacks"][0]


def events_since(client, stack, last):
    """The events after that time, oldest first."""
    found = []
    for page in client.get_paginator("describe_stack_events").paginate(StackName=stack):
        new = [event for event in page["StackEvents"] if event["Timestamp"] > last]
        found += new
        if len(new) < len(page["StackEvents"]):
            break
    return reversed(found)


def show(event):
    at = event["Timestamp"].astimezone().strftime("%H:%M:%S")
    print(f"{at}  {event['ResourceStatus']:<28}  {event['LogicalResourceId']}", flush=True)
    if event["ResourceStatus"].endswith("_FAILED"):
        reason = textwrap.fill(printable(event.get("ResourceStatusReason", "no reason")), 88)
        print(textwrap.indent(reason, " " * 10), flush=True)
    elif event["ResourceStatus"] == "DELETE_SKIPPED" and event["ResourceType"] in HOLD_DATA:
        print(f"          kept: {printable(event['PhysicalResourceId'])}", flush=True)


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
    try:
        main(chosen.environment, chosen.yes)
    except KeyboardInterrupt:
        sys.exit("make: stopped; nothing was deployed")
