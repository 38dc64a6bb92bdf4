"""A hook: as webhooks.xml writes it, as the shop's REST endpoints give and take it, and how two of them differ."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from credentials import HOOK_OAUTH, PRODUCTION
from names import METHOD, channel_of, routes_of, usual_type, without_magento
from text import short

# More than any shop has, and few enough to compare and to show.
HOOKS_MAX = 5000
URL_VARIABLE = "{env:COMMERCE_WEBHOOKS_URL}"
ROUTE = re.compile(rf"(?i:/webhook/{METHOD.pattern}(/(before|after))?)$")
TYPES = ("before", "after")
SECOND_ROUTE = re.compile(r"/webhook/plugin\.magento\.([a-z0-9_.]+(/(before|after))?)$")
IDENTITY = ("webhook_method", "webhook_type", "batch_name", "hook_name")
# What a hook says, beside who it is, in the order in which it is shown.
SCALARS = ("url", "method", "timeout", "soft_timeout", "ttl", "required", "fallback_error_message", "priority", "batch_order")
# Of Developer Console OAuth all but the client secret, which the shop gives back encrypted.
OAUTH = ("client_id", "environment", "org_id")
LISTS = {"fields": ("name", "source"), "rules": ("field", "operator", "value"), "headers": ("name", "value")}


# The element developerConsoleOauth in XML.
XML_OAUTH = {"client_id": "clientId", "client_secret": "clientSecret", "org_id": "orgId", "environment": "environment"}


class BadHooks(Exception):
    """What is wrong with a list of hooks, in words for a person."""


@dataclass(frozen=True)
class Hook:
    """What is not given is what the shop takes then."""

    webhook_method: str
    webhook_type: str
    batch_name: str
    hook_name: str
    url: str = ""
    method: str = "POST"
    timeout: int = 0
    soft_timeout: int = 0
    ttl: int = 0
    required: bool = True
    fallback_error_message: str = ""
    priority: int = 0
    batch_order: int = 0
    fields: tuple = ()
    rules: tuple = ()
    headers: tuple = ()
    # With which client the shop gets a token of Adobe IMS for the hook: name and value of each of OAUTH. Never its secret.
    developer_console_oauth: tuple = ()
    # Only XML can switch the check of certificates off, or hold the client secret where a hook can be read.
    verifies_certificates: bool = True
    holds_client_secret: bool = False
    # Its entry in the shop's list, which may say more than is known here.
    listed: dict = field(default=None, compare=False, repr=False)

    @property
    def identity(self):
        """What tells it from other hooks. Both names of a plugin's method are the same one."""
        return identity_of({name: getattr(self, name) for name in IDENTITY})

    @property
    def channel(self):
        """The channel of its event. A method or a type that Commerce does not have is its own name."""
        if not METHOD.fullmatch(self.webhook_method) or self.webhook_type not in TYPES:
            return self.webhook_method.removeprefix("observer.")
        return channel_of(self.webhook_method, self.webhook_type)

    @property
    def routes(self):
        """The paths of the routes of its channel, the first of which is in webhooks.xml."""
        return routes_of(self.webhook_method, self.webhook_type)

    @property
    def address(self):
        """Its URL, to compare it. The routes of both names of a plugin's method are the same one."""
        return SECOND_ROUTE.sub(r"/webhook/plugin.\1", self.url)

    @property
    def is_usual(self):
        """Whether it has the type that its method usually has."""
        return self.webhook_type == usual_type(self.webhook_method)


def identity_of(body):
    return (without_magento(body["webhook_method"]), *(body[name] for name in IDENTITY[1:]))


def channel_in(hook, wanted):
    """The channel of a hook; of a hook of another type than a channel's, the channel of its method."""
    if hook.channel in wanted:
        return hook.channel
    method = without_magento(hook.webhook_method)
    return next((name for name, one in wanted.items() if without_magento(one.webhook_method) == method), hook.channel)


def from_rest(entries):
    """The hooks of the shop's own list. It may leave out anything, write numbers as text, and know more than we do."""
    written = list(entries.values()) if isinstance(entries, dict) else entries
    if not isinstance(written, list) or not all(isinstance(entry, dict) for entry in written):
        raise BadHooks("the shop answered with something else than a list of hooks")
    if len(written) > HOOKS_MAX:
        raise BadHooks(f"the shop has more than {HOOKS_MAX} hooks")
    hooks = []
    for entry in written:
        text = {name: worded(entry[name]) for name in (*IDENTITY, "url", "fallback_error_message") if entry.get(name) is not None}
        if "webhook_method" not in text:
            raise BadHooks("a hook in the shop's list has no webhook_method")
        numbers = {name: number(entry.get(name)) for name in ("timeout", "soft_timeout", "ttl", "priority", "batch_order")}
        hooks.append(
            Hook(
                **dict.fromkeys(IDENTITY, "") | text,
                **numbers,
                method=worded(entry.get("method") or "POST").upper(),
                required=flag(entry.get("required")),
                fields=tuple(
                    (worded(row["name"]), worded(row.get("source") or row["name"]))
                    for row in rows(entry.get("fields"))
                    if row.get("name")
                ),
                rules=tuple(tuple(worded(row.get(part) or "") for part in LISTS["rules"]) for row in rows(entry.get("rules"))),
                headers=tuple(
                    (worded(row["name"]), worded(row.get("value") or "")) for row in rows(entry.get("headers")) if row.get("name")
                ),
                developer_console_oauth=oauth_of(entry.get("developer_console_oauth")),
                listed=entry,
            )
        )
    return hooks


def to_rest(hook):
    """The hook as `subscribe` takes it."""
    body = {name: getattr(hook, name) for name in (*IDENTITY, *SCALARS)}
    for name, parts in LISTS.items():
        if getattr(hook, name):
            body[name] = [dict(zip(parts, row)) for row in getattr(hook, name)]
    if hook.developer_console_oauth:
        # Releases of Commerce that do not know the environment take a hook without it, and the others take it for production.
        usual = ("environment", PRODUCTION)
        body["developer_console_oauth"] = {name: value for name, value in hook.developer_console_oauth if (name, value) != usual}
    return body


def as_listed(hook):
    """The hook as `subscribe` takes it, with what else the shop's list says of it, as the converter of a field."""
    body, listed = to_rest(hook), hook.listed or {}
    for name in LISTS:
        given = [row for row in rows(listed.get(name)) if name == "rules" or row.get("name")]
        if name in body and given:
            body[name] = [more(row) | known for row, known in zip(given, body[name], strict=True)]
    # Nothing about OAuth, whatever its name: it may be the client secret.
    others = {name: value for name, value in more(listed).items() if not name.startswith("developer_console_oauth")}
    body |= {name: value for name, value in others.items() if name not in (*body, *LISTS)}
    try:
        json.dumps(body, allow_nan=False)
    except (ValueError, RecursionError):
        return to_rest(hook)
    return body


def more(entry):
    return {name: value for name, value in entry.items() if value is not None}


def from_xml(text):
    """The hooks of a webhooks.xml."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise BadHooks(f"is not XML: {error}") from None
    hooks = []
    for method in root.iter("method"):
        for batch in method.iter("batch"):
            for hook in kept(batch.iter("hook")):
                oauth, holds_client_secret = oauth_of_xml(hook)
                hooks.append(
                    Hook(
                        webhook_method=method.get("name", ""),
                        webhook_type=method.get("type", ""),
                        batch_name=batch.get("name", ""),
                        batch_order=number(batch.get("order")),
                        hook_name=hook.get("name", ""),
                        url=hook.get("url", ""),
                        method=(hook.get("method") or "POST").upper(),
                        timeout=number(hook.get("timeout")),
                        soft_timeout=number(hook.get("softTimeout")),
                        ttl=number(hook.get("ttl")),
                        required=flag(hook.get("required")),
                        fallback_error_message=hook.get("fallbackErrorMessage", ""),
                        priority=number(hook.get("priority")),
                        fields=tuple(
                            (one.get("name", ""), one.get("source") or one.get("name", "")) for one in kept(hook.iter("field"))
                        ),
                        rules=tuple(tuple(one.get(part, "") for part in LISTS["rules"]) for one in kept(hook.iter("rule"))),
                        headers=tuple(
                            (one.get("name", ""), (one.text or "").strip()) for one in kept(hook.iter("header")) if one.get("name")
                        ),
                        developer_console_oauth=oauth,
                        verifies_certificates=flag(hook.get("sslVerification")),
                        holds_client_secret=holds_client_secret,
                    )
                )
    return hooks


def with_timeouts(text, timeout, soft_timeout):
    """The text of a webhooks.xml with other timeouts."""
    text = re.sub(r'(\stimeout=)"\d*"', rf'\1"{timeout}"', text)
    return re.sub(r'(\ssoftTimeout=)"\d*"', rf'\1"{soft_timeout}"', text)


def with_oauth(text):
    """The text of a webhooks.xml whose hooks take their credentials for Developer Console OAuth from the shop's environment."""
    lines = (f"<{tag}>{{env:{HOOK_OAUTH[name]}}}</{tag}>" for name, tag in XML_OAUTH.items() if name in HOOK_OAUTH)

    def put(found):
        indent = f"{found[1]}    "
        inner = "".join(f"{indent}    {line}\n" for line in written)
        return f"{found[0]}\n{indent}<developerConsoleOauth>\n{inner}{indent}</developerConsoleOauth>"

    written = list(lines)
    return re.sub(r"^([ \t]*)<hook\s[^>]*[^/]>", put, text, flags=re.MULTILINE)


def without_method(text, method, hook_type):
    """The text of a webhooks.xml without the hooks of a method."""
    start = rf'[ \t]*<method name="{re.escape(method)}" type="{re.escape(hook_type)}"'
    return re.sub(rf"{start}.*?</method>\n?", "", text, flags=re.DOTALL)


def for_bundle(hook, url, timeout, soft_timeout):
    """A hook of our webhooks.xml as one bundle wants it."""
    return replace(hook, url=hook.url.replace(URL_VARIABLE, url), timeout=timeout, soft_timeout=soft_timeout)


def difference(old, new):
    """What changes from one hook to another: attribute, what there was, what there will be. Of lists, only what goes and what comes;
    of headers, which may be secret, only the names."""
    changes = []
    for name in SCALARS:
        if name == "url" and old.address == new.address:
            continue
        if getattr(old, name) != getattr(new, name):
            show = shown_url if name == "url" else shown
            changes.append((name, show(getattr(old, name)), show(getattr(new, name))))
    for name in (*LISTS, "developer_console_oauth"):
        before, after = getattr(old, name), getattr(new, name)
        if name == "fields" and not (before and after) and before != after:
            changes.append((name, *(f"these {len(rows)} alone" if rows else "everything" for rows in (before, after))))
            continue
        gone, come = ordered(before, set(before) - set(after)), ordered(after, set(after) - set(before))
        if gone or come:
            changes.append((name, [row_shown(name, row) for row in gone], [row_shown(name, row) for row in come]))
    return changes


def shown(value):
    if isinstance(value, bool):
        return str(value).lower()
    return short(str(value)) or "none"


def shown_url(url):
    """The URL without what could be a password in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    host = parts.netloc.rpartition("@")[2]
    return short(parts._replace(netloc=host, query="•••" if parts.query else "", fragment="").geturl())


def ordered(rows, wanted):
    return [row for row in dict.fromkeys(rows) if row in wanted]


def row_shown(kind, row):
    if kind == "fields":
        return short(row[0] if row[0] == row[1] else f"{row[0]} ← {row[1]}")
    return short(" ".join(row) if kind in ("rules", "developer_console_oauth") else row[0])


def rows(value):
    """PHP writes an empty list as one or as an object, and a list with holes as an object."""
    value = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [row for row in value if isinstance(row, dict)]


def kept(elements):
    return [element for element in elements if not flag(element.get("remove"), default=False)]


def number(value):
    """What cannot be read stays as it is, so that it is seen."""
    if value is None or value == "":
        return 0
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return worded(value)


def worded(value):
    """Text of a value that should have been text or a number. Of what is deep, Python's own would fail."""
    return str(value) if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"


def flag(value, default=True):
    if value is None or value == "":
        return default
    return worded(value).lower() not in ("false", "0", "no")


def oauth_of(value):
    """What a list says of the client with which the shop gets tokens. Adobe's default is the production environment."""
    given = value if isinstance(value, dict) else {}
    if not any(given.values()):
        return ()
    usual = {"environment": PRODUCTION}
    return tuple((name, worded(given.get(name) or usual.get(name, ""))) for name in OAUTH)


def oauth_of_xml(hook):
    """The same of a file, and whether the file holds the client secret itself, and no variable."""
    element = hook.find("developerConsoleOauth")
    if element is None:
        return (), False
    said = {name: (element.findtext(tag) or "").strip() for name, tag in XML_OAUTH.items()}
    secret = said.pop("client_secret")
    return oauth_of(said), bool(secret) and not re.fullmatch(r"\{(env|config):[^}]+\}", secret)
