"""The records of a shop that changed since a time, read over REST, and the event that tells what one of them is now."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from text import printable
from rest import ShopError

# As many as a shop with Adobe's default input limits gives at once is 300; a page must also come in time.
PAGE = 100
# What one run looks at.
RECORDS_MAX = 250_000


@dataclass(frozen=True)
class Kind:
    """A kind of record: where REST has it, and what its events are."""

    name: str
    path: str
    # The names that REST gives to the id and the number. Filters always say entity_id.
    id: str
    number: str
    # How the subject of an event begins, and the key of the entity in its body.
    subject: str
    entity: str
    # What tells that it changed, and what tells that it began.
    saved: str
    placed: str = ""
    more_fields: tuple = ()


KINDS = (
    Kind(
        "orders", "orders", "entity_id", "increment_id", "order", "order",
        saved="sales_order_save_after", placed="sales_order_place_after",
    ),  # fmt: skip
    Kind(
        "invoices", "invoices", "entity_id", "increment_id", "invoice", "invoice",
        saved="sales_order_invoice_pay", more_fields=("state",),
    ),  # fmt: skip
    Kind(
        "shipments", "shipments", "entity_id", "increment_id", "shipment", "shipment",
        saved="sales_order_shipment_save_after",
    ),  # fmt: skip
    Kind(
        "customers", "customers/search", "id", "id", "customer", "customer_data_object",
        saved="customer_save_after_data_object",
    ),  # fmt: skip
    Kind("products", "products", "id", "sku", "product", "product", saved="catalog_product_save_after"),
)
# Imports change products without an event, so these are looked for only when they are named.
UNASKED = tuple(channel for kind in KINDS for channel in (kind.placed, kind.saved) if channel and kind.name != "products")
CHANNELS = (*UNASKED, "catalog_product_save_after")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a record without its content."""

    kind: Kind
    id: int
    number: str
    store: str
    created: float
    updated: float
    state: str = ""

    @property
    def subject(self):
        return f"{self.kind.subject}/{self.number}"

    @property
    def digests(self):
        """The digests of its events: of those that say the store, and of those that do not."""
        return tuple(dict.fromkeys((digest(self.subject, self.store), digest(self.subject, ""))))

    @property
    def shown(self):
        return printable(self.subject)


def shifted(record, seconds):
    """The record with its times that much later."""
    return replace(record, created=record.created + seconds, updated=record.updated + seconds)


def digest(subject, store):
    """As the functions log it under `subject_digest`."""
    return hashlib.sha256(f"{subject}\0{store}".encode(errors="replace")).hexdigest()[:32]


def changed(shop, kind, since, until):
    """The records of a kind that were changed last between two times, oldest change first; None for one that cannot be read.

    Each page begins behind the last record of the one before, by time and id: what the shop changes meanwhile moves no record from
    one page to another. A record can come twice, if it is changed meanwhile.
    """
    after, seen = (since, 0), 0
    while True:
        answer = shop.get(kind.path, **query(kind, after, until))
        items, total = page_of(answer, kind)
        found = [record_of(kind, item) for item in items]
        yield from found
        places = [(one.updated, one.id) for one in found if one]
        seen += len(items)
        if not items or isinstance(total, int) and total <= len(items):
            return
        if seen > RECORDS_MAX:
            raise ShopError(f"more than {RECORDS_MAX:,} {kind.name} changed. Give a shorter SINCE=…")
        if not places or max(places) <= after:
            raise ShopError(f"the shop does not give its {kind.name} in the order that was asked for, so they cannot all be read")
        after = max(places)


def query(kind, after, until):
    """Groups of filters hold together; of the filters in a group one must hold."""
    time, last = after
    groups = [
        [("updated_at", "gteq", written(time))],
        [("updated_at", "gt", written(time)), ("entity_id", "gt", last)],
        [("updated_at", "lteq", written(until))],
    ]
    # Only what is needed leaves the shop: no name and no address.
    fields = dict.fromkeys((kind.id, kind.number, "store_id", "created_at", "updated_at", *kind.more_fields))
    return {
        **filters(groups),
        "searchCriteria[sortOrders][0][field]": "updated_at",
        "searchCriteria[sortOrders][0][direction]": "ASC",
        "searchCriteria[sortOrders][1][field]": "entity_id",
        "searchCriteria[sortOrders][1][direction]": "ASC",
        "searchCriteria[pageSize]": PAGE,
        "searchCriteria[currentPage]": 1,
        "fields": f"items[{','.join(fields)}],total_count",
    }


def filters(groups):
    """The filters as Magento's search criteria."""
    made = {}
    for number, group in enumerate(groups):
        for place, parts in enumerate(group):
            for name, part in zip(("field", "condition_type", "value"), parts):
                made[f"searchCriteria[filter_groups][{number}][filters][{place}][{name}]"] = part
    return made


def page_of(answer, kind):
    items = answer.get("items", ()) if isinstance(answer, dict) else ()
    # An empty list of PHP may come as null.
    items = [] if items is None else items
    if not isinstance(items, list):
        raise ShopError(f"the shop answered {kind.path} with something else than a list of records")
    return items, answer.get("total_count")


def record_of(kind, item):
    """The record, or None if it lacks what it is known by."""
    if not isinstance(item, dict):
        return None
    own_id, number, updated = whole(item.get(kind.id)), plain(item.get(kind.number)), moment(item.get("updated_at"))
    if not number and kind.subject in ("invoice", "shipment"):
        # So do the functions.
        number = str(own_id or "")
    if own_id is None or not number or updated is None:
        return None
    store = whole(item.get("store_id"))
    return Record(
        kind=kind,
        id=own_id,
        number=number,
        store="" if store is None or kind.subject == "product" else str(store),
        created=moment(item.get("created_at")) or updated,
        updated=updated,
        state=plain(item.get("state")),
    )


def whole(value):
    """A whole number that is not negative, or None."""
    text = plain(value)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def plain(value):
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    return str(value).strip() if isinstance(value, str) or abs(value) < 10**18 else ""


def moment(value):
    """Seconds since 1970, or None. The shop writes UTC and no zone."""
    try:
        when = datetime.fromisoformat(value)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def written(time):
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


# The event that tells what a record is now


def content_of(shop, record):
    """The whole record as it is now, or None if it is gone."""
    criteria = filters([[("entity_id", "eq", record.id)]])
    items, _ = page_of(shop.get(record.kind.path, **criteria, **{"searchCriteria[pageSize]": 1}), record.kind)
    found = [item for item in items if isinstance(item, dict) and whole(item.get(record.kind.id)) == record.id]
    return found[0] if found else None


def body_of(record, channel, content):
    """The body of an event of the channel. Its event_id follows from its content: however often it is sent, it is one event."""
    entity = as_observed(record.kind, content)
    text = json.dumps(entity, separators=(",", ":"))
    name = hashlib.sha256(f"{channel}\0{text}".encode()).hexdigest()
    return f'{{"event_id":"reconciled-{name}","data":{{"{record.kind.entity}":{text}}}}}'.encode()


def as_observed(kind, content):
    """What REST calls otherwise than an event does, under the event's names beside its own."""
    entity = dict(content)
    if kind.subject == "order" and not entity.get("shipping_address"):
        address = shipping_address(entity)
        if address:
            entity["shipping_address"] = address
    if kind.id == "id":
        entity.setdefault("entity_id", entity.get("id"))
    return entity


def shipping_address(order):
    """REST has it below the assignments, of which an order has one; a virtual order has none."""
    place = order
    for name in ("extension_attributes", "shipping_assignments", 0, "shipping", "address"):
        if isinstance(name, int):
            place = place[name] if isinstance(place, list) and place else None
        else:
            place = place.get(name) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else None
