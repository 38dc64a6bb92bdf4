"""What template.yaml becomes: the plain CloudFormation that SAM makes of it, as AWS would get it."""

import copy
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from audit import WRITTEN
from samcli.lib.cfn_language_extensions import process_template_for_sam_cli
from samtranslator.translator.transform import transform
from stack import ROOT, channels, constant, paths, template

NAMESPACE = "CommerceWebhooks/${AWS::StackName}"
RULES = "s3://code/rules-1"
SHOPPERS = {"SalesOrderPlaceAfter": "PlaceOrder", "CheckoutCartProductAddAfter": "Cart", "SalesQuoteItemSaveBefore": "Cart"}
FUNCTIONS = list(channels().values())
EVERY_CHANNEL = {"HeadlessStock": "true"}


@pytest.fixture(autouse=True)
def region(monkeypatch):
    # Without one, SAM asks AWS's client for it.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@functools.cache
def expanded(rules=RULES, transforms=tuple(template()["Transform"]), **parameters):
    """All resources, after these transforms in their order, with these parameters, and with every channel unless they say otherwise."""
    bundle = template()
    bundle["Globals"]["Function"]["CodeUri"] = "s3://code/functions"
    bundle["Resources"]["Rules"]["Properties"]["ContentUri"] = rules
    values = {name: one.get("Default") for name, one in bundle["Parameters"].items()} | EVERY_CHANNEL | parameters
    values = {name: str(value) for name, value in values.items()}
    assert set(values) == set(bundle["Parameters"]), "a parameter that the template does not have"
    if "AWS::LanguageExtensions" in transforms:
        bundle = with_sub(process_template_for_sam_cli(bundle, values))
    bundle["Transform"] = transforms[-1]
    return transform(copy.deepcopy(bundle), values, SimpleNamespace(load=lambda: {}))["Resources"]


def with_sub(value, inside=False):
    """What the transform that runs here loses: Fn::Sub around a text of which it does not know all."""
    if isinstance(value, dict):
        return {key: with_sub(inner, inside or key == "Fn::Sub") for key, inner in value.items()}
    if isinstance(value, list):
        return [with_sub(inner, inside) for inner in value]
    return {"Fn::Sub": value} if isinstance(value, str) and "${AWS::" in value and not inside else value


def of_type(resources, kind):
    return {name: one for name, one in resources.items() if one["Type"] == kind}


def present(value):
    """A value as it is if every condition holds."""
    if isinstance(value, dict):
        return present(value["Fn::If"][1]) if value.keys() == {"Fn::If"} else {key: present(inner) for key, inner in value.items()}
    return [present(inner) for inner in value] if isinstance(value, list) else value


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


OTHER = {"Architecture": "x86_64", "ForwardBefore": "true", "HeadlessStock": "false", "SignatureSchemes": "rsa,rsa+ims", "ForwardOriginal": "false", "StockWhenUnknown": "refuse"} | {
    "Contract": "strict", "InvalidEvents": "quarantine",
    "Deployment": "Canary10Percent5Minutes", "PreTrafficCheck": "true", "LogLevel": "warn", "LogRetentionDays": 7,
    "DefaultEndpoint": "always", "ImsKeysUrl": "https://ims-na1-stg1.adobelogin.com/ims/keys",
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
    assert set(before) == {f"{name}Aliaslive" for name in FUNCTIONS}
    assert all(before[alias] != after[alias] for alias in before)


def test_without_language_extensions_it_would_not():
    how = {"transforms": ("AWS::Serverless-2016-10-31",)}
    assert versions(**how) == versions(**how, HookTimeoutMs=3000), "the first transform is not needed any more"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_description_fits(name):
    longest = {"SignatureSchemes": "hmac,rsa,ims,hmac+ims,rsa+ims", "EventSource": "x" * template()["Parameters"]["EventSource"]["MaxLength"]}
    longest |= {"KeysPreviousSeconds": 31536000, "KeysRefreshSeconds": 86400, "HookTimeoutMs": 29000, "ForwardOriginal": "false"}
    longest |= {"Contract": "tolerant", "InvalidEvents": "quarantine", "ForwardBefore": "false"}
    longest |= {f"{group}Reserved": 100000 for group in (*SHOPPERS.values(), "Others")}
    assert len(longest["SignatureSchemes"]) == template()["Parameters"]["SignatureSchemes"]["MaxLength"]
    assert len(expanded(**longest)[name]["Properties"]["Description"]) <= 256, "Lambda takes no more"


def test_changed_rules_reach_the_alias():
    before, after = versions(), versions(rules="s3://code/rules-2")
    assert all(before[alias] != after[alias] for alias in before)


def test_routes_call_aliases():
    api = next(iter(of_type(expanded(), "AWS::ApiGatewayV2::Api").values()))
    known = api["Properties"]["Body"]["paths"]
    assert set(known) == {path for channel in channels() for path in paths(channel)}
    for channel, name in channels().items():
        for path in paths(channel):
            (method, route), = present(known[path]).items()
            assert method == "post"
            assert f"{name}Aliaslive" in str(route["x-amazon-apigateway-integration"]["uri"])


HEADLESS = "sales_quote_item_save_before"


@pytest.mark.parametrize("how", [{}, {"Deployment": "Canary10Percent5Minutes", "CartProvisioned": 1}], ids=str)
@pytest.mark.parametrize("switch", ["false", "true"])
def test_the_channel_of_headless_storefronts_is_there_only_if_it_is_switched_on(how, switch):
    name, path, condition = channels()[HEADLESS], f"/webhook/observer.{HEADLESS}", "HasHeadlessStock"
    resources = expanded(**how, HeadlessStock=switch)
    its = {one: resource for one, resource in resources.items() if one.startswith(name)}
    kinds = {"AWS::Lambda::Function", "AWS::IAM::Role", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::Permission"}
    assert {one["Type"] for one in its.values()} == kinds | ({"AWS::CodeDeploy::DeploymentGroup"} if how else set())
    assert {one.get("Condition") for one in its.values()} == {condition}
    # The transform empties a resource whose condition does not hold. SAM then gives it an API of its own, with the same condition.
    own = [one for one, api in of_type(resources, "AWS::ApiGatewayV2::Api").items() if one != "Api"]
    assert own == ([] if switch == "true" else ["ServerlessHttpApi"])
    for one, resource in resources.items():
        if resource.get("Condition") != condition and one != "Api":
            assert not set(mentioned(resource)) & {*its, *own}, one
        elif one.startswith("ServerlessHttpApi"):
            assert resource["Condition"] == condition
    paths = resources["Api"]["Properties"]["Body"]["paths"]
    if switch == "true":
        assert paths[path]["Fn::If"][0] == condition and paths[path]["Fn::If"][2] == {"Ref": "AWS::NoValue"}
    else:
        assert path not in paths
    assert template()["Outputs"][f"{name}Url"]["Condition"] == condition
    assert template()["Parameters"]["HeadlessStock"]["Default"] == "false"


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
        assert properties["MessageRetentionPeriod"] == 14 * 24 * 3600, "as long as SQS keeps anything"
        assert properties["MaximumMessageSize"] == constant("MESSAGE_BYTES_MAX"), "what the functions send"
        if name == "QuarantineQueue":
            assert "RedrivePolicy" not in properties, "to be looked at often makes nothing worse"
        elif not name.endswith("DeadLetterQueue"):
            target = properties["RedrivePolicy"]["deadLetterTargetArn"]
            assert target == {"Fn::GetAtt": [name.replace("Queue", "DeadLetterQueue"), "Arn"]}


def test_each_queue_has_a_policy_of_its_own_that_asks_for_tls():
    resources = expanded()
    policies = [one["Properties"] for one in of_type(resources, "AWS::SQS::QueuePolicy").values()]
    assert sorted(queue["Ref"] for policy in policies for queue in policy["Queues"]) == sorted(of_type(resources, "AWS::SQS::Queue"))
    for policy in policies:
        (queue,) = policy["Queues"]
        (deny,) = policy["PolicyDocument"]["Statement"]
        # SQS refuses a statement with several resources.
        assert deny["Resource"] == {"Fn::GetAtt": [queue["Ref"], "Arn"]}
        assert deny["Effect"] == "Deny" and deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_holds_data_outlives_the_stack():
    # What a first deployment leaves behind when it fails: test_deploy.py.
    resources = expanded()
    holds_data = {*of_type(resources, "AWS::SQS::Queue"), *of_type(resources, "AWS::SecretsManager::Secret")}
    # SAM keeps each version of a function, to which an alias can go back.
    versions = set(of_type(resources, "AWS::Lambda::Version"))
    assert {name for name, one in resources.items() if one.get("DeletionPolicy", "Delete") != "Delete"} == holds_data | versions
    # AWS::LanguageExtensions refuses RetainExceptOnCreate: github.com/aws-cloudformation/cfn-language-discussion/issues/139
    assert {resources[name]["DeletionPolicy"] for name in holds_data} == {"Retain"}
    assert {resources[name]["UpdateReplacePolicy"] for name in holds_data} == {"Retain"}


def test_nothing_ever_replaces_the_merchants_keys():
    """CloudFormation generates a secret again when its GenerateSecretString changes, and the functions then know no key of the shop
    any more. So this is how it has been since the first deployment, and how it stays, whatever the parameters are."""
    written = template()["Resources"]["WebhookKeys"]["Properties"]
    assert written["GenerateSecretString"] == {
        "SecretStringTemplate": '{"public_keys": []}',
        "GenerateStringKey": "hmac_secrets",
        "PasswordLength": 64,
        "ExcludePunctuation": True,
    }
    # A name would be one that a deleted secret still has for days; a content would be written again at each change of it.
    assert set(written) == {"Description", "KmsKeyId", "GenerateSecretString"}
    # Changing its key encrypts what it holds anew.
    assert written["KmsKeyId"] == {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize("parameters", [{}, {"Deployment": "Canary10Percent5Minutes"}], ids=str)
def test_every_role_gets_the_permissions_boundary(parameters):
    boundary = "arn:aws:iam::000000000000:policy/boundary"
    roles = of_type(expanded(**parameters, PermissionsBoundaryArn=boundary), "AWS::IAM::Role")
    assert {name: one["Properties"].get("PermissionsBoundary") for name, one in roles.items()} == dict.fromkeys(roles, boundary)
    assert not any("PermissionsBoundary" in one["Properties"] for one in of_type(expanded(**parameters), "AWS::IAM::Role").values())


DOMAIN = {"DomainName": "webhooks.shop.example", "DomainCertificateArn": "arn:aws:acm:eu-west-1:000000000000:certificate/1"}


def endpoint_is_disabled(resources):
    (api,) = of_type(resources, "AWS::ApiGatewayV2::Api").values()
    (server,) = api["Properties"]["Body"]["servers"]
    return server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]


def test_a_domain_of_ones_own_takes_the_place_of_the_apis_address():
    resources = expanded(**DOMAIN)
    domain, mapping = (resources[name]["Properties"] for name in ("Domain", "DomainMapping"))
    assert domain["DomainName"] == DOMAIN["DomainName"]
    (configuration,) = domain["DomainNameConfigurations"]
    assert configuration == {"CertificateArn": DOMAIN["DomainCertificateArn"], "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    assert mapping == {"ApiId": {"Ref": "Api"}, "DomainName": {"Ref": "Domain"}, "Stage": {"Ref": "ApiApiGatewayDefaultStage"}}
    assert "ApiApiGatewayDefaultStage" in of_type(resources, "AWS::ApiGatewayV2::Stage")
    assert endpoint_is_disabled(resources) is True
    # A shop that still posts to the API's address goes on meanwhile.
    assert endpoint_is_disabled(expanded(**DOMAIN, DefaultEndpoint="always")) is False
    assert endpoint_is_disabled(expanded()) is False
    assert {template()["Resources"][name]["Condition"] for name in ("Domain", "DomainMapping")} == {"HasDomain"}


def test_outputs_name_the_domain_if_there_is_one():
    outputs = template()["Outputs"]
    address = {"Fn::If": ["HasDomain", {"Fn::Sub": "https://${DomainName}"}, {"Fn::GetAtt": ["Api", "ApiEndpoint"]}]}
    assert outputs["WebhooksUrl"]["Value"] == address
    routes = [one["Value"]["Fn::Sub"] for one in outputs.values() if "Fn::Sub" in one["Value"] and "/webhook/" in str(one)]
    assert routes == [[f"${{Url}}{paths(channel)[0]}", {"Url": address}] for channel in channels()]


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


def test_neither_an_alarm_nor_the_dashboard_lists_the_functions():
    """So that one more channel changes none of them. CloudWatch takes ten metrics in an alarm."""
    resources = template()["Resources"]
    for name, one in {**of_type(resources, "AWS::CloudWatch::Alarm"), "Dashboard": resources["Dashboard"]}.items():
        assert not set(mentioned(one["Properties"])) & set(FUNCTIONS), name
        assert len([metric for metric in one["Properties"].get("Metrics", []) if "MetricStat" in metric]) <= 10, name


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
    (metric,) = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert (metric["Period"], str(alarm["EvaluationPeriods"]), alarm["ComparisonOperator"]) == (3600, "6", "LessThanThreshold")


def test_an_alarm_on_events_with_issues_is_there_by_parameter():
    assert template()["Parameters"]["AlarmIrregularEvents"]["Default"] == 0
    assert template()["Resources"]["IrregularAlarm"]["Condition"] == "HasAlarmIrregularEvents"
    alarm = expanded(AlarmIrregularEvents=20)["IrregularAlarm"]["Properties"]
    (metric,) = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert (metric["Period"], metric["Stat"], str(alarm["Threshold"])) == (3600, "Sum", "20")
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold" and "Dimensions" not in metric["Metric"]


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


def test_the_dashboard_shows_every_alarm_and_queue():
    shown = str(dashboard())
    resources = template()["Resources"]
    for kind, form in (("AWS::CloudWatch::Alarm", "${%s.Arn}"), ("AWS::SQS::Queue", "${%s.QueueName}")):
        for name in of_type(resources, kind):
            assert form % name in shown or "Condition" in resources[name], name


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
    if queried := re.fullmatch(r'SELECT SUM\((\w+)\) FROM SCHEMA\("%s",([,\w]*)\) GROUP BY \w+' % re.escape(NAMESPACE), expression):
        return [(tuple(queried[2].split(",")), [queried[1]])]
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


def test_the_documents_list_every_parameter_with_its_default():
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/stock.md"))
    for name, parameter in template()["Parameters"].items():
        rows = [line for line in pages.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
        assert len(rows) == 1, f"{name}: one row of a table"
        default = str(parameter["Default"])
        assert (f"`{default}`" in rows[0] or f" {default} " in rows[0]) if default else rows[0].split("|")[2].strip() == "", name


@pytest.fixture
def layer(tmp_path):
    """Builds the layer as `sam build` does, from a copy of the checkout that is always the same: its folder."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    shutil.copytree(ROOT / "functions", tmp_path / "functions")
    numbers = itertools.count()

    def build(**environment):
        folder = tmp_path / f"layer-{next(numbers)}"
        folder.mkdir()
        command = ["make", "--makefile", tmp_path / "Makefile", "build-Rules", f"ARTIFACTS_DIR={folder}"]
        how = {"cwd": tmp_path / "functions", "env": os.environ | environment, "check": True, "capture_output": True, "timeout": 60}
        subprocess.run(command, **how)
        return folder

    return build


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def commit(folder):
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")


def test_the_layer_holds_the_rules_and_the_commit(layer, tmp_path):
    commit(tmp_path)
    built = layer()
    assert {path.parent.name for path in built.glob("*/rules.json")} == set(channels())
    assert (built / "release").read_text().strip() == git(tmp_path, "describe", "--always")


def test_the_same_commit_is_the_same_release(layer, tmp_path):
    (tmp_path / "samconfig.toml").write_text("")
    commit(tmp_path)
    # As it can also begin by chance.
    git(tmp_path, "tag", "--annotate", "1.0", "--message", "first")
    first = (layer() / "release").read_text()
    assert first == "1.0\n"
    (tmp_path / "samconfig.toml").write_text("# Another parameter, which reaches the functions by itself.")
    assert (layer() / "release").read_text() == first, "nothing to deploy is nothing to change"


@pytest.mark.parametrize("checkout", ["clean", "dirty", "none"])
def test_a_retry_is_another_release_than_the_one_that_was_rolled_back(layer, tmp_path, checkout):
    if checkout != "none":
        commit(tmp_path)
    if checkout == "dirty":
        (tmp_path / "Makefile").open("a").write("\n")
    said = [(layer(NEW_RELEASE="1" if checkout == "clean" else "") / "release").read_text() for _ in range(3)]
    assert len(set(said)) == 3
    name = {"clean": r"[0-9a-f]+", "dirty": r"[0-9a-f]+-dirty", "none": "unknown-dirty"}[checkout]
    assert all(re.fullmatch(rf"{name} \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ [0-9a-f]{{16}}\n", one) for one in said), said


def test_the_layer_is_named_after_the_stack():
    (layer,) = of_type(expanded(), "AWS::Lambda::LayerVersion").values()
    assert layer["Properties"]["LayerName"] == {"Fn::Sub": "${AWS::StackName}-rules"}
