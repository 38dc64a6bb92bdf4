"""What CloudFormation says of a bundle that is deployed, or why it does not, in words for a person."""

import os
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config

from hooks import ROUTE
from rest import ShopError, is_loopback
from text import short

PATIENCE = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})
NO_LOGIN = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.SSOError,
    botocore.exceptions.LoginError,
)
AWAY = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)
# What AWS says to credentials that it does not know, or no longer.
REFUSED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
# What the tools need beside cloudformation:DescribeStacks, by operation.
PERMISSIONS = {
    "StartQuery": "logs:StartQuery",
    "GetQueryResults": "logs:GetQueryResults",
    "FilterLogEvents": "logs:FilterLogEvents",
    "GetSecretValue": "secretsmanager:GetSecretValue",
}


def stack_says(name):
    """The URL of the bundle, and what it was deployed with: its times (None for one that is not said), InvalidEvents and Contract."""
    try:
        stack = described(name)
    except ShopError as error:
        # Whoever only asks the shop needs no AWS.
        raise ShopError(f"{str(error).rstrip('.')}, or give URL=… and HOOK_TIMEOUT_MS=…") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    urls = {ROUTE.sub("", value) for value in outputs.values() if ROUTE.search(value)}
    if len(urls) != 1:
        raise ShopError(f"the stack {name} has no URLs of hooks in its outputs; is it this bundle's?")
    parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    times = {"timeout": "HookTimeoutMs", "soft_timeout": "SoftTimeoutMs"}
    said = {time: int(parameters[key]) if parameters.get(key) else None for time, key in times.items()}
    # A stack that was deployed before there were these two refuses, and knows no third way.
    said |= {"invalid_events": parameters.get("InvalidEvents", "refuse"), "contract": parameters.get("Contract")}
    return reachable(urls.pop()), said | {
        "schemes": parameters.get("SignatureSchemes"),
        "secret": outputs.get("WebhookKeysArn"),
        "forward_before": parameters.get("ForwardBefore"),
        "ims_keys_url": parameters.get("ImsKeysUrl"),
        "outputs": set(outputs),
    }


def reachable(url):
    """The URL of an API, or, of an emulator on this machine, where it serves that API: its outputs name hosts that nobody knows."""
    endpoint = boto3_session().client("cloudformation", config=PATIENCE).meta.endpoint_url
    api, _, host = (urlsplit(url).hostname or "").partition(".")
    if not (is_loopback(urlsplit(endpoint).hostname) and host.startswith("execute-api.")):
        return url
    return f"{endpoint.rstrip('/')}/_aws/execute-api/{api}"


def secret_store():
    """The client for secrets, and whether it is an emulator's on this machine."""
    client = boto3_session().client("secretsmanager", config=PATIENCE)
    return client, is_loopback(urlsplit(client.meta.endpoint_url).hostname)


def boto3_session():
    # boto3 itself reads only AWS_DEFAULT_REGION, and ~/.aws.
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)


def described(name):
    region = None
    try:
        session = boto3_session()
        region = session.region_name
        [stack] = session.client("cloudformation", config=PATIENCE).describe_stacks(StackName=name)["Stacks"]
        return stack
    except botocore.exceptions.ProfileNotFound as error:
        reason = f"~/.aws has no profile {error.kwargs['profile']}, which AWS_PROFILE names. Log in to AWS"
    except botocore.exceptions.NoRegionError:
        reason = f"in which region is the stack {name}? Set AWS_REGION"
    except botocore.exceptions.InvalidRegionError:
        reason = f"{region!r} is no region of AWS. Set AWS_REGION to one"
    except NO_LOGIN as error:
        reason = f"there are no credentials of AWS to ask for the stack {name} with ({type(error).__name__}). Log in to AWS"
    except AWAY as error:
        reason = f"AWS is out of reach in {region} ({type(error).__name__}). Look at the region and the network"
    except botocore.exceptions.ClientError as error:
        reason = refusal(name, region, error.response["Error"])
    except botocore.exceptions.BotoCoreError as error:
        reason = f"the stack {name} cannot be read: {short(str(error))}"
    raise ShopError(reason)


def refusal(name, region, error):
    code = error.get("Code", "")
    if code == "ValidationError" and "does not exist" in error.get("Message", ""):
        return f"there is no stack {name} in {region}. Name another with STACK=…"
    if code in REFUSED:
        return f"AWS does not take the credentials ({code}). Log in to AWS again"
    if code in FORBIDDEN:
        return f"these credentials of AWS may not read the stack {name} (cloudformation:DescribeStacks). Log in with others"
    return f"the stack {name} in {region} cannot be read: AWS says {short(code, 60)}. Name another with STACK=…"


def reason_of(error):
    """What AWS says, or why it was not asked, for a person."""
    if isinstance(error, NO_LOGIN):
        return f"there are no credentials of AWS ({type(error).__name__}). Log in to AWS"
    if isinstance(error, AWAY):
        return f"AWS is out of reach ({type(error).__name__}). Look at the region and the network"
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return f"AWS cannot be asked: {short(str(error))}"
    # The code alone: the message could quote the request.
    code = short(error.response["Error"].get("Code", ""), 60)
    if code in REFUSED:
        return f"AWS does not take the credentials ({code}). Log in to AWS again"
    needed = PERMISSIONS.get(error.operation_name) if code in FORBIDDEN else None
    needed = f" These credentials need {needed}." if needed else ""
    return f"AWS refuses {error.operation_name}: {code}.{needed}"
