"""What `make reconcile` takes for missing, by the shop's records and log lines of our own; and what the shop may answer."""

import itertools
import json
import random
import re
import sys
import time

import pytest
import record_shop
from reconciling import (  # noqa: F401
    ACCOUNT,
    HOUR,
    PAID,
    PLACED,
    SAVED,
    SHIPPED,
    api,
    bundle,
    deployed,
    line,
    missing,
    run,
    shop,
)
from record_shop import customer, invoice, order, shipment, written
from stack import ROOT

sys.path.append(str(ROOT / "commerce"))

import accepted  # noqa: E402
import gaps  # noqa: E402
import records  # noqa: E402


def test_a_lost_change_of_an_order_is_found_though_its_earlier_events_arrived(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then, updated_at=written(then + 60)))
    shop.add("orders", order(2, "200", then, updated_at=written(then + 60)))
    bundle.log((PLACED, "order/100", 1, then - 1), (SAVED, "order/100", 1, then), (SAVED, "order/100", 1, then + 20))
    bundle.log((PLACED, "order/200", 1, then - 1), (SAVED, "order/200", 1, then + 60))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, SAVED) == ["order/100"] and PLACED not in said
    assert run(bundle.name, "--since", "6h", "--exit-zero")[0] == 0
    assert f"  order/100  store 1   {written(then + 60)}  changed 40 s after its last event\n" in said or "changed 39 s" in said
    assert said.endswith("\n1 event is missing. SEND=1 posts what is missing through the functions, after asking.\n")
    assert run(bundle.name, "--since", "6h", "--tolerance", "60s")[0] == 0


def test_an_order_that_nothing_changed_needs_no_event_but_its_first(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    bundle.log((PLACED, "order/100", 1, then - 30))
    assert run(bundle.name, "--since", "6h")[0] == 0
    shop.add("orders", order(2, "200", then - 9 * HOUR, updated_at=written(then)))
    bundle.log((SAVED, "order/200", 1, then + 0.4))
    assert run(bundle.name, "--since", "6h")[0] == 0, "placed long before"
    assert run(bundle.name, "--since", "6h", "--channel", SAVED)[0] == 2, "the first event does not count where nobody asks for it"


def test_an_event_of_another_stores_order_with_the_same_number_does_not_count(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then, store_id=1))
    shop.add("orders", order(2, "100", then, store_id=2))
    bundle.log((PLACED, "order/100", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PLACED) == ["order/100"] and "  store 2 " in said
    bundle.log((PLACED, "order/100", "", then))
    assert run(bundle.name, "--since", "6h")[0] == 2, "an event without a store may be either's"


def test_an_event_that_says_no_store_counts_where_only_one_record_has_its_number(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    without_store = customer(7, then)
    del without_store["store_id"]
    shop.add("customers/search", without_store)
    shop.add("customers/search", customer(8, then))
    bundle.log((PLACED, "order/100", "", then), (ACCOUNT, "customer/7", "", then), (ACCOUNT, "customer/8", 1, then))
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_what_changed_just_now_is_left_out(bundle, run, shop):
    shop.add("orders", order(1, "100", time.time() - 30))
    shop.add("invoices", invoice(1, "100", time.time() - HOUR, updated_at=written(time.time() - 30)))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 0 and "! 2 records changed within the last 2 min (SETTLE): this change was not compared." in " ".join(said.split())
    assert run(bundle.name, "--since", "6h", "--settle", "10s")[0] == 2


def test_a_lost_order_that_is_changed_often_is_found(bundle, run, shop):
    then, now = time.time() - HOUR, time.time()
    shop.add("orders", order(1, "100", then, updated_at=written(now - 30)))
    shop.add("orders", order(2, "200", then, updated_at=written(now - 30)))
    shop.add("shipments", shipment(6, "600", then, updated_at=written(now - 30)))
    shop.add("customers/search", customer(7, then - 9 * HOUR, updated_at=written(now - 30)))
    bundle.log((PLACED, "order/200", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PLACED) == ["order/100"] and missing(said, SHIPPED) == ["shipment/600"]
    assert "! 2 records changed" in said and missing(said, ACCOUNT) == missing(said, SAVED) == []


def test_an_event_from_before_the_order_is_not_about_it(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    shop.add("orders", order(2, "200", then))
    shop.add("invoices", invoice(3, "300", then))
    bundle.log((PLACED, "order/100", 1, then - 4 * HOUR), (PLACED, "order/200", 1, then - 500), (PAID, "invoice/300", 1, then - 4 * HOUR))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PLACED) == ["order/100"] and missing(said, PAID) == ["invoice/300"]


def test_an_older_release_is_not_taken_for_gaps(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    bundle.log((PLACED, None, "", then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and "reconcile: none of 1 accepted events of sales_order_place_after has a subject_digest" in said
    bundle.log((PLACED, "order/300", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and "! 1 event of sales_order_place_after, the last of" in said


def test_events_of_any_channel_without_a_digest_are_not_taken_for_gaps(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("shipments", shipment(6, "600", then))
    bundle.log((SHIPPED, None, "", then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and f"none of 1 accepted events of {SHIPPED} has a subject_digest" in said


def test_a_channel_that_the_shop_does_not_send_is_named(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    shop.add("shipments", shipment(6, "600", then))
    bundle.log((PLACED, "order/100", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    said = " ".join(said.split())
    assert code == 2 and f"no event of {SHIPPED} was accepted in this time. If the shop does not send it, name the others:" in said
    assert run(bundle.name, "--since", "6h", "--channel", f"{PLACED},observer.{SAVED}")[0] == 0
    assert not shop.searches("products"), "imports change products without an event"


@pytest.mark.parametrize(("ahead", "words"), [(-300, "behind"), (300, "ahead of")])
def test_a_clock_of_the_shop_that_is_wrong_is_told_and_corrected(bundle, run, shop, ahead, words):
    then, shop.ahead = time.time() - HOUR, ahead
    shop.add("orders", order(1, "100", then + ahead, updated_at=written(then + ahead + 120)))
    shop.add("orders", order(2, "200", then - 5 * HOUR + 100 + ahead))
    bundle.log((PLACED, "order/100", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, SAVED) == ["order/100"] and missing(said, PLACED) == ["order/200"]
    assert re.search(f"! the shop's clock is (299|30[01]) s {words} the one here", said)
    bundle.log((SAVED, "order/100", 1, then + 120), (PLACED, "order/200", 1, then - 5 * HOUR + 100))
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_store_and_number_are_shown_whole_or_cut_from_the_left(bundle, run, shop):
    then = time.time() - HOUR
    for number, store in enumerate((100, 12345)):
        shop.add("orders", order(number, "100", then, store_id=store))
    assert "store 100  " in (said := run(bundle.name, "--since", "6h")[1]) and "store 12345  " in said
    shop.add("orders", order(3, "9" * 90 + "7", then))
    assert "  …9" in (said := run(bundle.name, "--since", "6h")[1]) and "97  store 1 " in said


# Invoices, whose events have no number yet


def unnumbered(*times):
    return [(PAID, None, "", time) for time in times]


def test_an_event_without_a_number_counts_for_the_invoice_that_is_nearest(bundle, run, shop):
    then = int(time.time() - HOUR)
    for number in range(20):
        shop.add("invoices", invoice(number, f"{number}", then + 3 * number))
    shop.add("invoices", invoice(90, "90", then, state=1))
    shop.add("invoices", invoice(91, "91", then, state="3"))
    bundle.log(*unnumbered(*(then + 3 * number - 1 for number in range(20))))
    assert run(bundle.name, "--since", "6h")[0] == 0, "each has one; those that are not paid need none"
    shop.add("invoices", invoice(20, "20", then + 200))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PAID) == ["invoice/20"] and "no accepted event" in said


def test_an_invoice_that_was_paid_later_has_its_number(bundle, run, shop):
    then = int(time.time() - HOUR)
    shop.add("invoices", invoice(1, "100", then, updated_at=written(then + 600)))
    bundle.log((PAID, "invoice/100", 1, then + 600))
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_where_one_of_several_invoices_lacks_its_event_all_of_them_are_listed(bundle, run, shop, api):
    then = int(time.time() - HOUR)
    for number in range(3):
        shop.add("invoices", invoice(number, f"{number}", then + number))
    shop.add("invoices", invoice(9, "9", then + 300))
    bundle.log(*unnumbered(then, then + 2, then + 299))
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 0 and missing(said, PAID) == ["invoice/0", "invoice/1", "invoice/2"]
    assert said.count("no event for one of 3 invoices") == 3
    assert sorted(body["data"]["invoice"]["increment_id"] for body in api.bodies()) == ["0", "1", "2"]


def test_what_was_reconciled_does_not_lend_its_event_to_another_invoice(bundle, run, shop):
    then = int(time.time() - HOUR)
    for number in range(3):
        shop.add("invoices", invoice(number, f"{number}", then + number))
    # Of three, one event came. The first two were reconciled before the third could be seen.
    bundle.log(*unnumbered(then + 1))
    reconciled = [line(PAID, f"invoice/{number}", 1, reconciled=True) for number in (0, 1)]
    now = int(time.time() * 1000)
    made = [{"timestamp": now, "message": text} for text in reconciled]
    bundle.logs.put_log_events(logGroupName=bundle.name, logStreamName="functions", logEvents=made)
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PAID) == ["invoice/2"]


def test_an_old_invoice_that_changed_is_not_said_to_be_missing(bundle, run, shop):
    now = time.time()
    shop.add("invoices", invoice(1, "100", now - 9 * HOUR, updated_at=written(now - HOUR)))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 0 and "! 1 invoice was made before this time and changed in it." in said


def invoices_missing(created, events, closed=()):
    """The numbers of the invoices that are listed, by when they were created and when events without a number came."""
    kind = next(kind for kind in records.KINDS if kind.name == "invoices")
    known = accepted.Accepted((PAID,))
    for place, when in enumerate(events):
        known.add(PAID, when, None, f"event {place}")
    made = [records.Record(kind, number, str(number), "1", at, at, "2") for number, at in enumerate(created)]
    for number in closed:
        known.add(PAID, 10**9, made[number].digests[0], f"reconciled {number}", reconciled=True)
    return [int(gap.record.number) for gap in gaps.find(made, known, 0, 5).gaps]


def test_every_invoice_of_a_chain_whose_event_may_be_the_missing_one_is_listed(bundle, run, shop, api):
    # The first event can be of 0 or 1, the second of 1 or 2.
    assert invoices_missing([100, 110, 120], [102, 112]) == [0, 1, 2]
    assert invoices_missing([100, 110, 120], [102, 112], closed=[0, 2]) == [1]
    assert invoices_missing([100, 110, 120], [102, 112, 119]) == []
    assert invoices_missing([100, 110, 120, 200], [102, 112, 199]) == [0, 1, 2], "the last one has its own"
    assert invoices_missing([100, 103, 200, 203], [88, 89, 199]) == [2, 3]
    then = int(time.time() - HOUR)
    for number in range(3):
        shop.add("invoices", invoice(number, f"{number}", then + 10 * number))
    bundle.log(*unnumbered(then + 2, then + 12))
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 0 and said.count("no event for one of 3 invoices") == 3
    assert sorted(body["data"]["invoice"]["increment_id"] for body in api.bodies()) == ["0", "1", "2"]


def fewest_without(reach, without):
    """Whether all invoices but these can have an event of their own."""
    taken = {}

    def find(invoice, tried):
        for event in set(reach[invoice]) - tried:
            tried.add(event)
            if event not in taken or find(taken[event], tried):
                taken[event] = invoice
                return True
        return False

    return all(find(invoice, set()) for invoice in range(len(reach)) if invoice not in without)


def test_the_listed_invoices_are_those_that_can_lack_their_event():
    chance = random.Random(18)
    for _ in range(300):
        created = sorted(chance.randrange(60) for _ in range(chance.randrange(1, 7)))
        events = sorted(chance.randrange(-15, 70) for _ in range(chance.randrange(7)))
        reach = [[place for place, when in enumerate(events) if one - 15 <= when <= one + 5] for one in created]
        numbers = range(len(created))
        ways = next(
            [set(some) for some in itertools.combinations(numbers, lacking) if fewest_without(reach, some)]
            for lacking in range(len(created) + 1)
            if any(fewest_without(reach, some) for some in itertools.combinations(numbers, lacking))
        )
        assert set(invoices_missing(created, events)) == set().union(*ways), (created, events)


def test_many_invoices_are_compared_in_one_pass():
    """Each pair looked at, or each chain followed anew, would take many minutes and much memory here."""
    many = 10_000
    assert len(invoices_missing([1000 + one / 1000 for one in range(many)], [1000 + one / 1000 for one in range(many - 1)])) == many
    assert len(invoices_missing(range(1000, 1000 + many), range(1000, 1000 + many, 2))) == many


# What the shop may answer


def test_records_are_paged_by_time_and_id_though_the_shop_goes_on(bundle, run, shop, monkeypatch):
    monkeypatch.setattr(records, "PAGE", 7)
    then = int(time.time() - HOUR)
    for number in range(60):
        shop.add("orders", order(number + 1, f"{number}", then + number // 20))
    changes = iter(range(5))

    def go_on(place):
        number = next(changes, None)
        if place == "orders" and number is not None:
            # What was read already moves behind all that was not.
            shop.records["orders"][number + 1]["updated_at"] = written(then + 100 + number)

    shop.before = go_on
    code, said = run(bundle.name, "--since", "6h", "--all")
    assert code == 2 and sorted(missing(said, PLACED)) == sorted(f"order/{number}" for number in range(60))
    assert len(shop.searches("orders")) >= 9
    assert "fields=items%5Bentity_id%2Cincrement_id%2Cstore_id" in shop.searches("orders")[0], "no name leaves the shop"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"[]", "the shop answered orders with something else than a list of records"),
        (b'{"items":7}', "the shop answered orders with something else than a list of records"),
        (b'"Zo\\u00eb"', "the shop answered orders with something else than a list of records"),
        (b"{", "something else than JSON"),
        (b"[" * 100_000, "something else than JSON"),
        (b" " * (8 * 1024**2 + 1), "answered with more than 8 MB"),
        (json.dumps({"items": [order(1, "1", 1e9)], "total_count": 9}).encode(), "in the order that was asked for"),
        (json.dumps({"items": [{"entity_id": 1}], "total_count": 9}).encode(), "in the order that was asked for"),
    ],
)
def test_an_odd_answer_ends_it_with_one_line(bundle, run, shop, answer, words):
    shop.instead["orders"] = answer
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and said.count("reconcile: ") == 1 and words in " ".join(said.split())


def test_a_shop_without_changes_has_nothing_to_compare(bundle, run, shop):
    shop.instead = dict.fromkeys(record_shop.RESOURCES, b'{"items":null,"total_count":0}')
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_a_record_that_cannot_be_read_is_counted_and_nothing_of_it_obeyed(bundle, run, shop):
    then = time.time() - HOUR
    bad = [
        {"entity_id": 2, "updated_at": written(then)},
        {"entity_id": "x", "increment_id": "3", "updated_at": written(then)},
        {"entity_id": 4, "increment_id": "4", "updated_at": "0000-00-00 00:00:00"},
        {"entity_id": True, "increment_id": "5", "updated_at": written(then)},
        {"entity_id": 6, "increment_id": ["6"], "updated_at": written(then)},
        "\x1b[2J",
        None,
        order(7, "\x1b]0;Z\x07\n" + "7" * 90, then),
        order(8, "\ud800", then, store_id="\x1b[31m"),
    ]
    shop.instead["orders"] = json.dumps({"items": bad, "total_count": len(bad)}).encode()
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and "! 7 records could not be compared" in said
    assert "  order/ ]0;Z  777777777777777" in said or "order/" in said
    assert "2 events are missing" in said


def test_the_shops_own_refusal_names_the_resource(bundle, run, shop):
    shop.denied = {"Magento_Sales::sales_invoice"}
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and "lacks the resource Magento_Sales::sales_invoice" in " ".join(said.split())


@pytest.mark.parametrize("fault", [503, "break"])
def test_a_shop_that_fails_once_is_asked_again(bundle, run, shop, fault):
    shop.add("orders", order(1, "100", time.time() - HOUR))
    shop.faults = [("GET orders", fault)]
    assert run(bundle.name, "--since", "6h")[0] == 2
