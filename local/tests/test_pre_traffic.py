"""The hook that checks a new version before CodeDeploy moves traffic to it: its code out of the template, with stand-ins for CodeDeploy
and Lambda, and the real functions behind them. And what CodeDeploy is told of it by the template."""

import base64
import contextlib
import http.server
import json
import re
import threading
import time
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import botocore.exceptions
import pytest
from function import Function
from shop import request
from stack import CREDENTIALS, REGION, STACK_NAME, Stack, channels, is_metrics, template
from test_template import FUNCTIONS, expanded, mentioned, of_type

PLACED = "sales_order_place_after"
NAME, VERSION, DEPLOYMENT, EXECUTION = "shop-SalesOrderPlaceAfter-1A2B3C", "7", "d-ABCDEF123", "execution-1"
CODE = template()["Resources"]["PreTrafficHook"]["Properties"]["Code"]["ZipFile"]
ATTEMPTS = len(re.search(r"PAUSES_SECONDS = \((.*)\)", CODE)[1].split(","))
PROPERTIES = {"Name": NAME, "Alias": "live", "CurrentVersion": "6", "TargetVersion": VERSION}
APPSPEC = {"version": "0.0", "Resources": [{NAME: {"Type": "AWS::Lambda::Function", "Properties": PROPERTIES}}],
           "Hooks": [{"BeforeAllowTraffic": "shop-PreTrafficHook-4D5E6F"}]}  # fmt: skip
YAML = f"""version: 0.0
Resources:
  - {NAME}:
      Type: AWS::Lambda::Function
      Properties:
        Name: "{NAME}"
        Alias: live
        CurrentVersion: 6
        TargetVersion: {VERSION}
Hooks:
  - BeforeAllowTraffic: shop-PreTrafficHook-4D5E6F
"""
MISSING = {"statusCode": 401, "headers": {"content-type": "application/problem+json"}, "isBase64Encoded": False,
           "body": json.dumps({"type": "urn:commerce-webhooks:signature_missing", "title": "Unverified event", "status": 401})}  # fmt: skip
TOO_MANY = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."}
CRASH = {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: 1 Error: Runtime exited with error: exit status 1"}
GRADUAL = [how for how in template()["Parameters"]["Deployment"]["AllowedValues"] if how != "AllAtOnce"]


@pytest.fixture(autouse=True)
def region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


class Aws(http.server.ThreadingHTTPServer):
    """Stand-ins for CodeDeploy, as its API's model has it, and for Lambda, which answers as `versions` do, one invocation after another."""

    daemon_threads = True

    def __init__(self, appspec=APPSPEC, kind="string", versions=(MISSING,), refused=()):
        super().__init__(("127.0.0.1", 0), Call)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.appspec = appspec if isinstance(appspec, (str, type(None))) else json.dumps(appspec)
        self.kind, self.versions, self.refused = kind, list(versions), refused
        self.reports, self.invocations = [], []

    def handle_error(self, *_):
        pass  # a client that has given up

    def revision(self, **content):
        return {"revisionType": self.kind[0].upper() + self.kind[1:], self.kind: {"sha256": "ab12"} | content}

    def codedeploy(self, operation, given):
        if operation == "GetDeployment":
            assert given == {"deploymentId": DEPLOYMENT}
            # "The content property … in the returned revision is always null."
            return {"deploymentInfo": {"applicationName": "application", "deploymentId": DEPLOYMENT, "revision": self.revision()}}
        if operation == "GetApplicationRevision":
            assert given == {"applicationName": "application", "revision": self.revision()}
            content = {} if self.appspec is None else {"content": self.appspec}
            return {"applicationName": "application", "revision": self.revision(**content)}
        assert operation == "PutLifecycleEventHookExecutionStatus"
        self.reports.append(given)
        return {"lifecycleEventHookExecutionId": given["lifecycleEventHookExecutionId"]}

    def invoke(self, name, version, payload):
        self.invocations.append((name, version, payload))
        answer = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        return answer(payload) if callable(answer) else answer


class Call(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        aws, body = self.server, json.loads(self.rfile.read(int(self.headers["content-length"])))
        target, address = self.headers.get("x-amz-target"), urlsplit(self.path)
        operation = target.rpartition(".")[2] if target else "Invoke"
        headers = {}
        if operation in aws.refused:
            status, answer, headers = 400, {"__type": "AccessDeniedException", "message": "no"}, {"x-amzn-errortype": "AccessDeniedException"}
        elif target:
            status, answer = 200, aws.codedeploy(operation, body)
        else:
            name = re.fullmatch(r"/2015-03-31/functions/(.+)/invocations", unquote(address.path))[1]
            status, answer = 200, aws.invoke(name, parse_qs(address.query)["Qualifier"][0], body)
            headers = {"x-amz-function-error": "Unhandled"} if isinstance(answer, dict) and "errorType" in answer else {}
            if answer == TOO_MANY:
                status, headers = 429, {"x-amzn-errortype": "TooManyRequestsException"}
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for header in {**headers, "content-length": str(len(content))}.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def aws(**how):
    with Aws(**how) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def hook(monkeypatch):
    """Runs the hook's code as Lambda does, with these stand-ins."""

    def run(server, **constants):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        module = {"__name__": "index"}
        exec(compile(CODE, "index.py", "exec"), module)
        module.update({"PAUSES_SECONDS": [0] * ATTEMPTS} | constants)
        module["handler"]({"DeploymentId": DEPLOYMENT, "LifecycleEventHookExecutionId": EXECUTION}, None)

    return run


def report(status):
    return [{"deploymentId": DEPLOYMENT, "lifecycleEventHookExecutionId": EXECUTION, "status": status}]


def problem(capsys):
    """What its log says in the end."""
    *_, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last["deployment"] == DEPLOYMENT and (last["status"] == "Failed") == bool(last["problem"])
    return last["problem"]


@contextlib.contextmanager
def version(**environment):
    """A version of the real function whose queue is out of reach, and a stand-in that invokes it; what came of it is in its `results`."""
    results = []
    with Function(PLACED, "http://127.0.0.1:1/0/erp.fifo", **environment) as function:

        def invoke(payload):
            results.append(function.invoke(payload))
            return results[-1].answer or CRASH

        yield invoke, results


# What it tells CodeDeploy


@pytest.mark.parametrize(
    ("appspec", "kind"),
    [
        (APPSPEC, "string"),
        (json.dumps(APPSPEC, indent=2), "appSpecContent"),
        (YAML, "appSpecContent"),
        (YAML.replace('"', "'"), "string"),
        ({**APPSPEC, "Resources": [{"any": {"Properties": PROPERTIES | {"TargetVersion": f"arn:aws:lambda:{REGION}:0:function:{NAME}:{VERSION}"}}}]}, "string"),
    ],
    ids=["JSON", "JSON-on-lines", "YAML", "YAML-in-quotes", "the-ARN-of-the-version"],
)  # fmt: skip
@pytest.mark.parametrize("schemes", ["hmac,rsa", "accept-unsigned"])
def test_a_version_that_answers_may_have_traffic(hook, capsys, appspec, kind, schemes):
    quarantine = {"INVALID_EVENTS": "quarantine", "QUARANTINE_QUEUE_URL": "http://127.0.0.1:1/0/quarantine.fifo"}
    with version(SIGNATURE_SCHEMES=schemes, **quarantine) as (invoke, results), aws(appspec=appspec, kind=kind, versions=[invoke]) as server:
        hook(server)
        assert server.reports == report("Succeeded")
        assert [one[:2] for one in server.invocations] == [(NAME, VERSION)]
    assert problem(capsys) is None
    (result,) = results
    line = result.line
    assert (line["outcome"], line["level"], line["forwarded"], line["request_id"]) == ("check", "INFO", "no", DEPLOYMENT)
    assert result.metrics == []


def test_its_request_is_one_of_api_gateway_and_can_be_no_event():
    """Even if the version did not know what a check is."""
    with aws() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        module = {}
        exec(compile(CODE, "index.py", "exec"), module)
        assert module["problem_of_one"](NAME, VERSION, DEPLOYMENT) is None
        ((_, _, sent),) = server.invocations
    made = request(PLACED, b"[]")
    assert set(sent) <= set(made) and (sent["version"], sent["isBase64Encoded"]) == (made["version"], False)
    assert abs(sent["requestContext"]["timeEpoch"] / 1000 - time.time()) < 60
    assert not any("signature" in name for name in sent["headers"])
    del sent["headers"]["x-webhook-check"]
    with version(SIGNATURE_SCHEMES="accept-unsigned") as (invoke, results):
        invoke(sent)
    assert (results[0].status, results[0].line["outcome"]) == (400, "not_json")


def test_a_version_that_cannot_read_its_keys_gets_no_traffic(hook, capsys):
    without = {"WEBHOOK_KEYS": None, "WEBHOOK_KEYS_SECRET": "keys", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:1"}
    with version(**without) as (invoke, results), aws(versions=[invoke]) as server:
        hook(server)
        assert server.reports == report("Failed")
    assert problem(capsys) == "it answered with status 503, urn:commerce-webhooks:keys_unavailable"
    assert [one.status for one in results] == [503] * ATTEMPTS


def test_a_version_that_does_not_start_gets_no_traffic(hook, capsys):
    with aws(versions=[CRASH]) as server:
        hook(server)
        assert server.reports == report("Failed") and len(server.invocations) == ATTEMPTS
    assert problem(capsys) == f"it crashed, timed out or did not start: {CRASH['errorMessage']}"


def test_a_version_for_which_there_is_no_room_at_first_may_have_traffic(hook, capsys, monkeypatch):
    """Live traffic can use up what is reserved for a function, or what a new account has."""
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with aws(versions=[TOO_MANY, TOO_MANY, MISSING]) as server:
        hook(server, PAUSES_SECONDS=[0, 5, 15, 30])
        assert server.reports == report("Succeeded") and len(server.invocations) == 3
    assert problem(capsys) is None and [one for one in pauses if one > 1] == [5, 15]


@pytest.mark.parametrize("first", [CRASH, {"statusCode": 504, "body": "{}"}], ids=["timed-out", "out-of-time"])
def test_a_first_invocation_that_fails_is_tried_again(hook, capsys, first):
    with aws(versions=[first, MISSING]) as server:
        hook(server)
        assert server.reports == report("Succeeded") and len(server.invocations) == 2
    assert problem(capsys) is None


def test_a_version_that_says_nothing_is_given_up(hook, capsys):
    released = threading.Event()
    with aws(versions=[lambda _: released.wait(30) and {}]) as server:
        hook(server, ANSWER_SECONDS=0.5)
        released.set()
        assert server.reports == report("Failed") and len(server.invocations) == ATTEMPTS
    assert problem(capsys).startswith("ReadTimeoutError: ")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"statusCode": 200, "body": '{"op":"success"}'}, "it answered with status 200, None"),
        ({"statusCode": 401, "body": '{"type":"about:blank"}'}, "it answered with status 401, about:blank"),
        ({"statusCode": 200, "body": MISSING["body"]}, "it answered with status 200, urn:commerce-webhooks:signature_missing"),
        ({"statusCode": 401, "body": "<html>"}, "JSONDecodeError: "),
        ({"statusCode": 401, "body": "[]"}, "AttributeError: "),
        ({"statusCode": 401}, "KeyError: 'body'"),
        ({"body": MISSING["body"]}, "KeyError: 'statusCode'"),
        ("401", "TypeError: "),
        (b"", "JSONDecodeError: "),
    ],
)
def test_any_other_answer_gets_no_traffic(hook, capsys, answer, said):
    with aws(versions=[answer]) as server:
        hook(server)
        assert server.reports == report("Failed")
    assert problem(capsys).startswith(said)


TWO = {**APPSPEC, "Resources": [*APPSPEC["Resources"], {"b": {"Properties": PROPERTIES | {"Name": "b"}}}]}
WITHOUT = {**APPSPEC, "Resources": [{NAME: {"Properties": {"Name": NAME, "CurrentVersion": "6"}}}]}


@pytest.mark.parametrize("appspec", ["", "{}", "Name: a", TWO, WITHOUT, None], ids=["empty", "none", "half", "two", "no-version", "no-content"])
def test_a_deployment_that_does_not_name_one_version_gets_no_traffic(hook, capsys, appspec):
    with aws(appspec=appspec) as server:
        hook(server)
        assert server.reports == report("Failed") and server.invocations == []
    assert problem(capsys).startswith(("ValueError: the AppSpec does not name one function and one TargetVersion", "KeyError: "))


@pytest.mark.parametrize("operation", ["GetDeployment", "GetApplicationRevision", "Invoke"])
def test_what_aws_refuses_means_no_traffic(hook, capsys, operation):
    with aws(refused=[operation]) as server:
        hook(server)
        assert server.reports == report("Failed")
    assert "AccessDenied" in problem(capsys)


def test_a_report_that_codedeploy_refuses_is_an_error_so_that_lambda_tries_again(hook):
    with aws(refused=["PutLifecycleEventHookExecutionStatus"]) as server, pytest.raises(botocore.exceptions.ClientError):
        hook(server)


def test_all_its_attempts_end_before_its_own_timeout(hook, monkeypatch):
    limits, original = {}, boto3.client

    def client(service, config):
        limits[service] = (config.connect_timeout + config.read_timeout) * config.retries["total_max_attempts"]
        return original(service, config=config)

    monkeypatch.setattr(boto3, "client", client)
    with aws(versions=[CRASH]) as server:
        hook(server)
        calls = {"lambda": len(server.invocations), "codedeploy": 3}
    pauses = sum(map(int, re.search(r"PAUSES_SECONDS = \((.*)\)", CODE)[1].split(",")))
    timeout = template()["Resources"]["PreTrafficHook"]["Properties"]["Timeout"]
    assert sum(limits[service] * number for service, number in calls.items()) + pauses + 20 < timeout
    functions = template()["Globals"]["Function"]["Timeout"]
    assert limits["lambda"] > functions, "a version has all of its own time"


# The template


@pytest.mark.parametrize("how", GRADUAL)
def test_every_gradual_deployment_has_the_hook_by_parameter_and_a_role_of_the_template(how):
    resources = expanded(Deployment=how, PreTrafficCheck="true")
    aliases = of_type(resources, "AWS::Lambda::Alias")
    assert set(aliases) == {f"{name}Aliaslive" for name in FUNCTIONS}
    for alias in aliases.values():
        told = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["BeforeAllowTrafficHook"]
        assert told == {"Fn::If": ["HasPreTrafficHook", {"Ref": "PreTrafficHook"}, {"Ref": "AWS::NoValue"}]}
    conditions = template()["Conditions"]
    assert conditions["HasPreTrafficHook"] == {"Fn::And": [{"Condition": "IsGradual"}, {"Fn::Equals": [{"Ref": "PreTrafficCheck"}, "true"]}]}
    assert {name for name, one in resources.items() if one.get("Condition") == "HasPreTrafficHook"} == {
        "PreTrafficHook", "PreTrafficHookRole", "PreTrafficHookLogs",
    }  # fmt: skip
    assert "CodeDeployServiceRole" not in resources, "SAM makes none, which would have no permissions boundary"
    for group in of_type(resources, "AWS::CodeDeploy::DeploymentGroup").values():
        condition, role, _ = group["Properties"]["ServiceRoleArn"]["Fn::If"]
        assert (condition, role) == ("IsGradual", {"Fn::GetAtt": ["CodeDeployRole", "Arn"]})


def test_all_at_once_has_no_hook():
    resources = expanded(PreTrafficCheck="true")
    assert not any("UpdatePolicy" in one for one in of_type(resources, "AWS::Lambda::Alias").values())
    assert {name for name, one in resources.items() if one.get("Condition") == "IsGradual"} == {"CodeDeployRole", "DeploymentAlarm"}


def test_codedeploy_may_invoke_the_hook_whatever_its_name():
    """AWS's managed policy lets it invoke only functions that are named CodeDeployHook_…, for which the name of a stack may be too long."""
    resources = template()["Resources"]
    assert "FunctionName" not in resources["PreTrafficHook"]["Properties"]
    condition, (policy,), _ = resources["CodeDeployRole"]["Properties"]["Policies"]["Fn::If"]
    assert condition == "HasPreTrafficHook"
    assert policy["PolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": {"Fn::GetAtt": ["PreTrafficHook", "Arn"]}}
    ]


def test_the_hook_may_do_what_it_does_and_nothing_else():
    role = template()["Resources"]["PreTrafficHookRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    allowed = {}
    for one in policy["PolicyDocument"]["Statement"]:
        for action in [one["Action"]] if isinstance(one["Action"], str) else one["Action"]:
            allowed.setdefault(action, []).append(one)
    assert set(allowed) == {
        "codedeploy:GetDeployment", "codedeploy:GetApplicationRevision", "codedeploy:PutLifecycleEventHookExecutionStatus",
        "lambda:InvokeFunction", "logs:CreateLogStream", "logs:PutLogEvents",
    }  # fmt: skip
    (invoke,) = allowed["lambda:InvokeFunction"]
    assert invoke["Resource"]["Fn::Sub"].endswith(":function:${AWS::StackName}-*:*")
    for action, (one, *others) in allowed.items():
        if action.startswith("codedeploy:"):
            assert not others and "${AWS::StackName}-*" in one["Resource"]["Fn::Sub"]
        if action.startswith("logs:"):
            assert one["Resource"] == {"Fn::GetAtt": ["PreTrafficHookLogs", "Arn"]}


@pytest.mark.parametrize("parameters", [{}, {"Deployment": GRADUAL[0]}, {"Deployment": GRADUAL[0], "PreTrafficCheck": "true"}])
def test_no_resource_waits_for_itself(parameters):
    resources = expanded(**parameters)
    needs = {name: set(mentioned(one)) & set(resources) for name, one in resources.items()}
    ready = set()
    while more := {name for name in needs.keys() - ready if needs[name] <= ready}:
        ready |= more
    assert not needs.keys() - ready


# In the emulator


def test_the_deployed_hook_invokes_a_deployed_version():
    with Stack(port=0, parameters={"Deployment": GRADUAL[0], "PreTrafficCheck": "true"}) as stack, aws() as server:
        functions = stack.client("lambda")
        hook = stack.function("PreTrafficHook")
        credentials = {"AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"]}
        endpoints = {"AWS_ENDPOINT_URL_CODEDEPLOY": server.url, "AWS_ENDPOINT_URL_LAMBDA": stack.endpoint, "AWS_DEFAULT_REGION": REGION}
        functions.update_function_configuration(FunctionName=hook, Environment={"Variables": endpoints | credentials})
        for function in channels().values():
            name = stack.function(function).rpartition(":")[2]
            newest = functions.publish_version(FunctionName=name)["Version"]
            server.appspec = json.dumps({"Resources": [{name: {"Properties": {"Name": name, "CurrentVersion": "1", "TargetVersion": newest}}}]})
            event = {"DeploymentId": DEPLOYMENT, "LifecycleEventHookExecutionId": EXECUTION}
            result = functions.invoke(FunctionName=hook, Payload=json.dumps(event).encode(), LogType="Tail")
            log = base64.b64decode(result["LogResult"]).decode()
            assert "FunctionError" not in result and name.startswith(f"{STACK_NAME}-"), log
        assert server.reports == report("Succeeded") * len(channels())
        assert all(not list(stack.take(url)) for output, url in stack.outputs.items() if output.endswith("QueueUrl"))
        assert not any(map(is_metrics, stack.logs()))
