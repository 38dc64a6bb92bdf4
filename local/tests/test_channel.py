"""What `make channel` makes of its arguments and of a sample. test_channel_tree.py makes channels in a copy of the tree."""

import json
import re

import new_channel
import pytest
from new_channel_files import Tree
from new_channel_sample import BadSample, Sample, paths
from stack import ROOT

MEMO = "observer.sales_order_creditmemo_save_after"
# A merchant can have a channel for any real event.
NEW = "observer.event_of_the_tests_save_after"
COUPON = "plugin.magento.quote.api.guest_coupon_management.set"
PLACE = "plugin.magento.sales.api.order_management.place"
CREDITMEMO = {
    "entity_id": "7", "store_id": "1", "increment_id": "000000007", "order_id": "12", "grand_total": "58.0400", "state": 2,
    "items": [{"sku": "WB-1", "qty": 1}, {"sku": "WB-2", "qty": 1, "tax": None}, {"sku": "WB-3"}], "comments": [],
    "by_id": {"998": {"price": "1.00"}}, "payment": {"method": "checkmo", "cc_last_4": "9876"},
    "customer_email": "anna@muster.example", "customer_note": "Ring Anna: 0171 5551234", "remote_ip": "198.51.100.7",
    "billing": {"firstname": "Anna", "lastname": "Muster", "street": ["Hauptstr. 5", "Hinterhaus"], "postcode": 10115, "telephone": "+49 171 5551234"},
    "password_hash": "f00", "rp_token": "f11", "extension": {"apiToken": "f22", "newPassword": "f33"},
}  # fmt: skip
PERSONAL = ["Anna", "anna@", "Muster", "Hauptstr", "Hinterhaus", "10115", "171", "198.51", "9876", "f00", "f11", "f22", "f33", "WB-"]
# As Adobe's documentation shows it: class names have single backslashes, and a heading can come first.
INFO = r"""Payload of the webhook:
{
  "eventName": "string",
  "data": {
    "data_object": {
      "store_id": "int",
      "name": "string",
      "price": "float",
      "created_at": "string",
      "type_id": "array",
      "is_active": "bool",
      "any": "mixed",
      "maybe": "?string",
      "either": "int|null",
      "category": { "level": "int", "parent": "\Magento\Catalog\Model\Category" },
      "options": "\Magento\Catalog\Api\Data\OptionInterface[]"
    }
  }
}
"""


def memo(**more):
    return json.dumps({"eventName": MEMO.removeprefix("observer."), "data": {"data_object": CREDITMEMO, "creditmemo": CREDITMEMO, **more}})


def test_a_real_body_says_what_the_channel_needs_and_leaves_nothing_personal_in_it():
    sample = Sample.read(MEMO, "after", memo(reason="Anna"))
    written = json.dumps(sample.body)
    assert not [text for text in PERSONAL if text in written]
    assert sample.left_out == ["apiToken", "cc_last_4", "newPassword", "password_hash", "rp_token"]
    assert {"customer_email", "street", "sku"} <= set(sample.replaced)
    assert sample.argument == "creditmemo"
    assert sample.identity() == [["entity_id"], ["increment_id", "store_id"]]
    assert sample.subject() == ["entity_id", "increment_id"]
    assert sample.group() == ("order", "order_id")
    assert sample.expected() == ["entity_id", "order_id", "grand_total", "items"]
    fields = sample.fields()
    assert {"items[].sku", "items[].tax", "by_id[].price", "payment.method", "comments", "billing.street"} <= set(fields)
    assert not [name for name in fields if "password" in name.lower() or "token" in name.lower() or "cc_" in name]
    assert len(sample.body["data"]["creditmemo"]["items"]) == 2


def test_neither_digits_nor_names_of_members_identify_anybody():
    personal = {
        "mobile_number": "491711234", "fax_number": 491711235, "ssn": "123456789", "passport_no": "77812", "cell": "491711237", "msisdn": "4917112",
        "national_id": "98765", "dni": "12345678", "bank_account": "55512345", "accountNumber": "5551", "lat": "48.1371", "customer_age": "44",
        "reference": "10220330", "point": "48.137154", "by_email": {"joe@doe.example": 4, "Jane Doe": {"x": 5}, "a": 2},
    }  # fmt: skip
    sample = Sample(MEMO, "after", {"data": {"creditmemo": {"entity_id": "7", "price": "58.0400", **personal}}})
    written = json.dumps(sample.body)
    numbers = [str(value) for value in personal.values() if not isinstance(value, dict)]
    assert not [text for text in (*numbers, "doe", "Doe") if text in written]
    assert sample.entity["by_email"] == {"a": 2} and sample.shortened
    assert (sample.entity["entity_id"], sample.entity["price"]) == ("7", "58.0400")
    typed = {"data": {"creditmemo": {"id": "int", "event": "Jane Doe", "eventName": "jane@doe.example"}}}
    assert "Jane Doe" not in (written := json.dumps(Sample(MEMO, "after", typed).body)) and "jane@" not in written


def test_secrets_by_other_names_are_left_out():
    secret = {"pwd": "a", "pass": "a", "passphrase": "a", "credit_card": "a", "cardNumber": "a", "card_no": "1", "session_id": "a", "PHPSESSID": "a", "signature": "a", "auth": "a", "otp": "1"}
    sample = Sample(MEMO, "after", {"data": {"creditmemo": {"id": 1, "passed": 1, "author": 1, "postcard": 1, "card_type": 1, **secret}}})
    assert sample.left_out == sorted(secret)
    assert list(sample.entity) == ["id", "passed", "author", "postcard", "card_type"]


def test_the_argument_is_the_one_that_the_event_is_about():
    body = {"data": {"request": {"a": 1}, "creditmemo": {"id": 1}, "flag": True}}
    assert Sample(MEMO, "after", body).argument == "creditmemo"
    assert Sample(MEMO, "after", {"data": {"data_object": {"id": 1}}}).argument == "data_object"
    assert Sample(MEMO, "after", {"creditmemo": {"id": 1}}).arguments == {"creditmemo": {"id": 1}}, "the shape that fields make"
    assert Sample(PLACE, "after", {"order": {"entity_id": 1}, "result": {"entity_id": 1}}).argument == "order"
    # A plugin's body has no envelope.
    assert Sample(PLACE, "before", {"data": {"entity_id": 1}}).argument == "data"


def test_plain_arguments_are_the_entity_themselves():
    sample = Sample(COUPON, "before", {"cartId": "8s3kd0", "couponCode": "SPRING"})
    assert (sample.argument, sample.identity(), sample.subject(), sample.group()) == (None, [], ["cartId"], ("quote", "cartId"))
    assert sample.fields() == ["cartId", "couponCode"] == sample.expected()
    assert "8s3kd0" not in json.dumps(sample.body) and "SPRING" not in json.dumps(sample.body)


def test_nothing_has_to_identify_what_is_not_saved_yet():
    sample = Sample.read(MEMO, "before", memo())
    assert sample.identity() == [] and "entity_id" not in sample.expected()


def test_what_webhooks_info_prints_becomes_a_sample():
    sample = Sample.read("observer.catalog_category_save_after", "after", INFO)
    assert sample.typed and sample.argument == "data_object"
    assert sample.entity == {
        "store_id": 1, "name": "Sample name", "price": 12.5, "created_at": "2026-06-18 20:27:11", "type_id": [], "is_active": True,
        "any": "Sample any", "maybe": "Sample maybe", "either": 1, "category": {"level": 1, "parent": []}, "options": [],
    }  # fmt: skip
    assert "category.level" in sample.fields()
    assert Sample.read(COUPON, "before", '{"cartId": "string", "couponCode": "string"}').body == {"cartId": "1", "couponCode": "SAMPLE"}


@pytest.mark.parametrize(("text", "words"), [
    ("nothing", "holds no JSON object"),
    ('{"a": }', "is not JSON"),
    ('{"eventName": "other", "data": {"x": 1}}', "is of another event"),
    ('{"eventName": "sales_order_creditmemo_save_after"}', "holds no arguments"),
    ('{"data": {"password": "x"}}', "no arguments beside secrets"),
    ("{" + '"a":{' * 2000 + "}" * 2001, "is not JSON|no arguments|"),
    ('{"data": {"a": ' + "[" * 900 + "]" * 900 + "}}", "is not JSON|nested too deep|"),
    (r'{"data": {"\ud800": 1}}', "no arguments"),
])  # fmt: skip
def test_a_sample_that_is_none_is_refused_in_a_line(text, words):
    try:
        Sample.read(MEMO, "after", text)
    except BadSample as error:
        assert any(word in str(error) for word in words.split("|")) and "\n" not in str(error)
    else:
        assert words.endswith("|")


def test_every_model_can_be_the_entity_of_a_channel():
    sources = "".join(path.read_text() for path in (ROOT / "shared" / "src" / "model").glob("*.rs"))
    assert sorted(kind for kind, _ in Tree(ROOT).models().values()) == sorted(re.findall(r"^impl Entity for (\w+)", sources, re.MULTILINE))


def test_a_name_that_no_pointer_or_field_can_have_is_left_out():
    odd = {"a b": 1, 'quote"': 1, "dot.ted": 1, "<x>": 1, "sku": "A", "slash/id": 1}
    assert list(paths(odd)) == ["sku"]
    sample = Sample(MEMO, "after", {"data": {"creditmemo": odd}})
    assert (sample.identity(), sample.expected()) == ([["sku"]], ["sku"])


@pytest.mark.parametrize(("arguments", "said"), [
    ({}, "which event? Add EVENT="),
    ({"event": "event_of_the_tests_save_after", "queue": "erp"}, f"did you mean {NEW}?"),
    ({"event": "observer.Bad-Name", "queue": "erp"}, "is not the name of an event"),
    ({"event": "plugin.x", "queue": "erp"}, "is not the name of an event"),
    ({"event": "observer.3ds_done_after", "queue": "erp"}, "the package would be 3ds_done_after, a name that Cargo does not allow"),
    ({"event": f"observer.{'a' * 257}", "queue": "erp"}, "has more than 256 characters"),
    ({"event": "observer.___", "queue": "erp"}, "the package would be ___, a name that Cargo does not allow"),
    ({"event": "observer.test", "queue": "erp"}, "the package would be test, a name that Cargo does not allow"),
    ({"event": "observer.serde", "queue": "erp"}, "there is a package serde already"),
    ({"event": "observer.api", "queue": "erp"}, "template.yaml has Api already"),
    ({"event": NEW}, "which queue gets the messages? Add QUEUE=…, one of erp, crm."),
    ({"event": NEW, "queue": "epr"}, "QUEUE=epr: did you mean erp? It can be erp, crm."),
    ({"event": NEW, "queue": "erp", "entity": "ordr"}, "ENTITY=ordr: did you mean order? It can be generic, "),
    ({"event": NEW, "queue": "erp", "type": "around"}, "TYPE=around: It can be before, after."),
    ({"event": "observer.customer_delete_after", "queue": "crm"}, "there is a channel for observer.customer_delete_after, type after, already"),
    ({"event": NEW, "queue": "erp", "sample": "/no/such/file"}, "SAMPLE=/no/such/file: No such file"),
    ({"event": NEW, "queue": "erp", "sample": str(ROOT / "template.yaml")}, "is not JSON"),
    ({"event": NEW, "queue": "erp", "entity": "order", "sample": "memo"}, "the sample has no argument order, but data_object"),
    ({"event": NEW, "remove": "x"}, "give one of them"),
    ({"remove": "no_such_event"}, "there is no such channel"),
    ({"remove": "observer.customer_delete_afte"}, "did you mean customer_delete_after?"),
    ({"remove": "sales_order_place_after"}, "parameters only for it (HasPlaceOrderProvisioned, HasPlaceOrderReserved"),
    ({"remove": "customer_delete_after"}, "is one of the bundle's own"),
])  # fmt: skip
def test_a_wrong_argument_says_what_is_possible_and_changes_nothing(arguments, said, tmp_path):
    if arguments.get("sample") == "memo":
        (tmp_path / "memo").write_text(json.dumps({"data": {"data_object": "x", "creditmemo": {"id": 1}}}))
        arguments = arguments | {"sample": str(tmp_path / "memo")}
    with pytest.raises(SystemExit) as ended:
        new_channel.main(["--sources-only", *(f"--{name}={value}" for name, value in arguments.items())])
    assert said in str(ended.value) and str(ended.value).startswith("channel: ") and "\n" not in str(ended.value)
