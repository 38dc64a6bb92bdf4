"""Whether the account has the concurrency that the parameters ask for, and whether that can be changed now."""

import os

from finding import Finding, note

# Lambda keeps at least this many of an account's concurrent executions unreserved.
UNRESERVED_MIN = 100
# The quota "Concurrent executions" of Lambda, and what an account usually has.
QUOTA = "L-B99A9384"
QUOTA_USUAL = 1000


def parameters_of(template):
    """For each function the parameters that say what is reserved for it, and what is provisioned; None for what it cannot have."""
    parameters = template["Parameters"]
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            said = resource["Properties"]
            yield name, *(
                next((one for one in referred(said.get(key)) if one in parameters), None)
                for key in ("ReservedConcurrentExecutions", "ProvisionedConcurrencyConfig")
            )


def is_there(template, function, values):
    """Whether a stack with these parameters has a function, whose condition may compare a parameter with a text."""
    condition = template.get("Conditions", {}).get(template["Resources"][function].get("Condition"), {})
    if "Fn::Equals" not in condition:
        return True
    parameter, switched_on = condition["Fn::Equals"]
    return str(values.get(parameter["Ref"])) == switched_on


def referred(value):
    """The names in every Ref of a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            else:
                yield from referred(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from referred(inner)


def inconsistent(template, wanted):
    """Lambda provisions for a function no more than is reserved for it."""
    for reserved, provisioned in sorted({(reserved, provisioned) for _, reserved, provisioned in parameters_of(template) if provisioned}):
        if 0 < int(wanted.get(reserved, 0)) < int(wanted[provisioned]):
            yield Finding(
                f"{provisioned}={wanted[provisioned]} is above {reserved}={wanted[reserved]}, and Lambda provisions no more than is "
                "reserved. Raise the second, or lower the first."
            )
        elif 0 < int(wanted.get(reserved, 0)) < 2 * int(wanted[provisioned]):
            yield note(
                f"{reserved}={wanted[reserved]} is less than twice {provisioned}={wanted[provisioned]}. While an alias moves, two versions are "
                "kept warm at the same time, and the deployment may fail for want of room."
            )


def account_limits(account, template, deployed, wanted):
    """What the account must have left for what is reserved and provisioned."""

    def total(values):
        """What is reserved, and what is provisioned out of the part that is not."""
        sums = [0, 0]
        for name, reserved, provisioned in parameters_of(template):
            if not is_there(template, name, values):
                continue
            own = int(values.get(reserved, 0))
            sums[0] += own
            sums[1] += 0 if own else int(values.get(provisioned, 0))
        return sums

    limits = account.client("lambda").get_account_settings()["AccountLimit"]
    quota, unreserved = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    more = f"aws service-quotas request-service-quota-increase --service-code lambda --quota-code {QUOTA} --region {account.region}"
    (reserved, provisioned), (reserved_now, provisioned_now) = total(wanted), total(deployed)
    room = max(unreserved + reserved_now - UNRESERVED_MIN, 0)
    if (reserved > reserved_now or provisioned > provisioned_now) and reserved + provisioned > room:
        yield Finding(
            f"This stack would reserve {reserved} concurrent executions in all, and provision {provisioned} that are not reserved. The "
            f"account has {quota}, of which {quota - unreserved - reserved_now} are reserved for other functions, and {UNRESERVED_MIN} must "
            f"stay unreserved: that leaves {room}. Lower …Reserved and …Provisioned in samconfig.toml, or ask AWS for more:",
            (f"{more} --desired-value {max(QUOTA_USUAL, quota + reserved + provisioned - room)}",),
        )
    elif quota < UNRESERVED_MIN:
        yield note(
            f"This account may run only {quota} functions at the same time, as a new one may. More get 429, and the shop takes that for a "
            "failed hook. Before the shop sends events, ask AWS for more:",
            f"{more} --desired-value {QUOTA_USUAL}",
        )


def provisioning(account, template, resources, deployed, wanted):
    """What is provisioned must be there and ready before its alias moves, and changes alone.

    Lambda moves an alias with provisioned concurrency by weights, as CodeDeploy does, and refuses both at once; the rollback then fails,
    too. The public reports: RUNBOOK.md, Keep functions warm.
    """
    changed_parameters = set()
    for function, _, parameter in parameters_of(template):
        before, after = (int(values.get(parameter, 0)) for values in (deployed, wanted))
        arn = resources.get(f"{function}Aliaslive", ("", ""))[1]
        if not arn or before == after == 0:
            continue
        name, alias = arn.split(":")[-2:]
        state, reason = provisioned(account, name, alias) if before else ("READY", "")
        command = f"--region {account.region} --function-name {name} --qualifier {alias}"
        if before != after and wanted["Deployment"] != "AllAtOnce":
            yield Finding(f"{parameter} cannot change in a gradual deployment. First deploy with Deployment=AllAtOnce, and then change it.")
        elif state is None and after:
            yield Finding(
                f"{parameter}={before} is deployed, and nothing is provisioned for {name}: somebody took it away. The deployment would "
                "fail. Put it back:",
                (f"aws lambda put-provisioned-concurrency-config {command} --provisioned-concurrent-executions {before}",),
            )
        elif state and not after:
            yield Finding(
                f"What is provisioned for {name} must be taken away before {parameter}=0 is deployed:",
                (f"aws lambda delete-provisioned-concurrency-config {command}",),
            )
        elif state not in (None, "READY"):
            yield Finding(
                f"What is provisioned for {name} is not ready: {state}{reason and f' ({reason})'}. Wait until this says READY. If it does "
                "not: RUNBOOK.md, Keep functions warm.",
                (f"aws lambda get-provisioned-concurrency-config {command} --query Status",),
            )
        elif before != after and after:
            changed_parameters.add(parameter)
        elif after and wanted["Deployment"] != "AllAtOnce":
            yield note(f"{parameter}={after} with Deployment={wanted['Deployment']}: RUNBOOK.md, Keep functions warm, says what can happen.")
    yield from alone(changed_parameters, {name for name in wanted if name in deployed and deployed[name] != wanted[name]})


def provisioned(account, function, alias):
    """State and reason; None if nothing is provisioned."""
    client = account.client("lambda")
    try:
        said = client.get_provisioned_concurrency_config(FunctionName=function, Qualifier=alias)
        return said["Status"], said.get("StatusReason", "")
    except client.exceptions.ProvisionedConcurrencyConfigNotFoundException:
        return None, ""


def alone(changed, all_changed):
    """Whether nothing else changes: no parameter, and no version of a function."""
    what = ", ".join(sorted(changed))
    if others := changed and sorted(all_changed - changed):
        yield Finding(f"{what} must change alone, and {', '.join(others)} would change with it. First deploy without this change.")
    elif changed and not os.environ.get("BUILT"):
        yield Finding(
            f"{what} must change alone, and a build makes a new release. First deploy without this change; then make it, and call make "
            "again with BUILT=1, which deploys the same build: RUNBOOK.md, Keep functions warm."
        )
