"""The whole deployment, as a merchant does it: `make deploy`, from a checkout of its own, into an emulator of AWS.

It is the real `sam build`, for arm64, the default, and the real `sam deploy`. What was deployed runs here under emulation of that
processor, with its own variables, secret and queue: user-mode emulation shows that it starts and does what the other builds do, and
nothing about its speed.

What this does not show, because the emulator does not do it: Lambda running an arm64 function (it starts functions as processes of this
machine), the layer mounted at /opt (the functions here find the built layer's files by RULES_FILE), the routes, which SAM writes as
OpenAPI, the roles' permissions, and a gradual deployment, which is CodeDeploy's. Nothing of it can reach AWS: whatever runs here is told
the emulator's address, credentials that AWS does not know, and no profile.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import audit
import preflight
import pytest
import release
import tomlkit
from botocore.exceptions import ClientError
from checkout import with_own_files
from function import Function
from stack import CREDENTIALS, EVENTS, REGION, ROOT, Stack, channels, machine, replay, sample_keys, sample_requests, template

CHECKOUT = ROOT / "target" / "deploy" / "checkout"
# One for the ERP side and one for the CRM side. The others have the same code but for the channel's own, which the processor does not
# change.
CHANNELS = ["sales_order_place_after", "checkout_cart_product_add_after"]
SAMPLES = [(channel, case, request) for channel, case, request in sample_requests() if channel in CHANNELS]
# Debian's C library for arm64 is there.
EMULATION = () if machine() == "arm64" else ("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu")

# From nothing, the functions take a quarter of an hour to build.
pytestmark = pytest.mark.timeout(9000)


class Deployment(Stack):
    """An emulator with nothing in it but what `make deploy` deploys."""

    def deploy(self):
        check_out()
        self.config = CHECKOUT / "samconfig.toml"
        self.name = tomlkit.parse(self.config.read_text())["default"]["global"]["parameters"]["stack_name"]
        self.make_deploy()

    def make_deploy(self):
        self.run("make", "deploy", "ENV=default", "YES=1")
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in self.described()["Outputs"]}

    def run(self, *command):
        """Runs a command in the checkout. It knows no AWS but the emulator."""
        environment = without("AWS_", "GIT_", "MAKE", "MFLAGS", "SAM_") | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        ended = subprocess.run(
            command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        # The end says why; every test would show the whole again.
        assert ended.returncode == 0, "\n".join(ended.stdout.splitlines()[-50:])

    def described(self):
        return self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]

    def physical(self, logical_id):
        resource = self.client("cloudformation").describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    def configuration(self, channel):
        return self.client("lambda").get_function_configuration(FunctionName=self.physical(channels()[channel]))

    def live(self, channel):
        """The version to which the alias of the routes points."""
        return self.client("lambda").get_alias(FunctionName=self.physical(channels()[channel]), Name="live")["FunctionVersion"]

    def program(self, channel):
        """The function's program, as Lambda would get it."""
        path = self.scratch / channel / "bootstrap"
        if not path.exists():
            code = self.client("lambda").get_function(FunctionName=self.physical(channels()[channel]))["Code"]["Location"]
            with urllib.request.urlopen(code, timeout=60) as response, zipfile.ZipFile(io.BytesIO(response.read())) as package:
                assert package.namelist() == ["bootstrap"]
                path = Path(package.extract("bootstrap", path.parent))
            path.chmod(0o755)
        return path

    def invoke(self, channel, request):
        variables = self.configuration(channel)["Environment"]["Variables"]
        of_this_machine = {
            "RULES_FILE": variables["RULES_FILE"].replace("/opt/", f"{CHECKOUT}/.aws-sam/build/Rules/"),
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.endpoint,
            # The most there is: a busy machine is not late.
            "HOOK_TIMEOUT_MS": str(template()["Parameters"]["HookTimeoutMs"]["MaxValue"]),
            "METRICS_NAMESPACE": audit.NAMESPACE,
        }
        settings = variables | of_this_machine
        with Function(channel, settings.pop("QUEUE_URL"), program=self.program(channel), under=EMULATION, **settings) as function:
            invocation = function.invoke(request)
        assert invocation.answer, invocation.log
        return invocation.answer, invocation.log


def check_out():
    """What is here, as a checkout with a commit of its own, in which nobody's build, settings and rules are. What cargo and the Makefile have
    built and installed is theirs together: cargo finds it fresh, because the files are as old as those here."""
    shutil.rmtree(CHECKOUT, ignore_errors=True)
    shutil.copytree(ROOT, CHECKOUT, symlinks=True, ignore=shutil.ignore_patterns("target", ".venv", ".git", ".aws-sam", "__pycache__"))
    with_own_files(CHECKOUT)
    # With every channel, also those that a deployment leaves out by default.
    config = tomlkit.parse((CHECKOUT / "samconfig.toml").read_text())
    config["default"]["global"]["parameters"]["parameter_overrides"].append("HeadlessStock=true")
    (CHECKOUT / "samconfig.toml").write_text(tomlkit.dumps(config))
    author = {f"GIT_{who}_{what}": "test@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = without("GIT_") | author | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (["init"], ["add", "--all"], ["commit", "--message", "A release"]):
        subprocess.run(["git", *words], cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    for name in ("target", ".venv"):
        (CHECKOUT / name).symlink_to(ROOT / name)


def without(*prefixes):
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@pytest.fixture(scope="module")
def deployment():
    """The stack after its first deployment, with the sample keys in its secret."""
    with Deployment(port=0) as deployed:
        secret = {"SecretId": deployed.outputs["WebhookKeysArn"], "SecretString": sample_keys()}
        deployed.client("secretsmanager").put_secret_value(**secret)
        yield deployed


def test_a_stack_is_deployed_as_samconfig_says(deployment):
    described = deployment.described()
    assert described["StackStatus"] == "CREATE_COMPLETE"
    conditions = {None, "HasHeadlessStock"}
    assert set(deployment.outputs) == {name for name, one in template()["Outputs"].items() if one.get("Condition") in conditions}
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in described["Parameters"]}
    said = tomlkit.parse(deployment.config.read_text())["default"]
    given = dict(one.split("=", 1) for one in said["global"]["parameters"]["parameter_overrides"])
    assert given and given.items() <= parameters.items()
    tags = {f"{one['Key']}={one['Value']}" for one in described["Tags"]}
    assert set(said["deploy"]["parameters"]["tags"]) <= tags


@pytest.mark.parametrize("channel", channels())
def test_a_function_is_deployed_for_arm64(deployment, channel):
    configuration = deployment.configuration(channel)
    assert configuration["Architectures"] == ["arm64"]
    assert configuration["Environment"]["Variables"]["METRICS_NAMESPACE"] == f"CommerceWebhooks/{deployment.name}"
    assert deployment.live(channel) == "1"
    built = CHECKOUT / ".aws-sam" / "build" / channels()[channel] / "bootstrap"
    program = deployment.program(channel)
    assert program.read_bytes() == built.read_bytes()
    assert preflight.machine(program) == preflight.MACHINES["arm64"]
    assert release.wrong_with(program) == []


@pytest.mark.parametrize(("channel", "case", "made"), SAMPLES, ids=[f"{channel}-{case}" for channel, case, _ in SAMPLES])
def test_a_sample_gives_its_answer_and_its_message_on_arm64(deployment, channel, case, made):
    answer, message = replay(deployment, channel, made)
    assert answer == json.loads((EVENTS / channel / f"{case}.answer.json").read_text())
    expected = EVENTS / channel / f"{case}.message.json"
    assert message == (json.loads(expected.read_text()) if expected.exists() else None)


def test_a_stack_is_deployed_again_changed_and_removed(deployment):
    deployment.make_deploy()
    assert deployment.described()["StackStatus"] == "CREATE_COMPLETE", "nothing has changed, so there is no update"

    config = tomlkit.parse(deployment.config.read_text())
    config["default"]["global"]["parameters"]["parameter_overrides"].append("HookTimeoutMs=4000")
    deployment.config.write_text(tomlkit.dumps(config))
    # A parameter alone makes no version here: the emulator does not write its value out, as AWS::LanguageExtensions does. A rule does.
    (CHECKOUT / "functions" / CHANNELS[0] / "rules.json").open("a").write("\n")
    deployment.make_deploy()
    assert deployment.described()["StackStatus"] == "UPDATE_COMPLETE"
    for channel in channels():
        assert deployment.configuration(channel)["Environment"]["Variables"]["HOOK_TIMEOUT_MS"] == "4000"
        assert deployment.live(channel) == "2", "the alias has moved to the new version"

    queues = {deployment.queue(channel) for channel in channels()}
    deployment.run("sam", "delete", "--no-prompts")
    with pytest.raises(ClientError, match="does not exist"):
        deployment.described()
    assert queues <= set(deployment.client("sqs").list_queues()["QueueUrls"]), "with the messages"
