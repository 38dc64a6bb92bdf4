"""Whether the aliases of the functions, to which all traffic goes, are as the last deployment should have left them."""

from finding import Finding


def gradual(parameters):
    return parameters.get("Deployment", "AllAtOnce") != "AllAtOnce"


def ringing(account, resources, wanted):
    """CodeDeploy takes no gradual deployment while its alarm rings."""
    if not gradual(wanted) or "DeploymentAlarm" not in resources:
        return
    name = resources["DeploymentAlarm"][1]
    alarms = account.client("cloudwatch").describe_alarms(AlarmNames=[name])
    if any(alarm["StateValue"] == "ALARM" for alarm in alarms["MetricAlarms"]):
        yield Finding(
            f"DeploymentAlarm rings, so CodeDeploy would end this deployment at once (Deployment={wanted['Deployment']}). See why events "
            "fail: RUNBOOK.md, DeploymentAlarm. If this deployment is the fix, set Deployment=AllAtOnce in samconfig.toml: RUNBOOK.md, "
            "Roll back."
        )


def changed(account, resources, wanted):
    """An alias that is not as the last deployment should have left it."""
    kinds = {kind: [physical for one, physical in resources.values() if one == kind] for kind, _ in resources.values()}
    known = dict(arn.rsplit(":", 1) for arn in kinds.get("AWS::Lambda::Version", []))
    for arn in kinds.get("AWS::Lambda::Alias", []):
        function, name = arn.rsplit(":", 1)
        alias = account.client("lambda").get_alias(FunctionName=function, Name=name)
        yield from look(account, function, alias, known.get(function), wanted)


def look(account, function, alias, known, wanted):
    name, version = function.rsplit(":", 1)[1], alias["FunctionVersion"]
    weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    if weights:
        others = ", ".join(f"{100 * weight:g} % to version {one}" for one, weight in weights.items())
        yield Finding(
            f"The alias of {name} still splits its traffic ({others}, the rest to version {version}), since a deployment that did not end "
            f"well. The next one would fail. This gives all of it to version {version}:",
            (
                f"aws lambda update-alias --region {account.region} --function-name {name} --name {alias['Name']}"
                """ --routing-config '{"AdditionalVersionWeights":{}}'""",
            ),
        )
    elif known and known != version and gradual(wanted):
        yield Finding(
            f"The alias of {name} was moved by hand to version {version}, and the stack knows version {known}. A gradual deployment would "
            "fail: set Deployment=AllAtOnce in samconfig.toml for this one."
        )
