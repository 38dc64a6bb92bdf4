"""The journal of `make apply`: which hooks it has taken out, kept beyond the process, and one `apply` for a shop at a time."""

import errno
import fcntl
import json
import os
import stat
from pathlib import Path

import pytest
import stand_in
from shop_tool import ADDRESS, CHANGED, OWN, SECRET, Journal, environment, flat, journals, lose_a_hook, run, wanted  # noqa: F401 — fixtures, too
from stand_in import TOKEN, identity, running

def test_nobody_else_may_read_the_journal(run):
    headers = {"timeout": 1, "headers": [{"name": "x-tenant", "value": SECRET}]}
    with running(wanted(sales_order_place_after=headers)) as shop:
        lose_a_hook(run, shop)
        [journal] = journals()
        assert SECRET in journal.read_text() and TOKEN not in journal.read_text()
        assert stat.S_IMODE(journal.stat().st_mode) == 0o600 and stat.S_IMODE(journal.parent.stat().st_mode) == 0o700
        journal.parent.chmod(0o755)
        for command in ("plan", "doctor"):
            assert SECRET not in run(command, shop)[1]
        assert run("apply", shop, "--yes")[0] == 0
        assert journals() == [] and stat.S_IMODE(journal.parent.stat().st_mode) == 0o700


def test_a_hook_that_somebody_else_put_in_is_no_longer_missing(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        [hook] = [hook for hook in wanted() if hook["hook_name"] == "sales_order_place_after"]
        shop.live[identity(hook)] = hook
        assert "MISSING" not in run("plan", shop)[1] and journals(), "a plan changes nothing"
        assert run("apply", shop, "--yes")[0] == 0 and not journals()


def test_what_is_missing_comes_first_and_with_any_channel(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        code, said = run("apply", shop, "--yes", "--channel", "sales_order_save_after")
        assert code == 0 and shop.changes()[-3:] == ["subscribe", "unsubscribe", "subscribe"]
        assert said.index("✓ sales_order_place_after: put in again") < said.index("✓ sales_order_save_after: changed")


def test_what_is_missing_is_named_also_where_nothing_can_be_done_about_it(run, monkeypatch):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        shop.faults = [("GET list", (403, b"<html>", {"Content-Type": "text/html"}))]
        said = flat(run("doctor", shop)[1])
        assert "✗ sales_order_place_after error may be missing: make apply took it out at 20" in said
        with Journal(shop.url).alone():
            assert f"→ Wait: another make apply (process {os.getpid()}) is changing the shop now." in flat(run("doctor", shop)[1])
        monkeypatch.setattr(ADDRESS, "usual", (502, "application/json", b"{}"))
        code, said = run("apply", shop, "--yes")
        assert code == 1 and said.endswith("REQUIRED=false. Still MISSING in the shop: sales_order_place_after\n")
        assert run("apply", shop, "--yes", "--required", "false")[0] == 0


def test_what_is_missing_is_named_where_there_is_nobody_to_ask(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        code, said = run("apply", shop)
        assert code == 1 and said.endswith("Add YES=1 to apply it unasked. Still MISSING in the shop: sales_order_place_after\n")


def test_each_shop_has_a_journal_of_its_own(run):
    with running(wanted(**CHANGED)) as one, running(wanted(**CHANGED)) as other:
        lose_a_hook(run, one)
        assert "MISSING" not in run("plan", other)[1]
        assert "MISSING" in run("plan", one)[1]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "hooks": [{"old": 1}]}', '{"version": 2, "hooks": []}', "[" * 100_000])
def test_a_journal_that_cannot_be_read_is_kept_aside_and_apply_goes_on(run, content):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        [journal] = journals()
        journal.write_text(content)
        for command in ("plan", "doctor"):
            assert "`make apply` keeps it under another name, and goes on without it." in flat(run(command, shop)[1])
        code, said = run("apply", shop, "--yes")
        assert code == 0 and len(shop.live) == len(OWN), said
        broken = journal.with_suffix(".json.broken")
        assert f"{journal} is " in said and f"It is kept as {broken}." in said and broken.read_text() == content
        assert run("plan", shop)[0] == 0


def test_a_journal_that_is_spoilt_meanwhile_does_not_hide_what_is_missing(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", "no")] * 9

        def spoil(*_):
            if shop.changes()[-1:] == ["subscribe"]:
                for path in journals():
                    path.write_text("")

        shop.watch = spoil
        code, said = run("apply", shop, "--yes")
        assert code == 1 and len(shop.live) == 7
        assert said.splitlines()[-1].startswith("shop: sales_order_place_after is MISSING in the shop. The events are lost until")


def test_a_draft_that_could_not_become_the_journal_is_removed(run, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    headers = {"timeout": 1, "headers": [{"name": "x-tenant", "value": SECRET}]}
    with running(wanted(sales_order_place_after=headers)) as shop:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            assert run("apply", shop, "--yes")[0] == 1 and shop.changes() == []
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET in path.read_text()]
        draft = Journal(shop.url).path.with_suffix(".draft")
        draft.write_text(SECRET)
        assert run("apply", shop, "--dry-run")[0] == 2 and draft.exists()
        shop.live = {identity(hook): hook for hook in wanted()}
        assert run("apply", shop, "--yes")[0] == 0 and not draft.exists(), "that of a process that was killed, too"


def test_who_only_looks_needs_no_home(run, monkeypatch):
    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", none)
    with running(wanted(customer_delete_after=None)) as shop:
        assert run("plan", shop)[0] == 2 and "customer_delete_after" in run("doctor", shop)[1]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == [] and "Set XDG_STATE_HOME to a directory of yours." in said


def test_a_full_disk_and_a_file_system_without_locks_are_told(run, monkeypatch):
    def failing(number):
        def fail(*_):
            raise OSError(number, os.strerror(number))

        return fail

    with running(wanted(**CHANGED)) as shop:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", failing(errno.ENOLCK))
            code, said = run("apply", shop, "--yes")
            assert code == 1 and said.startswith("shop: this file system gives no lock: ") and shop.changes() == []
            assert run("plan", shop)[0] == 2
        monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
        assert run("apply", shop, "--yes")[0] == 0, "who holds the lock is only for others to read"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://shop.example/rest/all", "https://SHOP.example:443/rest/default/", True),
        ("https://shop.example/rest/all", "https://shop.example/rest/all/V1", True),
        ("https://shop.example/rest/all", "https://shop.example/rest", True),
        ("https://shop.example/rest/all", "https://shop.example:8443/rest/all", False),
        ("https://na1.api.commerce.adobe.com/a", "https://na1.api.commerce.adobe.com/b", False),
        ("https://na1.api.commerce.adobe.com/Tenant", "https://NA1.api.commerce.adobe.com/Tenant/", True),
        ("https://[::1]/rest/all", "https://[::1]:443/rest/all", True),
    ],
)
def test_a_shop_has_one_journal_however_its_address_is_spelled(one, other, same):
    assert (Journal(one).path == Journal(other).path) is same


def test_with_one_channel_the_hooks_of_others_that_are_absent_are_named(run, monkeypatch, tmp_path):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        # As by another name of the host, or on another machine.
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
        for command, code in (("plan", 2), ("apply", 0)):
            done, said = run(command, shop, *(["--yes"] if command == "apply" else []), "--channel", "sales_order_save_after")
            assert done == code and "Of the other channels, these have no hook in the shop: sales_order_place_after." in said


def test_without_a_place_for_the_journal_nothing_is_changed(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == [] and "Set XDG_STATE_HOME to a directory of yours." in said
        assert run("plan", shop)[0] == 2


def test_a_journal_that_cannot_be_written_keeps_the_hook_in(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with running(wanted(**CHANGED)) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == [] and "No space left on device" in said and "The old hook is in place." in flat(said)


def test_a_state_directory_that_is_not_absolute_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("", "state"):
        path = Journal("https://shop.example/rest/all", {"XDG_STATE_HOME": given}).path
        assert path.parent == tmp_path / ".local" / "state" / "commerce-webhooks"
        assert path.name.startswith("shop.example-")


def test_two_at_a_time_do_not_change_one_shop(run):
    with running(wanted(**CHANGED)) as shop:
        with Journal(shop.url).alone():
            code, said = run("apply", shop, "--yes")
            told = f"another `make apply` (process {os.getpid()}) is changing this shop. Nothing was changed. Wait until it has ended."
            assert code == 1 and said == f"shop: {told}\n" and shop.changes() == []
            assert f"Another `make apply` (process {os.getpid()}) is changing the shop now." in run("plan", shop)[1]
            assert run("apply", shop, "--dry-run")[0] == 2
        assert run("apply", shop, "--yes")[0] == 0
        assert "Another" not in run("plan", shop)[1]


def test_the_journal_holds_only_what_a_hook_is(run):
    with running(wanted(**CHANGED)) as shop:
        lose_a_hook(run, shop)
        [journal] = journals()
        [entry] = json.loads(journal.read_text())["hooks"]
        assert entry.keys() == {"old", "new", "began"} and entry["old"]["timeout"] == 1 and entry["new"]["timeout"] == 5000
