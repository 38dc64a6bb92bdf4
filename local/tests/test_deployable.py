"""What AWS refuses, and neither the emulator nor the linter sees: held for what SAM makes of the template for dev and for prod, for both
processors, and with each parameter at another value than its default. docs/decisions/001 says where each fact comes from."""

import copy
import json
import re

import pytest
import samconfig
from cfnlint.api import ManualArgs, lint
from checkout import SAMCONFIG
from stack import template
from test_parameters import EDGES
from test_template import DOMAIN, expanded, mentioned, of_type, written_out

PARAMETERS = template()["Parameters"]
ROUNDS = 4
# Of the form that the linter asks for.
ARNS = {
    "KmsKeyArn": "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000",
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:000000000000:alarms",
    "PermissionsBoundaryArn": "arn:aws:iam::000000000000:policy/boundary",
}


def of_environment(environment):
    return samconfig.read(samconfig.settings(samconfig.sections_of(SAMCONFIG, environment))["parameter_overrides"])[0]


def other_values(name):
    """Values of a parameter that are not its default."""
    values = PARAMETERS[name].get("AllowedValues") or EDGES[name][0][-2:]
    return [value for value in values if str(value) != str(PARAMETERS[name]["Default"])]


def changed(number):
    """Every parameter at a value other than its default, with another choice in each round."""
    values = {name: other_values(name)[number % len(other_values(name))] for name in PARAMETERS if name != "Architecture"}
    return values | DOMAIN | ARNS


CASES = [
    pytest.param(environment, {"Architecture": processor, **parameters}, id=f"{environment}-{processor}-{what}")
    for environment in ("default", "prod")
    for processor in PARAMETERS["Architecture"]["AllowedValues"]
    for what, parameters in {"as-it-is": {}, **{f"changed-{number}": changed(number) for number in range(ROUNDS)}}.items()
]


@pytest.fixture(autouse=True)
def region(monkeypatch):
    # Without one, SAM asks AWS's client for it.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


class Deployment:
    """What SAM makes of the template with these parameters, without what a condition leaves out."""

    def __init__(self, parameters):
        self.parameters = {name: str(one["Default"]) for name, one in PARAMETERS.items()} | {name: str(one) for name, one in parameters.items()}
        self.conditions = template()["Conditions"]
        made = expanded(**parameters)
        made = {name: one for name, one in made.items() if "Condition" not in one or self.holds({"Condition": one["Condition"]})}
        self.resources = {name: self.decided(written_out(one, self.parameters)) for name, one in made.items()}

    def holds(self, condition):
        (kind, inner), = condition.items()
        match kind:
            case "Condition":
                return self.holds(self.conditions[inner])
            case "Fn::Not":
                return not self.holds(inner[0])
            case "Fn::And":
                return all(map(self.holds, inner))
            case "Fn::Or":
                return any(map(self.holds, inner))
            case "Fn::Equals":
                left, right = (self.parameters[one["Ref"]] if isinstance(one, dict) else str(one) for one in inner)
                return left == right

    def decided(self, value):
        """A value with one branch of each Fn::If, and without AWS::NoValue."""
        if isinstance(value, list):
            return [decided for inner in value if (decided := self.decided(inner)) != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if "Fn::If" in value:
            condition, yes, no = value["Fn::If"]
            return self.decided(yes if self.holds({"Condition": condition}) else no)
        decided = {key: self.decided(inner) for key, inner in value.items()}
        return {key: inner for key, inner in decided.items() if inner != {"Ref": "AWS::NoValue"}}

    def of(self, kind):
        return {name: one["Properties"] for name, one in of_type(self.resources, kind).items()}


# The facts: each says what is wrong, and nothing if all is well


def a_queue_policy_is_of_one_queue(deployment):
    for name, policy in deployment.of("AWS::SQS::QueuePolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            if len(policy["Queues"]) != 1 or not isinstance(statement["Resource"], dict):
                yield f"{name} names several queues"
    covered = [queue["Ref"] for policy in deployment.of("AWS::SQS::QueuePolicy").values() for queue in policy["Queues"]]
    if sorted(covered) != sorted(deployment.of("AWS::SQS::Queue")):
        yield f"not each queue has one policy: {covered}"


def what_holds_data_stays(deployment):
    for kind in ("AWS::SQS::Queue", "AWS::SecretsManager::Secret"):
        for name, one in of_type(deployment.resources, kind).items():
            if (one.get("DeletionPolicy"), one.get("UpdateReplacePolicy")) != ("Retain", "Retain"):
                yield f"{name} can be deleted with the stack"


def nothing_is_written_that_language_extensions_refuse(deployment):
    for name, one in deployment.resources.items():
        if one.get("DeletionPolicy", "Delete") not in ("Delete", "Retain", "Snapshot"):
            yield f"{name} has the policy {one['DeletionPolicy']}"


def the_secret_is_never_generated_again(deployment):
    wanted = {"SecretStringTemplate": '{"public_keys": []}', "GenerateStringKey": "hmac_secrets", "PasswordLength": 64, "ExcludePunctuation": True}
    (secret,) = deployment.of("AWS::SecretsManager::Secret").values()
    if secret["GenerateSecretString"] != wanted or set(secret) - {"GenerateSecretString", "Description", "KmsKeyId"}:
        yield "a change of GenerateSecretString would replace the merchant's keys"


def a_role_has_the_boundary_that_was_asked_for(deployment):
    for name, role in deployment.of("AWS::IAM::Role").items():
        if role.get("PermissionsBoundary", "") != deployment.parameters["PermissionsBoundaryArn"]:
            yield f"{name} has the boundary {role.get('PermissionsBoundary')}"


def an_alarm_is_one_that_cloudwatch_takes(deployment):
    for name, alarm in deployment.of("AWS::CloudWatch::Alarm").items():
        metrics = [one["MetricStat"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
        periods = {int(one["Period"]) for one in metrics} or {int(alarm["Period"])}
        evaluated = int(alarm["EvaluationPeriods"])
        if len(alarm.get("Metrics", [])) > 10:
            yield f"{name} has more than ten metrics"
        if len(periods) != 1 or evaluated * max(periods) > (86_400 if max(periods) < 3600 else 604_800):
            yield f"{name} looks back further than CloudWatch does"
        if int(alarm.get("DatapointsToAlarm", evaluated)) > evaluated:
            yield f"{name} needs more datapoints than it looks at"


def a_description_fits(deployment):
    for name, function in deployment.of("AWS::Lambda::Function").items():
        words = function.get("Description", "")
        words = words if isinstance(words, str) else words["Fn::Sub"]
        if len(re.sub(r"\$\{(\w+)\}", lambda one: deployment.parameters[one[1]], words)) > 256:
            yield f"{name} has a description of more than 256 characters"


def the_processor_is_the_one_that_was_asked_for(deployment):
    for name, function in deployment.of("AWS::Lambda::Function").items():
        if function["Runtime"] == "provided.al2023" and function["Architectures"] != [deployment.parameters["Architecture"]]:
            yield f"{name} is built for {function['Architectures']}"


def a_function_without_traffic_shifting_has_no_hook_and_no_group(deployment):
    gradual = deployment.parameters["Deployment"] != "AllAtOnce"
    groups = deployment.of("AWS::CodeDeploy::DeploymentGroup")
    policies = [one["UpdatePolicy"] for one in of_type(deployment.resources, "AWS::Lambda::Alias").values() if "UpdatePolicy" in one]
    hooks = {str(one["CodeDeployLambdaAliasUpdate"].get("BeforeAllowTrafficHook")) for one in policies}
    if bool(groups) != gradual or bool(policies) != gradual:
        yield "CodeDeploy is there without being asked for, or the other way round"
    if gradual and (hooks != {"None"}) != (deployment.parameters["PreTrafficCheck"] == "true"):
        yield f"the pre-traffic hooks are {hooks}"


def everything_that_is_referred_to_is_there(deployment):
    known = {*deployment.resources, *PARAMETERS}
    for name, one in deployment.resources.items():
        for other in mentioned(one):
            if other not in known and not other.startswith("AWS") and other not in ("ConfigName", "stageVariables"):
                yield f"{name} refers to {other}, which is not there"


def nothing_waits_for_itself(deployment):
    needs = {
        name: ({*mentioned(one)} | {*([one["DependsOn"]] if isinstance(one.get("DependsOn"), str) else one.get("DependsOn", []))}) & {*deployment.resources}
        for name, one in deployment.resources.items()
    }
    while ready := {name for name, others in needs.items() if not others - {name}}:
        needs = {name: others - ready for name, others in needs.items() if name not in ready}
    if needs:
        yield f"these wait for each other: {sorted(needs)}"


FACTS = [
    a_queue_policy_is_of_one_queue, what_holds_data_stays, nothing_is_written_that_language_extensions_refuse, the_secret_is_never_generated_again,
    a_role_has_the_boundary_that_was_asked_for, an_alarm_is_one_that_cloudwatch_takes, a_description_fits, the_processor_is_the_one_that_was_asked_for,
    a_function_without_traffic_shifting_has_no_hook_and_no_group, everything_that_is_referred_to_is_there, nothing_waits_for_itself,
]  # fmt: skip


@pytest.mark.parametrize(("environment", "parameters"), CASES)
def test_what_aws_refuses_is_not_in_it(environment, parameters):
    deployment = Deployment(of_environment(environment) | parameters)
    assert not [found for fact in FACTS for found in fact(deployment)]


def test_every_way_to_deploy_is_tried():
    tried = {changed(number)["Deployment"] for number in range(ROUNDS)}
    assert tried == set(other_values("Deployment"))


BREAKS = {
    a_queue_policy_is_of_one_queue: lambda resources: resources["ErpQueuePolicy"]["Properties"]["Queues"].append({"Ref": "CrmQueue"}),
    what_holds_data_stays: lambda resources: resources["ErpQueue"].pop("DeletionPolicy"),
    nothing_is_written_that_language_extensions_refuse: lambda resources: resources["ErpQueue"].update(DeletionPolicy="RetainExceptOnCreate"),
    the_secret_is_never_generated_again: lambda resources: resources["WebhookKeys"]["Properties"]["GenerateSecretString"].update(PasswordLength=32),
    a_role_has_the_boundary_that_was_asked_for: lambda resources: resources["SalesOrderPlaceAfterRole"]["Properties"].pop("PermissionsBoundary"),
    an_alarm_is_one_that_cloudwatch_takes: lambda resources: resources["FailuresAlarm"]["Properties"].update(EvaluationPeriods=1000),
    a_description_fits: lambda resources: resources["SalesOrderPlaceAfter"]["Properties"].update(Description="x" * 257),
    the_processor_is_the_one_that_was_asked_for: lambda resources: resources["SalesOrderPlaceAfter"]["Properties"].update(Architectures=["mips"]),
    a_function_without_traffic_shifting_has_no_hook_and_no_group: lambda resources: resources.pop("SalesOrderPlaceAfterDeploymentGroup"),
    everything_that_is_referred_to_is_there: lambda resources: resources.pop("ErpQueue"),
    nothing_waits_for_itself: lambda resources: resources["ErpDeadLetterQueue"].update(DependsOn="ErpQueue"),
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_a_template_that_aws_refuses_is_found(fact):
    deployment = Deployment(of_environment("prod") | {"PermissionsBoundaryArn": "arn:aws:iam::000000000000:policy/boundary"})
    deployment.resources = copy.deepcopy(deployment.resources)
    assert not list(fact(deployment))
    BREAKS[fact](deployment.resources)
    if fact is a_function_without_traffic_shifting_has_no_hook_and_no_group:
        for name in list(deployment.of("AWS::CodeDeploy::DeploymentGroup")):
            deployment.resources.pop(name)
    assert list(fact(deployment))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_linter_takes_what_sam_makes_of_it(number):
    """It knows the schema of each resource type, but of SAM's own types little."""
    bundle = template()
    made = {key: bundle[key] for key in ("AWSTemplateFormatVersion", "Description", "Parameters", "Conditions", "Mappings", "Outputs")}
    made["Resources"] = expanded(**{name: str(value) for name, value in (of_environment("prod") | changed(number)).items()})
    found = [str(one) for one in lint(json.dumps(made, ensure_ascii=False), config=ManualArgs(regions=["eu-west-1"])) if one.rule.id.startswith("E")]
    assert not found
