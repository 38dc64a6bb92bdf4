"""The routes of a deployed bundle, to which the operator's tools post signed events."""

import json
import os
import threading

import requests

from aws import PATIENCE, boto3_session, described
from bundle import route_of
from hooks import ROUTE
from rest import ROUTE_TIMES, ShopError, host_of, innermost, limited, web_address
from signers import Signers

OPERATIONS = {"success", "exception", "add", "replace", "remove"}
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
    """The routes of a stack, and what signs the events that are posted to them. Several threads may use it."""

    def __init__(self, url, signers, name="the output WebhooksUrl"):
        url = web_address(name, url, "https://….execute-api.eu-west-1.amazonaws.com")
        # Given with a route, it is that of every channel.
        self.url = ROUTE.sub("", url).rstrip("/")
        self._signers = signers
        self._own = threading.local()

    def why_not(self, shop=None):
        """Why no event of the shop can be posted, or None."""
        try:
            self._signers.of(shop)
        except ShopError as error:
            return str(error)
        return None

    def why_nobody(self):
        """Why no event of any shop can be posted, or None."""
        reason = self.why_not()
        return reason if reason and all(map(self.why_not, self._signers.shops())) else None

    def post(self, channel, body, shop=None, **more_headers):
        """The answer, of which the content is read, and the content."""
        host = host_of(self.url)
        headers = {
            "Content-Type": "application/json",
            **self._signers.of(shop).headers(body),
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


def api_of(stack, url=None, environment=os.environ):
    """The routes of the stack, with what signs for its shops. A URL counts instead of the stack's own."""
    store = boto3_session().client("secretsmanager", config=PATIENCE)
    signers = Signers(stack, lambda arn: store.get_secret_value(SecretId=arn).get("SecretString", ""), environment)
    return Api(url, signers, "URL") if url else Api(stack.output("WebhooksUrl"), signers)


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
