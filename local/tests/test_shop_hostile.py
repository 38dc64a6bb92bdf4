"""What a shop, a redirect, a header or a file says: it never reaches the terminal as it is, and its size costs nothing."""

import json
import os
import subprocess

import pytest
from shop_tool import BATCH, BUNDLE, FOREIGN, OWN_FILE, answers, environment, rest, run, wanted  # noqa: F401 — fixtures, too
from stack import ROOT
from stand_in import TOKEN, running

HOSTILE = "\x1b[2J\x9b31m\u202egnp\u2066\r\n\t\x00\x07\ud800\u2028END"


@pytest.mark.parametrize(
    "answer",
    [
        (400, json.dumps({"message": f"no {HOSTILE} %1", "parameters": [HOSTILE]}).encode()),
        (403, b"x", {"Content-Type": "text/\x1b[2Jhtml", "Server": "\x1b]0;title\x07x"}),
        (302, b"", {"Location": "https://x\x1b[2J\x9by.example/"}),
        (302, b"", {"Location": "https://[\x1b[2J"}),
        (401, b"x", {"WWW-Authenticate": "Basic \x1b[2J"}),
        (401, json.dumps({"message": "no", "error_code": HOSTILE}).encode()),
        (401, json.dumps({"message": "lacks Magento_X::" + "y" * 5000}).encode()),
        (404, json.dumps({"message": f"Request does not match any route{HOSTILE}"}).encode()),
        (200, json.dumps([{"webhook_method": HOSTILE, "url": HOSTILE, "batch_name": HOSTILE, "hook_name": HOSTILE}]).encode()),
    ],
)
def test_nothing_that_a_shop_says_reaches_the_terminal_as_it_is(run, answer):
    """`run` refuses whatever a terminal would obey."""
    with running() as shop:
        for command in ("plan", "doctor"):
            shop.faults = [("GET list", answer)] * 15
            assert len(run(command, shop)[1]) < 12_000


def hostile_hook(**more):
    method = f"observer.x{HOSTILE}"
    hook = {"webhook_method": method, "webhook_type": HOSTILE, "batch_name": BATCH, "hook_name": HOSTILE, "url": f"{BUNDLE}/{HOSTILE}"}
    return hook | {"method": HOSTILE, "timeout": HOSTILE, "ttl": HOSTILE, "fallback_error_message": HOSTILE} | more


@pytest.mark.parametrize("hook", [hostile_hook(), hostile_hook(batch_name=HOSTILE), hostile_hook(fields=[{"name": HOSTILE, "source": "x"}])])
def test_no_hook_of_a_shop_reaches_the_terminal_as_it_is(run, hook):
    own = wanted()[0] | {name: hook.get(name, HOSTILE) for name in ("url", "method", "timeout", "ttl", "soft_timeout", "fallback_error_message")}
    own |= {"rules": [{"field": HOSTILE, "operator": HOSTILE, "value": HOSTILE}], "headers": [{"name": HOSTILE, "value": HOSTILE}]}
    own |= {"fields": [{"name": f"data.order.{HOSTILE}", "source": HOSTILE}, {"name": "a[].b", "source": HOSTILE}]}
    with running([hook, own]) as shop:
        for command in ("plan", "doctor"):
            assert "END" in run(command, shop)[1]
        assert "END" in run("apply", shop, "--dry-run")[1]


def test_no_file_or_argument_reaches_the_terminal_as_it_is(run, tmp_path):
    text = OWN_FILE.read_text().replace('name="sales_order_place_after"', 'name="a&#x202e;b&#x9b;c"', 1)
    for name, content in (("a\x1b[2Jb.xml", text), ("broken.xml", "<\x1b[2J"), ("huge.xml", "<a>" + " " * 9_000_000)):
        path = tmp_path / name
        path.write_text(content)
        assert len(run("doctor", None, "--xml", str(path))[1]) > 50
    for more in (["--shop", "https://x\x1b[2J.example/rest"], ["--stack", "a\x1b[2Jb"], ["--anyway", "\x1b[2J"], ["--channel", "\x1b[2J"]):
        assert run("plan", None, *more)[0] == 1


DEEP = b'{"message": ' + b"[" * 500 + b"]" * 500 + b', "parameters": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"
LARGE = {
    "a text of 100 KB": json.dumps({"message": "x" * 100_000}).encode(),
    "a trace of 900 KB": json.dumps({"message": "no", "trace": "#0 /var/www " * 75_000}).encode(),
    "100,000 parameters": json.dumps({"message": "%1 %99999", "parameters": list(map(str, range(100_000)))}).encode(),
    "100,000 named parameters": json.dumps({"message": "%p1 " * 1000, "parameters": {f"p{n}": "%p2" * 3 for n in range(50_000)}}).encode(),
    "100,000 places": json.dumps({"message": "%1" * 100_000, "parameters": ["y" * 500_000]}).encode(),
    "a number of a million digits": b'{"message": "no", "code": ' + b"9" * 1_000_000 + b"}",
    "a number that is none": b'{"message": "no %1", "parameters": [1e999, NaN]}',
    "a deep message": DEEP,
    "deeper than Python reads": b"[" * 1_000_000,
    "a page of 5 MB": b"<html>" + b"x" * 5_000_000,
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_an_answer_of_any_size_is_told_in_a_few_words(run, content):
    """Without a limit on the work some of these would take hours."""
    with running() as shop:
        for status in (400, 401):
            shop.faults = [("GET list", (status, content))]
            code, said = run("plan", shop)
            assert code == 1 and len(said) < 1500 and said.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"message": "%1 and %2 and %3", "parameters": ["a", "b"]}, "a and b and %3"),
        ({"message": "%10 %1", "parameters": [str(n) for n in range(1, 11)]}, "10 1"),
        ({"message": "%resources.", "parameters": {"resources": ["a", "b"]}}, "a, b."),
        ({"message": "%a", "parameters": {"a": "%b", "b": "not filled in again"}}, "%b"),
        ({"message": "%a", "parameters": {"a": list(range(100))}}, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 …"),
        ({"message": "%a", "parameters": {"a": {"b": 1}}}, "…"),
        ({"message": "no", "parameters": 7}, "no"),
        ({"message": ["no"]}, ""),
        (["no"], ""),
    ],
)
def test_the_parameters_of_a_message_are_filled_in_once(said, expected):
    assert answers.message_of(answers.Answer(400, {}, json.dumps(said).encode())) == expected


def test_no_part_of_a_secret_is_left_where_a_message_is_cut():
    shop = rest.Shop("https://shop.example/rest/all", {"COMMERCE_TOKEN": TOKEN})
    for before in (*range(270, 310), *range(1970, 2010)):
        for said in ({"message": "x" * before + TOKEN * 3}, {"message": "%1", "parameters": ["x" * before + TOKEN]}):
            text = answers.message_of(answers.Answer(400, {}, json.dumps(said).encode()), shop.clean)
            assert TOKEN[:4] not in text and len(text) <= 301


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3), (" 7 ", 7), ("99999", 20), ("9" * 5000, 20), ("-1", 0), ("soon", 0), ("", 0), ("1.5", 0), ("\x1b[2J", 0),
     ("Fri, 31 Dec 9999 23:59:59 GMT", 20), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Fri, 31 Dec 99999999 23:59:59 GMT", 0), ("٣", 0)],
)  # fmt: skip
def test_a_retry_after_is_a_number_or_a_date_and_never_long(header, seconds):
    assert answers.Patience(retry_after_max=20).parse_retry_after(header) == seconds


def test_a_shop_with_too_many_hooks_or_of_odd_values_is_told(run):
    with running([{**FOREIGN, "hook_name": f"h{n}"} for n in range(5001)]) as shop:
        assert "the shop has more than 5000 hooks" in run("plan", shop)[1]
        assert "the shop has more than 5000 hooks" in run("doctor", shop)[1]
    odd = {"timeout": float("inf"), "ttl": [[1]], "soft_timeout": "9" * 5000, "priority": {"a": 1}, "url": ["x"], "fallback_error_message": "y" * 100_000}
    with running(wanted(sales_order_place_after=odd)) as shop:
        for command in ("plan", "doctor"):
            code, said = run(command, shop)
            assert code in (1, 2) and len(said) < 10_000


@pytest.mark.parametrize("event", ["observer.e{}", "observer.sales_order_save_after", "observer.e"])
def test_thousands_of_odd_hooks_are_told_in_few_lines(run, event):
    hooks = [FOREIGN | {"batch_name": BATCH, "webhook_method": event.format(n), "hook_name": f"h{n}", "timeout": n} for n in range(3000)]
    with running(wanted() + hooks) as shop:
        code, said = run("doctor", shop)
    assert code == 1 and "more" in said
    assert said.count("\n") < 600, said.count("\n")
    assert "sales_order_place_after  required" in said, "the bundle's own channels are among what is shown"


def test_no_credential_is_on_a_command_line_of_make():
    for target in ("plan", "apply", "doctor"):
        command = ["make", "-n", target, "SHOP=https://shop.example", "URL=https://a.example"]
        said = subprocess.run(command, cwd=ROOT, env=os.environ | {"COMMERCE_TOKEN": TOKEN}, capture_output=True, text=True).stdout
        assert f"commerce/shop.py {target}" in said and TOKEN not in said
