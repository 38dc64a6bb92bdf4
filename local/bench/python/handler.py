"""A peer of the benchmark: the function in Python, as one would write it today."""

import base64
import hashlib
import hmac
import json
import os
import re
import uuid
from datetime import UTC, datetime
from decimal import Context, Decimal
from urllib.parse import quote

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

CHANNEL = "sales_order_place_after"
ENVELOPE = {"merchant_id", "environment_id", "event", "event_id", "eventName", "subject", "result", "data"}

# Made once, so that every request shares the connection.
sqs = boto3.client("sqs")
queue_url = os.environ["QUEUE_URL"]
keys = json.loads(os.environ["WEBHOOK_KEYS"])
secrets = [secret.encode() for secret in keys.get("hmac_secrets", [])]
public_keys = [load_pem_public_key(pem.encode()) for pem in keys.get("public_keys", [])]


class Failure(Exception):
    def __init__(self, status, outcome, detail):
        super().__init__(detail)
        self.status, self.outcome = status, outcome


class Invalid(Failure):
    def __init__(self, detail):
        super().__init__(422, "invalid", detail)


def handler(event, context):
    request = event.get("requestContext") or {}
    line = {"channel": CHANNEL, "request_id": request.get("requestId") or context.aws_request_id}
    try:
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        if not says_json(headers):
            raise Failure(415, "unsupported_media_type", "The body must be application/json.")
        body = event.get("body") or ""
        body = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
        if not is_signed(body, headers):
            raise Failure(401, "untrusted", "No key confirms a signature of the body.")
        message = make_message(body, request.get("timeEpoch"))
        line["event_id"] = message["id"]
        send(message, headers.get("traceparent", ""))
        line["outcome"] = "accepted"
        return answer(200, "application/json", {"op": "success"})
    except Failure as failure:
        line["outcome"] = failure.outcome
        if failure.__cause__:
            line["error"] = type(failure.__cause__).__name__
        problem = {"title": failure.outcome, "status": failure.status, "detail": str(failure)}
        return answer(failure.status, "application/problem+json", problem)
    finally:
        print(json.dumps(line))


def answer(status, content_type, body):
    headers = {"content-type": content_type}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}


def says_json(headers):
    kind, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    charsets = (part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset="))
    plain = headers.get("content-encoding", "identity").lower() == "identity"
    return kind == "application/json" and all(charset == "utf-8" for charset in charsets) and plain


def is_signed(body, headers):
    """Over the raw bytes: an HMAC, or the shop's RSA over the base64 of the body."""
    signature = decode_hmac(headers.get("x-adobe-signature", "").strip())
    if signature and any(hmac.compare_digest(hmac.digest(secret, body, "sha256"), signature) for secret in secrets):
        return True
    signature = decode(base64.b64decode, headers.get("x-adobe-commerce-webhook-signature", "").strip())
    return bool(signature) and any(confirms(key, signature, base64.b64encode(body)) for key in public_keys)


def confirms(key, signature, signed):
    try:
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def decode_hmac(value):
    """Hex, with or without `sha256=`, or base64."""
    digits = value[7:] if value[:7].lower() == "sha256=" else value
    if len(digits) == 64:
        return decode(bytes.fromhex, digits)
    return decode(base64.b64decode, value) if digits == value else None


def decode(how, text):
    try:
        return how(text)
    except ValueError:
        return None


def make_message(body, accepted_ms):
    top = parse(body)
    for name in (top.get("event"), top.get("eventName")):
        if name is not None and (not isinstance(name, str) or name.removeprefix("observer.") != CHANNEL):
            raise Failure(400, "wrong_event", "The body names another event.")
    original, related = split(top)
    order = read_order(original)

    event_id, merchant, environment = (envelope_text(top, key) for key in ("event_id", "merchant_id", "environment_id"))
    try:
        event_id = str(uuid.UUID(event_id)) if event_id else derive_id(body)
    except ValueError:
        raise Invalid("event_id must be a UUID") from None
    accepted = datetime.fromtimestamp(accepted_ms / 1000, UTC) if accepted_ms else datetime.now(UTC)
    number = order["increment_id"]
    cloud_event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/".join(["/adobe-commerce", *(quote(part, safe="") for part in (merchant, environment) if part)]),
        "type": f"com.adobe.commerce.observer.{CHANNEL}",
        "subject": f"order/{number}",
        "time": rfc3339(accepted),
        "datacontenttype": "application/json",
        "data": {"order": order, "original": original} | ({"related": related} if related else {}),
    }
    group = group_id(f"order/{order.get('entity_id', number)}")
    return {"id": event_id, "group": group, "body": json.dumps(cloud_event, separators=(",", ":"))}


def parse(body):
    try:
        top = json.loads(body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        top = None
    if not isinstance(top, dict):
        raise Failure(400, "not_json", "The body must be a JSON object.")
    return top


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def split(top):
    """The order, and the event's other arguments."""
    data = {} if top.get("data") in (None, []) else top["data"]
    if not isinstance(data, dict):
        raise Invalid("data must be an object")
    data = dict(data)
    others = {name: value for name, value in top.items() if name not in ENVELOPE}
    for place, key in ((data, "order"), (data, "data_object"), (others, "order")):
        if place.get(key) not in (None, []):
            original = place.pop(key)
            break
    else:
        raise Invalid("data.order is required")
    # Some events carry the order twice, or an empty place for it.
    if place.get("data_object") == original:
        del place["data_object"]
    if "order" in place and place["order"] is None:
        del place["order"]
    if others.keys() & data.keys():
        raise Invalid("data must not hold what also stands beside it")
    return original, data | others


def envelope_text(top, key):
    value = top.get(key)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"{key} must be a string")
    return value or None


def derive_id(body):
    """The same bytes always have the same id: a UUID of version 8."""
    digest = bytearray(hashlib.sha256(f"{CHANNEL}\0\0".encode() + body).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def group_id(group):
    """SQS takes up to 128 ASCII letters, digits and punctuation."""
    if re.fullmatch(r"[!-~]{1,128}", group):
        return group
    return f"order/sha256:{hashlib.sha256(group.encode()).hexdigest()}"


def send(message, traceparent):
    attributes = {"channel": CHANNEL, "content-type": "application/cloudevents+json"}
    if re.fullmatch(r"[0-9a-fA-F]{2}-[0-9a-fA-F]{32}-[0-9a-fA-F]{16}-[0-9a-fA-F]{2}", traceparent):
        attributes["traceparent"] = traceparent
    system_attributes = {"AWSTraceHeader": os.environ.get("_X_AMZN_TRACE_ID")}
    try:
        sqs.send_message(
            QueueUrl=queue_url,
            MessageBody=message["body"],
            MessageGroupId=message["group"],
            MessageDeduplicationId=message["id"],
            MessageAttributes=string_attributes(attributes),
            MessageSystemAttributes=string_attributes(system_attributes),
        )
    except (BotoCoreError, ClientError) as error:
        raise Failure(503, "queue", "The event could not be queued.") from error


def string_attributes(values):
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value}


# The contract. A reader gives the canonical form, or None where there is no value: a shop writes one in many ways.


def is_null(value):
    return value is None or value is False


def is_nothing(value):
    return value is None or value is False or value == ""


def scalar(expects, read, is_absent=is_nothing):
    def read_scalar(value, name):
        if is_absent(value):
            return None
        result = read(value)
        if result is None:
            raise Invalid(f"{name} must be {expects}")
        return result

    return read_scalar


def text_of(value):
    """PHP writes a numeric SKU or postcode as a number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_id(value):
    digits = text_of(value) or ""
    return int(digits) if re.fullmatch(r"[0-9]{1,19}", digits) and int(digits) < 2**63 else None


DECIMAL = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
TINIEST = Decimal("1e-28")
PRECISE = Context(prec=64)


def decimal(places_min):
    def read(value):
        text = text_of(value) or ""
        if not DECIMAL.fullmatch(text):
            return None
        number = Decimal(text)
        # As many digits as a decimal has elsewhere; and no exponent that makes megabytes of zeros.
        if number.adjusted() > 28:
            return None
        if number.as_tuple().exponent < -28:
            number = number.quantize(TINIEST, context=PRECISE)
        # There is no negative zero.
        whole, _, places = f"{number or Decimal(0):f}".partition(".")
        places = places.rstrip("0").ljust(places_min, "0")
        return f"{whole}.{places}" if places else whole

    return read


def read_flag(value):
    return int(value) if isinstance(value, bool) else {"0": 0, "1": 1}.get(text_of(value))


def letters(count):
    code = re.compile(f"[A-Za-z]{{{count}}}")
    return scalar(
        f"a code of {count} letters",
        lambda value: value.upper() if isinstance(value, str) and code.fullmatch(value) else None,
    )


EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s.\x00-\x1f\x7f-\x9f]+(\.[^@\s.\x00-\x1f\x7f-\x9f]+)*")


def read_email(value):
    fits = isinstance(value, str) and len(value.encode(errors="replace")) <= 254 and EMAIL.fullmatch(value)
    return value if fits else None


TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)?", re.ASCII
)


def read_timestamp(value):
    match = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    date, clock, fraction, zone, _ = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{(zone or 'Z').upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return rfc3339(moment, fraction)


def rfc3339(moment, fraction=None):
    fraction = fraction or f".{moment.microsecond:06}"
    return moment.isoformat()[:19] + fraction.rstrip("0").rstrip(".") + "Z"


ID = scalar("a whole number, not negative", read_id)
CODE = scalar("a string", text_of)
TEXT = scalar("a string", text_of, is_null)
MONEY = scalar("a decimal number", decimal(2))
QUANTITY = scalar("a decimal number", decimal(0))
FLAG = scalar("0 or 1", read_flag, lambda value: value is None or value == "")
COUNTRY = letters(2)
CURRENCY = letters(3)
EMAIL_ADDRESS = scalar("an email address", read_email)
MOMENT = scalar(
    "a date and time", read_timestamp, lambda value: is_nothing(value) or value == "0000-00-00 00:00:00"
)


def entity(fields):
    def read_entity(value, name):
        # PHP writes an empty object as an empty list.
        if value is None or value == []:
            return None
        if not isinstance(value, dict):
            raise Invalid(f"{name} must be an object")
        canonical = ((field, read(value[field], field)) for field, read in fields.items() if field in value)
        return {field: result for field, result in canonical if result is not None}

    return read_entity


def elements(value, name):
    """A list, or what PHP makes of a list that is keyed by id."""
    if isinstance(value, dict) and all(re.fullmatch("0|[1-9][0-9]*", key) for key in value):
        return list(value.values())
    if not isinstance(value, list):
        raise Invalid(f"{name} must be a list")
    return value


def list_of(read):
    def read_list(value, name):
        if value is None:
            return None
        results = [read(element, name) for element in elements(value, name)]
        if None in results:
            raise Invalid(f"{name} must not have empty elements")
        return results

    return read_list


def read_street(value, name):
    """A list of lines, or one text with line breaks."""
    if isinstance(value, list | dict):
        lines = ["" if line is None else text_of(line) for line in elements(value, name)]
        if None in lines:
            raise Invalid(f"{name} must be a list of strings")
    else:
        lines = (TEXT(value, name) or "").replace("\r\n", "\n").split("\n")
    return [line for line in lines if line] or None


REGION = entity({"region": TEXT, "region_code": TEXT})


def read_region(value, name):
    return REGION(value, name) if isinstance(value, list | dict) else {"region": TEXT(value, name)}


ADDRESS = entity({
    "firstname": TEXT,
    "lastname": TEXT,
    "email": EMAIL_ADDRESS,
    "street": read_street,
    "city": TEXT,
    "region": read_region,
    "region_code": TEXT,
    "country_id": COUNTRY,
    "postcode": TEXT,
    "telephone": TEXT,
    "address_type": CODE,
})


def read_address(value, name):
    """The region's code belongs beside its name, wherever the shop wrote it."""
    address = ADDRESS(value, name)
    if address and (region := address.pop("region", None)):
        found = {"region": region.get("region"), "region_code": address.get("region_code", region.get("region_code"))}
        address |= {field: text for field, text in found.items() if text is not None}
    return address


ITEM = entity({
    "item_id": ID,
    "sku": CODE,
    "name": TEXT,
    "product_id": ID,
    "product_type": CODE,
    "qty_ordered": QUANTITY,
    "price": MONEY,
    "row_total": MONEY,
    "tax_amount": MONEY,
})

ORDER = entity({
    "entity_id": ID,
    "increment_id": CODE,
    "status": CODE,
    "state": CODE,
    "customer_id": ID,
    "customer_email": EMAIL_ADDRESS,
    "customer_firstname": TEXT,
    "customer_lastname": TEXT,
    "customer_is_guest": FLAG,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "grand_total": MONEY,
    "subtotal": MONEY,
    "tax_amount": MONEY,
    "shipping_amount": MONEY,
    "discount_amount": MONEY,
    "base_currency_code": CURRENCY,
    "order_currency_code": CURRENCY,
    "billing_address": read_address,
    "shipping_address": read_address,
    "addresses": list_of(read_address),
    "items": list_of(ITEM),
    "payment": entity({"method": CODE, "amount_paid": MONEY, "base_amount_paid": MONEY}),
})


def read_order(original):
    order = ORDER(original, "order")
    # A shop lists an order's addresses by type. A named one wins.
    for address in order.pop("addresses", []):
        if (kind := address.get("address_type")) in ("billing", "shipping"):
            order.setdefault(f"{kind}_address", address)
    for place in ("billing_address", "shipping_address"):
        order.get(place, {}).pop("address_type", None)
    for field in ("increment_id", "grand_total", "order_currency_code"):
        if field not in order:
            raise Invalid(f"{field} is required")
    if not order.get("items"):
        raise Invalid("items must not be empty")
    if not all("sku" in item and "qty_ordered" in item for item in order["items"]):
        raise Invalid("items must have sku and qty_ordered")
    return order
