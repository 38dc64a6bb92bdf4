"""`make apply` against a stand-in for the shop that misbehaves."""

import json
import socket
import sys

import pytest
import stand_in
from shop_tool import BATCH, FOREIGN, commerce_hooks, environment, flat, rest, run, wanted  # noqa: F401 — fixtures, too
from stack import ROOT
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
        assert len(shop.live) == 8


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
    text = (ROOT / "commerce" / "webhooks.xml").read_text()
    header = '<headers><header name="x-tenant">of-this-tenant</header></headers>'
    (tmp_path / "webhooks.xml").write_text(text.replace("<fields>", f"{header}<fields>", 1))
    monkeypatch.setattr("bundle.OWN_FILE", tmp_path / "webhooks.xml")
    with running(wanted()) as shop:
        said = "".join(run("apply", shop, how)[1] for how in ("--dry-run", "--yes"))
        assert "x-tenant" in said and "of-this-tenant" not in said
        sent = [hook.get("headers") for hook in shop.live.values() if hook["hook_name"] == "sales_order_place_after"]
        assert sent == [[{"name": "x-tenant", "value": "of-this-tenant"}]]
        assert run("plan", shop)[0] == 0


CHANGED = {"sales_order_place_after": {"timeout": 1}, "sales_order_save_after": {"timeout": 2}}


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
    assert len(shop.live) == 8


@pytest.mark.parametrize("fault", ["break", "do and break", 500, "page"])
@pytest.mark.parametrize("deed", ["subscribe", "unsubscribe"])
def test_after_an_unknown_outcome_the_list_is_read_again(run, deed, fault):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [(f"POST {deed}", fault)]
        code, said = run("apply", shop, "--yes")
        assert len(shop.live) == 8, "nothing is lost"
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
        assert len(shop.live) == 8 and len(calls) >= 3
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


def test_a_yes_that_changes_nothing_is_noticed(run, monkeypatch):
    monkeypatch.setattr(rest.Shop, "subscribe", lambda self, body: None)
    with running(wanted(customer_delete_after=None)) as shop:
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "its list says otherwise" in flat(said)
