"""The events of the benchmark: orders as a shop writes them, in the spec's envelope, signed, as API Gateway hands them over."""

import base64
import copy
import hashlib
import hmac
import json
import uuid
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "events" / "sales_order_place_after"
KEYS = ROOT / "events" / "sample-keys"
# So many different ones, and then the first again.
COUNT = 64


def secret():
    """What verifies them, as Secrets Manager holds it."""
    hmac_secret = (KEYS / "hmac-secret.txt").read_text().strip()
    return json.dumps({"hmac_secrets": [hmac_secret], "public_keys": [(KEYS / "public-key.pem").read_text()]})


def body(size, index):
    """An order of about so many bytes: as many items as fit, or, where not even one does, fewer fields."""
    sample = json.loads((SAMPLES / "default.body.json").read_text())
    order = sample["data"]["order"]
    order["increment_id"] = f"{index:09}"
    envelope = {
        "merchant_id": "example-merchant",
        "environment_id": "production",
        "event": "observer.sales_order_place_after",
        "event_id": str(uuid.UUID(int=index, version=4)),
        "data": {"order": order},
    }
    items, order["items"] = order["items"], []
    length = len(write(envelope))
    for name in [name for name in order if name.startswith(("base_", "shipping_", "customer_tax", "store_to"))]:
        if length <= size - 800:
            break
        del order[name]
        length = len(write(envelope))
    if length > size - 800:
        # The payment and one address say enough.
        order["addresses"] = order["addresses"][:1]
        order["payment"] = {"method": "checkmo"}
        length = len(write(envelope))
    while True:
        item = copy.deepcopy(items[len(order["items"]) % len(items)])
        if not order["items"] and length > size - 1000:
            item = {key: item[key] for key in ("sku", "name", "product_id", "product_type", "qty_ordered", "price", "row_total", "tax_amount")}
        length += len(write(item)) + 1
        if order["items"] and length > size:
            return write(envelope)
        order["items"].append(item)


def write(value):
    """JSON as PHP writes it."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def sign(bytes_, scheme):
    if scheme == "hmac":
        key = (KEYS / "hmac-secret.txt").read_text().strip().encode()
        return {"x-adobe-signature": hmac.new(key, bytes_, hashlib.sha256).hexdigest()}
    key = serialization.load_pem_private_key((KEYS / "private-key.pem").read_bytes(), None)
    signature = key.sign(base64.b64encode(bytes_), padding.PKCS1v15(), hashes.SHA256())
    return {"x-adobe-commerce-webhook-signature": base64.b64encode(signature).decode()}


def request(bytes_, signature):
    """The event of API Gateway, with {now} where the moment belongs."""
    event = json.loads((SAMPLES / "default.request.json").read_text())
    kept = {name: value for name, value in event["headers"].items() if not name.endswith("-signature")}
    event["headers"] = {**kept, "content-length": str(len(bytes_)), **signature}
    event["body"] = bytes_.decode()
    event["isBase64Encoded"] = False
    event["requestContext"]["timeEpoch"] = "NOW"
    return json.dumps(event, separators=(",", ":")).replace('"NOW"', "{now}")


def events(folder, size, scheme):
    """A file with the events of a size, one a line, made once."""
    path = folder / f"{scheme}-{size}.events"
    if not path.exists():
        bodies = (body(size, index + 1) for index in range(COUNT if size < 1_000_000 else 4))
        # A run that was broken off must not leave half a file.
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text("\n".join(request(one, sign(one, scheme)) for one in bodies))
        unfinished.rename(path)
    return path


def version():
    """Changes with whatever the events are made of."""
    files = [Path(__file__), SAMPLES / "default.body.json", SAMPLES / "default.request.json", *sorted(KEYS.iterdir())]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
