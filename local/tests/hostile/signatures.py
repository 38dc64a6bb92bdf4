"""Signatures that nobody made with a key of ours over exactly these bytes. Only the first few of the accepted ones are spellings
that a signer may choose; the rest shall not stand in anybody's way."""

import base64
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from shop import SECRET, sample
from stack import EVENTS, sample_keys

from .case import CUSTOMER, DELETE, INVOICE, PLACE, SAVE, Case, b64, body, gateway_event, hmac_hex, php_json, raw, sha256, signed

CASES = []

# PHP's own escapes, so that the parsed and reprinted body has other bytes.
CONTENT = {"order": {**body(PLACE)["data"]["order"], "customer_firstname": "Zoë", "customer_note": "a/b"}}
RAW = php_json(CONTENT)
DIGEST = bytes.fromhex(hmac_hex(RAW))
KEY = serialization.load_pem_private_key((EVENTS / "sample-keys" / "private-key.pem").read_bytes(), None)
PUBLIC_PEM = (EVENTS / "sample-keys" / "public-key.pem").read_text()
N, D = KEY.public_key().public_numbers().n, KEY.private_numbers().d
OTHER = rsa.generate_private_key(65537, 2048)
HMAC, RSA = "x-adobe-signature", "x-adobe-commerce-webhook-signature"


def case(name, headers, outcome="signature_wrong", why="", content=RAW, channel=PLACE, environment=()):
    headers = {"content-type": "application/json", **headers}
    CASES.append(Case(name, channel, lambda: gateway_event(channel, content, headers), outcome, why=why, environment=environment))


def by_hmac(name, value, outcome="signature_wrong", **more):
    case(f"hmac-{name}", {HMAC: value}, outcome, **more)


def by_rsa(name, value, outcome="signature_wrong", **more):
    case(f"rsa-{name}", {RSA: value}, outcome, **more)


# None at all

case("none", {}, "signature_missing")
case("null-origin-headers-only", {"authorization": f"Bearer {hmac_hex(RAW)}"}, "signature_missing")
case("in-a-header-of-another-name", {"x-hub-signature-256": f"sha256={hmac_hex(RAW)}"}, "signature_missing", "GitHub's header")
case("in-the-singular-of-the-name", {"x-adobe-signatur": hmac_hex(RAW)}, "signature_missing")
case("in-x-adobe-signature-256", {"x-adobe-signature-256": hmac_hex(RAW)}, "signature_missing")
case("in-the-digest-header", {"digest": f"sha-256={b64(DIGEST)}"}, "signature_missing")

# HMAC: spellings

by_hmac("hex", hmac_hex(RAW), "accepted")
by_hmac("hex-in-capitals", hmac_hex(RAW).upper(), "accepted")
by_hmac("hex-in-mixed-case", "".join(c.upper() if i % 2 else c for i, c in enumerate(hmac_hex(RAW))), "accepted")
by_hmac("prefixed-hex", f"sha256={hmac_hex(RAW)}", "accepted")
by_hmac("base64", b64(DIGEST), "accepted")
by_hmac("prefix-in-capitals", f"SHA256={hmac_hex(RAW)}", "accepted", why="the digest is right; only the name is loud")
by_hmac("spaces-around", f"  {hmac_hex(RAW)}\t", "accepted", why="HTTP takes blanks around a value for nothing")
by_hmac("empty", "")
by_hmac("blank", "   ")
by_hmac("only-the-prefix", "sha256=")
by_hmac("one-digit", "a")
by_hmac("one-digit-short", hmac_hex(RAW)[:-1])
by_hmac("one-digit-more", hmac_hex(RAW) + "0")
by_hmac("first-half", hmac_hex(RAW)[:32], why="a truncated HMAC is easier to guess")
by_hmac("first-byte", hmac_hex(RAW)[:2])
by_hmac("doubled", hmac_hex(RAW) * 2)
by_hmac("twice-with-a-comma", f"{hmac_hex(RAW)},{hmac_hex(RAW)}", why="so a gateway joins a header that came twice")
by_hmac("right-after-wrong", f"{'0' * 64}, {hmac_hex(RAW)}")
by_hmac("right-before-wrong", f"{hmac_hex(RAW)}, {'0' * 64}")
by_hmac("list-of-versions", f"t=1781814431,v1={hmac_hex(RAW)}", why="Stripe's way")
by_hmac("prefix-sha1", f"sha1={hmac_hex(RAW, digest='sha1')}")
by_hmac("prefix-sha512", f"sha512={hmac_hex(RAW, digest='sha512')}")
by_hmac("prefix-sha1-before-the-right-digest", f"sha1={hmac_hex(RAW)}")
by_hmac("prefix-none", f"none={hmac_hex(RAW)}")
by_hmac("prefix-twice", f"sha256=sha256={hmac_hex(RAW)}")
by_hmac("prefix-with-a-dash", f"sha-256={hmac_hex(RAW)}")
by_hmac("prefix-with-a-colon", f"sha256:{hmac_hex(RAW)}")
by_hmac("prefix-and-a-space", f"sha256= {hmac_hex(RAW)}")
by_hmac("prefix-before-base64", f"sha256={b64(DIGEST)}", why="the contract prefixes hex only")
by_hmac("prefix-cut-in-a-character", f"sha256é{hmac_hex(RAW)}", why="the seventh byte is inside of a character")
by_hmac("0x", f"0x{hmac_hex(RAW)}")
by_hmac("in-quotes", f'"{hmac_hex(RAW)}"')
by_hmac("hex-with-colons", ":".join(hmac_hex(RAW)[i : i + 2] for i in range(0, 64, 2)))
by_hmac("hex-with-a-space-inside", f"{hmac_hex(RAW)[:32]} {hmac_hex(RAW)[32:]}")
by_hmac("hex-folded", f"{hmac_hex(RAW)[:32]}\r\n {hmac_hex(RAW)[32:]}", why="an obsolete line fold")
by_hmac("hex-and-nul", f"{hmac_hex(RAW)}\0")
by_hmac("nul-and-hex", f"\0{hmac_hex(RAW)}")
by_hmac("fullwidth-digits", hmac_hex(RAW).translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789abcdef"}))
by_hmac("arabic-digits", hmac_hex(RAW).translate({ord("0") + i: 0x660 + i for i in range(10)}))
by_hmac("64-bytes-of-characters-of-three", "０" * 21 + "a", why="as long as hex in bytes, not in characters")
by_hmac("a-lookalike-letter", "а" + hmac_hex(RAW)[2:], why="a Cyrillic а, which has two bytes")
by_hmac("latin-1-bytes", DIGEST.decode("latin-1"), why="the digest itself, as text")
by_hmac("no-hex-digit", "g" * 64)
by_hmac("zeros", "0" * 64)
by_hmac("ones", "f" * 64)
by_hmac("bytes-reversed", DIGEST[::-1].hex())
by_hmac("digits-reversed", hmac_hex(RAW)[::-1])
by_hmac("bits-flipped", bytes(255 - byte for byte in DIGEST).hex())
by_hmac("last-bit-flipped", (DIGEST[:-1] + bytes([DIGEST[-1] ^ 1])).hex())
by_hmac("base64-of-hex", b64(hmac_hex(RAW)))
by_hmac("base64-unpadded", b64(DIGEST).rstrip("="))
by_hmac("base64-padded-twice", b64(DIGEST) + "=")
by_hmac("base64-with-a-line-break", f"{b64(DIGEST)[:20]}\n{b64(DIGEST)[20:]}")
by_hmac("base64-truncated", b64(DIGEST[:16]))
by_hmac("base64-of-nothing", "====")
by_hmac("base32", base64.b32encode(DIGEST).decode())
by_hmac("decimal", str(int.from_bytes(DIGEST, "big")))
by_hmac("json", json.dumps({"alg": "HS256", "sig": hmac_hex(RAW)}))
by_hmac("jwt-without-algorithm", "eyJhbGciOiJub25lIn0." + b64(RAW).rstrip("=") + ".")
by_hmac("php-array", "Array")
by_hmac("true", "true", why="PHP's == would take it")
by_hmac("zero-exponent", "0e1234", why="PHP's == takes one 0e… for another")
by_hmac("100-kb", "a" * 100_000)
by_hmac("100-kb-of-the-right-one", hmac_hex(RAW) * 1563)
by_hmac("sql", "' OR '1'='1")
by_hmac("format-string", "%s%n" * 16)


def with_base64_of(wanted):
    """A good body whose HMAC has one of these characters in base64."""
    for number in range(1000):
        content = php_json(body(PLACE, increment_id=f"{number:09}"))
        value = b64(bytes.fromhex(hmac_hex(content)))
        if any(c in value for c in wanted):
            return content, value
    raise AssertionError


CONTENT_URLSAFE, VALUE = with_base64_of("+/")
by_hmac(
    "base64url",
    VALUE.replace("+", "-").replace("/", "_"),
    content=CONTENT_URLSAFE,
    why="the contract's alphabet is the standard one",
)
by_hmac("base64-percent-encoded", VALUE.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"), content=CONTENT_URLSAFE)
by_hmac("base64-plus-as-space", VALUE.replace("+", " ").replace("/", " "), content=CONTENT_URLSAFE)
by_hmac(
    "base64-with-loose-bits",
    b64(DIGEST)[:-2] + {c: d for c, d in zip("AEIMQUYcgkosw048", "BFJNRVZdhlptx159")}[b64(DIGEST)[-2]] + "=",
    why="two spellings of one digest: only the canonical one counts",
)

# HMAC: of something else, or with another key

by_hmac("of-the-reprinted-body", hmac_hex(json.dumps(CONTENT)), why="parsed and printed again")
by_hmac("of-the-unescaped-body", hmac_hex(json.dumps(CONTENT, separators=(",", ":"), ensure_ascii=False)))
by_hmac("of-the-indented-body", hmac_hex(json.dumps(CONTENT, indent=2)))
by_hmac("of-the-sorted-body", hmac_hex(json.dumps(CONTENT, sort_keys=True, separators=(",", ":"))))
by_hmac("of-the-body-and-a-line-break", hmac_hex(RAW + "\n"))
by_hmac("of-the-body-without-its-last-byte", hmac_hex(RAW[:-1]))
by_hmac("of-the-body-after-a-bom", hmac_hex("\ufeff" + RAW))
by_hmac("of-the-body-in-utf-16", hmac_hex(RAW.encode("utf-16-le")))
by_hmac("of-the-body-in-base64", hmac_hex(b64(RAW)), why="so the shop signs with RSA, and only with RSA")
by_hmac("of-the-body-in-hex", hmac_hex(raw(RAW).hex()))
by_hmac("of-the-digest-of-the-body", hmac_hex(sha256(RAW)))
by_hmac("of-nothing", hmac_hex(""))
by_hmac("of-the-entity", hmac_hex(php_json(CONTENT["order"])))
by_hmac("of-the-path-and-the-body", hmac_hex(f"/webhook/observer.{PLACE}{RAW}"))
by_hmac("of-time-and-body", hmac_hex(f"1781814431.{RAW}"))
by_hmac("of-another-event", sample(SAVE, "ideal")["headers"][HMAC])
by_hmac("of-another-channels-body", hmac_hex(body(INVOICE)))
by_hmac("sha1", hmac_hex(RAW, digest="sha1"))
by_hmac("sha512", hmac_hex(RAW, digest="sha512"))
by_hmac("sha512-cut-to-256", hmac_hex(RAW, digest="sha512")[:64])
by_hmac("sha3-256", hmac_hex(RAW, digest="sha3_256"), why="as long as the right one")
by_hmac("md5", hmac_hex(RAW, digest="md5"))
by_hmac("plain-digest", sha256(RAW).hex(), why="no key at all")
by_hmac("digest-of-secret-and-body", sha256(SECRET + RAW).hex(), why="what a length extension would forge")
by_hmac("digest-of-body-and-secret", sha256(RAW + SECRET).hex())
by_hmac("with-an-empty-secret", hmac_hex(RAW, secret=""))
by_hmac("with-the-secret-and-a-line-break", hmac_hex(RAW, secret=SECRET + "\n"))
by_hmac("with-the-secret-in-capitals", hmac_hex(RAW, secret=SECRET.upper() if SECRET != SECRET.upper() else SECRET.lower()))
by_hmac("with-the-digest-of-the-secret", hmac_hex(RAW, secret=sha256(SECRET)))
by_hmac("with-body-and-secret-exchanged", hmac_hex(SECRET, secret=RAW))
by_hmac("with-the-public-key", hmac_hex(RAW, secret=PUBLIC_PEM), why="the two schemes must not share keys")
by_hmac("with-the-public-key-over-base64", hmac_hex(b64(RAW), secret=PUBLIC_PEM))
by_hmac("with-the-secret-padded-by-nul", hmac_hex(RAW, secret=SECRET + "\0"), "accepted", why="HMAC pads its keys: the same key")
by_hmac("the-secret-itself", SECRET)
by_hmac("wrong-for-a-body-of-nothing", "0" * 64, content="")
by_hmac("wrong-for-a-body-that-is-no-json", "0" * 64, content="{", why="nothing unverified is read")
by_hmac("wrong-for-another-event", "0" * 64, content='{"event":"observer.other"}', channel=SAVE, why="nothing unverified is read")
by_hmac(
    "wrong-for-fields-missing", "0" * 64, content='{"data":{"customer":{}}}', channel=DELETE, why="nothing unverified is read"
)


# RSA


def rsa_sign(content=None, pad=None, digest=None, private=KEY):
    """A signature of this, or rightly of the body's base64 text."""
    return b64(private.sign(raw(content or b64(RAW)), pad or padding.PKCS1v15(), digest or hashes.SHA256()))


def rsa_of_block(block):
    """What the private key makes of a padded block of our own."""
    return b64(pow(int.from_bytes(block, "big"), D, N).to_bytes(256, "big"))


# DER of the digest's algorithm, SHA-256, as PKCS #1 writes it.
INFO = bytes.fromhex("3031300d060960864801650304020105000420")
HASH = sha256(b64(RAW))


def block(info=INFO + HASH, head=b"\0\1", fill=b"\xff", end=b"\0", garbage=b""):
    return head + fill * (256 - len(head) - len(end) - len(info) - len(garbage)) + end + info + garbage


GOOD = rsa_sign()
SIGNATURE = base64.b64decode(GOOD)

by_rsa("right", GOOD, "accepted")
by_rsa("block-of-our-own", rsa_of_block(block()), "accepted", why="so the forged blocks below fail for what is wrong with them")
by_rsa("empty", "")
by_rsa("over-the-raw-body", rsa_sign(RAW), why="the shop signs the base64 text")
PADDED = RAW + " " * ((1 - len(RAW)) % 3)  # its base64 ends with ==
SLASHED = RAW + "?" * 6  # its base64 has a / in it
by_rsa("over-unpadded-base64", rsa_sign(b64(PADDED).rstrip("=")), content=PADDED)
by_rsa("over-base64url", rsa_sign(base64.urlsafe_b64encode(raw(SLASHED))), content=SLASHED)
by_rsa("over-base64-in-lines", rsa_sign(base64.encodebytes(raw(RAW))))
by_rsa("over-base64-and-a-line-break", rsa_sign(b64(RAW) + "\n"))
by_rsa("over-base64-of-base64", rsa_sign(b64(b64(RAW))))
by_rsa("over-the-hex-of-the-body", rsa_sign(raw(RAW).hex()))
by_rsa("over-the-digest", rsa_sign(sha256(b64(RAW))))
by_rsa("over-the-reprinted-body", rsa_sign(b64(json.dumps(CONTENT))))
by_rsa("over-another-event", sample(SAVE, "default")["headers"][RSA])
by_rsa("sha1", rsa_sign(digest=hashes.SHA1()))
by_rsa("sha384", rsa_sign(digest=hashes.SHA384()))
by_rsa("sha512", rsa_sign(digest=hashes.SHA512()))
by_rsa("sha3-256", rsa_sign(digest=hashes.SHA3_256()))
by_rsa("pss", rsa_sign(pad=padding.PSS(padding.MGF1(hashes.SHA256()), 32)))
by_rsa("pss-with-the-longest-salt", rsa_sign(pad=padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)))
by_rsa("pss-with-sha1", rsa_sign(pad=padding.PSS(padding.MGF1(hashes.SHA1()), 20), digest=hashes.SHA1()))
by_rsa("by-another-key-of-the-same-size", rsa_sign(private=OTHER))
by_rsa("by-a-key-of-1024-bits", rsa_sign(private=rsa.generate_private_key(65537, 1024)))
by_rsa("as-long-as-by-4096-bits", b64(b"\x5a" * 512), why="no key here is that long")
by_rsa("by-an-elliptic-curve", b64(ec.generate_private_key(ec.SECP256R1()).sign(raw(b64(RAW)), ec.ECDSA(hashes.SHA256()))))
by_rsa("zeros", b64(bytes(256)), why="0 to any power is 0")
by_rsa("one", b64((1).to_bytes(256, "big")), why="1 to any power is 1")
by_rsa("the-modulus-less-one", b64((N - 1).to_bytes(256, "big")))
by_rsa("the-modulus", b64(N.to_bytes(256, "big")))
by_rsa("ones", b64(b"\xff" * 256), why="more than the modulus")
by_rsa("negated", b64((N - int.from_bytes(SIGNATURE, "big")).to_bytes(256, "big")))
by_rsa("and-a-zero-before", b64(b"\0" + SIGNATURE))
by_rsa("and-a-zero-after", b64(SIGNATURE + b"\0"))
by_rsa("without-its-last-byte", b64(SIGNATURE[:-1]))
by_rsa("bytes-reversed", b64(SIGNATURE[::-1]))
by_rsa("plus-the-modulus", b64((int.from_bytes(SIGNATURE, "big") + N).to_bytes(257, "big")), why="congruent to the right one")
by_rsa("block-of-type-2", rsa_of_block(block(head=b"\0\2")))
by_rsa("block-filled-with-zeros", rsa_of_block(block(fill=b"\0")))
by_rsa("block-with-short-padding", rsa_of_block(block(garbage=b"\0" * 180)), why="Bleichenbacher's: garbage after the digest")
by_rsa("block-with-garbage-before", rsa_of_block(block(info=b"\xaa" * 100 + b"\0" + INFO + HASH)))
by_rsa("block-without-algorithm", rsa_of_block(block(info=HASH)))
by_rsa(
    "block-without-null-parameters", rsa_of_block(block(info=bytes.fromhex("302f300b0609608648016503040201") + b"\4\x20" + HASH))
)
by_rsa("block-with-the-algorithm-sha1", rsa_of_block(block(info=bytes.fromhex("3021300906052b0e03021a05000414") + HASH[:20])))
by_rsa("block-with-long-lengths", rsa_of_block(block(info=b"\x30\x81\x31" + INFO[2:] + HASH)), why="BER where DER is due")
by_rsa("hex", SIGNATURE.hex())
by_rsa("prefixed", f"sha256={GOOD}")
by_rsa("named-by-algorithm", f"rsa-sha256 {GOOD}")
by_rsa("in-quotes", f'"{GOOD}"')
by_rsa("unpadded", GOOD.rstrip("="))
by_rsa("base64url", GOOD.replace("+", "-").replace("/", "_"))
by_rsa("in-lines-of-76", base64.encodebytes(SIGNATURE).decode(), why="MIME's base64 has line breaks, PHP's has none")
by_rsa("twice-with-a-comma", f"{GOOD},{GOOD}")
by_rsa("twice-without", GOOD * 2)
by_rsa("spaces-around", f" {GOOD} ", "accepted", why="HTTP takes blanks around a value for nothing")
by_rsa("pem", f"-----BEGIN SIGNATURE-----\n{GOOD}\n-----END SIGNATURE-----")
by_rsa("the-public-key", b64(PUBLIC_PEM))
by_rsa("100-kb", "A" * 100_000)
by_rsa("wrong-for-a-large-body", b64(bytes(256)), content=b" " * 1_000_000, why="costs the base64 of the body, and no more")

# One in the other's place, and both

by_hmac("that-is-rsa", GOOD)
by_hmac("that-is-prefixed-rsa", f"sha256={GOOD}")
by_rsa("that-is-hmac", hmac_hex(RAW))
by_rsa("that-is-hmac-in-base64", b64(DIGEST))
by_rsa("that-is-hmac-of-base64", hmac_hex(b64(RAW)))
case("exchanged", {HMAC: GOOD, RSA: hmac_hex(RAW)})
case("both-right", {HMAC: hmac_hex(RAW), RSA: GOOD}, "accepted")
case("both-wrong", {HMAC: "0" * 64, RSA: b64(bytes(256))})
case("both-empty", {HMAC: "", RSA: ""})
case("hmac-right-rsa-wrong", {HMAC: hmac_hex(RAW), RSA: b64(bytes(256))}, "accepted", "any one is enough")
case("hmac-wrong-rsa-right", {HMAC: "0" * 64, RSA: GOOD}, "accepted", "any one is enough")
case("hmac-empty-rsa-right", {HMAC: "", RSA: GOOD}, "accepted", "any one is enough")

# Right for the body, which then changed

case("body-with-a-line-break-more", {HMAC: hmac_hex(RAW)}, content=RAW + "\n")
case("body-reprinted", {HMAC: hmac_hex(RAW)}, content=json.dumps(CONTENT))
case("body-with-its-escapes-resolved", {RSA: GOOD}, content=RAW.replace("\\u00eb", "ë"))
case("body-with-its-slashes-resolved", {RSA: GOOD}, content=RAW.replace("\\/", "/"))
case("body-in-utf-16", {HMAC: hmac_hex(RAW)}, content=RAW.encode("utf-16"))
case("body-in-base64", {HMAC: hmac_hex(RAW)}, content=b64(RAW))
case("body-cut-off", {HMAC: hmac_hex(RAW)}, content=RAW[: len(RAW) // 2])
case("body-empty", {HMAC: hmac_hex(RAW)}, content="")
case("body-with-another-total", {HMAC: hmac_hex(RAW)}, content=RAW.replace("12.5000", "00.0100"))
case("body-doubled", {RSA: GOOD}, content=RAW * 2)
case("body-of-another-channel", {HMAC: hmac_hex(RAW)}, content=php_json(body(CUSTOMER)), channel=CUSTOMER)

# Keys as consoles, variables and files lay them out

for name, text in {
    "with-spaces": PUBLIC_PEM.replace("\n", " "),
    "with-line-breaks-as-two-characters": PUBLIC_PEM.replace("\n", "\\n"),
    "escaped-twice": PUBLIC_PEM.replace("\n", "\\\\n"),
    "with-windows-line-breaks-as-characters": PUBLIC_PEM.replace("\n", "\\r\\n"),
    "without-line-breaks": PUBLIC_PEM.replace("\n", ""),
    "with-a-byte-order-mark": f"\ufeff{PUBLIC_PEM}",
    "in-quotes": f'"{PUBLIC_PEM.strip()}"',
    "indented": PUBLIC_PEM.replace("\n", "\n      "),
    "with-no-break-spaces": PUBLIC_PEM.replace("\n", "\u00a0"),
    "with-slashes-escaped": PUBLIC_PEM.replace("/", "\\/"),
}.items():
    by_rsa(f"key-{name}", GOOD, "accepted", environment=(("WEBHOOK_KEYS", json.dumps({"public_keys": [text]})),))
for name, end in {"line-break": "\n", "windows-line-break": "\r\n", "two-line-breaks": "\n\n"}.items():
    kept = (("WEBHOOK_KEYS", json.dumps({"hmac_secrets": [SECRET + end]})),)
    by_hmac(f"secret-with-a-{name}", hmac_hex(RAW), "accepted", environment=kept)
    by_hmac(f"with-the-{name}-of-the-secret", hmac_hex(RAW, secret=SECRET + end), environment=kept, why="the shop has none")

# Keys that are not there

ONLY_HMAC = (("WEBHOOK_KEYS", json.dumps({"hmac_secrets": [SECRET]})),)
ONLY_RSA = (("WEBHOOK_KEYS", json.dumps({"public_keys": [PUBLIC_PEM]})),)
SCHEME_RSA = (("WEBHOOK_KEYS", sample_keys()), ("SIGNATURE_SCHEMES", "rsa"))
by_rsa("right-without-a-key", GOOD, "signature_without_key", environment=ONLY_HMAC)
by_hmac("right-without-a-secret", hmac_hex(RAW), "signature_without_key", environment=ONLY_RSA)
by_hmac("right-by-a-scheme-that-does-not-count", hmac_hex(RAW), "signature_without_key", environment=SCHEME_RSA)
by_hmac("empty-without-a-secret", "", "signature_without_key", environment=ONLY_RSA)
by_hmac("wrong-beside-nothing", "0" * 64, environment=ONLY_HMAC)
case("rsa-right-without-a-key-hmac-wrong", {HMAC: "0" * 64, RSA: GOOD}, environment=ONLY_HMAC)
case("none-without-a-key", {}, "signature_missing", environment=ONLY_RSA)
case("none-where-none-is-asked", {}, "accepted", "the operator chose it", environment=(("SIGNATURE_SCHEMES", "accept-unsigned"),))
case(
    "rsa-wrong-where-none-is-asked",
    {RSA: "x"},
    "accepted",
    "the operator chose it",
    environment=(("SIGNATURE_SCHEMES", "accept-unsigned"),),
)
CASES.append(
    Case(
        "right-but-for-another-route",
        SAVE,
        lambda: signed(SAVE, RAW),
        "accepted",
        ("/order/entity_id", "/order/state"),
        why="a replay of a body that names no event; whoever reads it sees what is missing",
    )
)
