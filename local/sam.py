"""The functions as `sam build` makes them, in containers, with the template's queues in an emulator behind them.

    sam.py invoke      one sample through `sam local invoke`: its answer and its message
    sam.py start-api   the routes on loopback, through `sam local start-api`, until Ctrl-C

They need Docker, or another engine that sam finds: Finch, or what DOCKER_HOST names. What else is given goes to sam. The emulator
listens where containers see this machine: on Linux that is the address of Docker's bridge. Access tokens do not count: IMS's keys
must come over TLS or from the function's own machine.
"""

import argparse
import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import docker.errors
import requests
from samcli.commands.exceptions import UserException
from samcli.local.docker.container_client_factory import ContainerClientFactory
from samcli.yamlhelper import yaml_parse

from stack import CREDENTIALS, EVENTS, REGION, ROOT, STACK_NAME, STATE, Stack, channels, machine, paths, sample_secret, template

IMAGE = f"public.ecr.aws/lambda/provided:al2023-{machine()}"
ARCHITECTURE = ["--parameter-overrides", f"Architecture={machine()}"]
PORT = 3000
SOCKET = "/var/run/docker.sock"
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
# What of it `sam local` shall run.
RUN = BUILT.with_name("local.json")


def invoke(channel, case, more):
    """Runs one sample in a container and shows the answer and the message. True if the function answered."""
    case = case or ("ideal" if (EVENTS / channel / "ideal.request.json").exists() else "default")
    event = EVENTS / channel / f"{case}.request.json"
    if not event.exists():
        cases = sorted(path.name.removesuffix(".request.json") for path in event.parent.glob("*.request.json"))
        raise SystemExit(f"{channel} has no sample {case}, but: {', '.join(cases)}")
    client, host = prepare(channel)
    with Queues(host) as queues, containers(client, queues):
        name = channels()[channel]
        local = sam("local", "invoke", name, "-e", str(event.relative_to(ROOT)), *queues.options(), *more, stdout=subprocess.PIPE)
        with local as process:
            answer = process.communicate()[0].strip()
        print(f"\nAnswer: {answer or 'none'}")
        messages = queues.messages(queues.queue(channel))
        for message in messages:
            print(f"Message in the queue: {json.dumps(message, indent=2, ensure_ascii=False)}")
        if not messages:
            print("No message in the queue.")
    return process.returncode == 0 and '"statusCode"' in answer


def start_api(channel, port, more):
    """Serves the routes until Ctrl-C. True unless sam ends by itself."""
    if occupied(port):
        raise SystemExit(f"port {port} is taken; choose another: make start-api PORT=…")
    client, host = prepare(channel)
    with Queues(host) as queues, containers(client, queues):
        with sam("local", "start-api", "--port", str(port), *queues.options(), *more) as process:
            while process.poll() is None and not occupied(port):
                time.sleep(0.1)
            if process.poll() is None:
                introduce(queues, channel, port)
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
                return False
    return True


def introduce(queues, channel, port):
    built = [channel] if channel else list(channels())
    others = f"or to any other channel: {', '.join(built[1:])}." if built[1:] else "The other channels are not built, and answer 502."
    url = f"http://127.0.0.1:{port}{paths(built[0])[0]}"
    print(f"""
The functions are up. Each request starts a container of its own; ARGS="--warm-containers LAZY" keeps it. Post signed events to

  {url}

{others}
In another terminal, sign and post a sample:

  make send ARGS="events/{built[0]}/default.body.json --timeout-ms 60000 --url {url}"

Queues, for any AWS client with --endpoint-url {queues.endpoint} and the credentials test/test:

  ERP  {queues.outputs["ErpQueueUrl"]}
  CRM  {queues.outputs["CrmQueueUrl"]}

The functions' logs come here. Press Ctrl-C to end it.
""", flush=True)


class Queues(Stack):
    """The emulator with nothing of the template but its queues: the functions are in containers."""

    def __init__(self, container_host):
        """Listens where containers find it."""
        self.container_host = container_host
        super().__init__(keys=sample_secret(), host=container_host if ours(container_host) else "127.0.0.1")

    def deploy(self):
        bundle = template()
        queues = {name: one for name, one in bundle["Resources"].items() if one["Type"] == "AWS::SQS::Queue"}
        outputs = {name: one for name, one in bundle["Outputs"].items() if one["Value"] in [{"Ref": queue} for queue in queues]}
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(StackName=STACK_NAME, TemplateBody=json.dumps({"Resources": queues, "Outputs": outputs}))
        cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def options(self):
        """What `sam local` has to be told: the template's secret and queues are references, which it does not resolve."""
        def chosen(channel):
            queue = self.queue(channel).replace(self.host, self.container_host, 1)
            quarantine = self.outputs["QuarantineQueueUrl"].replace(self.host, self.container_host, 1)
            return {"WEBHOOK_KEYS": self.keys, "WEBHOOK_KEYS_SECRET": "", "QUEUE_URL": queue, "QUARANTINE_QUEUE_URL": quarantine}

        variables = STATE / "env.json"
        variables.write_text(json.dumps({name: chosen(channel) for channel, name in channels().items()}, indent=2))
        return ["--template", str(RUN.relative_to(ROOT)), "--env-vars", str(variables.relative_to(ROOT)), "--skip-pull-image", *ARCHITECTURE]


def prepare(channel):
    """Makes sure of the engine and of Lambda's image, and builds: the engine, and where its containers find this machine."""
    client = engine()
    pull(client)
    host = host_of(client)
    with sam("build", *([channels()[channel]] if channel else []), *ARCHITECTURE) as process:
        process.wait()
    if process.returncode:
        raise SystemExit("sam build failed")
    RUN.write_text(json.dumps(without_inline_code(yaml_parse(BUILT.read_text()))))
    return client, host


def without_inline_code(bundle):
    """The template without functions whose code stands in it: `sam local` cannot run them, but with EAGER would start them."""
    bundle["Resources"] = {
        name: one for name, one in bundle["Resources"].items() if "ZipFile" not in one.get("Properties", {}).get("Code", {})
    }
    return bundle


def engine():
    """The container engine that sam takes."""
    try:
        return ContainerClientFactory.create_client()
    except UserException:
        raise SystemExit(f"sam local needs a container engine: {why_none(os.environ.get('DOCKER_HOST'))}") from None


def why_none(docker_host):
    """Why sam found no engine, and what helps. `docker_host` is what the environment variable holds, if it does."""
    address = docker_host or f"unix://{SOCKET}"
    scheme, _, path = address.partition("://")
    try:
        if scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
            return f"what answers at {path} is none that sam can use"
    except PermissionError:
        return f"you may not use {path}; add yourself to its group (sudo usermod -aG docker $USER), and log in again"
    except OSError:
        pass
    if docker_host:
        return f"none answers at {docker_host}, which DOCKER_HOST names"
    if not shutil.which("docker"):
        return "Docker is not installed (make run does without)"
    return f"Docker is not running, none answers at {path}; start it, or say in DOCKER_HOST where it is (docker context ls)"


def pull(client):
    """Takes care of Lambda's image, so that sam need not look whether there is a newer one at each start."""
    try:
        client.images.get(IMAGE)
        return
    except docker.errors.ImageNotFound:
        print(f"Pulling {IMAGE}, once …", flush=True)
    try:
        client.images.pull(IMAGE)
    except (docker.errors.DockerException, requests.RequestException) as error:
        reason = getattr(error, "explanation", None) or error
        raise SystemExit(f"the image {IMAGE} is not here, and cannot be pulled: {reason}") from None


def host_of(client):
    """Where containers find this machine: at the first address of the bridge, or by the name that engines in a virtual machine
    give to it."""
    virtual = "host.docker.internal"
    try:
        bridge = client.api.inspect_network("bridge")["IPAM"]["Config"][0]
    except docker.errors.NotFound:
        return virtual
    address = bridge.get("Gateway") or str(next(ipaddress.ip_network(bridge["Subnet"]).hosts()))
    return address if ours(address) else virtual


def ours(address):
    """Whether this machine has the address."""
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind((address, 0))
        return True
    return False


def occupied(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def containers(client, queues):
    """In the end, removes the containers that were told a queue of ours: with EAGER, sam starts some twice and forgets the first."""
    try:
        yield
    finally:
        for container in client.containers.list(all=True):
            if any(f"//{queues.container_host}:{queues.port}/" in variable for variable in container.attrs["Config"]["Env"] or []):
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True)


@contextlib.contextmanager
def sam(*words, **how):
    """Runs sam, and in the end lets it tidy up. It has a session of its own, because Ctrl-C would reach it twice,
    and the second one would stop it from doing so."""
    print("\n$ sam", *words, "\n", flush=True)
    # Containers get the credentials that sam has. Real ones must not get there.
    hidden = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
    }
    process = subprocess.Popen(["sam", *words], cwd=ROOT, env=environment, text=True, start_new_session=True, **how)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main():
    how = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(description=__doc__, **how)
    parser.add_argument("command", choices=["invoke", "start-api"])
    parser.add_argument("--channel", choices=list(channels()), help="default: for invoke the first; for start-api all")
    parser.add_argument("--case", help="for invoke: which sample of the channel (default: ideal, or default where there is no ideal)")
    parser.add_argument("--port", type=int, default=PORT, help=f"for start-api: where to listen (default {PORT})")
    arguments, more = parser.parse_known_args()
    # As Ctrl-C does, so that nothing is left running. A shell's background jobs begin with Ctrl-C ignored, and so would sam.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if arguments.command == "invoke":
            done = invoke(arguments.channel or next(iter(channels())), arguments.case, more)
        else:
            done = start_api(arguments.channel, arguments.port, more)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    main()
