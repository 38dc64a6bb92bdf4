"""`make apply` against a stand-in for the shop that misbehaves."""

import json
import os
import socket
import sys

import pytest
import stand_in
from shop_tool import BATCH, CHANGED, FOREIGN, OWN, OWN_FILE, commerce_hooks, environment, flat, journals, lose_a_hook, rest, run, wanted  # noqa: F401
from stand_in import identity, running

# Apply


def test_apply_makes_it_so_and_leaves_others_alone(run):
    changed = {"url": "https://old.example/webhook/observer.sales_order_place_after"}
    extra = {**FOREIGN, "batch_name": BATCH}
    with running(wanted(sales_order_place_after=changed, customer_delete_after=None) + [FOREIGN, extra]) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 0, said
        assert shop.changes() == ["unsubscribe", "subscribe", "subscribe", "unsubscribe"]
        assert {identity(hook) for hook in wanted()} | {identity(FOREIGN)} == set(shop.live)
        assert run("plan", shop)[0] == 0
        assert run("apply", shop, "--yes")[0] == 0, "a second time"
        assert len(shop.changes()) == 4
        assert run("doctor", shop)[0] == 0


def test_apply_asks_first(run, monkeypatch):
    with running() as shop:
        code, said = run("apply", shop)
        assert code == 1 and "YES=1" in said
        closed = open(os.devnull)
        closed.close()
        for stdin in (None, closed):
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdin", stdin)
                code, said = run("apply", shop)
                assert code == 1 and "there is nobody to ask" in said
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

        def at_its_end(_):
            raise EOFError

        for answer in (lambda _: "n", at_its_end):
            monkeypatch.setattr("builtins.input", answer)
            code, said = run("apply", shop)
            assert code == 2 and said.endswith("Nothing was changed.\n"), "there are changes still, which is no failure of make's"
        assert shop.changes() == []
        monkeypatch.setattr("builtins.input", lambda _: "y")
        assert run("apply", shop)[0] == 0
        assert len(shop.live) == len(OWN)


def test_a_dry_run_shows_the_requests_and_sends_none(run):
    with running(wanted(sales_order_place_after={"timeout": 1}, customer_delete_after=None)) as shop:
        code, said = run("apply", shop, "--dry-run")
        assert code == 2
        assert shop.changes() == []
        shown = [line.rpartition("/")[2] for line in said.splitlines() if line.startswith("POST ")]
        assert shown == ["unsubscribe", "subscribe", "subscribe"]
        bodies = said.partition("\nPOST ")[2]
        first, second, third = (json.loads(part[part.index("{") :]) for part in bodies.split("\nPOST "))
        assert set(first["webhook"]) == set(stand_in.IDENTITY)
        assert second["webhook"]["timeout"] == 5000
        assert third["webhook"]["fields"][1] == {"name": "data.customer.entity_id", "source": "data.customer.entity_id"}


def test_a_header_of_our_file_is_sent_and_its_value_never_shown(run, monkeypatch, tmp_path):
    text = OWN_FILE.read_text()
    header = '<headers><header name="x-tenant">of-this-tenant</header></headers>'
    (tmp_path / "webhooks.xml").write_text(text.replace("<fields>", f"{header}<fields>", 1))
    monkeypatch.setattr("bundle.OWN_FILE", tmp_path / "webhooks.xml")
    with running(wanted()) as shop:
        said = "".join(run("apply", shop, how)[1] for how in ("--dry-run", "--yes"))
        assert "x-tenant" in said and "of-this-tenant" not in said
        sent = [hook.get("headers") for hook in shop.live.values() if hook["hook_name"] == "sales_order_place_after"]
        assert sent == [[{"name": "x-tenant", "value": "of-this-tenant"}]]
        assert run("plan", shop)[0] == 0


def test_a_change_that_fails_is_rolled_back_and_hides_no_other(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", "The URL is not allowed")]
        code, said = run("apply", shop, "--yes")
        assert code == 1
        assert "The URL is not allowed" in flat(said) and "The old hook is in place." in flat(said)
        assert "sales_order_save_after: changed" in said
        live = {one[3]: hook for one, hook in shop.live.items()}
        assert live["sales_order_place_after"] == next(
            hook for hook in wanted(**CHANGED) if hook["hook_name"] == "sales_order_place_after"
        )
        assert live["sales_order_save_after"]["timeout"] == 5000
        assert run("apply", shop, "--yes")[0] == 0, "the next time it converges"
        assert run("plan", shop)[0] == 0


def test_a_change_that_cannot_be_rolled_back_says_so(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", "no"), ("POST subscribe", "no again")]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "THE HOOK IS GONE" in flat(said)
        assert shop.changes() == ["unsubscribe", "subscribe", "subscribe"], "no other hook is risked"
        assert len(shop.live) == 7
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


def test_when_the_list_stays_away_nobody_claims_to_know(run, monkeypatch):
    original, calls = rest.Shop.hooks, []

    def once(self):
        calls.append(None)
        if len(calls) > 1:
            raise rest.ShopError("the list is away")
        return original(self)

    monkeypatch.setattr(rest.Shop, "hooks", once)
    with running(wanted(sales_order_place_after={"timeout": 1})) as shop:
        shop.faults = [("POST subscribe", "break"), ("POST subscribe", "break")]
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "NOBODY KNOWS WHETHER THE HOOK IS THERE" in flat(said)
    assert "shop: after that, the list is away" in said
    assert said.splitlines()[-1].startswith("shop: sales_order_place_after may be MISSING in the shop, whose list cannot be read. ")


def test_a_shop_that_goes_away_before_a_change_has_changed_nothing(run):
    def go_away(handler):
        handler.close_connection = True
        handler.server.socket.shutdown(socket.SHUT_RDWR)

    with running(wanted(customer_delete_after=None)) as shop:
        shop.faults = [("GET list", go_away)]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == []
    assert "cannot be reached" in flat(said) and "Nothing was changed." in flat(said)


def test_a_hook_that_cannot_be_taken_out_stays(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST unsubscribe", "not now")]
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "The old hook is in place." in flat(said) and "sales_order_save_after: changed" in said
    assert len(shop.live) == len(OWN)


@pytest.mark.parametrize("fault", ["break", "do and break", 500, "page"])
@pytest.mark.parametrize("deed", ["subscribe", "unsubscribe"])
def test_after_an_unknown_outcome_the_list_is_read_again(run, deed, fault):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [(f"POST {deed}", fault)]
        code, said = run("apply", shop, "--yes")
        assert len(shop.live) == len(OWN), "nothing is lost"
        if fault == "do and break":
            assert code == 0, said
        else:
            assert code == 1
            assert "The old hook is in place." in flat(said)
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


@pytest.mark.parametrize(
    ("deed", "fault"),
    [("subscribe", "break"), ("subscribe", "do and break"), ("unsubscribe", "break"), ("unsubscribe", "do and break")],
)
def test_when_the_list_cannot_be_read_again_either_no_hook_is_lost(run, monkeypatch, deed, fault):
    original, calls = rest.Shop.hooks, []

    def away_once(self):
        calls.append(None)
        if len(calls) == 2:
            raise rest.ShopError("the list is away")
        return original(self)

    with running(wanted(sales_order_place_after={"timeout": 1})) as shop:
        shop.faults = [(f"POST {deed}", fault)]
        monkeypatch.setattr(rest.Shop, "hooks", away_once)
        code, said = run("apply", shop, "--yes")
        assert len(shop.live) == len(OWN) and len(calls) >= 3
        assert (code == 0) == (fault == "do and break"), said
        assert code == 0 or "The old hook is in place." in flat(said)
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


def test_a_hook_from_a_file_of_the_shop_is_named_as_such(run):
    from_file = {"url": f"{commerce_hooks.URL_VARIABLE}/webhook/observer.sales_order_place_after"}
    with running(wanted(sales_order_place_after=from_file)) as shop:
        assert "come from a webhooks.xml of the shop" in run("plan", shop)[1]
        assert run("doctor", shop)[0] == 0
        shop.in_files = set(shop.live)
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "already exists" in said


SIX = ("sales_order_place_after", "sales_order_save_after", "sales_order_invoice_pay", "sales_order_shipment_save_after",
       "customer_delete_after", "catalog_product_save_after")  # fmt: skip


def changing(monkeypatch, change):
    original = stand_in.Handler.change
    monkeypatch.setattr(stand_in.Handler, "change", lambda self, kind, hook: change(self.server, kind, hook) or original(self, kind, hook))


@pytest.mark.parametrize("refused", [1, 9])
def test_a_shop_that_says_yes_and_does_nothing_costs_at_most_one_hook(run, monkeypatch, refused):
    left = [None] * refused

    def change(_, kind, hook):
        return (200, b"[]") if kind == "POST subscribe" and left and (left.pop() or True) else None

    changing(monkeypatch, change)
    with running(wanted(**{name: {"timeout": 1} for name in SIX})) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "its list says otherwise: it does not have the hook." in flat(said)
        if refused == 1:
            assert len(shop.live) == len(OWN) and "The old hook is in place." in flat(said)
        else:
            assert len(shop.live) == 7 and "sales_order_place_after is MISSING in the shop" in said.splitlines()[-1]


def test_after_a_yes_whose_list_cannot_be_read_no_other_hook_is_risked(run):
    with running(wanted(**CHANGED)) as shop:
        away = (403, b"<html>", {"Content-Type": "text/html"})
        shop.watch = lambda number, when: shop.faults.append(("GET list", away)) if (number, when) == (3, "after") else None
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == ["unsubscribe", "subscribe"] and "its list cannot be read" in flat(said)
        assert "MISSING" not in said, "the next look at the list says that it is there"


def test_a_hook_that_the_shop_may_still_take_out_stays_in_the_journal(run, monkeypatch):
    late = []

    def change(shop, kind, hook):
        if kind == "POST unsubscribe" and not late:
            late.append(identity(hook))
            return stand_in.problem(504, "Gateway timeout")

    changing(monkeypatch, change)
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "The old hook is in place. The shop may still take it out; run `make plan` again in a minute." in flat(said)
        assert shop.changes() == ["unsubscribe"], "no other hook is risked"
        assert "MISSING" not in run("plan", shop)[1]
        del shop.live[late[0]]
        assert "MISSING since an `apply` took it out" in run("plan", shop)[1]
        assert "make apply took it out" in flat(run("doctor", shop)[1])
        assert run("apply", shop, "--yes")[0] == 0 and len(shop.live) == len(OWN) and not journals()


def test_a_hook_that_somebody_has_removed_meanwhile_is_put_in(run, monkeypatch):
    changing(monkeypatch, lambda shop, kind, hook: shop.live.pop(identity(hook), None) and None if kind == "POST unsubscribe" else None)
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 0 and len(shop.live) == len(OWN), said


MASK = {"name": "data.order.increment_id", "source": "data.order.increment_id", "converter": "Vendor\\Mask"}


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"fields": [MASK]}, "The old hook is in place."),
        ({"ssl_verification": False}, "The old hook is in place."),
        ({"headers": [{"name": "x-empty", "value": ""}]}, "The hook is there, but altered."),
    ],
    ids=["converter", "ssl_verification", "empty header, which no shop takes"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_hook_is_put_back_with_all_that_the_list_said_of_it(run, more, state, at_once):
    with running(wanted(sales_order_place_after={"timeout": 1, **more})) as shop:
        if not at_once:
            lose_a_hook(run, shop)
            assert len(shop.live) == 7
        shop.faults = [("POST subscribe", "no")]
        code, said = run("apply", shop, "--yes")
        [after] = [hook for hook in shop.live.values() if hook["hook_name"] == "sales_order_place_after"]
        assert code == 1 and after["timeout"] == 1 and state in flat(said), said
        assert "altered" in state or {name: after[name] for name in more} == more


def test_a_yes_that_changes_nothing_is_noticed(run, monkeypatch):
    monkeypatch.setattr(rest.Shop, "subscribe", lambda self, body: None)
    with running(wanted(customer_delete_after=None)) as shop:
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "its list says otherwise" in flat(said)
