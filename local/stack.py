"""The bundle on one machine: template.yaml deployed to an emulator of AWS, with the binaries that cargo built here.

    stack.py logs      show what the functions of a stack that is up have logged, without the metrics
    stack.py samples   replay every request under events/ and write down its answer and message

Everything lives in target/stack/ and listens on loopback only. The functions have no rules, unless they are given: run.py gives them
those in functions/*/rules.json.
"""

import argparse
import atexit
import base64
import contextlib
import copy
import functools
import gzip
import io
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import uuid
import zipfile
from pathlib import Path

import boto3
import botocore.exceptions
from botocore.config import Config
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ROOT / "events"
STATE = ROOT / "target" / "stack"
STACK_NAME = "commerce-webhooks"
REGION = "eu-west-1"
# The emulator takes any credentials; real ones must never reach it.
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
PORT = 4566
BUCKET = "code"
# What the stand-in for IMS says of the shop (ims.py), and what the secret with all samples has.
SAMPLE_CLIENT, SAMPLE_ORG = "commerce-sample-client", "0123456789ABCDEF01234567@AdobeOrg"
SAMPLE_SHOP = "eu"
# Without rules. The rules in functions/*/rules.json are the merchant's, and the tests and samples do not depend on them.
NO_RULES = ROOT / "local" / "no-rules.json"


@functools.cache
def channels():
    """The channels in the order of the template: name -> logical id of the function."""
    resources = template()["Resources"]
    functions = {name: one for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"}
    return {one["Metadata"]["BuildProperties"]["Binary"]: name for name, one in functions.items()}


@functools.cache
def queue_of(channel):
    """The logical id of the queue of a channel."""
    return template()["Resources"][channels()[channel]]["Properties"]["Environment"]["Variables"]["QUEUE_URL"]["Ref"]


def template():
    """The template, to which the caller may do anything."""
    return copy.deepcopy(parsed((ROOT / "template.yaml").read_text()))


@functools.cache
def parsed(text):
    """The template of a text. To parse it takes half a second, and the tests ask for it a thousand times."""
    return yaml_parse(text)


@functools.cache
def shipped():
    """The channels of the bundle itself. The merchant's own ones, which `make channel` made, say so in their manifest."""
    manifests = {channel: tomllib.loads((ROOT / "functions" / channel / "Cargo.toml").read_text()) for channel in channels()}
    return [channel for channel, manifest in manifests.items() if not manifest["package"].get("metadata", {}).get("channel", {}).get("custom")]


@functools.cache
def queued():
    """The channels of the bundle itself whose events go to a queue. Nothing has happened yet when a hook of type before fires."""
    libraries = {channel: (ROOT / "functions" / channel / "src" / "lib.rs").read_text() for channel in shipped()}
    return [channel for channel, library in libraries.items() if "HookType::Before" not in library]


def paths(channel):
    """The paths of the routes of a channel."""
    events = template()["Resources"][channels()[channel]]["Properties"]["Events"].values()
    return [event["Properties"]["Path"] for event in events]


def switches(bundle):
    """The conditions that switch single channels on: name -> the parameter and its value."""
    names = {one["Condition"] for name, one in bundle["Resources"].items() if name in channels().values() and "Condition" in one}
    equal = {name: bundle["Conditions"][name]["Fn::Equals"] for name in names}
    return {name: (parameter["Ref"], value) for name, (parameter, value) in equal.items()}


def merchant_rules(channel):
    """The merchant's rules file of a channel, which is deployed."""
    return ROOT / "functions" / channel / "rules.json"


def example_rules(channel):
    """The example rules of a channel, each with a sample of its name. A merchant copies what fits; the tests read no other rules."""
    return ROOT / "functions" / channel / "examples.json"


def constant(name):
    """The value of a constant in the code of the functions."""
    declared = re.compile(rf"\bconst {name}: \w+ = ([\d_* ]+);")
    (factors,) = [found for path in (ROOT / "shared" / "src").rglob("*.rs") for found in declared.findall(path.read_text())]
    return math.prod(int(factor.replace("_", "")) for factor in factors.split("*"))


def sample_keys(*more_public_keys):
    """The content of the secret: the sample keys, with which everything under events/ is signed."""
    folder = EVENTS / "sample-keys"
    return json.dumps({
        "hmac_secrets": [(folder / "hmac-secret.txt").read_text().strip()],
        "public_keys": [(folder / "public-key.pem").read_text(), *more_public_keys],
    })


def sample_secret():
    """The sample keys with IMS, and with a second shop, which has keys of its own."""
    folder = EVENTS / "sample-keys"
    return json.dumps({
        **json.loads(sample_keys()),
        "ims": {"client_ids": [SAMPLE_CLIENT], "org_ids": [SAMPLE_ORG]},
        "shops": {SAMPLE_SHOP: {
            "hmac_secrets": [(folder / f"{SAMPLE_SHOP}-hmac-secret.txt").read_text().strip()],
            "public_keys": [(folder / f"{SAMPLE_SHOP}-public-key.pem").read_text()],
            "ims": {"client_ids": [f"{SAMPLE_CLIENT}-{SAMPLE_SHOP}"], "org_ids": [SAMPLE_ORG]},
            "source": f"https://{SAMPLE_SHOP}.example",
        }},
    })


def sample_requests():
    """Every sample: channel, case, the API Gateway request."""
    for path in sorted(EVENTS.glob("*/*.request.json")):
        yield path.parent.name, path.name.removesuffix(".request.json"), json.loads(path.read_text())


class Stack:
    """The emulator and the deployed bundle. Use it in a `with`, so that nothing is left running."""

    def __init__(self, port=PORT, keys=None, parameters=None, host="127.0.0.1", rules=lambda channel: NO_RULES, ims_url=None):
        self.host = host
        self.port = free_port(host, port)
        self.endpoint = f"http://{host}:{self.port}"
        # Where it unpacks the functions, some hundred megabytes.
        self.scratch = STATE / f"emulator-{host}-{self.port}"
        self.keys = keys or sample_keys()
        self.parameters = parameters or {}
        # Where a stand-in for IMS serves its keys, over HTTP, which the template does not take.
        self.ims_url = ims_url
        # The rules file of a channel.
        self.rules = rules
        self.outputs = {}

    @functools.cache
    def client(self, service):
        quick = Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=60)
        return boto3.client(service, endpoint_url=self.endpoint, config=quick, **CREDENTIALS)

    def __enter__(self):
        # What one that was killed left there would be taken for this one's.
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        log = (STATE / "emulator.log").open("w")
        environment = {
            **os.environ,
            "BIND_HOST": self.host,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": self.host,
            "AWS_ENDPOINT_URL": self.endpoint,
            "IOT_MTLS_ENABLED": "0",
            "TMPDIR": str(self.scratch),
            "STATE_DIR": str(STATE / "state"),
            "S3_DATA_DIR": str(STATE / "s3"),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        emulator = Path(sys.executable).with_name("ministack")
        self.process = subprocess.Popen([emulator], env=environment, stdout=log, stderr=log, start_new_session=True)
        atexit.register(self.stop)
        try:
            self.wait_until_ready()
            self.deploy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the emulator and the functions that it started, which are of its process group, and removes what it unpacked."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def wait_until_ready(self):
        for _ in range(300):
            if self.process.poll() is not None:
                raise SystemExit(f"the emulator did not start, see {STATE / 'emulator.log'}")
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
                return
            time.sleep(0.1)
        raise SystemExit(f"the emulator is not ready, see {STATE / 'emulator.log'}")

    def deploy(self):
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for channel in channels():
            s3.put_object(Bucket=BUCKET, Key=channel, Body=package(channel))
        # As `sam deploy` does: in the request itself CloudFormation takes no template of this size.
        s3.put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(self.emulated(template())))
        cloudformation = self.client("cloudformation")
        # All channels, also those that are off by default.
        parameters = {"Architecture": machine(), **dict(switches(template()).values()), **self.parameters}
        cloudformation.create_stack(
            StackName=STACK_NAME,
            TemplateURL=f"{self.endpoint}/{BUCKET}/template.json",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
        )
        for _ in range(600):
            stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
            if stack["StackStatus"] != "CREATE_IN_PROGRESS":
                break
            time.sleep(0.1)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
            reasons = [event.get("ResourceStatusReason", "") for event in events if "FAILED" in event["ResourceStatus"]]
            raise SystemExit(f"the deployment failed: {stack['StackStatus']} {reasons}")
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.add_routes()

    def emulated(self, bundle):
        """The template with what the emulator needs otherwise. All else is deployed as it stands."""
        resources = bundle["Resources"]
        for channel, name in channels().items():
            function = resources[name]
            function["Properties"]["CodeUri"] = {"Bucket": BUCKET, "Key": channel}
            variables = function["Properties"]["Environment"]["Variables"]
            variables["RULES_FILE"] = str(self.rules(channel))
            if self.ims_url:
                variables["IMS_KEYS_URL"] = self.ims_url
            del function["Metadata"]
        everywhere = bundle["Globals"]["Function"]
        everywhere["Environment"]["Variables"]["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = self.endpoint
        # The emulator starts functions as processes of this machine and mounts no layers.
        del everywhere["CodeUri"], everywhere["Layers"], resources["Rules"]
        # It has no alarms on metric math: on the first metric instead.
        for alarm in resources.values():
            if alarm["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in alarm["Properties"]:
                first = next(one["MetricStat"] for one in alarm["Properties"].pop("Metrics") if "MetricStat" in one)
                alarm["Properties"] |= {**first["Metric"], "Statistic": first["Stat"], "Period": first["Period"]}
        # The samples are signed with keys that are known in advance.
        secret = resources["WebhookKeys"]["Properties"]
        del secret["GenerateSecretString"]
        secret["SecretString"] = self.keys
        return bundle

    def add_routes(self):
        """SAM writes an API's routes as OpenAPI, which the emulator does not read. Made here from the same template."""
        self.api = self.client("apigatewayv2").get_apis()["Items"][0]["ApiId"]
        self.add_routes_to(self.api)

    def serve_at(self, api):
        """Serves the routes by a second API, too, and posts there. Its id is given: that of the deployed one is another at each start,
        and SAM passes no tags on with which the emulator would let us choose it."""
        gateway = self.client("apigatewayv2")
        self.api = gateway.create_api(Name=api, ProtocolType="HTTP", Tags={"ms-custom-id": api})["ApiId"]
        gateway.create_stage(ApiId=self.api, StageName="$default", AutoDeploy=True)
        self.add_routes_to(self.api)

    def add_routes_to(self, api):
        gateway = self.client("apigatewayv2")
        for name, resource in template()["Resources"].items():
            for event in resource.get("Properties", {}).get("Events", {}).values():
                integration = gateway.create_integration(
                    ApiId=api,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=f"{self.function(name)}:live",
                    PayloadFormatVersion="2.0",
                )
                method, path = event["Properties"]["Method"], event["Properties"]["Path"]
                target = f"integrations/{integration['IntegrationId']}"
                gateway.create_route(ApiId=api, RouteKey=f"{method} {path}", Target=target)

    @functools.cache
    def function(self, logical_id):
        """ARN of a function of the template."""
        stack = self.client("cloudformation").describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=logical_id)
        physical = stack["StackResourceDetail"]["PhysicalResourceId"]
        return f"arn:aws:lambda:{REGION}:000000000000:function:{physical}"

    @property
    def base(self):
        """The address of the emulated gateway, without a route."""
        return f"{self.endpoint}/_aws/execute-api/{self.api}"

    def url(self, channel, path=None):
        """Where the shop would post: a route of the channel at the emulated gateway, by default the first."""
        return f"{self.base}{path or paths(channel)[0]}"

    def post(self, channel, headers, body, path=None):
        """Posts to the gateway: status, body, milliseconds."""
        request = urllib.request.Request(self.url(channel, path), body, headers, method="POST")
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        return status, answer.decode(), (time.monotonic() - started) * 1000

    def configure(self, channel, **variables):
        """Changes environment variables of a function; None takes one away. The next invocation is a cold start. The routes lead to
        the version that was released before."""
        function = {"FunctionName": self.function(channels()[channel])}
        aws = self.client("lambda")
        environment = aws.get_function_configuration(**function)["Environment"]["Variables"] | variables
        kept = {name: value for name, value in environment.items() if value is not None}
        aws.update_function_configuration(**function, Environment={"Variables": kept})

    def release(self, channel, **variables):
        """Changes environment variables of a function, as a deployment does: the routes lead to a new version at once."""
        self.configure(channel, **variables)
        function, aws = {"FunctionName": self.function(channels()[channel])}, self.client("lambda")
        old = aws.get_alias(**function, Name="live")["FunctionVersion"]
        new = aws.publish_version(**function)["Version"]
        aws.update_alias(**function, Name="live", FunctionVersion=new)
        aws.delete_function(**function, Qualifier=old)

    @contextlib.contextmanager
    def copy(self, channel, **variables):
        """A second function of a channel with other environment variables (None takes one away): its ARN, for `invoke`."""
        aws = self.client("lambda")
        original = aws.get_function_configuration(FunctionName=self.function(channels()[channel]))
        environment = original["Environment"]["Variables"] | variables
        copied = aws.create_function(
            FunctionName=f"{channel}-{uuid.uuid4().hex[:12]}",
            Code={"S3Bucket": BUCKET, "S3Key": channel},
            Environment={"Variables": {name: value for name, value in environment.items() if value is not None}},
            **{name: original[name] for name in ("Runtime", "Handler", "Role", "Architectures", "Timeout", "MemorySize")},
        )
        try:
            yield copied["FunctionArn"]
        finally:
            aws.delete_function(FunctionName=copied["FunctionName"])

    def invoke(self, channel, request):
        """Invokes the function of a channel, or a copy of it, as `sam local invoke` would: its answer and its log."""
        arn = channel if channel.startswith("arn:") else self.function(channels()[channel])
        answer, log = self.invoke_once(arn, request)
        # On a busy machine the emulator sometimes misses the last lines; they come with the log of the next invocation. This
        # one reaches nothing but the log.
        for _ in range(5):
            if '"message":"answered"' in log:
                break
            late = self.invoke_once(arn, {})[1].splitlines()
            log = "\n".join([log, *(text for text in late if '"outcome":"not_a_request"' not in text and not is_metrics(text))])
        return answer, log

    def invoke_once(self, arn, request):
        payload = json.dumps(request).encode()
        result = self.client("lambda").invoke(FunctionName=arn, Payload=payload, LogType="Tail")
        return without_empty(json.loads(result["Payload"].read())), base64.b64decode(result.get("LogResult", "")).decode()

    def logs(self):
        """What the functions have logged so far, oldest first, with the metrics."""
        return logs_of(self.client("logs"))

    def queue(self, channel):
        """URL of the queue of a channel."""
        return self.outputs[f"{queue_of(channel)}Url"]

    def messages(self, queue):
        """Takes all messages out of a queue, and reads them."""
        return [readable(message) for message in self.take(queue)]

    def take(self, queue):
        """Takes all messages out of a queue, as SQS gives them."""
        sqs = self.client("sqs")
        while batch := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in batch:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                yield message


def readable(message):
    """What matters of a message to its consumer, the body as JSON."""
    attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
    body = message["Body"]
    if attributes.get("content-encoding") == "gzip, base64":
        body = gzip.decompress(base64.b64decode(body))
    return {
        "MessageGroupId": message["Attributes"]["MessageGroupId"],
        "MessageDeduplicationId": message["Attributes"]["MessageDeduplicationId"],
        "MessageAttributes": dict(sorted(attributes.items())),
        "MessageBody": json.loads(body),
    }


def package(channel):
    """The binary as Lambda wants it: a zip with an executable named bootstrap."""
    binary = ROOT / "target" / "debug" / channel
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(entry, binary.read_bytes())
    return archive.getvalue()


def machine():
    return "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"


def free_port(host, wanted):
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return probe.getsockname()[1]
    raise SystemExit(f"no free port on {host}")


def without_empty(answer):
    """An answer without the members that lambda_http writes for every function, and in which ours never have a value."""
    return {name: value for name, value in answer.items() if value or name not in ("cookies", "multiValueHeaders")}


def replay(stack, channel, request):
    """What a sample gives: the answer with its body as JSON, and the message, or None."""
    # What others left would be taken for this one's.
    stack.client("sqs").purge_queue(QueueUrl=stack.queue(channel))
    answer, _ = stack.invoke(channel, request)
    answer["body"] = json.loads(answer["body"])
    messages = stack.messages(stack.queue(channel))
    if len(messages) > 1:
        raise SystemExit(f"{channel}: {len(messages)} messages for one event")
    return answer, messages[0] if messages else None


def write_expectations(stack, only=None):
    for channel, case, request in sample_requests():
        if only and channel != only:
            continue
        answer, message = replay(stack, channel, request)
        for kind, content in (("answer", answer), ("message", message)):
            path = EVENTS / channel / f"{case}.{kind}.json"
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        print(f"{channel}/{case}: {answer['statusCode']}{', queued' if message else ''}")


def show_logs(port):
    """What the functions of a stack that is up have logged so far, oldest first. Metrics are for CloudWatch, not for reading."""
    once = Config(retries={"max_attempts": 0})
    try:
        for line in logs_of(boto3.client("logs", endpoint_url=f"http://127.0.0.1:{port}", config=once, **CREDENTIALS)):
            if not is_metrics(line):
                print(line)
    except botocore.exceptions.EndpointConnectionError:
        start = "start it with make run STAY=1, or give PORT=… as make run printed"
        raise SystemExit(f"nothing is up at port {port}; {start}") from None
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        raise SystemExit(f"what answers at port {port} is not the bundle; give PORT=… as make run printed") from None


def logs_of(logs):
    """The functions' own lines, out of CloudWatch Logs."""
    events = []
    for group in logs.describe_log_groups()["logGroups"]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        events += [event for page in pages for event in page["events"]]
    events.sort(key=lambda event: event["timestamp"])
    # The others are Lambda's, about the beginning and the end of an invocation.
    return [event["message"].strip() for event in events if not event["message"].startswith(("INIT_", "START ", "END ", "REPORT "))]


def is_metrics(line):
    """Whether a line out of a log holds metrics for CloudWatch. Each request has two or three beside its line."""
    return line.startswith('{"_aws":')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["samples", "logs"])
    parser.add_argument("--port", type=int, default=PORT, help=f"port on loopback (default {PORT})")
    parser.add_argument("--channel", choices=list(channels()), help="for samples: only those of this channel")
    arguments = parser.parse_args()
    # As Ctrl-C does, so that nothing is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.command == "logs":
        show_logs(arguments.port)
        return
    print("Deploying template.yaml to an emulator of AWS on loopback …", flush=True)
    with Stack(arguments.port) as stack:
        write_expectations(stack, arguments.channel)


if __name__ == "__main__":
    main()
