"""What is wrong with the hooks that a shop has, what it means and what to do."""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from credentials import OAUTH_GUIDE, PRODUCTION, STAGING
from hooks import ROUTE, URL_VARIABLE, channel_in, shown_url
from names import routes_of, without_magento
from rest import is_loopback
from shops import ims_command, words
from text import short

ROOT = Path(__file__).resolve().parent.parent
ERROR, WARNING, INFO = "error", "warning", "info"
# What the model makes of other fields of the shop (`reads`, `normalize` and `computes` of the entities), and all that it needs for it.
MADE_OF = [
    (re.compile(r"(?:billing|shipping)_address(.*)"), [r"addresses[]\1", "addresses[].address_type"]),
    (re.compile("entity_id"), ["id"]),
    (
        re.compile("unexplained_total"),
        ["grand_total", "subtotal", "tax_amount", "shipping_amount", "discount_amount"],
    ),
]
# By the host of ImsKeysUrl.
IMS_ENVIRONMENTS = {"ims-na1.adobelogin.com": PRODUCTION, "ims-na1-stg1.adobelogin.com": STAGING}
OTHER_ENVIRONMENT = "Set WEBHOOK_OAUTH_ENVIRONMENT and the credentials of the same environment, then run make apply. Or deploy with another ImsKeysUrl."
# Their stock check decides, also without rules.
STOCK = ("checkout_cart_product_add_after", "sales_quote_item_save_before")


@dataclass(frozen=True)
class Finding:
    level: str
    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Contract:
    """What the message of a channel holds of its entity: every single field, those of which one set must be there for the event to be
    of use, and those without which it has an issue."""

    entity: str
    fields: list
    identity: list
    expected: set


def relevant(hooks, bundle):
    """Those that are ours by their batch, or come to us by their URL."""
    batches = {hook.batch_name for hook in bundle.hooks().values()}
    return [
        hook
        for hook in hooks
        if hook.batch_name in batches or ROUTE.search(hook.url) or (bundle.url and hook.url.startswith(f"{bundle.url}/"))
    ]


def examine(hooks, bundle, supported=None):
    """Findings by channel; what belongs to none stands under its event's name."""
    wanted, ours = bundle.hooks(), relevant(hooks, bundle)
    batches = {hook.batch_name for hook in wanted.values()}
    found = {channel: [] for channel in wanted}
    known = {without_magento(method) for method in supported or () if isinstance(method, str)}
    seen = any(without_magento(hook.webhook_method) in known for hook in wanted.values())
    if supported is not None and not seen:
        why = "Perhaps the role may not see it. Or this shop supports no webhook that the bundle takes."
        remedy = "Give the role all resources of Webhooks. If that changes nothing, ask Adobe's support for the events."
        found["supported events"] = [Finding(WARNING, "the shop's list of supported events has none of ours", why, remedy)]
    channels = {id(hook): channel_in(hook, wanted) for hook in ours}
    of_channel = Counter(channels.values())
    for hook in ours:
        channel = channels[id(hook)]
        of_hook = list(findings(hook, bundle, wanted.get(channel)))
        if hook.batch_name not in batches:
            by_hand = "Change it in the shop: only the batch of commerce/webhooks.xml is ours to change."
            of_hook = [replace(one, remedy=by_hand) if "make apply" in one.remedy else one for one in of_hook]
        if of_channel[channel] > 1:
            of_hook = [replace(one, what=f"{name_of(hook)}: {one.what}") for one in of_hook]
        found.setdefault(channel if channel in found else hook.webhook_method, []).extend(of_hook)
    for channel in wanted:
        if not of_channel[channel]:
            found[channel].append(Finding(ERROR, "is not subscribed", "Its events never come here, and are lost.", "make apply"))
        if of_channel[channel] > 1:
            names = ", ".join(name_of(hook) for hook in [hook for hook in ours if channels[id(hook)] == channel][:10])
            why = (
                "Every event is posted more than once: twice the waiting for the shopper, and two messages where the bodies differ."
            )
            found[channel].append(
                Finding(ERROR, f"is subscribed {of_channel[channel]} times: {names}", why, "Remove all but one in the shop.")
            )
        if seen and without_magento(wanted[channel].webhook_method) not in known:
            why = "The shop's list of supported events does not have it."
            remedy = "Ask Adobe's support for the event, or take its hook out of commerce/webhooks.xml."
            found[channel].append(Finding(ERROR, "is not supported by this shop", why, remedy))
    return found


def name_of(hook):
    return short(f"{hook.batch_name}/{hook.hook_name}", 100)


def findings(hook, bundle, own):
    """What is wrong with a hook, beside our own for its channel, or None if there is none."""
    if own is None:
        why = "The bundle has no channel for this event, so every post gets 404."
        yield Finding(
            ERROR,
            f"{name_of(hook)} is for an event that the bundle does not take",
            why,
            "make apply: it removes it.",
        )
        return
    yield from about_address(hook, bundle, own)
    yield from about_time(hook, bundle)
    yield from about_outcome(hook, bundle, own)
    yield from about_oauth(hook, bundle)
    yield from about_fields(hook, bundle, own)


def about_address(hook, bundle, own):
    if hook.webhook_type != own.webhook_type:
        fires = "before the shop has done" if own.webhook_type == "after" else "after the shop has done"
        why = f"It fires {fires} what the event tells of."
        yield Finding(ERROR, f"has the type {short(hook.webhook_type, 60)}, not {own.webhook_type}", why, "make apply")
    if hook.method != "POST":
        yield Finding(ERROR, f"uses {short(hook.method, 60)}, not POST", "The bundle has routes for POST alone.", "make apply")
    routes = routes_of(own.webhook_method, own.webhook_type)
    wanted = next((route for route in routes if hook.url.endswith(route)), routes[0])
    base = hook.url.removesuffix(wanted)
    if base == hook.url:
        why = "The event meets another channel, which refuses it, or no route at all."
        yield Finding(ERROR, f"goes to {shown_url(hook.url)}, which does not end in {wanted}", why, "make apply")
    elif hook.url.startswith("http://") and not is_loopback(host_of(hook.url)):
        yield Finding(ERROR, "goes over plain HTTP", "Anybody on the way can read orders and customers.", "make apply")
    elif bundle.url and base not in (bundle.url, URL_VARIABLE):
        yield Finding(
            ERROR, f"goes to {shown_url(base)}, not to this bundle at {bundle.url}", "Its events never come here.", "make apply"
        )
    if not hook.verifies_certificates:
        yield Finding(ERROR, "has sslVerification off", "Anybody on the way can pose as the bundle.", "Take sslVerification away.")


def host_of(url):
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def about_time(hook, bundle):
    budget = bundle.timeout
    if hook.timeout == 0:
        why = "There is no limit: a shopper waits as long as a connection hangs."
        yield Finding(ERROR, "has no timeout", why, f"make apply: it sets {budget}, as HookTimeoutMs is.")
    elif not isinstance(hook.timeout, int) or hook.timeout < budget:
        why = f"The bundle takes up to {budget} ms (HookTimeoutMs), so the shop hangs up before some answers and takes them for failures."
        yield Finding(
            ERROR,
            f"has a timeout of {short(str(hook.timeout), 40)} ms",
            why,
            f"make apply: it sets {budget}. Or deploy with HookTimeoutMs={short(str(hook.timeout), 40)}.",
        )
    elif hook.timeout > budget:
        why = f"The bundle gives up after {budget} ms (HookTimeoutMs), though the shop would wait longer."
        yield Finding(INFO, f"has a timeout of {short(str(hook.timeout), 40)} ms", why, "Use one figure for both.")
    if hook.soft_timeout == 0:
        yield Finding(
            WARNING, "has no soft timeout", "The shop logs no slow answers.", f"make apply: it sets {bundle.soft_timeout}."
        )
    elif isinstance(hook.timeout, int) and isinstance(hook.soft_timeout, int) and 0 < hook.timeout <= hook.soft_timeout:
        why = "It is not below the timeout, so it never counts."
        yield Finding(
            WARNING, f"has a soft timeout of {short(str(hook.soft_timeout), 40)} ms", why, f"make apply: it sets {bundle.soft_timeout}."
        )
    elif hook.soft_timeout != bundle.soft_timeout:
        why = f"The bundle goes by {bundle.soft_timeout} ms (SoftTimeoutMs)."
        yield Finding(INFO, f"has a soft timeout of {short(str(hook.soft_timeout), 40)} ms", why, "Use one figure for both.")
    if hook.ttl != 0:
        why = "The shop answers from its cache when a body repeats itself, and then the event is not sent at all."
        yield Finding(ERROR, f"has a ttl of {short(str(hook.ttl), 40)} s", why, "make apply: it sets 0.")


def about_outcome(hook, bundle, own):
    important = own.required or bundle.none_required and own.channel not in STOCK
    if not important and hook.required:
        why = "When the bundle cannot queue the event, the shopper cannot put the product into the cart."
        if own.channel not in STOCK:
            why = "When the bundle cannot take the event, the shop stops its action."
        yield Finding(
            WARNING,
            "is required",
            why,
            "make apply: it sets required to false. If the stock check must never be passed over, change that in commerce/webhooks.xml.",
        )
    if own.webhook_type == "before" and hook.required and important and decides_nothing(own.channel, bundle):
        why = (
            "Events before an action are not forwarded (ForwardBefore=false), and no rule is enabled. If the bundle fails, the shop "
            "stops its action for no reason."
        )
        remedy = "Enable a rule for it, or set required to false in commerce/webhooks.xml. Then run make apply."
        yield Finding(WARNING, "is required, but decides nothing", why, remedy)
    if important and not hook.required:
        why = "When the bundle cannot queue an event, the shop goes on, and the event is lost."
        yield Finding(
            INFO, "is not required", why, "make apply: it sets required to true, unless commerce/webhooks.xml says otherwise."
        )
    if not hook.required and bundle.invalid_events == "refuse":
        why = "An event without its identity gets 422 (InvalidEvents=refuse). The shop goes on, and the event is lost."
        remedy = "Deploy with InvalidEvents=quarantine: the bundle then keeps such events for 14 days."
        yield Finding(WARNING, "is not required, and unusable events are refused", why, remedy)
    if not hook.fallback_error_message:
        why = "When it fails, people read a general sentence of the shop's."
        yield Finding(INFO, "has no fallback message", why, "make apply")
    for field, operator, _ in hook.rules:
        why = "The shop holds back every event for which it does not hold. Nobody here knows of them."
        yield Finding(INFO, f"has the condition {short(field, 100)} {short(operator, 40)}", why, "make apply: it takes the condition away.")


def about_oauth(hook, bundle):
    oauth, refused = dict(hook.developer_console_oauth), "Every event gets 401."
    # Where a signature alone is enough, a wrong token costs nothing.
    level, why = (ERROR, refused) if bundle.needs_token else (WARNING, "Its tokens are not accepted: only a signature counts.")
    if hook.holds_client_secret:
        remedy = "Write {env:WEBHOOK_OAUTH_CLIENT_SECRET} there, and get a new client secret."
        yield Finding(ERROR, "has its client secret in the file", "Whoever can read the file can get tokens of this client.", remedy)
    if not oauth:
        if bundle.needs_token:
            what = "has no Developer Console OAuth, and the stack takes no event without a token"
            yield Finding(ERROR, what, f"{refused} SignatureSchemes={bundle.schemes}.", f"Set WEBHOOK_OAUTH_* ({OAUTH_GUIDE}), then run make apply.")
        return
    if not bundle.takes_token:
        why = f"The shop asks Adobe IMS for tokens, and the stack looks at none (SignatureSchemes={bundle.schemes})."
        yield Finding(INFO, "has Developer Console OAuth", why, "make apply: it takes it away. Or deploy with SignatureSchemes=hmac,rsa,ims.")
        return
    if any(name.lower() == "authorization" for name, _ in hook.headers):
        remedy = "Take the header away."
        yield Finding(level, "has a header Authorization beside Developer Console OAuth", "Only one of the two is sent.", remedy)
    # A file may name variables of the shop's environment.
    if bundle.ims is not None and not any("{" in oauth[name] for name in ("client_id", "org_id")):
        clients, organizations = bundle.ims
        place = f"`ims` of {words(bundle.shop)}"
        remedy = ims_command(oauth["client_id"], oauth["org_id"], bundle.shop, bundle.stack)
        if oauth["client_id"] not in clients:
            what = f"has the OAuth client {short(oauth['client_id'], 60)}, which {place} in the secret does not name"
            yield Finding(level, what, why, remedy)
        elif oauth["org_id"] not in organizations:
            what = f"has the organization {short(oauth['org_id'], 60)}, which {place} in the secret does not name"
            yield Finding(level, what, why, remedy)
    asked = IMS_ENVIRONMENTS.get(host_of(bundle.ims_keys_url or ""))
    if asked and oauth["environment"] != asked:
        what = f"gets its tokens from the {short(oauth['environment'], 40)} environment of Adobe IMS"
        yield Finding(level, what, f"The stack has the keys of the {asked} environment (ImsKeysUrl). {why}", OTHER_ENVIRONMENT)


def decides_nothing(channel, bundle):
    return channel not in STOCK and bundle.forward_before != "true" and not any(rule.get("enabled", True) for rule in rules_of(channel))


def about_fields(hook, bundle, own):
    if not hook.fields:
        return
    contract = read_contract(own.channel)
    sent = Sent(hook, {contract.entity, f"{contract.entity}_data_object"} if contract else set())
    if contract:
        yield from about_contract(hook, bundle, own, contract, sent)
    elif missing := [name for name, _ in own.fields if name != "eventName" and not sent.has_argument(name)]:
        why = "The message holds only what the shop sends. Without what identifies the event, it is unusable."
        yield Finding(WARNING, f"does not send {listed(missing)}", why, "make apply")
    yield from about_other_fields(hook, own, sent)


def about_contract(hook, bundle, own, contract, sent):
    anonymous = not any(all(sent.has(path) for path in together) for together in contract.identity)
    if anonymous:
        # Of those that go together, what is sent already is no part of the remedy.
        ways = [" with ".join(path for one in together for path in sent.lacking(one, own)) for together in contract.identity]
        becomes = "goes to the quarantine" if bundle.invalid_events == "quarantine" else "gets 422"
        why = f"Without it nobody can tell what the event is about, and every event {becomes}."
        yield Finding(ERROR, f"does not send {' or '.join(dict.fromkeys(ways))}", why, "make apply")
    identifying = {path for together in contract.identity for path in together} if anonymous else set()
    awaited, optional = [], []
    for path in contract.fields:
        if path not in identifying and not sent.has(path):
            (awaited if path in contract.expected else optional).extend(sent.lacking(path, own))
    if awaited and bundle.contract == "strict":
        why = "With Contract=strict no event is of use without it."
        yield Finding(ERROR, f"does not send {listed(awaited)}", why, "make apply, or deploy with Contract=tolerant.")
    elif awaited:
        why = "Every event is forwarded with an issue, and consumers set such messages aside by default."
        yield Finding(WARNING, f"does not send {listed(awaited)}", why, "make apply")
    if "updated_at" in optional:
        why = "By it a consumer tells an older state from a newer one, when events arrive late or in another order."
        yield Finding(WARNING, "does not send updated_at", why, "make apply")
        optional.remove("updated_at")
    if optional:
        why = "They are absent from the messages, and so is what is made of them."
        yield Finding(WARNING, f"does not send {listed(optional)}", why, "make apply")


def about_other_fields(hook, own, sent):
    if not own.webhook_method.startswith("plugin.") and not sent.has_argument("eventName"):
        why = "A signed body that does not name its event could be posted again to the route of another."
        yield Finding(WARNING, "does not send eventName", why, "make apply")
    for name, source in hook.fields:
        if name != source and "[]" in name + source:
            why = "Nothing documents that a field inside a list can come from another place than its name says."
            yield Finding(WARNING, f"takes {short(name, 100)} from {short(source, 100)}", why, "make apply, or give both the same path.")
        elif name != source and bare(name) != bare(source):
            why = "The message holds one field under another's name."
            yield Finding(INFO, f"takes {short(name, 100)} from {short(source, 100)}", why, "See that it is meant so.")
    for rule, field in rules_look_at(own.channel):
        if not sent.has_argument(field):
            why = "To a rule, what does not come is absent, so this one decides by what is not there."
            yield Finding(WARNING, f"does not send {field}, at which the rule {rule} looks", why, "make hooks, then make apply.")


class Sent:
    """What of the event a hook's fields leave, seen as the bundle sees it."""

    def __init__(self, hook, keys):
        names = [name for name, _ in hook.fields]
        # Under its own name, a cart line is only in the event of an addition.
        keys = {*keys, *(["item"] if "quote_item" in keys else [])}
        # The entity is looked for at these places, and the first that is there counts.
        self._keys = {*keys, "data_object"}
        roots = [f"data.{key}" for key in sorted(keys)] + ["data.data_object"] + sorted(keys)
        self._root = next((root for root in roots if any(within(root, name) or within(name, root) for name in names)), None)
        self._names = names

    def has(self, path):
        """Whether a field of the contract comes, by its own name or made of others."""
        return self._root is not None and (self._comes(f"{self._root}.{path}") or not self._lacking(made_of(path)))

    def lacking(self, path, own):
        """What must come for it, by the names that our own hook has."""
        here = any(bare(name) == path for name, _ in own.fields)
        return self._lacking([path] if here else made_of(path))

    def has_argument(self, field):
        """Whether what a rule looks at comes, as in order.items[].sku or orig_customer_data_object.email."""
        field = field.removeprefix("data.")
        root, _, path = field.partition(".")
        if root in self._keys:
            return self.has(path) if path else self._root is not None
        return self._comes(field) or self._comes(f"data.{field}")

    def _lacking(self, paths):
        return [path for path in paths if self._root is None or not self._comes(f"{self._root}.{path}")]

    def _comes(self, path):
        return any(within(name, path) or within(path, name) for name in self._names)


def made_of(path):
    """The fields of the shop of which the model makes this one; or it alone."""
    for made, parts in MADE_OF:
        if match := made.fullmatch(path):
            return [match.expand(part) for part in parts]
    return [path]


def within(whole, part):
    """Whether a path leads to another or below it."""
    return part == whole or part.startswith((f"{whole}.", f"{whole}[]"))


def bare(path):
    """The path below the event's argument."""
    return path.removeprefix("data.").partition(".")[2]


def read_contract(channel):
    """The contract of a channel, out of its message's schema; None if it has no model."""
    schema = json.loads((ROOT / "shared" / "schema" / f"{channel}.json").read_text())
    data = schema["properties"]["data"]
    [entity] = data["required"]
    if entity == "original":
        return None
    fields, expected = [], set()

    def walk(part, path):
        part = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        if "properties" in part:
            for name, below in part["properties"].items():
                walk(below, joined(path, name))
        elif "$ref" in part.get("items", ()):
            walk(part["items"], f"{path}[]")
        else:
            fields.append(path)

    def expect(part, path):
        expected.update(joined(path, name) for name in part.get("required", ()))
        for name, below in part.get("properties", {}).items():
            expect(below, joined(path, name))
        if "items" in part:
            expect(part["items"], f"{path}[]")

    whole = data["properties"][entity]
    walk(whole, "")
    expect(data["then"]["properties"][entity], "")
    return Contract(entity, fields, [one["required"] for one in whole["anyOf"]], expected)


def joined(path, name):
    return f"{path}.{name}" if path else name


def rules_look_at(channel):
    """Every field that an enabled rule of the channel looks at, copies, or writes into a text, with the rule's name."""
    seen = {}
    for rule in rules_of(channel):
        if rule.get("enabled", True):
            then = rule["then"] if isinstance(rule["then"], list) else [rule["then"]]
            fields = [*fields_of_conditions(rule["when"]), *(field for one in then for field in fields_of_operation(one))]
            seen |= {(rule["name"], field.strip()): None for field in fields}
    return list(seen)


def fields_of_conditions(conditions, element=None):
    """Those of conditions, of alternatives, and of groups of conditions on one element of a list."""
    for one in conditions:
        for field in filter(None, (one.get(key) for key in ("field", "count", "sum", "valueField"))):
            yield f"{element}.{field}" if element else field
        yield from fields_of_conditions([*one.get("all", ()), *one.get("any", ())], one.get("element", element))


def fields_of_operation(operation):
    if "valueField" in operation:
        yield operation["valueField"]
    for text in texts(operation.get("message"), operation.get("value")):
        # A doubled brace is a brace.
        yield from re.findall(r"\{([^{}]+)\}", text.replace("{{", "").replace("}}", ""))


def texts(*values):
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            yield from texts(*(value.values() if isinstance(value, dict) else value))


def rules_of(channel):
    try:
        return json.loads((ROOT / "functions" / channel / "rules.json").read_text()).get("rules", [])
    except FileNotFoundError:
        return []


def listed(paths):
    paths = list(dict.fromkeys(paths))
    return ", ".join(paths[:8]) + (f" and {len(paths) - 8} more" if len(paths) > 8 else "")
