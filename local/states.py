"""What each state of a CloudFormation stack means for a deployment, and what helps.

`sam deploy` takes a stack in REVIEW_IN_PROGRESS for one that is not there, and asks for an update in every other state. CloudFormation
then refuses what stops here, after the build: "… is in ROLLBACK_COMPLETE state and can not be updated".
"""

from finding import Finding, cloudformation, note

WHY = "describe-stack-events --query \"StackEvents[?contains(ResourceStatus,'FAIL')].[LogicalResourceId,ResourceStatusReason]\""
DELETE_AND_WAIT = ("delete-stack", "wait stack-delete-complete")
NEVER_CAME_UP = "The first deployment of {stack} failed ({state}), and so it never received an event. Delete it, and deploy again:"
CLEANS_UP = "AWS is still cleaning up after the last deployment of {stack} ({state}). Wait, and deploy again:"
READY = None

# The state, what to say, and the actions of `aws cloudformation` that help, in their order. READY goes on without a word.
STATES = {
    "CREATE_COMPLETE": READY,
    "UPDATE_COMPLETE": READY,
    "IMPORT_COMPLETE": READY,
    # Only a stack that is asked for by its id has it.
    "DELETE_COMPLETE": READY,
    "REVIEW_IN_PROGRESS": note(
        "The stack {stack} is empty: somebody made a change set for it and did not execute it ({state}). This deployment creates it."
    ),
    "UPDATE_ROLLBACK_COMPLETE": note(
        "The last deployment of {stack} failed and was rolled back ({state}). If nobody has looked why yet:", WHY
    ),
    "IMPORT_ROLLBACK_COMPLETE": note("An import into {stack} was rolled back ({state}). This deployment goes on."),
    "CREATE_FAILED": Finding(NEVER_CAME_UP, DELETE_AND_WAIT),
    "ROLLBACK_COMPLETE": Finding(NEVER_CAME_UP, DELETE_AND_WAIT),
    "ROLLBACK_FAILED": Finding(NEVER_CAME_UP, DELETE_AND_WAIT),
    "DELETE_FAILED": Finding(
        "The stack {stack} was to be deleted, and something of it could not be ({state}). See why, and delete it again:", (WHY, *DELETE_AND_WAIT)
    ),
    "UPDATE_FAILED": Finding(
        "The last deployment of {stack} failed and was not rolled back ({state}). Roll it back, and deploy again:",
        ("rollback-stack", "wait stack-rollback-complete"),
    ),
    "UPDATE_ROLLBACK_FAILED": Finding(
        "The last deployment of {stack} failed, and could not be rolled back either ({state}). See why, end the cause, and continue the "
        "rollback; then deploy again. RUNBOOK.md, A deployment fails, says more.",
        (WHY, "continue-update-rollback", "wait stack-rollback-complete"),
    ),
    "IMPORT_ROLLBACK_FAILED": Finding("An import into {stack} could not be rolled back ({state}). See why, and ask AWS's support:", (WHY,)),
    "CREATE_IN_PROGRESS": Finding("The stack {stack} is being created ({state}). Wait, and deploy again:", ("wait stack-create-complete",)),
    "ROLLBACK_IN_PROGRESS": Finding(
        "The first deployment of {stack} failed and is being rolled back ({state}). Wait until this says `failed`, and call make again:",
        ("wait stack-create-complete",),
    ),
    "DELETE_IN_PROGRESS": Finding("The stack {stack} is being deleted ({state}). Wait, and deploy again:", ("wait stack-delete-complete",)),
    "UPDATE_IN_PROGRESS": Finding(
        "Another deployment of {stack} is going on ({state}). Wait for it with the first of these, or roll it back with the second:",
        ("wait stack-update-complete", "cancel-update-stack"),
    ),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Finding(CLEANS_UP, ("wait stack-update-complete",)),
    "UPDATE_ROLLBACK_IN_PROGRESS": Finding(
        "The last deployment of {stack} failed and is being rolled back ({state}). Wait, and deploy again:", ("wait stack-rollback-complete",)
    ),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Finding(CLEANS_UP, ("wait stack-rollback-complete",)),
    "IMPORT_IN_PROGRESS": Finding("Resources are imported into {stack} ({state}). Wait, and deploy again:", ("wait stack-import-complete",)),
    "IMPORT_ROLLBACK_IN_PROGRESS": Finding(
        "An import into {stack} is being rolled back ({state}). Wait until its state is another, and deploy again:",
        ('describe-stacks --query "Stacks[0].StackStatus"',),
    ),
}


def look(state, stack, region):
    """What a stack in this state is told about, if anything."""
    if state not in STATES:
        return note(f"The stack {stack} is in the state {state}, which this does not know. Trying all the same.")
    finding = STATES[state]
    if finding is READY:
        return None
    commands = tuple(cloudformation(action, stack, region) for action in finding.commands)
    return finding._replace(text=finding.text.format(stack=stack, state=state), commands=commands)

