"""What template.yaml becomes: the plain CloudFormation that SAM makes of it, as AWS would get it."""

import copy
import functools
import json
import re
import subprocess
from types import SimpleNamespace

import pytest
from audit import WRITTEN
from samcli.lib.cfn_language_extensions import process_template_for_sam_cli
from samtranslator.translator.transform import transform
from stack import ROOT, channels, template

NAMESPACE = "CommerceWebhooks/${AWS::StackName}"
RULES = "s3://code/rules-1"
SHOPPERS = {"SalesOrderPlaceAfter": "PlaceOrder", "CheckoutCartProductAddAfter": "Cart"}
FUNCTIONS = list(channels().values())


@pytest.fixture(autouse=True)
def region(monkeypatch):
    # Without one, SAM asks AWS's client for it.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@functools.cache
def expanded(rules=RULES, transforms=tuple(template()["Transform"]), **parameters):
    """All resources, after these transforms in their order, with these parameters."""
    bundle = template()
    bundle["Globals"]["Function"]["CodeUri"] = "s3://code/functions"
    bundle["Resources"]["Rules"]["Properties"]["ContentUri"] = rules
    values = {name: one.get("Default") for name, one in bundle["Parameters"].items()} | parameters
    values = {name: str(value) for name, value in values.items()}
    assert set(values) == set(bundle["Parameters"]), "a parameter that the template does not have"
    if "AWS::LanguageExtensions" in transforms:
        bundle = process_template_for_sam_cli(bundle, values)
    bundle["Transform"] = transforms[-1]
    return transform(copy.deepcopy(bundle), values, SimpleNamespace(load=lambda: {}))["Resources"]


def of_type(resources, kind):
    return {name: one for name, one in resources.items() if one["Type"] == kind}


def versions(**how):
    """The version to which the alias of each function moves."""
    return {
        name: one["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        for name, one in of_type(expanded(**how), "AWS::Lambda::Alias").items()
    }


def mentioned(value):
    """Every resource that a value refers to, by whichever function."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield (inner if isinstance(inner, list) else inner.split("."))[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([A-Za-z]+)", inner if isinstance(inner, str) else inner[0])
            else:
                yield from mentioned(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from mentioned(inner)


def written_out(value, parameters):
    """A value with the parameters in it, which CloudFormation puts in later."""
    if isinstance(value, dict):
        if value.get("Ref") in parameters:
            return parameters[value["Ref"]]
        return {key: written_out(inner, parameters) for key, inner in value.items()}
    return [written_out(inner, parameters) for inner in value] if isinstance(value, list) else value


def what_lambda_keeps(parameters):
    """What makes one version of a function differ from another, to Lambda. Reserved concurrency belongs to no version."""
    resources = expanded(**parameters)
    values = {name: one.get("Default") for name, one in template()["Parameters"].items()} | parameters
    return {
        name: {key: written_out(one, values) for key, one in resources[name]["Properties"].items() if key != "ReservedConcurrentExecutions"}
        for name in FUNCTIONS
    }


OTHER = {"Architecture": "x86_64", "SignatureSchemes": "rsa", "ForwardOriginal": "false", "StockWhenUnknown": "refuse"} | {
    "Contract": "strict", "InvalidEvents": "quarantine",
    "Deployment": "Canary10Percent5Minutes", "PreTrafficCheck": "true", "LogLevel": "warn", "LogRetentionDays": 7,
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:0:alarms", "KmsKeyArn": "arn:aws:kms:eu-west-1:0:key/1",
}


@pytest.mark.parametrize("parameter", template()["Parameters"])
def test_a_parameter_makes_a_new_version_if_and_only_if_lambda_would(parameter):
    # No version: the alias, and with it the shop, goes on with the old value. One that equals the last: the deployment fails.
    default = template()["Parameters"][parameter].get("Default")
    changed = {parameter: OTHER.get(parameter, default + 1 if isinstance(default, int) else "other")}
    if parameter == "Architecture":
        pytest.skip("comes with other code")
    before, after = versions(), versions(**changed)
    kept_before, kept_after = what_lambda_keeps({}), what_lambda_keeps(changed)
    for name in FUNCTIONS:
        alias = f"{name}Aliaslive"
        assert (before[alias] != after[alias]) == (kept_before[name] != kept_after[name]), name


def test_a_changed_timeout_reaches_every_alias():
    before, after = versions(), versions(HookTimeoutMs=3000)
    assert len(before) == 8 and all(before[alias] != after[alias] for alias in before)


def test_without_language_extensions_it_would_not():
    how = {"transforms": ("AWS::Serverless-2016-10-31",)}
    assert versions(**how) == versions(**how, HookTimeoutMs=3000), "the first transform is not needed any more"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_description_fits(name):
    longest = {"SignatureSchemes": "accept-unsigned", "EventSource": "x" * template()["Parameters"]["EventSource"]["MaxLength"]}
    longest |= {"KeysPreviousSeconds": 31536000, "KeysRefreshSeconds": 86400, "HookTimeoutMs": 29000, "ForwardOriginal": "false"}
    longest |= {"Contract": "tolerant", "InvalidEvents": "quarantine"}
    longest |= {f"{group}Reserved": 100000 for group in (*SHOPPERS.values(), "Others")}
    assert len(expanded(**longest)[name]["Properties"]["Description"]) <= 256, "Lambda takes no more"


def test_changed_rules_reach_the_alias():
    before, after = versions(), versions(rules="s3://code/rules-2")
    assert all(before[alias] != after[alias] for alias in before)


def test_routes_call_aliases():
    api = next(iter(of_type(expanded(), "AWS::ApiGatewayV2::Api").values()))
    paths = api["Properties"]["Body"]["paths"]
    assert set(paths) == {f"/webhook/observer.{channel}" for channel in channels()}
    for channel, name in channels().items():
        (method, route), = paths[f"/webhook/observer.{channel}"].items()
        assert method == "post"
        assert f"{name}Aliaslive" in str(route["x-amazon-apigateway-integration"]["uri"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_role_may_do_what_its_function_does_and_nothing_else(name):
    resources = expanded()
    function = resources[name]["Properties"]
    assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    role = resources[f"{name}Role"]["Properties"]
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    own = policy["PolicyDocument"]["Statement"]
    queue = function["Environment"]["Variables"]["QUEUE_URL"]["Ref"]
    assert {(*sorted([one["Action"]] if isinstance(one["Action"], str) else one["Action"]), str(one["Resource"])) for one in own} == {
        ("sqs:GetQueueAttributes", "sqs:SendMessage", str({"Fn::GetAtt": [queue, "Arn"]})),
        ("sqs:SendMessage", str({"Fn::GetAtt": ["QuarantineQueue", "Arn"]})),
        ("secretsmanager:GetSecretValue", str({"Ref": "WebhookKeys"})),
        ("logs:CreateLogStream", "logs:PutLogEvents", str({"Fn::GetAtt": ["FunctionLogs", "Arn"]})),
        # X-Ray knows no smaller resource.
        ("xray:PutTelemetryRecords", "xray:PutTraceSegments", "*"),
    }
    assert function["TracingConfig"] == {"Mode": "Active"}


def test_a_key_of_the_operator_encrypts_queues_secret_logs_and_variables():
    key = "arn:aws:kms:eu-west-1:0:key/1"
    resources = expanded(KmsKeyArn=key)
    for kind, property in [
        ("AWS::SQS::Queue", "KmsMasterKeyId"), ("AWS::SecretsManager::Secret", "KmsKeyId"), ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::Lambda::Function", "KmsKeyArn"),
    ]:
        for name, one in of_type(resources, kind).items():
            if kind != "AWS::Lambda::Function" or "Environment" in one["Properties"]:
                assert one["Properties"][property] == key, name
    for name in FUNCTIONS:
        (policy,) = resources[f"{name}Role"]["Properties"]["Policies"]
        last = policy["PolicyDocument"]["Statement"][-1]
        assert (last["Action"], last["Resource"]) == (["kms:Decrypt", "kms:GenerateDataKey"], key)
    assert not any("SqsManagedSseEnabled" in one["Properties"] for one in of_type(resources, "AWS::SQS::Queue").values())


def test_queues_are_fifo_encrypted_and_have_a_dead_letter_queue():
    resources = expanded()
    queues = of_type(resources, "AWS::SQS::Queue")
    assert len(queues) == 5
    for name, queue in queues.items():
        properties = queue["Properties"]
        assert properties["FifoQueue"] is True
        assert properties["SqsManagedSseEnabled"] is True
        assert queue["DeletionPolicy"] == queue["UpdateReplacePolicy"] == "Retain", "messages outlive the stack"
        assert properties["MessageRetentionPeriod"] == 14 * 24 * 3600, "as long as SQS keeps anything"
        if name == "QuarantineQueue":
            assert "RedrivePolicy" not in properties, "to be looked at often makes nothing worse"
        elif not name.endswith("DeadLetterQueue"):
            target = properties["RedrivePolicy"]["deadLetterTargetArn"]
            assert target == {"Fn::GetAtt": [name.replace("Queue", "DeadLetterQueue"), "Arn"]}
    (policy,) = of_type(resources, "AWS::SQS::QueuePolicy").values()
    (deny,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert deny["Effect"] == "Deny" and deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert set(mentioned(deny["Resource"])) == set(mentioned(policy["Properties"]["Queues"])) == set(queues)


@pytest.mark.parametrize("how", template()["Parameters"]["InvalidEvents"]["AllowedValues"])
def test_the_quarantine_is_there_whatever_becomes_of_invalid_events(how):
    resources = expanded(InvalidEvents=how)
    assert "Condition" not in resources["QuarantineQueue"], "going back to refuse deletes nothing"
    for name in FUNCTIONS:
        variables = resources[name]["Properties"]["Environment"]["Variables"]
        assert variables["QUARANTINE_QUEUE_URL"] == {"Ref": "QuarantineQueue"}
        assert (variables["CONTRACT"], variables["INVALID_EVENTS"]) == ({"Ref": "Contract"}, {"Ref": "InvalidEvents"})
    outputs = template()["Outputs"]
    assert outputs["QuarantineQueueUrl"]["Value"] == {"Ref": "QuarantineQueue"}
    assert outputs["QuarantineQueueArn"]["Value"] == {"Fn::GetAtt": ["QuarantineQueue", "Arn"]}


def test_the_access_log_holds_nothing_that_the_shop_sent():
    stage = next(iter(of_type(expanded(), "AWS::ApiGatewayV2::Stage").values()))["Properties"]
    log = json.loads(stage["AccessLogSettings"]["Format"])
    # Of these only the last is the caller's own choice: its address.
    assert {value.removeprefix("$context.") for value in log.values()} == {
        "requestId", "requestTime", "routeKey", "status", "responseLength", "responseLatency", "integration.status",
        "integrationStatus", "integrationLatency", "error.responseType", "identity.sourceIp",
    }


def test_throttling_is_by_route_and_by_parameter():
    stage = next(iter(of_type(expanded(RequestsPerSecond=7, RequestsBurst=9), "AWS::ApiGatewayV2::Stage").values()))["Properties"]
    settings = stage["DefaultRouteSettings"]
    assert (int(settings["ThrottlingRateLimit"]), int(settings["ThrottlingBurstLimit"])) == (7, 9)


@pytest.mark.parametrize("group", [*SHOPPERS.values(), "Others"])
def test_concurrency_is_reserved_by_parameter(group):
    assert not any("ReservedConcurrentExecutions" in one["Properties"] for one in of_type(expanded(), "AWS::Lambda::Function").values())
    resources = expanded(**{f"{group}Reserved": 50})
    for name in FUNCTIONS:
        reserved = resources[name]["Properties"].get("ReservedConcurrentExecutions")
        assert reserved == ("50" if SHOPPERS.get(name, "Others") == group else None), name


@pytest.mark.parametrize("group", SHOPPERS.values())
def test_copies_are_kept_warm_by_parameter(group):
    assert not any("ProvisionedConcurrencyConfig" in one["Properties"] for one in of_type(expanded(), "AWS::Lambda::Alias").values())
    resources = expanded(**{f"{group}Provisioned": 2})
    for name in FUNCTIONS:
        provisioned = resources[f"{name}Aliaslive"]["Properties"].get("ProvisionedConcurrencyConfig")
        assert provisioned == ({"ProvisionedConcurrentExecutions": "2"} if SHOPPERS.get(name) == group else None), name


def test_all_at_once_needs_no_codedeploy():
    resources = expanded()
    assert not of_type(resources, "AWS::CodeDeploy::DeploymentGroup")
    assert not any("UpdatePolicy" in one for one in of_type(resources, "AWS::Lambda::Alias").values())


@pytest.mark.parametrize("how", [how for how in template()["Parameters"]["Deployment"]["AllowedValues"] if how != "AllAtOnce"])
def test_a_gradual_deployment_watches_an_alarm(how):
    resources = expanded(Deployment=how)
    groups = of_type(resources, "AWS::CodeDeploy::DeploymentGroup")
    assert set(groups) == {f"{name}DeploymentGroup" for name in FUNCTIONS}
    for group in groups.values():
        properties = group["Properties"]
        assert how in str(properties["DeploymentConfigName"])
        assert "DeploymentAlarm" in set(mentioned(properties["AlarmConfiguration"]))
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
    # The groups wait for the alarm, and the API for the groups.
    assert not set(mentioned(resources["DeploymentAlarm"])) & {"Api", *(f"{name}Aliaslive" for name in FUNCTIONS)}


def test_every_way_to_deploy_is_in_the_mapping():
    bundle = template()
    ways = bundle["Parameters"]["Deployment"]["AllowedValues"]
    assert bundle["Mappings"]["Deployments"] == {way: {"Gradual": way != "AllAtOnce"} for way in ways}


@pytest.mark.parametrize("alarm", ["ThrottlesAlarm", "DeploymentAlarm"])
def test_an_alarm_over_all_functions_leaves_none_out(alarm):
    properties = template()["Resources"][alarm]["Properties"]
    assert set(FUNCTIONS) <= set(mentioned(properties["Metrics"]))
    assert len([one for one in properties["Metrics"] if "MetricStat" in one]) <= 10, "CloudWatch takes no more in one alarm"


def test_alarms_tell_the_topic_and_nothing_without_one():
    for name, alarm in of_type(template()["Resources"], "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        # Only one waits for what does not happen.
        assert properties["TreatMissingData"] == ("breaching" if name == "QuietAlarm" else "notBreaching"), name
        if name == "DeploymentAlarm":
            assert "AlarmActions" not in properties, "CodeDeploy is told, not people"
            continue
        told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
        assert properties["AlarmActions"] == properties["OKActions"] == told, name


def test_an_alarm_on_silence_is_there_by_parameter():
    assert template()["Resources"]["QuietAlarm"]["Condition"] == "HasAlarmQuietHours"
    alarm = expanded(AlarmQuietHours=6)["QuietAlarm"]["Properties"]
    assert (alarm["Period"], str(alarm["EvaluationPeriods"]), alarm["ComparisonOperator"]) == (3600, "6", "LessThanThreshold")


def test_an_alarm_on_events_with_issues_is_there_by_parameter():
    assert template()["Parameters"]["AlarmIrregularEvents"]["Default"] == 0
    assert template()["Resources"]["IrregularAlarm"]["Condition"] == "HasAlarmIrregularEvents"
    alarm = expanded(AlarmIrregularEvents=20)["IrregularAlarm"]["Properties"]
    assert (alarm["Period"], alarm["Statistic"], str(alarm["Threshold"])) == (3600, "Sum", "20")
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold" and "Dimensions" not in alarm


def test_the_first_event_in_the_quarantine_rings():
    resources = expanded()
    alarm, dead = (resources[name]["Properties"] for name in ("QuarantineAlarm", "ErpDeadLettersAlarm"))
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["QuarantineQueue", "QueueName"]}}]
    different = {"AlarmDescription", "Dimensions"}
    assert {name: one for name, one in alarm.items() if name not in different} == {
        name: one for name, one in dead.items() if name not in different
    }


def dashboard():
    body = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    numbers = {"SoftTimeoutMs": "1", "HookTimeoutMs": "2", "AlarmAgeSeconds": "3"}
    return json.loads(re.sub(r"\$\{(\w+)\}", lambda match: numbers.get(match[1], match[0]), body))["widgets"]


def test_the_dashboard_shows_every_alarm_function_and_queue():
    shown = str(dashboard())
    resources = template()["Resources"]
    for kind, form in (("AWS::CloudWatch::Alarm", "${%s.Arn}"), ("AWS::Serverless::Function", "${%s}"), ("AWS::SQS::Queue", "${%s.QueueName}")):
        for name in of_type(resources, kind):
            assert form % name in shown or name in ("DeploymentAlarm", "QuietAlarm", "IrregularAlarm"), name


def watched():
    """Every metric of our namespace that an alarm or the dashboard names: the names of its dimensions, and its own."""
    resources = template()["Resources"]
    ours = {"Fn::Sub": NAMESPACE}
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        inner = [one["MetricStat"]["Metric"] for one in properties.get("Metrics", []) if "MetricStat" in one]
        for one in (properties, *inner):
            if one.get("Namespace") == ours:
                yield tuple(dimension["Name"] for dimension in one.get("Dimensions", [])), one["MetricName"]
    for widget in dashboard():
        for first, *others in widget["properties"].get("metrics", []):
            if first == NAMESPACE:
                name, *dimensions = [one for one in others if isinstance(one, str)]
                yield tuple(dimensions[::2]), name
            for dimensions, names in searched(first):
                yield from ((dimensions, name) for name in names)


def searched(first):
    """What an expression of the dashboard searches in our namespace: names of the dimensions, and of the metrics."""
    expression = first["expression"] if isinstance(first, dict) else ""
    found = re.findall(r'\{"%s"([,\w]*)\} MetricName=("\w+"|\([^)]+\))' % re.escape(NAMESPACE), expression)
    assert len(found) == expression.count(NAMESPACE), "a search that this test does not understand"
    return [(tuple(filter(None, dimensions.split(","))), re.findall(r'"(\w+)"', names)) for dimensions, names in found]


def test_alarms_and_dashboard_name_metrics_that_are_written_and_the_dashboard_all_of_them():
    """test_metrics.py holds that what is in WRITTEN is what the functions write."""
    filters = of_type(template()["Resources"], "AWS::Logs::MetricFilter").values()
    changes = [change for one in filters for change in one["Properties"]["MetricTransformations"]]
    assert all(change["MetricNamespace"] == {"Fn::Sub": NAMESPACE} and "Dimensions" not in change for change in changes)
    written = {(dimensions, name) for dimensions, names in WRITTEN.items() for name in names}
    assert set(watched()) == written | {((), change["MetricName"]) for change in changes}


def test_widgets_of_the_dashboard_do_not_overlap():
    taken = {}
    for widget in dashboard():
        for x in range(widget["x"], widget["x"] + widget["width"]):
            for y in range(widget["y"], widget["y"] + widget["height"]):
                assert x < 24 and (x, y) not in taken, widget["properties"]["title"]
                taken[x, y] = widget


def test_the_runbook_says_what_to_do_about_every_alarm_and_about_no_other():
    runbook = (ROOT / "RUNBOOK.md").read_text()
    explained = set(re.findall(r"^### (.*Alarm.*)$", runbook, re.MULTILINE))
    explained = {name for heading in explained for name in heading.split(", ")}
    alarms = of_type(template()["Resources"], "AWS::CloudWatch::Alarm")
    assert explained == set(alarms)
    for name, alarm in alarms.items():
        assert alarm["Properties"]["AlarmDescription"].endswith(f"See RUNBOOK.md, {name}."), name
        listed = [line for line in runbook.splitlines() if line.startswith("| [") and name in line]
        assert len(listed) == 1, f"{name}: one line in the list of all alarms"


def test_the_readme_lists_every_parameter_with_its_default():
    readme = (ROOT / "README.md").read_text()
    for name, parameter in template()["Parameters"].items():
        rows = [line for line in readme.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
        assert len(rows) == 1, f"{name}: one row of a table"
        default = str(parameter["Default"])
        assert (f"`{default}`" in rows[0] or f" {default} " in rows[0]) if default else rows[0].split("|")[2].strip() == "", name


def test_the_layer_holds_the_rules_and_the_commit(tmp_path):
    # As `sam build` calls it, in a copy of functions/.
    command = ["make", "--makefile", ROOT / "Makefile", "build-Rules", f"ARTIFACTS_DIR={tmp_path}"]
    subprocess.run(command, cwd=ROOT / "functions", check=True, capture_output=True)
    assert (tmp_path / "release").read_text().strip(), "a version is never equal to one of another release"
    assert {path.parent.name for path in tmp_path.glob("*/rules.json")} == set(channels())
