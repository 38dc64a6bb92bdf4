"""The audit of the whole suite finds what it should."""

import base64
import json

from audit import Audit
from shop import SECRET, request

LINE = {"timestamp": "2026-06-18T20:27:11.000001Z", "level": "INFO", "message": "answered", "status": 200, "request_id": "a-1"}
CLAIMS = base64.urlsafe_b64encode(b'{"client_id":"client-of-zoe","type":"access_token"}').decode().rstrip("=")
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.c2lnbmF0dXJlLW9mLWltcw"
HEADERS = {"authorization": f"Bearer {TOKEN}", "x-gw-ims-org-id": "0123456789ABCDEF01234567@AdobeOrg"}
MADE = request("customer_delete_after", {"customer": {"id": 57, "email": "zoe@shop.example", "note": "a\nb-c-d-e"}}, **HEADERS)
PROBLEM = {"content-type": "application/problem+json"}


METRICS = json.loads("""{"_aws": {"Timestamp": 1781814431123, "CloudWatchMetrics": [
  {"Namespace": "CommerceWebhooks/commerce-webhooks", "Dimensions": [["channel"]], "Metrics": [
    {"Name": "Accepted", "Unit": "Count"}, {"Name": "VerifyTime", "Unit": "Milliseconds"}]}]},
  "channel": "customer_delete_after", "request_id": "a-1", "Accepted": 1, "VerifyTime": [0.084]}""")
TOTAL = json.loads("""{"_aws": {"Timestamp": 1781814431123, "CloudWatchMetrics": [
  {"Namespace": "CommerceWebhooks/commerce-webhooks", "Dimensions": [[]], "Metrics": [{"Name": "Accepted", "Unit": "Count"}]}]},
  "request_id": "a-1", "Accepted": 1}""")
BY_KEY = json.loads("""{"_aws": {"Timestamp": 1781814431123, "CloudWatchMetrics": [
  {"Namespace": "CommerceWebhooks/commerce-webhooks", "Dimensions": [["channel", "key"]], "Metrics": [
    {"Name": "Verified", "Unit": "Count"}]}]},
  "channel": "customer_delete_after", "key": "current/hmac_secrets/0", "request_id": "a-1", "Verified": 1}""")


BY_SHOP = json.loads("""{"_aws": {"Timestamp": 1781814431123, "CloudWatchMetrics": [
  {"Namespace": "CommerceWebhooks/commerce-webhooks", "Dimensions": [["channel", "shop"]], "Metrics": [
    {"Name": "Accepted", "Unit": "Count"}]}]},
  "channel": "customer_delete_after", "shop": "eu", "request_id": "a-1", "Accepted": 1}""")


def leaks(answer="{}", headers=PROBLEM, line=LINE, **more):
    audit = Audit()
    audit.saw(MADE, {"headers": headers, "body": answer}, json.dumps(line | more) + "\n")
    return len(audit.leaks()), len(audit.strangers)


def test_an_ordinary_line_is_fine():
    assert leaks(spent_ms=57, outcome="signature_wrong", event_id="58568978-617b-80ab-be3f-02f73addff97") == (0, 0)


def test_a_value_a_secret_and_a_signature_are_found_in_logs_and_answers():
    for leaked in ("zoe@shop.example", SECRET, MADE["headers"]["x-adobe-signature"]):
        assert leaks(message=f"not queued: {leaked}") == (1, 0)
        assert leaks(f'{{"detail":"{leaked} is wrong"}}') == (1, 0)
    assert leaks('{"op":"exception","message":"zoe@shop.example"}', {"content-type": "application/json"}) == (0, 0), "the merchant's words"


def test_a_token_its_parts_its_client_and_the_organization_are_found():
    for leaked in (*TOKEN.split("."), "client-of-zoe", HEADERS["x-gw-ims-org-id"]):
        assert leaks(message=f"not verified: {leaked}") == (1, 0), leaked
        assert leaks(f'{{"detail":"{leaked} is wrong"}}') == (1, 0), leaked
    assert leaks(message=f"not verified: {TOKEN}")[0] > 1
    assert leaks(key="current/shops/eu/ims/client_ids/0", shop="eu") == (0, 0), "its place in the secret"
    assert leaks(key="current/ims/client_ids/client-of-zoe") == (1, 1)


def test_a_digest_of_a_subject_is_fine_and_the_subject_is_not():
    assert leaks(subject_digest="a6f57c57" * 4, reconciled=True) == (0, 0)
    assert leaks(subject_digest="customer/57") == (0, 1)
    assert leaks(subject_digest="57" * 15) == (0, 1)
    assert leaks(reconciled=False) == (0, 1), "it is there only where it is so"


def test_a_field_that_is_not_known_or_not_of_its_form_is_found():
    assert leaks(customer="57") == (0, 1)
    assert leaks(outcome="Zoe Schmidt") == (0, 1)
    assert leaks(event_id="zoe") == (0, 1)
    assert leaks(status="2 00") == (0, 1)


def test_what_is_no_json_is_searched_too():
    audit = Audit()
    audit.saw(MADE, None, "thread 'main' panicked at zoe@shop.example\n")
    assert len(audit.leaks()) == 1


def test_ordinary_metrics_are_fine():
    for line in (METRICS, TOTAL, BY_KEY, BY_SHOP):
        assert leaks(line=line) == (0, 0)
    assert leaks(line={name: value for name, value in METRICS.items() if name != "VerifyTime"}) == (0, 1), "named, but not there"


def test_metrics_that_are_not_known_or_not_of_their_form_are_found():
    assert leaks(line=METRICS, customer=57.0) == (0, 1)
    assert leaks(line=METRICS, Accepted=57) == (0, 1)
    assert leaks(line=METRICS, VerifyTime=0.084) == (0, 1)
    assert leaks(line=METRICS, VerifyTime=["0.084 s"]) == (0, 1)
    assert leaks(line=METRICS, VerifyTime=[0.084, 0.085]) == (0, 1)
    assert leaks(line=METRICS, TimeLeft=[4680.25]) == (0, 1), "there, but not named"
    assert leaks(line=BY_KEY, key="zoe") == (0, 1)
    assert leaks(line=BY_SHOP, shop="Zoe's shop") == (0, 1)


def test_a_value_in_metrics_is_found():
    assert leaks(line=METRICS, channel="zoe@shop.example") == (1, 1)
    for leaked in ("zoe@shop.example", SECRET):
        for place in ("Namespace", "Unit"):
            told = json.dumps(METRICS["_aws"])
            changed = told.replace('"Unit": "Count"', f'"Unit": "{leaked}"') if place == "Unit" else told.replace("CommerceWebhooks", leaked)
            assert leaks(line=METRICS, _aws=json.loads(changed)) == (1, 1)
        assert leaks(line=METRICS, _aws=METRICS["_aws"] | {leaked: 1}) == (1, 1)


def test_a_dimension_that_nobody_chose_is_found():
    """Each value of a dimension is a metric of its own, which costs money."""
    told = json.dumps(METRICS["_aws"]).replace('["channel"]', '["channel", "request_id"]')
    assert leaks(line=METRICS, _aws=json.loads(told)) == (0, 1)
    told = json.dumps(TOTAL).replace("Accepted", "ColdStart")
    assert leaks(line=json.loads(told)) == (0, 1), "a total that there shall not be"
