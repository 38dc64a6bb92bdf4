"""The audit of the whole suite finds what it should."""

import json

from audit import Audit
from shop import SECRET, request

LINE = {"timestamp": "2026-06-18T20:27:11.000001Z", "level": "INFO", "message": "answered", "status": 200, "request_id": "a-1"}
MADE = request("customer_delete_after", {"customer": {"id": 57, "email": "zoe@shop.example", "note": "a\nb-c-d-e"}})
PROBLEM = {"content-type": "application/problem+json"}


def leaks(answer="{}", headers=PROBLEM, **more):
    audit = Audit()
    audit.saw(MADE, {"headers": headers, "body": answer}, json.dumps(LINE | more) + "\n")
    return len(audit.leaks()), len(audit.strangers)


def test_an_ordinary_line_is_fine():
    assert leaks(spent_ms=57, outcome="signature_wrong", event_id="58568978-617b-80ab-be3f-02f73addff97") == (0, 0)


def test_a_value_a_secret_and_a_signature_are_found_in_logs_and_answers():
    for leaked in ("zoe@shop.example", SECRET, MADE["headers"]["x-adobe-signature"]):
        assert leaks(message=f"not queued: {leaked}") == (1, 0)
        assert leaks(f'{{"detail":"{leaked} is wrong"}}') == (1, 0)
    assert leaks('{"op":"exception","message":"zoe@shop.example"}', {"content-type": "application/json"}) == (0, 0), "the merchant's words"


def test_a_field_that_is_not_known_or_not_of_its_form_is_found():
    assert leaks(customer="57") == (0, 1)
    assert leaks(outcome="Zoe Schmidt") == (0, 1)
    assert leaks(event_id="zoe") == (0, 1)
    assert leaks(status="2 00") == (0, 1)


def test_what_is_no_json_is_searched_too():
    audit = Audit()
    audit.saw(MADE, None, "thread 'main' panicked at zoe@shop.example\n")
    assert len(audit.leaks()) == 1
