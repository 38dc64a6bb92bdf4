"""The routes of a deployed bundle, to which the operator's tools post signed events."""

import hashlib
import hmac
import json
import threading

import requests

from aws import PATIENCE, boto3_session, described
from bundle import route_of
from hooks import ROUTE
from rest import ROUTE_TIMES, ShopError, host_of, innermost, limited, web_address

OPERATIONS = {"success", "exception", "add", "replace", "remove"}
# As the functions take it.
SECRET_BYTES_MIN = 16
# Numbers stay text: nobody reads them here, and Python refuses very long ones.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


class Stack:
    """What CloudFormation says of the stack."""

    def __init__(self, name):
        self.name, said = name, described(name)
        self._outputs = {one["OutputKey"]: one["OutputValue"] for one in said.get("Outputs", [])}
        self.parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in said.get("Parameters", [])}

    def output(self, name):
        if name not in self._outputs:
            hint = "is it of this project, and deployed since the project has it?"
            raise ShopError(f"the stack {self.name} has no output {name}: {hint}")
        return self._outputs[name]


class Api:
    """The routes of a stack, and the secret that signs what is posted to them. Several threads may use it."""

    def __init__(self, url, secret, name="the output WebhooksUrl"):
        url = web_address(name, url, "https://….execute-api.eu-west-1.amazonaws.com")
        # Given with a route, it is that of every channel.
        self.url = ROUTE.sub("", url).rstrip("/")
        self._secret = secret
        self._own = threading.local()

    def post(self, channel, body, **more_headers):
        """The answer, of which the content is read, and the content."""
        host = host_of(self.url)
        headers = {
            "Content-Type": "application/json",
            "X-Adobe-Signature": hmac.new(self._secret, body, hashlib.sha256).hexdigest(),
            # An event that cannot be used is answered with 422, whatever InvalidEvents says.
            "x-invalid-events": "refuse",
            **more_headers,
        }
        # Without `auth`, requests would add what a ~/.netrc has for the host.
        how = {"timeout": ROUTE_TIMES, "allow_redirects": False, "stream": True, "auth": lambda request: request}
        try:
            with self._session().post(f"{self.url}{route_of(channel)}", body, headers=headers, **how) as answer:
                return answer, limited(answer, host)
        except requests.exceptions.RequestException as error:
            raise ShopError(f"no answer from {host}: {innermost(error)}") from None

    def _session(self):
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        return self._own.session


def api_of(stack, url=None):
    """The routes of the stack, with the first HMAC secret that its functions take. A URL counts instead of the stack's own."""
    if stack.parameters.get("SignatureSchemes", "hmac,rsa") == "rsa":
        raise ShopError(
            f"the functions of {stack.name} take no HMAC (SignatureSchemes=rsa). Deploy with hmac,rsa to send events again"
        )
    store = boto3_session().client("secretsmanager", config=PATIENCE)
    content = store.get_secret_value(SecretId=stack.output("WebhookKeysArn")).get("SecretString", "")
    try:
        secrets = json.loads(content).get("hmac_secrets")
    except (ValueError, AttributeError, RecursionError):
        raise ShopError(f"the secret of {stack.name} is not a JSON object") from None
    # As the functions read it: one text or a list, and line breaks at the end belong to the file that it came from.
    secrets = secrets if isinstance(secrets, list) else [secrets]
    usable = [one.rstrip("\r\n").encode() for one in secrets if isinstance(one, str) and "-----BEGIN" not in one]
    usable = [one for one in usable if len(one) >= SECRET_BYTES_MIN and one.strip()]
    if not usable:
        raise ShopError(f"the secret of {stack.name} has no HMAC secret to sign with. Add one: make keys HMAC=FILE")
    return Api(url, usable[0], "URL") if url else Api(stack.output("WebhooksUrl"), usable[0])


def decoded(content):
    """The JSON of an answer, or None."""
    try:
        return DECODER.decode(content.decode())
    except (ValueError, RecursionError):
        return None


def operations(answer):
    """The operations of an answer with status 200, or nothing if it is something else than operations."""
    names = [one.get("op") if isinstance(one, dict) else None for one in (answer if isinstance(answer, list) else [answer])]
    return names if all(isinstance(name, str) and name in OPERATIONS for name in names) else []
