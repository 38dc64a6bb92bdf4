"""What would stop a deployment is found before the build: each state of the stack, each thing of the account, and what helps."""

import contextlib
import json
import re
import sys
import threading
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import account as accounts
import arns
import boto3
import botocore.session
import concurrency
import preflight
import pytest
import samconfig
import states
from concurrency import parameters_of
from finding import note
from stack import REGION, ROOT, STACK_NAME, channels, template
from test_deploy import built, look, run

KNOWN = botocore.session.get_session().get_service_model("cloudformation").shape_for("StackStatus").enum
STOPPED = [state for state, finding in states.STATES.items() if finding and finding.stops]
NOTED = [state for state, finding in states.STATES.items() if finding and not finding.stops]


class Altered(ThreadingHTTPServer):
    """AWS as the emulator is, with other answers to some actions: by action, what makes the answer's status and body another."""

    daemon_threads = True

    def __init__(self, endpoint, changes):
        super().__init__(("127.0.0.1", 0), Forward)
        self.endpoint, self.changes = endpoint, changes


class Forward(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def forward(self):
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urllib.request.Request(self.server.endpoint + self.path, content or None, dict(self.headers), method=self.command)
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                status, headers, body = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            status, headers, body = error.code, error.headers, error.read()
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or parse_qs(content.decode("latin-1")).get("Action", [""])[0]
        change = self.server.changes.get(action or urlsplit(self.path).path.strip("/"))
        kind = headers.get("Content-Type", "")
        if change:
            status, kind, body = change(kind, body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    do_GET = do_POST = do_HEAD = do_PUT = forward


@contextlib.contextmanager
def altered(account, **changes):
    with Altered(account["AWS_ENDPOINT_URL"], {name.replace("__", "/"): change for name, change in changes.items()}) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield account | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()


def refuses(said, *parts):
    """Whether that is a refusal which names all of these, in lines that fit a terminal."""
    flat = " ".join(said.replace("\\\n", " ").split())
    assert all(len(line) <= 100 for line in said.splitlines()), said
    assert flat.startswith("make: ") and "Building" not in said and "Traceback" not in said, said
    for part in parts:
        assert part in flat, (part, said)
    return True


# The state of the stack


def test_every_state_of_a_stack_is_known():
    assert set(states.STATES) == set(KNOWN)


@pytest.mark.parametrize("state", [state for state in KNOWN if state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS"])
def test_while_a_stack_changes_no_deployment_begins(state):
    assert state in STOPPED


@pytest.mark.parametrize("state", [state for state, finding in states.STATES.items() if finding])
def test_what_helps_fits_a_terminal_with_long_names_too(state):
    said = str(states.look(state, "commerce-webhooks-of-a-merchant", "ap-southeast-2"))
    assert all(len(line) <= 100 for line in said.splitlines()), said


def in_state(state):
    return lambda kind, body: (200, kind, re.sub(rb"<StackStatus>\w+", f"<StackStatus>{state}".encode(), body))


@pytest.mark.parametrize("state", STOPPED)
def test_a_state_that_takes_no_deployment_is_named_with_the_commands_that_help(account, tmp_path, state):
    with altered(account, DescribeStacks=in_state(state)) as aws:
        code, said = look(tmp_path, aws, [], {}, stack_name=STACK_NAME)
    assert code == 1 and refuses(said, f"({state})")
    commands = [" ".join(one.split()) for one in re.findall(r"^  (aws (?:.*\\\n)*.*)", said, re.MULTILINE)]
    assert commands and all(f"--stack-name {STACK_NAME} --region {REGION}" in one.replace("\\ ", "") for one in commands), said


@pytest.mark.parametrize("state", NOTED)
def test_a_state_that_is_worth_a_word_stops_nothing(account, tmp_path, state):
    with altered(account, DescribeStacks=in_state(state)) as aws:
        code, said = look(tmp_path, aws, [], {}, stack_name=STACK_NAME)
    assert code == 0 and f"({state})" in said and "Building the functions" in said
    assert all(len(line) <= 100 for line in said.splitlines()), said


@pytest.mark.parametrize("state", [state for state, finding in states.STATES.items() if finding is states.READY and state != "DELETE_COMPLETE"])
def test_of_a_stack_that_is_ready_nothing_is_said(account, tmp_path, state):
    with altered(account, DescribeStacks=in_state(state)) as aws:
        code, said = look(tmp_path, aws, [], {}, stack_name=STACK_NAME)
    assert code == 0 and said.startswith(f"Stack {STACK_NAME} in {REGION}"), said


def test_a_state_that_came_later_is_a_note(account, tmp_path):
    with altered(account, DescribeStacks=in_state("HIBERNATING")) as aws:
        code, said = look(tmp_path, aws, [], {}, stack_name=STACK_NAME)
    assert code == 0 and f"The stack {STACK_NAME} is in the state HIBERNATING" in said


def test_the_actions_that_help_are_actions_of_cloudformation():
    waiters = botocore.session.get_session().create_client("cloudformation", region_name=REGION).waiter_names
    operations = {re.sub("(?<!^)(?=[A-Z])", "-", name).lower() for name in KNOWN_OPERATIONS}
    for finding in states.STATES.values():
        for action in finding.commands if finding else ():
            name = action.partition(" --")[0]
            assert name in operations or name.removeprefix("wait ").replace("-", "_") in waiters, action


KNOWN_OPERATIONS = botocore.session.get_session().get_service_model("cloudformation").operation_names


@pytest.mark.parametrize(("state", "answer"), [("UPDATE_COMPLETE", "\n"), ("UPDATE_ROLLBACK_COMPLETE", "1\n")])
def test_after_a_deployment_that_was_rolled_back_comes_another_release(account, state, answer):
    with altered(account, DescribeStacks=in_state(state)) as aws:
        assert run(sys.executable, "local/preflight.py", "--new-release", "prod", **aws) == (0, answer)


def test_the_build_that_was_rolled_back_is_not_deployed_again(account, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "BUILD", tmp_path)
    built(tmp_path, preflight.MACHINES["arm64"])
    (finding,) = preflight.unfit_build({"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}, template(), "arm64")
    assert refuses(str(finding), "BUILT=1 would deploy the release that was rolled back. Leave it out")
    assert list(preflight.unfit_build({"StackStatus": "UPDATE_COMPLETE"}, template(), "arm64")) == []


def test_a_stack_that_cannot_be_protected_is_deployed_all_the_same(account):
    def unprotected(kind, body):
        return 200, kind, body.replace(b"<EnableTerminationProtection>true", b"<EnableTerminationProtection>false")

    with altered(account, UpdateTerminationProtection=denied, DescribeStacks=unprotected) as aws:
        code, said = run(sys.executable, "local/protect.py", "prod", **aws)
    assert code == 0 and said.startswith(f"make: warning: the stack {STACK_NAME} is deployed, and not protected from being deleted")
    assert "(AuthorizationError)" in said and all(len(line) <= 100 for line in said.splitlines()), said
    assert "aws cloudformation update-termination-protection --enable-termination-protection" in said


def test_a_stack_that_is_not_there_is_not_protected(account):
    with altered(account, DescribeStacks=in_state("REVIEW_IN_PROGRESS"), UpdateTerminationProtection=denied) as aws:
        assert run(sys.executable, "local/protect.py", "prod", **aws) == (0, "")


# The bucket of SAM


def test_a_bucket_of_sam_that_is_gone_is_found_before_the_build(stack, account):
    seen = Seen(account)
    assert list(accounts.managed_bucket(seen)) == [], "there is no stack of SAM yet"
    bucket = f"sam-{uuid.uuid4().hex[:8]}"
    resource = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}
    bundle = {"Resources": {"Bucket": resource}, "Outputs": {"SourceBucket": {"Value": {"Ref": "Bucket"}}}}
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(StackName=accounts.MANAGED, TemplateBody=json.dumps(bundle))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=accounts.MANAGED, WaiterConfig={"Delay": 1})
    try:
        assert list(accounts.managed_bucket(seen)) == []
        stack.client("s3").delete_bucket(Bucket=bucket)
        (finding,) = accounts.managed_bucket(seen)
        assert f"lost its bucket {bucket}" in finding.text
        assert refuses(str(finding), f"aws cloudformation delete-stack --stack-name {accounts.MANAGED} --region {REGION}")
    finally:
        cloudformation.delete_stack(StackName=accounts.MANAGED)


class Seen(accounts.Account):
    """The account of the emulator, seen from this process."""

    def __init__(self, given):
        self.session = boto3.Session(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])
        self.endpoint, self.region = given["AWS_ENDPOINT_URL"], REGION

    def client(self, service):
        return self.session.client(service, region_name=REGION, endpoint_url=self.endpoint)


@pytest.mark.parametrize(
    ("state", "said"), [("CREATE_IN_PROGRESS", "is being changed by somebody else."), ("ROLLBACK_COMPLETE", "has no bucket.")]
)
def test_a_stack_of_sam_without_a_bucket_is_refused(account, state, said):
    def described(kind, _):
        stack = f"<member><StackName>{accounts.MANAGED}</StackName><StackStatus>{state}</StackStatus></member>"
        return 200, "text/xml", f"<R><DescribeStacksResult><Stacks>{stack}</Stacks></DescribeStacksResult></R>".encode()

    with altered(account, DescribeStacks=described) as aws:
        (finding,) = accounts.managed_bucket(Seen(aws))
    assert refuses(str(finding), said, f"aws cloudformation {'describe-stacks' if 'PROGRESS' in state else 'wait stack-delete-complete'}")


# Where it goes


UNFIT_NAME = (
    "make: samconfig.toml: stack_name must begin with a letter, and have at most 42 letters, digits and hyphens, so that SQS takes the queues' "
    "names"
)


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ('stack_name = "a"\nregion = "eu-central-1"', 0, "Stack a in eu-central-1, account 000000000000."),
        ("", 1, "make: samconfig.toml: dev.global.parameters has no stack_name"),
        (f'stack_name = "{"a" * 42}"', 0, f"Stack {'a' * 42} in eu-west-1, account 000000000000."),
        *((f'stack_name = "{name}"', 1, UNFIT_NAME) for name in ("a" * 43, "my_stack", "1a")),
    ],
)
def test_what_sam_takes_from_samconfig_counts_here_too(account, tmp_path, lines, code, said):
    (tmp_path / "samconfig.toml").write_text(f"[dev.global.parameters]\n{lines}\n")
    script = "import sys, pathlib; sys.path.insert(0, 'local'); import preflight; preflight.CONFIG = pathlib.Path(sys.argv[1]); "
    result = run(sys.executable, "-c", script + "preflight.main('dev')", tmp_path / "samconfig.toml", **account)
    assert result[0] == code and result[1].splitlines()[0] == said, result


# Concurrency


@pytest.mark.parametrize("group", ["PlaceOrder", "Cart"])
def test_more_provisioned_than_reserved_is_refused(account, tmp_path, group):
    code, said = look(tmp_path, account, [f"{group}Reserved=5", f"{group}Provisioned=6"], {})
    assert code == 1 and refuses(said, f"{group}Provisioned=6 is above {group}Reserved=5")


def test_as_much_provisioned_as_reserved_goes_on(account, tmp_path):
    assert look(tmp_path, account, ["CartReserved=6", "CartProvisioned=6"], {})[0] == 0


def test_each_function_has_a_parameter_that_reserves():
    functions = list(parameters_of(template()))
    assert {name for name, *_ in functions} >= set(channels().values())
    assert {reserved for _, reserved, _ in functions} - {None} == {"PlaceOrderReserved", "CartReserved", "OthersReserved"}
    assert {provisioned for *_, provisioned in functions} - {None} == {"PlaceOrderProvisioned", "CartProvisioned"}


def limits(quota, unreserved):
    said = {"AccountLimit": {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}, "AccountUsage": {}}
    return lambda kind, _: (200, kind, json.dumps(said).encode())


SETTINGS = "2016-08-19__account-settings"
OTHERS = sum(reserved == "OthersReserved" for _, reserved, _ in parameters_of(template()))


@pytest.mark.parametrize(
    ("quota", "unreserved", "parameters", "said"),
    [
        (1000, 1000, ["PlaceOrderReserved=800", "CartReserved=101"], "reserve 901 concurrent executions"),
        (1000, 1000, ["CartReserved=451", "HeadlessStock=true"], "reserve 902 concurrent executions"),
        (1000, 1000, [f"OthersReserved={900 // OTHERS + 1}"], f"reserve {OTHERS * (900 // OTHERS + 1)} concurrent executions"),
        (1000, 400, ["PlaceOrderReserved=301"], "600 are reserved for other functions, and 100 must stay unreserved: that leaves 300"),
        (10, 10, ["PlaceOrderReserved=1"], "The account has 10, of which 0 are reserved for other functions"),
        (10, 10, ["CartProvisioned=1"], "provision 1 that are not reserved"),
        (1000, 1000, ["PlaceOrderReserved=800", "PlaceOrderProvisioned=800", "CartProvisioned=101"], "provision 101 that are not reserved"),
    ],
)
def test_more_than_the_account_has_is_refused(account, tmp_path, quota, unreserved, parameters, said):
    with altered(account, **{SETTINGS: limits(quota, unreserved)}) as aws:
        code, output = look(tmp_path, aws, parameters, {})
    assert code == 1 and refuses(output, said, "aws service-quotas request-service-quota-increase --service-code lambda")


@pytest.mark.parametrize(
    ("quota", "unreserved", "parameters"),
    [
        (1000, 1000, ["PlaceOrderReserved=800", "CartReserved=100"]),
        (1000, 1000, ["PlaceOrderReserved=900", "PlaceOrderProvisioned=450"]),
        (1000, 50, []),
    ],
)
def test_what_the_account_has_is_granted(account, tmp_path, quota, unreserved, parameters):
    with altered(account, **{SETTINGS: limits(quota, unreserved)}) as aws:
        code, output = look(tmp_path, aws, parameters, {})
    assert code == 0 and output.startswith("Stack "), output


def test_what_the_stack_has_reserved_already_is_its_own(stack, account, tmp_path):
    name = f"reserved-{uuid.uuid4().hex[:8]}"
    bundle = {
        "Parameters": {"PlaceOrderReserved": {"Type": "Number", "Default": 0}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}},
    }
    parameters = [{"ParameterKey": "PlaceOrderReserved", "ParameterValue": "500"}]
    stack.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(bundle), Parameters=parameters)
    stack.client("cloudformation").get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    with altered(account, **{SETTINGS: limits(1000, 500)}) as aws:
        assert look(tmp_path, aws, ["PlaceOrderReserved=900"], {}, stack_name=name)[0] == 0
        code, said = look(tmp_path, aws, ["PlaceOrderReserved=901"], {}, stack_name=name)
        assert code == 1 and refuses(said, "0 are reserved for other functions")
    # Whatever else the account has got too little for, this deployment asks for no more than before.
    with altered(account, **{SETTINGS: limits(550, 50)}) as aws:
        assert look(tmp_path, aws, ["PlaceOrderReserved=500"], {}, stack_name=name)[0] == 0


def test_an_account_that_may_run_few_functions_at_once_is_told(account, tmp_path):
    with altered(account, **{SETTINGS: limits(10, 10)}) as aws:
        code, said = look(tmp_path, aws, [], {})
    assert code == 0 and said.startswith("make: This account may run only 10 functions at the same time") and "\nStack " in said
    assert "--desired-value 1000" in said and all(len(line) <= 100 for line in said.splitlines()), said


# What the parameters name


TOPIC, KEY = f"arn:aws:sns:{REGION}:000000000000", f"arn:aws:kms:{REGION}:000000000000:key"
CERTIFICATE = f"arn:aws:acm:{REGION}:000000000000:certificate"


@pytest.fixture
def fitting(stack):
    """A topic and a key with which nothing is wrong."""
    topic = stack.client("sns").create_topic(Name=f"alarms-{uuid.uuid4().hex[:8]}")["TopicArn"]
    return {"AlarmTopicArn": topic, "KmsKeyArn": stack.client("kms").create_key()["KeyMetadata"]["Arn"]}


def test_what_is_there_and_fits_is_not_spoken_of(account, tmp_path, fitting):
    code, said = look(tmp_path, account, [f"{name}={arn}" for name, arn in fitting.items()], {})
    assert code == 0 and said.startswith("Stack "), said


@pytest.mark.parametrize("parameter", ["AlarmTopicArn", "KmsKeyArn"])
def test_another_region_than_the_stacks_is_refused(account, tmp_path, fitting, parameter):
    code, said = look(tmp_path, account, [f"{parameter}={fitting[parameter].replace(REGION, 'us-east-1')}"], {})
    assert code == 1 and refuses(said, f"{parameter} is in us-east-1, and the stack in {REGION}.")


@pytest.mark.parametrize("named", [f"AlarmTopicArn={TOPIC}:gone", f"KmsKeyArn={KEY}/{uuid.UUID(int=7)}"])
def test_what_does_not_exist_is_refused(account, tmp_path, named):
    code, said = look(tmp_path, account, [named], {})
    name, arn = named.split("=")
    assert code == 1 and refuses(said, f"{name} does not exist: {arn}")


def test_what_is_no_arn_of_its_kind_is_refused(account, tmp_path):
    def invalid(kind, _):
        return 400, kind, b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>no</Message></Error></ErrorResponse>"

    with altered(account, GetTopicAttributes=invalid) as aws:
        code, said = look(tmp_path, aws, [f"AlarmTopicArn={TOPIC}:a:b:c"], {})
    assert code == 1 and refuses(said, f"AlarmTopicArn is no ARN of that kind: {TOPIC}:a:b:c")


def test_a_topic_that_cloudwatch_cannot_use_is_refused(stack, account, tmp_path, fitting):
    stack.client("sns").set_topic_attributes(TopicArn=fitting["AlarmTopicArn"], AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
    code, said = look(tmp_path, account, [f"AlarmTopicArn={fitting['AlarmTopicArn']}"], {})
    assert code == 1 and refuses(said, "AlarmTopicArn is encrypted with alias/aws/sns, which CloudWatch cannot use")


def test_a_key_that_cannot_encrypt_is_refused(stack, account, tmp_path, fitting):
    kms = stack.client("kms")
    kms.disable_key(KeyId=fitting["KmsKeyArn"])
    code, said = look(tmp_path, account, [f"KmsKeyArn={fitting['KmsKeyArn']}"], {})
    assert code == 1 and refuses(said, "KmsKeyArn is not enabled but Disabled")
    signs = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    code, said = look(tmp_path, account, [f"KmsKeyArn={signs}"], {})
    assert code == 1 and refuses(said, "KmsKeyArn must be a symmetric key to encrypt and decrypt, not RSA_2048 for SIGN_VERIFY")


def denied(kind, _):
    if "json" in kind:
        return 400, kind, b'{"__type":"AccessDeniedException","message":"no"}'
    return 403, kind, b"<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"


def test_what_may_not_be_looked_at_is_named_and_stops_nothing(account, tmp_path, fitting):
    with altered(account, GetTopicAttributes=denied, DescribeKey=denied) as aws:
        code, said = look(tmp_path, aws, [f"{name}={arn}" for name, arn in fitting.items()], {})
    assert code == 0 and said.splitlines()[:2] == [
        "make: not checked: AlarmTopicArn, whether it can be used (AuthorizationError).",
        "make: not checked: KmsKeyArn, whether it can be used (AccessDeniedException).",
    ], said


# These parameters of the template are looked at here as they are, because a template without them is fine, too.


@pytest.fixture
def certificate(stack):
    return stack.client("acm").request_certificate(DomainName="*.shop.example", SubjectAlternativeNames=["shop.example"])["CertificateArn"]


def found(account, **wanted):
    seen = Seen(account)
    seen.number = "000000000000"
    return [one.text for one in arns.findings(seen, wanted)]


@pytest.mark.parametrize("name", ["hooks.shop.example", "shop.example", "HOOKS.shop.example"])
def test_a_certificate_that_covers_the_name_is_taken(account, certificate, name):
    assert found(account, DomainName=name, DomainCertificateArn=certificate) == []


@pytest.mark.parametrize("name", ["a.hooks.shop.example", "hooks.example", "xshop.example"])
def test_a_certificate_for_another_name_is_refused(account, certificate, name):
    (said,) = found(account, DomainName=name, DomainCertificateArn=certificate)
    assert said == f"DomainCertificateArn is for *.shop.example, shop.example, not for {name}: {certificate}"


def test_a_certificate_that_is_not_issued_is_refused(account, certificate):
    def pending(kind, body):
        return 200, kind, body.replace(b'"ISSUED"', b'"PENDING_VALIDATION"')

    with altered(account, DescribeCertificate=pending) as aws:
        (said,) = found(aws, DomainName="shop.example", DomainCertificateArn=certificate)
    assert said == f"DomainCertificateArn is not issued but PENDING_VALIDATION: {certificate}"


def test_a_domain_and_its_certificate_belong_together(account, certificate):
    for wanted in ({"DomainName": "shop.example"}, {"DomainCertificateArn": certificate}):
        assert found(account, **wanted) == ["DomainName and DomainCertificateArn belong together: set both, or neither."]


def test_a_permissions_boundary_is_a_policy_of_this_account_or_of_aws(stack, account):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    arn = stack.client("iam").create_policy(PolicyName=f"p-{uuid.uuid4().hex[:8]}", PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
    assert found(account, PermissionsBoundaryArn=arn) == []
    assert found(account, PermissionsBoundaryArn=f"{arn}-gone") == [f"PermissionsBoundaryArn does not exist: {arn}-gone"]
    other = arn.replace("000000000000", "111111111111")
    (said,) = found(account, PermissionsBoundaryArn=other)
    assert said.startswith("PermissionsBoundaryArn is a policy of account 111111111111, and the roles are made in 000000000000")


# What the last deployment left


@pytest.fixture(scope="module")
def rolled_out(stack):
    """A stack of its own with an alarm, a function with two versions, and its alias: name of the stack, name of the function."""
    name = f"rolled-{uuid.uuid4().hex[:8]}"
    function = channels()["sales_order_place_after"]
    role = "arn:aws:iam::000000000000:role/none"
    code = {"S3Bucket": "code", "S3Key": "sales_order_place_after"}
    alarm = {"Namespace": "x", "MetricName": "y", "Threshold": 1, "EvaluationPeriods": 1, "Period": 60, "Statistic": "Sum"}
    properties = {"FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role, "Code": code}
    resources = {
        "DeploymentAlarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm | {"ComparisonOperator": "GreaterThanThreshold"}},
        function: {"Type": "AWS::Lambda::Function", "Properties": properties},
        f"{function}Version1": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": function}}},
        f"{function}Aliaslive": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "FunctionName": {"Ref": function},
                "Name": "live",
                "FunctionVersion": {"Fn::GetAtt": [f"{function}Version1", "Version"]},
            },
        },
    }
    declared = {name: {"Type": "String", "Default": str(one["Default"])} for name, one in template()["Parameters"].items()}
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Parameters": declared, "Resources": resources}))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    return name, name


CANARY = "Deployment=Canary10Percent5Minutes"


def ring(stack, name, state):
    alarm = stack.client("cloudformation").describe_stack_resource(StackName=name, LogicalResourceId="DeploymentAlarm")
    stack.client("cloudwatch").set_alarm_state(
        AlarmName=alarm["StackResourceDetail"]["PhysicalResourceId"], StateValue=state, StateReason="test"
    )


def test_no_gradual_deployment_begins_while_its_alarm_rings(stack, account, tmp_path, rolled_out):
    name, _ = rolled_out
    assert look(tmp_path, account, [CANARY], {}, stack_name=name)[0] == 0
    ring(stack, name, "ALARM")
    try:
        code, said = look(tmp_path, account, [CANARY], {}, stack_name=name)
        assert code == 1 and refuses(said, "DeploymentAlarm rings", "set Deployment=AllAtOnce", "RUNBOOK.md, Roll back")
        assert look(tmp_path, account, [], {}, stack_name=name)[0] == 0
    finally:
        ring(stack, name, "OK")


def test_an_alias_that_splits_its_traffic_is_refused_with_the_command_that_ends_it(stack, account, tmp_path, rolled_out):
    name, function = rolled_out
    aws = stack.client("lambda")
    aws.update_function_configuration(FunctionName=function, Description="two")
    two = aws.publish_version(FunctionName=function)["Version"]
    aws.update_alias(FunctionName=function, Name="live", RoutingConfig={"AdditionalVersionWeights": {two: 0.1}})
    try:
        code, said = look(tmp_path, account, [], {}, stack_name=name)
        assert code == 1 and refuses(
            said,
            f"The alias of {function} still splits its traffic (10 % to version {two}, the rest to version 1)",
            f"aws lambda update-alias --region {REGION} --function-name {function} --name live",
            """--routing-config '{"AdditionalVersionWeights":{}}'""",
        )
    finally:
        aws.update_alias(FunctionName=function, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})


def test_an_alias_that_was_moved_by_hand_takes_no_gradual_deployment(stack, account, tmp_path, rolled_out):
    name, function = rolled_out
    aws = stack.client("lambda")
    aws.update_function_configuration(FunctionName=function, Description="three")
    three = aws.publish_version(FunctionName=function)["Version"]
    aws.update_alias(FunctionName=function, Name="live", FunctionVersion=three)
    try:
        code, said = look(tmp_path, account, [CANARY], {}, stack_name=name)
        assert code == 1 and refuses(said, f"was moved by hand to version {three}, and the stack knows version 1", "Deployment=AllAtOnce")
        assert look(tmp_path, account, [], {}, stack_name=name)[0] == 0
    finally:
        aws.update_alias(FunctionName=function, Name="live", FunctionVersion="1")


# What is provisioned


def has(name, value):
    """The stack, as if it had been deployed with another value of this parameter."""
    pattern = rf"(<ParameterKey>{name}</ParameterKey><ParameterValue>)[^<]*"
    return lambda kind, body: (200, kind, re.sub(pattern.encode(), rb"\g<1>" + value.encode(), body))


WARM = "PlaceOrderProvisioned"


def test_what_is_provisioned_is_changed_alone_and_without_a_build(account, tmp_path, rolled_out):
    name, _ = rolled_out
    for parameters, said in [
        ([f"{WARM}=2", CANARY], f"{WARM} cannot change in a gradual deployment. First deploy with Deployment=AllAtOnce"),
        ([f"{WARM}=2", "LogLevel=warn"], f"{WARM} must change alone, and LogLevel would change with it."),
        ([f"{WARM}=2"], f"{WARM} must change alone, and a build makes a new release."),
    ]:
        code, output = look(tmp_path, account, parameters, {}, stack_name=name)
        assert code == 1 and refuses(output, said)
    # At the first deployment there is nothing that it could disturb.
    assert look(tmp_path, account, [f"{WARM}=2"], {})[0] == 0


def test_what_is_provisioned_is_taken_away_before_it_is_deployed(stack, account, tmp_path, rolled_out):
    name, function = rolled_out
    aws = stack.client("lambda")
    aws.put_provisioned_concurrency_config(FunctionName=function, Qualifier="live", ProvisionedConcurrentExecutions=2)
    with altered(account, DescribeStacks=has(WARM, "2")) as before:
        code, said = look(tmp_path, before, [f"{WARM}=0"], {}, stack_name=name)
        assert code == 1 and refuses(
            said,
            f"must be taken away before {WARM}=0 is deployed",
            f"aws lambda delete-provisioned-concurrency-config --region {REGION} --function-name {function} --qualifier live",
        )
        code, said = look(tmp_path, before, [f"{WARM}=2", CANARY], {}, stack_name=name)
        assert code == 0 and "RUNBOOK.md, Keep functions warm" in " ".join(said.split())
        aws.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="live")
        assert look(tmp_path, before, [f"{WARM}=0"], {}, stack_name=name)[0] == 0
        code, said = look(tmp_path, before, [f"{WARM}=2"], {}, stack_name=name)
        assert code == 1 and refuses(said, "somebody took it away", "--provisioned-concurrent-executions 2")


@pytest.mark.parametrize("state", ["IN_PROGRESS", "FAILED"])
def test_what_is_provisioned_and_not_ready_is_waited_for(stack, account, tmp_path, rolled_out, state):
    name, function = rolled_out
    said = {"Status": state, "StatusReason": "FUNCTION_ERROR_INIT_FAILURE"}
    action = f"2019-09-30__functions__{function}__provisioned-concurrency"
    changes = {"DescribeStacks": has(WARM, "2"), action: lambda *_: (200, "application/json", json.dumps(said).encode())}
    with altered(account, **changes) as before:
        code, output = look(tmp_path, before, [f"{WARM}=2"], {}, stack_name=name)
    assert code == 1 and refuses(output, f"is not ready: {state} (FUNCTION_ERROR_INIT_FAILURE)", "--query Status")


# A domain, a hook, a build


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, None),
        ({"DomainName": ""}, {"DomainName": "a.example"}, "the API's own address, which this deployment would switch off"),
        ({"DomainName": ""}, {"DomainName": "a.example", "DefaultEndpoint": "always"}, None),
        ({"DomainName": "a.example"}, {"DomainName": "a.example"}, None),
        ({"DomainName": "a.example", "DefaultEndpoint": "always"}, {"DomainName": "a.example", "DefaultEndpoint": "without-domain"}, None),
        ({"DomainName": "a.example"}, {"DomainName": ""}, "a.example, which this deployment would take away"),
        ({"DomainName": "a.example"}, {"DomainName": "b.example", "DefaultEndpoint": "always"}, "a.example, which this deployment would take away"),
        ({"DomainName": "a.example", "DefaultEndpoint": "always"}, {"DomainName": "b.example", "DefaultEndpoint": "always"}, "make doctor"),
        ({"DomainName": "a.example", "DefaultEndpoint": "always"}, {"DomainName": "", "DefaultEndpoint": "always"}, "make doctor"),
        ({"DomainName": "a.example", "DefaultEndpoint": "always"}, {"DomainName": ""}, "a.example goes away with this deployment"),
        ({"DomainName": "a.example", "DefaultEndpoint": "always"}, {"DomainName": "b.example"}, "the API's own address, which this deployment would"),
    ],
)
def test_no_address_goes_while_the_shop_may_still_post_to_it(before, after, said):
    found = [str(one) for one in arns.moved({"DefaultEndpoint": "without-domain"} | before, {"DefaultEndpoint": "without-domain"} | after)]
    assert len(found) == bool(said)
    assert not said or said in " ".join(found[0].split())


@pytest.mark.parametrize(
    ("name", "how", "stops"),
    [("a" * 25, "Canary10Percent5Minutes", None), ("a" * 26, "Canary10Percent5Minutes", True), ("a" * 26, "AllAtOnce", False)],
)
def test_a_pre_traffic_check_that_would_not_do_what_was_asked_for_is_named(name, how, stops):
    found = list(preflight.unfit_for_the_hook(name, {"Deployment": how}))
    assert [one.stops for one in found] == ([] if stops is None else [stops])


@pytest.mark.parametrize("processor", ["arm64", "x86_64"])
def test_a_build_for_another_processor_is_not_deployed(tmp_path, monkeypatch, processor):
    monkeypatch.setattr(preflight, "BUILD", tmp_path)
    built(tmp_path, preflight.MACHINES[processor])
    (other,) = {"arm64", "x86_64"} - {processor}
    assert list(preflight.unfit_build(None, template(), processor)) == []
    (finding,) = preflight.unfit_build(None, template(), other)
    assert refuses(str(finding), f"BUILT=1 deploys what was built last, and that is not for {other}. Leave it out.")


def test_an_unfinished_build_is_not_deployed(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "BUILD", tmp_path)
    built(tmp_path, preflight.MACHINES["arm64"])
    (tmp_path / list(channels().values())[-1] / "bootstrap").unlink()
    (finding,) = preflight.unfit_build(None, template(), "arm64")
    assert refuses(str(finding), "BUILT=1 deploys what was built last, and not everything is built.")


# What else is found


def test_less_reserved_than_two_warm_versions_need_is_a_note():
    wanted = {"PlaceOrderReserved": "10", "PlaceOrderProvisioned": "6", "CartReserved": "0", "CartProvisioned": "0"}
    (finding,) = concurrency.inconsistent(template(), wanted)
    assert not finding.stops and "PlaceOrderReserved=10 is less than twice PlaceOrderProvisioned=6" in finding.text


def test_a_stack_of_somebody_else_is_not_replaced():
    theirs = {"StackName": "shop", "StackStatus": "UPDATE_COMPLETE", "Outputs": [{"OutputKey": "DatabaseUrl", "OutputValue": "a"}]}
    (finding,) = preflight.foreign(theirs, template())
    assert refuses(str(finding), "There is a stack shop already, and it is not this bundle's")
    ours = theirs | {"Outputs": [*theirs["Outputs"], {"OutputKey": "WebhookKeysArn", "OutputValue": "a"}]}
    assert not list(preflight.foreign(ours, template()))
    assert not list(preflight.foreign(theirs | {"StackStatus": "REVIEW_IN_PROGRESS"}, template()))
    assert not list(preflight.foreign(None, template()))


def test_what_the_stack_keeps_must_fit_the_template_too():
    deployed = {"LogRetentionDays": "4000", "LogLevel": "info", "Gone": "x"}
    (finding,) = preflight.kept_and_unfit(deployed, {}, template()["Parameters"])
    assert refuses(str(finding), "LogRetentionDays must be one of", "The stack has that value; write another into samconfig.toml.")
    assert not list(preflight.kept_and_unfit(deployed, {"LogRetentionDays": "30"}, template()["Parameters"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = [", "samconfig.toml is not TOML"),
        ("[dev]\na = 1\na = 2", "samconfig.toml is not TOML"),
        ("[dev]\nglobal = 5", "dev.global.parameters is not a table"),
        ("[dev.global]\nparameters = 5", "dev.global.parameters is not a table"),
        ('[dev.global.parameters]\nstack_name = ["a"]', "stack_name of dev is not text"),
        ('[dev.global.parameters]\nstack_name = "a"\nregion = 5', "region of dev is not text"),
    ],
)
def test_a_samconfig_of_another_form_is_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "samconfig.toml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        samconfig.sections_of(tmp_path / "samconfig.toml", "dev")
    assert said in str(ended.value) and str(ended.value).startswith("make: ")


@pytest.mark.parametrize("lines", [
    'stack_name = "shop"', 'stack_name="shop"', "stack_name = 'shop'", '\n# the shop\nstack_name = "shop" # was "old"',
    'region = "eu-west-1"\nstack_name = "shop"\n[other.global.parameters]\nstack_name = "THE-OTHER"',
])  # fmt: skip
def test_the_makefile_reads_the_stack_as_the_deployment_does(tmp_path, lines):
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "samconfig.py").write_text((ROOT / "local" / "samconfig.py").read_text())
    (tmp_path / "samconfig.toml").write_text(f"[prod.global.parameters]\n{lines}\n")
    assert run(sys.executable, folder / "samconfig.py", "prod") == (0, "shop\n")


def test_an_answer_that_is_not_aws_s_is_named_in_one_line(account, tmp_path):
    for body in (b"<html>no</html>", b"", b"<R><DescribeStacksResult><Stacks/></DescribeStacksResult></R>"):
        with altered(account, DescribeStacks=lambda kind, _, body=body: (200, kind, body)) as aws:
            code, said = look(tmp_path, aws, [], {})
        assert code == 1 and said.startswith("make: AWS does not show the stack") and said.count("\n") == 1, said


def test_what_others_wrote_cannot_move_the_cursor():
    assert str(note("a\x9b31mb\u202ec")) == "make: a?31mb?c"
