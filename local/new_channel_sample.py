"""The sample of a new channel: reads what the merchant gives, replaces what is personal, and derives what the channel needs to know.

A sample is a body as the shop sent it, or what `bin/magento webhooks:info` prints: the same structure, with the names of types as values.
"""

import json
import re
from difflib import SequenceMatcher

# What a body has around the arguments of an observer's event. A plugin's body has no envelope.
ENVELOPE = {"merchant_id", "environment_id", "event", "event_id", "eventName", "subject", "result", "data"}
COPY = "data_object"
LEVELS_MAX, FIELDS_MAX, ELEMENTS_MAX = 12, 300, 2

# The names of types that `webhooks:info` prints. Anything with a backslash is the name of a PHP class.
TYPES = {
    "string": "text", "mixed": "text", "scalar": "text", "date": "text", "datetime": "text",
    "int": 1, "integer": 1, "numeric": 1, "timestamp": 1,
    "float": 12.5, "double": 12.5, "decimal": 12.5,
    "bool": True, "boolean": True, "true": True, "false": False,
    "array": [], "iterable": [], "object": [], "callable": None, "null": None, "void": None,
}  # fmt: skip
TYPE = re.compile(r"\??(\\?[A-Za-z_][\w\\]*)(\[\])*(\|.*)?")

# Never in the repository, and never among the fields of a hook. Also in camel case, as the arguments of a plugin have it.
SECRET = re.compile(
    r"password|passwd|passphrase|^pass$|^pwd$|secret|token|bearer|credential|signature|session|sessid|^auth$|authorization|api_?key|private_?key"
    r"|^otp$|^pin$|^cc_|^cc[A-Z]|ccv|cvv|cvc|credit_?card|card_?no|card_?num",
    re.IGNORECASE,
)

# Instead of texts that are not known to be harmless: by the end of their name, in snake case.
INVENTED = [
    (r"email", "alex@shop.example"),
    (r"first_?name|(?<=_)fname", "Alex"),
    (r"last_?name|surname", "Doe"),
    (r"middle_?name", "Kim"),
    (r"street\w*|address(_line)?\w*", "1 Sample Street"),
    (r"city", "Springfield"),
    (r"postcode|zip\w*", "12345"),
    (r"telephone|phone\w*|fax|mobile", "555-0100"),
    (r"dob|birth\w*", "1990-02-03"),
    (r"vat\w*|tax_?id|taxvat", "XX000000000"),
    (r"(remote_|x_forwarded_)?(ip|for|ip_address)", "192.0.2.1"),
    (r"sku", "CAP-77-BLU"),
    (r"(product_)?name", "Sample name"),
    (r"url|link|\w+_url", "https://shop.example/"),
    (r"coupon_code|coupon", "SAMPLE"),
    (r"increment_id", "000000001"),
    (r"(\w+_)?at|date|time", "2026-06-18 20:27:11"),
    (r"currency\w*|(\w+_)?currency(_code)?", "EUR"),
    (r"(country|country_id|country_code)", "DE"),
    (r"cart_id|quote_id|masked_id|\w*guid|\w*uuid", "1"),
    (r"id|\w+_id", "1"),
    (r"qty\w*|\w+_qty", "1"),
]
# Texts that say what kind of thing it is, and nothing of anybody.
HARMLESS_NAME = re.compile(r"(\w+_)?(status|state|type|type_id|method|currency_code|country_id|country_code|region_code|carrier_code|visibility)")
HARMLESS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
PERSONAL_NAME = re.compile(
    r"(\w+_)?(email|(first|last|middle|sur)_?name|street\w*|city|postcode|zip\w*|(tele)?phone\w*|fax\w*|mobile\w*|cell\w*|msisdn|dob|birth\w*"
    r"|age|vat\w*|taxvat|tax_?id|ssn|dni|national_\w+|passport\w*|iban|bank\w*|account_?(no|num)\w*|ip|remote_ip|x_forwarded_for"
    r"|lat|lng|lon|latitude|longitude|gender)"
)
# A longer one can be a phone number or the place of somebody.
NUMBER = re.compile(r"-?\d{1,6}(\.\d{1,4})?")
DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d\S{0,8})?")


class BadSample(Exception):
    """What is wrong with a sample, in one line."""


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def read(text):
    """The JSON in a sample, which may have a heading before it. What `webhooks:info` prints has class names with single backslashes."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise BadSample("holds no JSON object")
    text = text[start : end + 1]
    for attempt in (text, text.replace("\\", "\\\\")):
        try:
            body = json.loads(attempt)
        except (ValueError, RecursionError) as error:
            reason = error
            continue
        return body
    raise BadSample(f"is not JSON: {reason}")


def leaves(value, name=""):
    """The scalars of a value, each with the name of its member."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


def is_type(text):
    if not isinstance(text, str) or not (found := TYPE.fullmatch(text)):
        return False
    return "\\" in found[1] or found[1].lower() in TYPES


def has_types(body):
    """Whether the values are names of types, as `webhooks:info` prints them."""
    values = [value for name, value in leaves(body) if name not in ("eventName", "event") and value is not None]
    return bool(values) and all(is_type(value) for value in values)


def invented(name):
    """A value for a member of this name, or None if the name says nothing."""
    for pattern, value in INVENTED:
        if re.fullmatch(rf"(\w+_)??({pattern})", snake(name)):
            return value
    return None


def of_type(name, text):
    """A plausible value of a type."""
    found = TYPE.fullmatch(text)
    if found[2]:
        return []
    value = TYPES.get(found[1].lower(), [])
    if value == "text":
        return invented(name) or f"Sample {snake(name).replace('_', ' ')}"
    if isinstance(value, int) and not isinstance(value, bool) and re.search(r"(^|_)(id|increment)$", snake(name)):
        return 1
    return value


class Cleaner:
    """Copies a sample without secrets and personal data, and remembers what it did."""

    def __init__(self, typed):
        self.typed, self.left_out, self.replaced, self.shortened = typed, set(), set(), False

    def clean(self, value, name="", level=0):
        if isinstance(value, dict):
            if level >= LEVELS_MAX:
                self.shortened = True
                return {}
            kept = {}
            for key, inner in value.items():
                if SECRET.search(key):
                    self.left_out.add(key)
                elif not MEMBER.fullmatch(key):
                    self.shortened = True
                else:
                    kept[key] = self.clean(inner, key, level + 1)
            return self.few(kept) if is_map(kept) else kept
        if isinstance(value, list):
            if len(value) > ELEMENTS_MAX or level >= LEVELS_MAX:
                self.shortened = True
            kept = value[:ELEMENTS_MAX] if level < LEVELS_MAX else []
            return [self.clean(inner, name, level + 1) for inner in kept]
        return self.scalar(value, name)

    def few(self, elements):
        """The first elements of a map whose keys are ids."""
        if len(elements) > ELEMENTS_MAX:
            self.shortened = True
        return {str(number): element for number, element in enumerate(list(elements.values())[:ELEMENTS_MAX], 1)}

    def scalar(self, value, name):
        if self.typed and is_type(value):
            return of_type(name, value)
        if value is None or isinstance(value, bool) or value == "":
            return value
        personal, text = PERSONAL_NAME.fullmatch(snake(name)), str(value)
        if not personal and NUMBER.fullmatch(text):
            return value
        if not personal and isinstance(value, str):
            if DATE.fullmatch(value) or (HARMLESS_NAME.fullmatch(snake(name)) and HARMLESS.fullmatch(value)):
                return value
        self.replaced.add(name)
        if isinstance(value, (int, float)) and not personal:
            return 1
        return invented(name) or f"Sample {snake(name).replace('_', ' ')}"


def is_map(value):
    """Whether an object is a list in PHP: its keys are ids."""
    return bool(value) and all(re.fullmatch(r"_?\d+", key) for key in value)


# A member with another name is in no field of a hook and in no JSON pointer.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# A member with another name is not in the sample: the name itself can be somebody's address.
MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}")


def paths(value, path=""):
    """The paths of the leaves of a value, as the fields of a hook name them: `items[].sku`."""
    if isinstance(value, dict) and is_map(value):
        value = list(value.values())
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if NAME.fullmatch(key):
                yield from paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from paths(inner, f"{path}[]")
    elif path:
        yield path


class Sample:
    """What a channel needs to know of the event."""

    def __init__(self, method, hook_type, body, clean=True):
        self.method, self.hook_type = method, hook_type
        self.is_plugin = method.startswith("plugin.")
        cleaner = Cleaner(has_types(body))
        self.arguments = self.arguments_of(body, cleaner.typed)
        if clean:
            self.arguments = cleaner.clean(self.arguments)
        if not self.arguments:
            raise BadSample("holds no arguments beside secrets")
        self.typed, self.shortened = cleaner.typed, cleaner.shortened
        self.left_out, self.replaced = sorted(cleaner.left_out), sorted(cleaner.replaced)
        self.argument = self.find_argument()
        self.entity = self.arguments[self.argument] if self.argument else self.arguments

    @classmethod
    def read(cls, method, hook_type, text):
        """The sample in a text, which can have a heading."""
        try:
            return cls(method, hook_type, read(text))
        except RecursionError:
            raise BadSample("is nested too deep") from None

    def arguments_of(self, body, typed):
        """The arguments of the event in a body of any shape."""
        if self.is_plugin:
            return body
        event = self.method.removeprefix("observer.")
        named = body.get("eventName") or body.get("event")
        if not typed and named and named not in (event, self.method):
            raise BadSample(f"is of another event than {event}: its name there is {str(named)[:80]!r}")
        if isinstance(body.get("data"), dict):
            arguments = body["data"]
        else:
            arguments = {name: value for name, value in body.items() if name not in ENVELOPE}
        if not arguments:
            raise BadSample("holds no arguments: an observer's event has them under data")
        return arguments

    @property
    def body(self):
        """The body in the shop's default shape."""
        if self.is_plugin:
            return self.arguments
        return {"subject": [], "result": None, "eventName": self.method.removeprefix("observer."), "data": self.arguments}

    def find_argument(self):
        """The argument that the event is about, or None if all arguments are plain values."""
        ours = {name: value for name, value in self.arguments.items() if isinstance(value, dict) and value and not is_map(value)}
        ours = {name: value for name, value in ours.items() if NAME.fullmatch(name)}
        if self.is_plugin and len(ours) > 1:
            ours.pop("result", None)
        others = {name: value for name, value in ours.items() if name != COPY} or ours
        if not others:
            return None
        copy = self.arguments.get(COPY)
        event = self.method.replace(".", "_")
        return max(others, key=lambda name: (others[name] == copy, snake(name) in event, similarity(name, event)))

    # What the channel's file says

    def has(self, name):
        value = self.entity.get(name) if NAME.fullmatch(name) else None
        return value not in (None, "", [], {})

    def identity(self):
        if self.hook_type == "before":
            return []
        sets = []
        for name in ("entity_id", "id"):
            if self.has(name):
                sets.append([name])
        if self.has("increment_id"):
            sets.append(["increment_id", "store_id"] if self.has("store_id") else ["increment_id"])
        return sets or [[name] for name in ("sku", "code") if self.has(name)] or [[name] for name in self.ids()[:1]]

    def ids(self):
        return [name for name in self.entity if snake(name).endswith("_id") and snake(name) != "store_id" and self.has(name)]

    def subject(self):
        return [name for name in ("entity_id", "id", "increment_id") if self.has(name)] or self.ids()[:1]

    def group(self):
        """The kinds of groups are those of the channels with a model."""
        for kind, names in (("order", ["order_id", "orderId"]), ("quote", ["quote_id", "quoteId", "cart_id", "cartId"]),
                            ("customer", ["customer_id", "customerId"]), ("product", ["product_id", "productId"])):  # fmt: skip
            for name in names:
                if name in self.entity:
                    return kind, name
        own = next(iter(self.subject()), None)
        return own and (self.argument or "arguments", own)

    def expected(self):
        if not self.argument:
            return [name for name in self.entity if self.has(name)][:5]
        group = self.group()
        wanted = [*(self.identity() or [[]])[0], *([group[1]] if group else []), "sku", "qty", "grand_total", "items"]
        return [name for name in dict.fromkeys(wanted) if self.has(name) and (self.hook_type == "after" or name != "entity_id")]

    def fields(self):
        return list(dict.fromkeys(paths(self.entity)))[:FIELDS_MAX]


def similarity(one, other):
    return SequenceMatcher(None, one, other).ratio()


def minimal(method):
    """The body of an event of which nothing is known."""
    if method.startswith("plugin."):
        return {"id": "1"}
    return {"eventName": method.removeprefix("observer."), "data": {COPY: {"entity_id": "1"}}}
