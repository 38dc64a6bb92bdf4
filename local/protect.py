"""Protects the stack of an environment from being deleted, after a deployment: `protect.py ENVIRONMENT`. All but `default` are.

The deployment has succeeded, so what goes wrong here is a warning.
"""

import sys

import account as aws
from finding import cloudformation, note
from preflight import target


def main(environment):
    if environment == "default":
        return
    try:
        account, settings = target(environment)
    except SystemExit as error:
        reason = str(error).removeprefix("make: ")
        print(note(f"warning: the stack is deployed, and not protected from being deleted: {reason}"))
        return
    name = settings["stack_name"]
    try:
        stack = account.described(name)
        # Without a stack there is nothing to protect.
        if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS" or stack.get("EnableTerminationProtection"):
            return
        account.client("cloudformation").update_termination_protection(StackName=name, EnableTerminationProtection=True)
    except aws.AWS_ERRORS as error:
        helps = cloudformation("update-termination-protection --enable-termination-protection", name, account.region)
        reason = aws.code_of(error)
        print(note(f"warning: the stack {name} is deployed, and not protected from being deleted ({reason}). Protect it:", helps))
        return
    print(f"The stack {name} is protected from being deleted.\nTo remove it: RUNBOOK.md, Remove the stack.")


if __name__ == "__main__":
    main(sys.argv[1])
