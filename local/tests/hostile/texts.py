"""Bodies, rightly signed, that are no JSON in UTF-8, or only just. What no shop could print is refused before anything is read."""

import gzip
import zlib

from .case import CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT, Case, at, body, php_json, signed, with_text_at

CASES = []

GOOD = {channel: php_json(body(channel)) for channel in (CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT)}


def case(name, channel, content, outcome="not_json", pointers=(), why=""):
    CASES.append(Case(name, channel, lambda: signed(channel, content), outcome, pointers, why=why))


def note(channel, text):
    """A good body with this JSON text, or these bytes, as the value of a field that no contract has."""
    marked = php_json(body(channel, note="@@")).encode()
    return marked.replace(b'"@@"', text if isinstance(text, bytes) else text.encode())


# Encodings

case("gzip", PLACE, gzip.compress(GOOD[PLACE].encode(), mtime=0), why="without the header that says so")
case("zlib", PLACE, zlib.compress(GOOD[PLACE].encode()))
case("bom", PLACE, "\ufeff" + GOOD[PLACE], why="RFC 8259: no BOM is sent; PHP writes none")
case("bom-inside", PLACE, GOOD[PLACE].replace(":", ":\ufeff", 1))
case("bom-after", PLACE, GOOD[PLACE] + "\ufeff")
case("bom-alone", PLACE, "\ufeff")
case("bom-in-a-text", PLACE, note(PLACE, '"\ufeff"'), "accepted", why="there it is a character as any other")
case("utf-16-le", SAVE, GOOD[SAVE].encode("utf-16-le"), why="every byte of it is UTF-8, too")
case("utf-16-be", SAVE, GOOD[SAVE].encode("utf-16-be"))
case("utf-16-with-bom", SAVE, GOOD[SAVE].encode("utf-16"))
case("utf-32", SAVE, GOOD[SAVE].encode("utf-32-le"))
case("utf-7", SAVE, "+AHsAfQ-")
case("ebcdic", SAVE, GOOD[SAVE].encode("cp037"))
case("latin-1", CUSTOMER, note(CUSTOMER, b'"Zo\xeb"'))
case("windows-1252", CUSTOMER, note(CUSTOMER, b'"\x80 5"'))
case("shift-jis", CUSTOMER, note(CUSTOMER, '"表"'.encode("shift-jis")), why="its second byte is a backslash")
case("overlong-slash", INVOICE, note(INVOICE, b'"\xc0\xaf"'))
case("overlong-quote-in-three", INVOICE, note(INVOICE, b'"\xe0\x80\xa2"'))
case("overlong-nul", INVOICE, note(INVOICE, b'"\xc0\x80"'), why="Java's own UTF-8")
case("surrogates-in-utf-8", INVOICE, note(INVOICE, b'"\xed\xa0\xbd\xed\xb8\x80"'), why="CESU-8")
case("half-a-surrogate-in-utf-8", INVOICE, note(INVOICE, b'"\xed\xa0\x80"'))
case("beyond-unicode", INVOICE, note(INVOICE, b'"\xf4\x90\x80\x80"'))
case("five-bytes", INVOICE, note(INVOICE, b'"\xf8\x88\x80\x80\x80"'))
case("continuation-alone", INVOICE, note(INVOICE, b'"\x80"'))
case("character-cut-off", INVOICE, note(INVOICE, b'"\xe2\x82"'))
case("character-cut-off-at-the-end", INVOICE, GOOD[INVOICE].encode() + b"\xe2\x82")
case("fe-and-ff", INVOICE, note(INVOICE, b'"\xfe\xff"'))
case("bad-byte-in-a-key", INVOICE, GOOD[INVOICE].encode().replace(b"{", b'{"\xff":1,', 1))
case("bad-byte-outside", INVOICE, b"\xff" + GOOD[INVOICE].encode())
case("last-of-unicode", INVOICE, note(INVOICE, '"\U0010ffff"'), "accepted")
case("emoji", INVOICE, note(INVOICE, '"👩‍👩‍👧 \\ud83d\\ude00"'), "accepted")
case(
    "what-sqs-refuses", INVOICE, note(INVOICE, '"\ufffe\uffff\\ufffe"'), "accepted", why="two code points that SQS does not carry"
)
case("replacement-characters", INVOICE, note(INVOICE, '"' + "\ufffd" * 100 + '"'), "accepted")
case("right-to-left", INVOICE, note(INVOICE, '"\u202e\u2066abc"'), "accepted")
case("many-combining", INVOICE, note(INVOICE, '"a' + "\u0301" * 5_000 + '"'), "accepted")

# Control characters

case("nul-before", SHIPMENT, "\0" + GOOD[SHIPMENT])
case("nul-after", SHIPMENT, GOOD[SHIPMENT] + "\0")
case("nul-alone", SHIPMENT, "\0")
case("nul-in-a-text", SHIPMENT, note(SHIPMENT, '"a\0b"'))
case("nul-in-a-key", SHIPMENT, GOOD[SHIPMENT].replace('"order_id"', '"order_id\0"'))
case("nul-in-a-number", SHIPMENT, note(SHIPMENT, "1\0"))
case("nul-escaped", SHIPMENT, note(SHIPMENT, '"a\\u0000b"'), "accepted", why="a character that JSON can write")
case("line-break-in-a-text", SHIPMENT, note(SHIPMENT, '"a\nb"'))
case("tab-in-a-text", SHIPMENT, note(SHIPMENT, '"a\tb"'))
case("escape-in-a-text", SHIPMENT, note(SHIPMENT, '"\x1b[2J"'))
case("last-control-in-a-text", SHIPMENT, note(SHIPMENT, '"\x1f"'))
case("delete-in-a-text", SHIPMENT, note(SHIPMENT, '"\x7f"'), "accepted", why="no control character to JSON")
case("c1-in-a-text", SHIPMENT, note(SHIPMENT, '"\x85\x9b"'), "accepted")
case("line-separator-in-a-text", SHIPMENT, note(SHIPMENT, '"\u2028"'), "accepted", why="only JavaScript minds")
case("all-escapes", SHIPMENT, note(SHIPMENT, r'"\" \\ \/ \b \f \n \r \t \u00e9 \u00E9"'), "accepted")
case("controls-escaped", SHIPMENT, note(SHIPMENT, r'"\u0001\u001b[2J\u0007\u007f\u0080"'), "accepted")

# Escapes

for name, text in {
    "x": r'"\x41"',
    "quote": r'"\'"',
    "octal": r'"\101"',
    "capital-u": r'"\U00000041"',
    "brace": r'"\u{41}"',
    "short": r'"\u12"',
    "no-hex": r'"\u12g4"',
    "signed": r'"\u+123"',
    "fullwidth": r'"\u００４１"',
    "line-break": '"a\\\nb"',
    "nul": '"\\\0"',
    "at-the-end": '"\\"',
    "upper": r'"\N"',
    "zero": r'"\0"',
    "a": r'"\a"',
    "v": r'"\v"',
}.items():
    case(f"escape-{name}", PRODUCT, note(PRODUCT, text))
case("half-a-pair-unread", PRODUCT, note(PRODUCT, r'"\ud800"'), "accepted", why="it is JSON, and travels as it was written")
case("half-a-pair-read", PRODUCT, with_text_at(PRODUCT, "name", r'"\ud800"'), "accepted", at(PRODUCT, "name"), "it is no text")
case("second-half-first", PRODUCT, with_text_at(PRODUCT, "sku", r'"\ude00\ud83d"'), "accepted", at(PRODUCT, "sku"))
case("first-half-twice", PRODUCT, with_text_at(PRODUCT, "sku", r'"\ud83d\ud83d"'), "accepted", at(PRODUCT, "sku"))
case("first-half-and-a-letter", PRODUCT, with_text_at(PRODUCT, "sku", r'"\ud83da"'), "accepted", at(PRODUCT, "sku"))
case("nul-escaped-in-a-name", PRODUCT, with_text_at(PRODUCT, "name", r'"\u0000"'), "accepted")
case("nul-escaped-in-a-sku", PRODUCT, with_text_at(PRODUCT, "sku", r'"A\u0000B"'), "accepted", why="the group is then a hash")
case("noncharacter-in-a-sku", PRODUCT, with_text_at(PRODUCT, "sku", r'"A\uffffB"'), "accepted", why="SQS does not carry it raw")

# What is no JSON

for name, content in {
    "nothing": "",
    "space": " ",
    "line-breaks": "\r\n\r\n",
    "text": "hello",
    "brace-alone": "{",
    "brace-closing": "}",
    "quote-alone": '"',
    "form": "order[increment_id]=1&order%5Bgrand_total%5D=2",
    "multipart": '--b\r\ncontent-disposition: form-data; name="order"\r\n\r\n{}\r\n--b--',
    "xml": '<?xml version="1.0"?><!DOCTYPE o [<!ENTITY x SYSTEM "file:///etc/passwd">]><order>&x;</order>',
    "html": "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "yaml": "order:\n  increment_id: 1\n",
    "yaml-tag": "!!python/object/apply:os.system ['id']",
    "php-serialized": 'a:1:{s:5:"order";O:8:"stdClass":0:{}}',
    "php-warning-before": "<br />\n<b>Warning</b>: Undefined index in /var/www<br />\n" + GOOD[PLACE],
    "sse": "data: " + GOOD[PLACE] + "\n\n",
    "jsonp": f"callback({GOOD[PLACE]});",
    "prefix-against-hijacking": ")]}',\n" + GOOD[PLACE],
    "msgpack": b"\x81\xa5order\x80",
    "cbor": b"\xa1\x65order\xa0",
    "bson": b"\x10\0\0\0\x03order\0\x05\0\0\0\0\0",
    "protobuf": b"\x0a\x05order",
    "http-request": "POST / HTTP/1.1\r\nhost: a\r\n\r\n" + GOOD[PLACE],
    "record-separator-before": "\x1e" + GOOD[PLACE] + "\n",
    "two-documents": GOOD[PLACE] + GOOD[PLACE],
    "two-lines": GOOD[PLACE] + "\n" + GOOD[PLACE],
    "trailing-brace": GOOD[PLACE] + "}",
    "trailing-comma": GOOD[PLACE] + ",",
    "trailing-semicolon": GOOD[PLACE] + ";",
    "trailing-text": GOOD[PLACE] + " x",
    "trailing-comment": GOOD[PLACE] + " // x",
    "cut-off": GOOD[PLACE][:-1],
    "cut-off-in-a-text": GOOD[PLACE][:20],
    "no-break-space": "\u00a0" + GOOD[PLACE],
    "vertical-tab": "\v" + GOOD[PLACE],
    "form-feed": GOOD[PLACE] + "\f",
    "line-separator": "\u2028" + GOOD[PLACE],
    "ideographic-space": GOOD[PLACE].replace(":", ":\u3000", 1),
    "null": "null",
    "true": "true",
    "number": "7",
    "infinite-number": "1e999",
    "list": "[]",
    "list-of-events": f"[{GOOD[PLACE]}]",
    "string-of-the-event": '"' + GOOD[PLACE].replace("\\", "\\\\").replace('"', '\\"') + '"',
    "comment-before": "/* x */" + GOOD[PLACE],
    "comment-inside": GOOD[PLACE].replace(",", ", /* x */", 1),
    "hash-comment": "# x\n" + GOOD[PLACE],
    "comma-before-a-brace": GOOD[PLACE][:-2] + ",}}",
    "comma-first": GOOD[PLACE].replace("{", "{,", 1),
    "comma-twice": GOOD[PLACE].replace(",", ",,", 1),
    "comma-missing": GOOD[PLACE].replace(",", " ", 1),
    "colon-missing": GOOD[PLACE].replace(":", " ", 1),
    "colon-twice": GOOD[PLACE].replace(":", "::", 1),
    "equals-for-colon": GOOD[PLACE].replace(":", "=", 1),
    "arrow-for-colon": GOOD[PLACE].replace(":", "=>", 1),
    "value-missing": '{"data":}',
    "key-alone": '{"data"}',
    "keys-unquoted": "{data:{}}",
    "keys-in-single-quotes": "{'data':{}}",
    "key-number": '{1:{},"data":{}}',
    "key-null": "{null:1}",
    "smart-quotes": "{“data”:{}}",
    "brackets-crossed": '{"data":[}]',
    "list-closed-by-a-brace": '{"data":[1}',
    "template": "{{order}}",
    "empty-braces-twice": "{}{}",
}.items():
    case(f"no-json-{name}", PLACE, content)

# Values that are no JSON, where nobody reads them

for name, text in {
    "nan": "NaN",
    "infinity": "Infinity",
    "minus-infinity": "-Infinity",
    "inf": "-inf",
    "undefined": "undefined",
    "none": "None",
    "true-in-capitals": "TRUE",
    "null-in-capitals": "Null",
    "null-cut-off": "nul",
    "null-and-more": "nulls",
    "leading-zero": "012",
    "leading-zeros": "00",
    "minus-leading-zero": "-01",
    "plus": "+1",
    "minus-alone": "-",
    "minus-twice": "--1",
    "minus-and-space": "- 1",
    "hex": "0x1F",
    "octal": "0o17",
    "binary": "0b1",
    "point-first": ".5",
    "point-last": "5.",
    "point-alone": ".",
    "points": "1.2.3",
    "exponent-empty": "1e",
    "exponent-plus": "1e+",
    "exponent-of-a-fraction": "1e2.5",
    "exponent-alone": "e5",
    "underscore": "1_000",
    "comma-in-a-number": "1,5",
    "bigint": "10n",
    "suffix": "1f",
    "arabic": "١٢",
    "fullwidth": "１２",
    "vulgar-fraction": "½",
    "unicode-minus": "−1",
    "single-quotes": "'x'",
    "backticks": "`x`",
    "raw-string": 'r"x"',
    "regex": "/x/",
    "function": "new Date(0)",
    "undefined-in-a-list": "[undefined]",
    "comma-at-the-end-of-a-list": "[1,]",
    "hole-in-a-list": "[1,,2]",
    "list-without-commas": "[1 2]",
    "list-left-open": "[1",
    "object-left-open": '{"a":1',
    "colon-in-a-list": '["a":1]',
    "text-left-open": '"abc',
}.items():
    case(f"value-{name}", SAVE, note(SAVE, text), why="the whole body is checked, read or not")

# Numbers that are JSON, where nobody reads them

for name, text in {
    "1e999": "1e999",
    "minus-1e999": "-1E+999",
    "1e-999": "1e-999",
    "400-digits": "9" * 400,
    "100000-digits": "1" + "0" * 100_000,
    "huge-exponent": "1e" + "9" * 400,
    "400-decimals": "0." + "3" * 400,
    "minus-zero": "-0",
    "minus-zero-point": "-0.0e-0",
    "past-i64": "9223372036854775808",
    "past-u64": "18446744073709551616",
    "past-the-safe-integers": "9007199254740993",
}.items():
    case(f"unread-{name}", SAVE, note(SAVE, text), "accepted", why="it travels as it was written")

# Blanks that JSON allows

case("blanks-everywhere", DELETE, GOOD[DELETE].replace(":", "\r\n\t : \n").replace(",", " ,\t"), "accepted")
case("blanks-around", DELETE, "\r\n\t " + GOOD[DELETE] + " \t\r\n", "accepted")
case("100000-blanks", DELETE, GOOD[DELETE].replace(":", ":" + " " * 100_000, 1), "accepted")
