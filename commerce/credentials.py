"""The credentials of a shop, which come from the environment only. docs/commerce-credentials.md says how to get each kind."""

from dataclasses import dataclass, field

import requests

from answers import ShopError

GUIDE = "docs/commerce-credentials.md"
WAYS = {
    "a token": ("COMMERCE_TOKEN",),
    "an integration": (
        "COMMERCE_CONSUMER_KEY",
        "COMMERCE_CONSUMER_SECRET",
        "COMMERCE_ACCESS_TOKEN",
        "COMMERCE_ACCESS_TOKEN_SECRET",
    ),
    "Adobe IMS": ("COMMERCE_CLIENT_ID", "COMMERCE_CLIENT_SECRET", "COMMERCE_ORG_ID"),
}
# What names no secret, and may be given beside a token.
PUBLIC = {"COMMERCE_CLIENT_ID", "COMMERCE_ORG_ID"}
# With which the shop gets the tokens of Adobe IMS that it sends with its events: Developer Console OAuth of a hook.
HOOK_OAUTH = {"client_id": "WEBHOOK_OAUTH_CLIENT_ID", "client_secret": "WEBHOOK_OAUTH_CLIENT_SECRET", "org_id": "WEBHOOK_OAUTH_ORG_ID"}
OAUTH_GUIDE = "docs/ims.md"
PRODUCTION, STAGING = "production", "staging"
# No real one is shorter; and to hide one of a letter or two would take these out of every word.
CREDENTIAL_LENGTH_MIN = 6


class Bearer(requests.auth.AuthBase):
    """Sets its header itself: requests would otherwise prefer a ~/.netrc."""

    def __init__(self, token, client=None, organisation=None):
        self._headers = {"Authorization": f"Bearer {token}", "x-api-key": client, "x-gw-ims-org-id": organisation}

    def __call__(self, request):
        request.headers.update({name: value for name, value in self._headers.items() if value})
        return request


def way(environment):
    """How we sign in: exactly one of the ways must be there, and whole."""
    begun = {}
    for name, variables in WAYS.items():
        given = [variable for variable in variables if environment.get(variable)]
        if set(given) - PUBLIC:
            begun[name] = [variable for variable in variables if variable not in given]
    if not begun and any(environment.get(variable) for variable in PUBLIC):
        begun["Adobe IMS"] = [variable for variable in WAYS["Adobe IMS"] if not environment.get(variable)]
    if not begun:
        ways = "; or ".join(", ".join(variables) for variables in WAYS.values())
        raise ShopError(f"no credentials in the environment. Set one of: {ways}.", remedy=f"How to get them: {GUIDE}.")
    if len(begun) > 1:
        raise ShopError(f"credentials for {' and for '.join(begun)} are in the environment; unset all but one.")
    [(name, missing)] = begun.items()
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise ShopError(f"the credentials of {name} are not complete: {enumerated(missing)} {are} missing in the environment.")
    values = tuple(environment[variable] for variable in WAYS[name])
    if not all(value.isascii() and value.isprintable() and value == value.strip() for value in values):
        raise ShopError(
            f"the credentials of {name} hold what none does: spaces or line breaks around them, or letters beyond ASCII."
        )
    short = [variable for variable in WAYS[name] if len(environment[variable]) < CREDENTIAL_LENGTH_MIN]
    if short:
        has = "has" if len(short) == 1 else "have"
        raise ShopError(f"{enumerated(short)} {has} fewer than {CREDENTIAL_LENGTH_MIN} characters, which no real credential has.")
    return name, values


@dataclass(frozen=True)
class HookOauth:
    """The credentials that the hooks of a shop get."""

    client_id: str
    org_id: str
    environment: str
    client_secret: str = field(repr=False)

    @property
    def public(self):
        """All but the client secret, as a hook holds it."""
        return (("client_id", self.client_id), ("environment", self.environment), ("org_id", self.org_id))


def hook_oauth(environment):
    """The credentials for hooks, or None if none are given."""
    given = {name: environment[variable] for name, variable in HOOK_OAUTH.items() if environment.get(variable)}
    if not given:
        return None
    if missing := [variable for name, variable in HOOK_OAUTH.items() if name not in given]:
        are = "is" if len(missing) == 1 else "are"
        raise ShopError(
            f"the credentials for Developer Console OAuth are not complete: {enumerated(missing)} {are} missing in the environment."
        )
    if odd := [HOOK_OAUTH[name] for name, value in given.items() if not (value.isascii() and value.isprintable() and " " not in value)]:
        raise ShopError(f"{enumerated(odd)} must have no spaces, no line breaks, and no letters beyond ASCII.")
    if len(given["client_secret"]) < CREDENTIAL_LENGTH_MIN:
        raise ShopError(f"{HOOK_OAUTH['client_secret']} has fewer than {CREDENTIAL_LENGTH_MIN} characters, which no real one has.")
    chosen = environment.get("WEBHOOK_OAUTH_ENVIRONMENT") or PRODUCTION
    if chosen not in (PRODUCTION, STAGING):
        raise ShopError(f"WEBHOOK_OAUTH_ENVIRONMENT must be {PRODUCTION} or {STAGING}.")
    return HookOauth(environment=chosen, **given)


def with_client_secret(body, oauth):
    """A hook as `subscribe` takes it, with the client secret. Only the request holds it: no plan and no journal."""
    wanted = body.get("developer_console_oauth")
    if not wanted:
        return body
    client = wanted.get("client_id")
    if oauth is None or oauth.client_id != client:
        raise ShopError(f"the client secret of {client} is not in the environment ({HOOK_OAUTH['client_secret']}).")
    return body | {"developer_console_oauth": wanted | {"client_secret": oauth.client_secret}}


def enumerated(names):
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def secret_names():
    return {variable for variables in WAYS.values() for variable in variables} - PUBLIC | {HOOK_OAUTH["client_secret"]}
