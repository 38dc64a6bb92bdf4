"""Access tokens of IMS that are not valid, or not what they look like, alone and beside a signature; and some that only look bad.

The functions of these cases ask the stand-in for IMS below. A token is made when its case runs, because it expires."""

import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from ims import DAY_MS, Ims, base64url, claims, compact, encoded, jwk, new_key, private_key, signature
from shop import SECRET
from stack import EVENTS, SAMPLE_CLIENT, SAMPLE_ORG, sample_secret

from .case import PLACE, Case, b64, body, gateway_event, hmac_hex, php_json

CASES = []

RAW = php_json(body(PLACE))
HMAC, RSA, TOKEN, ORG = "x-adobe-signature", "x-adobe-commerce-webhook-signature", "authorization", "x-gw-ims-org-id"
SHOP_KEY, EU_KEY = private_key("private-key"), private_key("eu-private-key")
EU_SECRET = (EVENTS / "sample-keys" / "eu-hmac-secret.txt").read_text().strip()
OTHER, SMALL, CURVE = new_key(), new_key(1024), ec.generate_private_key(ec.SECP256R1())
EU_CLIENT, US_CLIENT, US_ORG = f"{SAMPLE_CLIENT}-eu", "client-of-the-shop-us", "89ABCDEF0123456789ABCDEF@AdobeOrg"

# What IMS serves: the sample key, and keys that cannot verify a token.
IMS = Ims()
PEM = IMS.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
POINT = CURVE.public_key().public_numbers()
IMS.jwks += [
    jwk("without-use-and-alg", IMS.key, use=None, alg=None),
    {"kid": "curve", "kty": "EC", "crv": "P-256", "alg": "ES256", **{name: base64url(getattr(POINT, name).to_bytes(32, "big")) for name in "xy"}},
    {"kid": "octets", "kty": "oct", "alg": "HS256", "k": base64url(b"a secret that everybody can read")},
    jwk("for-encryption", OTHER, use="enc"),
    jwk("for-rs512", OTHER, alg="RS512"),
    jwk("small", SMALL),
    jwk("exponent-1", OTHER, e="AQ"),
    jwk("twice", IMS.key),
    jwk("twice", OTHER),
    jwk(None, OTHER),
    jwk("", OTHER),
    jwk("\u0000", OTHER, kty="rsa"),
]  # fmt: skip
# A server to which tokens point. No function may send a request to it. It serves the key of OTHER under the name of the sample key.
TRAP = Ims()
TRAP.jwks = [jwk(IMS.kid, OTHER)]

KEYS = json.loads(sample_secret())
KEYS["shops"]["us"] = {"ims": {"client_ids": [US_CLIENT], "org_ids": [US_ORG]}}
# test_hostile.py puts the URL in.
ANY = (("WEBHOOK_KEYS", json.dumps(KEYS)), ("SIGNATURE_SCHEMES", "hmac,rsa,ims"), ("IMS_KEYS_URL", "of the stand-in"))
BOTH = (ANY[0], ("SIGNATURE_SCHEMES", "hmac+ims,rsa+ims"), ANY[2])


def case(name, headers, outcome, why="", environment=ANY):
    """`headers` makes the headers beside the content type."""
    made = lambda: gateway_event(PLACE, RAW, {"content-type": "application/json", **headers()})  # noqa: E731
    CASES.append(Case(name, PLACE, made, outcome, why=why, environment=environment))


def by_token(name, make, outcome, why="", organization=SAMPLE_ORG):
    """A case with a token, which `make` makes, and without a signature."""
    case(name, lambda: {TOKEN: f"Bearer {make()}", ORG: organization}, outcome, why)


def by_value(name, make, outcome, why=""):
    """A case with another value of the header `Authorization`, which is made of a good token."""
    case(name, lambda: {TOKEN: make(IMS.token()), ORG: SAMPLE_ORG}, outcome, why)


def by_header(name, outcome, why="", key=IMS.key, **changes):
    """A token with another header, signed."""
    by_token(name, lambda: compact(key, IMS.header(**changes), claims()), outcome, why)


def by_claims(name, outcome, why="", organization=SAMPLE_ORG, **changes):
    """A token with other claims, signed."""
    by_token(name, lambda: IMS.token(**changes), outcome, why, organization)


def by_text(name, outcome, header=None, content=None, why=""):
    """A token with another text of its header or its claims, signed. In the text `@` is the good header or the good claims without
    their outer braces."""

    def make():
        members = {"header": IMS.header(), "claims": claims()}
        texts = {}
        for part, text in (("header", header), ("claims", content)):
            good = json.dumps(members[part])
            texts[part] = good.encode() if text is None else text if isinstance(text, bytes) else text.replace("@", good[1:-1]).encode()
        return compact(IMS.key, texts["header"], texts["claims"])

    by_token(name, make, outcome, why)


def now_ms(seconds=0):
    return int((time.time() + seconds) * 1000)


def rsa(key, content=RAW):
    return b64(signature(key, b64(content)))


# The header

by_value("good", lambda token: f"Bearer {token}", "accepted")
by_value("scheme-in-small-letters", lambda token: f"bearer {token}", "accepted", "names of schemes have no case")
by_value("spaces-around", lambda token: f"Bearer   {token}  ", "accepted")
by_value("two-tokens", lambda token: f"Bearer {token}, Bearer {token}", "signature_missing", "so a gateway joins a header that came twice")
by_value("basic", lambda token: f"Basic {token}", "signature_missing")
by_value("without-scheme", lambda token: token, "signature_missing")
by_value("scheme-without-space", lambda token: f"Bearer{token}", "signature_missing")
by_value("static", lambda _: "Bearer a-static-token-of-the-hook", "signature_missing", "no token of IMS")
by_value("static-with-a-dot", lambda _: "Bearer a-static.token-of-the-hook", "signature_missing")
by_value("empty", lambda _: "", "signature_missing")
by_value("only-the-scheme", lambda _: "Bearer ", "signature_missing")
by_value("two-dots", lambda _: "Bearer ..", "token_malformed")
by_value("three-dots", lambda token: f"Bearer {token}.", "signature_missing")
by_value("in-five-parts", lambda token: f"Bearer {token}.{token[:20]}.a", "signature_missing", "an encrypted token (JWE)")
by_value("in-quotes", lambda token: f'Bearer "{token}"', "token_malformed")
by_value("cut-off", lambda token: f"Bearer {token[: len(token) // 2]}", "signature_missing", "one dot is left")
by_value("with-a-space-inside", lambda token: f"Bearer {token[:30]} {token[30:]}", "token_malformed")
by_value("padded", lambda token: f"Bearer {token}==", "token_malformed")
by_value("in-hex", lambda token: "Bearer " + ".".join(part.encode().hex() for part in token.split(".")), "token_malformed")
by_value("100-kb-of-dots", lambda _: "Bearer " + "." * 100_000, "signature_missing")
by_value("100-kb", lambda token: f"Bearer {token}{'A' * 100_000}", "token_malformed")
case("in-another-header", lambda: {"x-authorization": f"Bearer {IMS.token()}", ORG: SAMPLE_ORG}, "signature_missing")


def repeated(name, headers, outcome, why=""):
    """A case whose headers are JSON text. In it %T is a good value of the header `Authorization`, and %O one of the organization."""

    def event():
        text = headers.replace("%T", json.dumps(f"Bearer {IMS.token()}")).replace("%O", json.dumps(SAMPLE_ORG))
        return json.dumps(gateway_event(PLACE, RAW, "@@")).replace('"@@"', '{"content-type":"application/json",' + text + "}").encode()

    CASES.append(Case(name, PLACE, event, outcome, why=why, environment=ANY))


repeated("header-twice", '"authorization":%T,"authorization":%T,"x-gw-ims-org-id":%O', "signature_missing", "neither is better")
repeated("header-twice-in-two-cases", '"authorization":%T,"Authorization":%T,"x-gw-ims-org-id":%O', "signature_missing")
repeated("header-twice-one-static", '"authorization":"Bearer x","Authorization":%T,"x-gw-ims-org-id":%O', "signature_missing")
repeated("header-name-in-capitals", '"AUTHORIZATION":%T,"X-GW-IMS-ORG-ID":%O', "accepted")
repeated("organization-twice", '"authorization":%T,"x-gw-ims-org-id":%O,"X-Gw-Ims-Org-Id":%O', "token_organization")
repeated("organization-twice-one-empty", '"authorization":%T,"x-gw-ims-org-id":"","X-Gw-Ims-Org-Id":%O', "token_organization")

# The parts

by_text("header-empty", "token_malformed", header="")
by_text("header-no-json", "token_malformed", header="alg: RS256")
by_text("header-list", "token_malformed", header="[{@}]")
by_text("header-null", "token_malformed", header="null")
by_text("header-no-utf-8", "token_malformed", header=b'{"alg":"RS256","kid":"\xff"}')
by_text("header-and-more", "token_malformed", header="{@}{@}")
by_text("algorithm-twice", "token_malformed", header='{@,"alg":"none"}')
by_text("algorithm-twice-escaped", "token_malformed", header='{@,"\\u0061lg":"none"}')
by_text("kid-twice", "token_malformed", header='{@,"kid":"other"}')
by_text("header-of-1000-levels", "accepted", header='{@,"a":' + "[" * 1000 + "]" * 1000 + "}", why="passed over without counting")
by_text("claims-empty", "token_malformed", content="")
by_text("claims-no-json", "token_malformed", content="client_id=x")
by_text("claims-list", "token_malformed", content="[{@}]")
by_text("claims-in-utf-16", "token_malformed", content='{"a":1}'.encode("utf-16"))
by_text("claims-and-more", "token_malformed", content="{@} {}")
by_text("client-twice", "token_malformed", content='{@,"client_id":"other"}')
by_text("client-twice-alike", "token_malformed", content=f'{{@,"client_id":"{SAMPLE_CLIENT}"}}')
by_text("type-twice", "token_malformed", content='{@,"type":"refresh_token"}')
by_text("created-twice", "token_malformed", content='{@,"created_at":"1"}')
by_text("lifetime-twice-escaped", "token_malformed", content='{@,"expires\\u005fin":"9"}')
by_text("scope-twice", "accepted", content='{@,"scope":"other"}', why="no function reads it")
by_text("claims-with-white-space", "accepted", content="\n{ @ }\n", why="IMS may write as it likes")
by_token("without-signature", lambda: IMS.token().rpartition(".")[0] + ".", "token_wrong")

# Sizes

def of_size(wanted):
    def make():
        size, fill = len(IMS.token(fill="")), 0
        while (token := IMS.token(fill="x" * fill)) and len(token) < wanted:
            fill += max(1, (wanted - len(token)) * 3 // 4 - 2)
        assert len(token) - wanted in (0, 1) and size < wanted
        return token

    return make


by_token("of-almost-10-kb", of_size(10 * 1024 - 2), "accepted", "an access token may have many scopes")
by_token("of-more-than-10-kb", of_size(10 * 1024 + 1), "token_malformed")

# The algorithm

for name, algorithm in {"none": "none", "none-in-capitals": "NONE", "none-mixed": "nOnE"}.items():
    by_token(f"algorithm-{name}", lambda algorithm=algorithm: f"{encoded(IMS.header(alg=algorithm))}.{encoded(claims())}.", "token_malformed")
    by_header(f"algorithm-{name}-signed", "token_malformed", alg=algorithm)
for name, algorithm in {
    "in-small-letters": "rs256", "hs256": "HS256", "rs384": "RS384", "rs512": "RS512", "ps256": "PS256", "es256": "ES256", "eddsa": "EdDSA",
    "missing": None, "empty": "", "list": ["RS256"], "number": 256, "with-a-space": "RS256 ", "with-nul": "RS256\0",
}.items():  # fmt: skip
    by_header(f"algorithm-{name}", "token_malformed", alg=algorithm)


def by_hmac(secret, **changes):
    """A token that is signed with a secret, as HS256 does."""
    signed = f"{encoded(IMS.header(alg='HS256', **changes))}.{encoded(claims())}"
    return f"{signed}.{base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


DER = serialization.load_pem_public_key(PEM).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
by_token("hs256-with-the-public-key", lambda: by_hmac(PEM), "token_malformed", "the classic confusion of key types")
by_token("hs256-with-the-public-key-stripped", lambda: by_hmac(PEM.strip()), "token_malformed")
by_token("hs256-with-the-public-key-in-der", lambda: by_hmac(DER), "token_malformed")
by_token("hs256-with-the-modulus", lambda: by_hmac(IMS.jwks[0]["n"].encode()), "token_malformed")
by_token("hs256-with-the-secret-of-the-shop", lambda: by_hmac(SECRET.encode()), "token_malformed")
by_token("hs256-with-a-secret-that-ims-serves", lambda: by_hmac(b"a secret that everybody can read", kid="octets"), "token_malformed")
by_token("hs256-with-no-secret", lambda: by_hmac(b""), "token_malformed")


def signed_otherwise(sign):
    def make():
        signed = f"{encoded(IMS.header())}.{encoded(claims())}"
        return f"{signed}.{base64url(sign(signed.encode()))}"

    return make


PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
by_token("rs256-that-is-ps256", signed_otherwise(lambda text: IMS.key.sign(text, PSS, hashes.SHA256())), "token_wrong")
by_token("rs256-that-is-rs512", signed_otherwise(lambda text: IMS.key.sign(text, padding.PKCS1v15(), hashes.SHA512())), "token_wrong")
by_token("rs256-that-is-rs1", signed_otherwise(lambda text: IMS.key.sign(text, padding.PKCS1v15(), hashes.SHA1())), "token_wrong")
by_token("rs256-that-is-es256", signed_otherwise(lambda text: CURVE.sign(text, ec.ECDSA(hashes.SHA256()))), "token_wrong")
by_token("rs256-that-is-hmac", signed_otherwise(lambda text: hmac.new(PEM, text, hashlib.sha256).digest()), "token_wrong")

# The key

by_header("key-without-use-and-algorithm", "accepted", kid="without-use-and-alg")
by_header("key-unknown", "token_key_unknown", kid="ims_na1-key-at-1")
by_header("key-of-another-case", "token_key_unknown", kid="SAMPLE-1")
by_header("key-with-a-space", "token_key_unknown", kid="sample-1 ")
by_header("key-path", "token_key_unknown", kid="../../../../dev/null")
by_header("key-sql", "token_key_unknown", kid="x' UNION SELECT 'secret")
by_header("key-shell", "token_key_unknown", kid="|id")
by_header("key-missing", "token_malformed", kid=None)
by_header("key-empty", "token_malformed", kid="")
by_header("key-number", "token_malformed", kid=1)
by_header("key-list", "token_malformed", kid=["sample-1"])
by_header("key-name-too-long", "token_malformed", kid="k" * 257)
for kid, key in {
    "for-encryption": OTHER, "for-rs512": OTHER, "small": SMALL, "exponent-1": OTHER, "twice": OTHER, "curve": IMS.key, "octets": IMS.key,
    "\u0000": OTHER,
}.items():  # fmt: skip
    by_header(f"key-{kid if kid.isprintable() else 'of-another-type'}", "token_key_unknown", "IMS serves it, and it cannot verify a token", key, kid=kid)
by_header("key-twice-first", "token_key_unknown", kid="twice", why="two keys with one name: neither counts")

# Where a token says that its key is

POINTERS = {
    "jku": lambda: {"jku": TRAP.url},
    "x5u": lambda: {"x5u": TRAP.url},
    "both-urls": lambda: {"x5u": TRAP.url, "jku": TRAP.url, "iss": TRAP.url},
    "jwk": lambda: {"jwk": jwk(IMS.kid, OTHER)},
    "x5c": lambda: {"x5c": [b64(DER)]},
}
for name, pointers in POINTERS.items():
    by_token(f"{name}-of-an-attacker", lambda pointers=pointers: compact(OTHER, IMS.header(**pointers()), claims()), "token_wrong")
    by_token(
        f"{name}-of-an-attacker-with-another-kid",
        lambda pointers=pointers: compact(OTHER, IMS.header(**pointers(), kid="attacker"), claims()),
        "token_key_unknown",
    )
by_token("jku-beside-the-right-key", lambda: IMS.token({"jku": TRAP.url, "x5u": TRAP.url}), "accepted", "no function reads them")
by_header("critical", "token_malformed", crit=["exp"])
by_header("critical-empty", "token_malformed", crit=[])
by_header("critical-b64", "token_malformed", crit=["b64"], b64=False)
by_header("type-jwe", "accepted", typ="JWE", why="its type is in the claims")
by_header("type-missing", "accepted", typ=None)

# The signature

by_token("by-another-key", lambda: compact(OTHER, IMS.header(), claims()), "token_wrong")
by_token("by-the-key-of-the-shop", lambda: compact(SHOP_KEY, IMS.header(), claims()), "token_wrong", "confusion of the two RSA schemes")
by_token("by-the-key-of-the-shop-named-so", lambda: compact(SHOP_KEY, IMS.header(kid="public_keys/0"), claims()), "token_key_unknown")


def tampered(part, change):
    def make():
        parts = IMS.token().split(".")
        parts[part] = change(parts[part])
        return ".".join(parts)

    return make


def with_first_changed(text):
    return ("A" if text[0] != "A" else "B") + text[1:]


by_token("other-header", tampered(0, lambda _: encoded(IMS.header(kid="without-use-and-alg"))), "token_wrong", "the same key by another name")
by_token("other-client", tampered(1, lambda _: encoded(claims("another-client"))), "token_wrong")
by_token("other-times", tampered(1, lambda _: encoded(claims(created_at=str(now_ms(-2))))), "token_wrong")
by_token("no-claims", tampered(1, lambda _: encoded({})), "token_malformed")
by_token("signature-changed", tampered(2, with_first_changed), "token_wrong")
by_token("signature-without-its-last-byte", tampered(2, lambda text: base64url(base64.urlsafe_b64decode(text + "==")[:-1])), "token_wrong")
by_token("signature-without-its-last-character", tampered(2, lambda text: text[:-1]), "token_malformed", "of 341 characters base64 has none")
by_token("signature-and-three-bytes", tampered(2, lambda text: "AAAA" + text), "token_wrong")
by_token("signature-zeros", tampered(2, lambda _: base64url(bytes(256))), "token_wrong")
by_token("signature-one", tampered(2, lambda _: base64url((1).to_bytes(256, "big"))), "token_wrong")
by_token("signature-of-another-token", tampered(2, lambda _: IMS.token(scope="other").rpartition(".")[2]), "token_wrong")
by_token("signature-of-the-body", tampered(2, lambda _: base64url(signature(IMS.key, RAW))), "token_wrong")
by_token("signature-in-standard-base64", tampered(2, lambda _: b64(b"\xff" * 256).rstrip("=")), "token_malformed")
by_token("header-in-standard-base64", tampered(0, lambda _: b64(b'{"alg":"RS256","kid":"\xff\xfe\xfb~~?>"}').rstrip("=")), "token_malformed")

# The type

by_claims("type-refresh", "token_type", type="refresh_token")
by_claims("type-code", "token_type", type="authorization_code")
by_claims("type-in-capitals", "token_type", type="ACCESS_TOKEN")
by_claims("type-empty", "token_type", type="")
by_claims("type-missing-claim", "token_malformed", type=None)
by_claims("type-list", "token_malformed", type=["access_token"])
by_claims("type-true", "token_malformed", type=True)

# The times: the clocks may differ by 60 seconds

by_claims("expired", "token_expired", age_s=2 * 86400)
by_claims("expired-61-s-ago", "token_expired", age_s=86400 + 61)
by_claims("expired-50-s-ago", "accepted", "within the tolerance of clocks", age_s=86400 + 50)
by_claims("from-the-future", "token_not_yet_valid", age_s=-3600)
by_claims("from-in-75-s", "token_not_yet_valid", age_s=-75)
by_claims("from-in-50-s", "accepted", "within the tolerance of clocks", age_s=-50)
by_claims("lives-no-time", "accepted", "within the tolerance of clocks", expires_in="0")
by_claims("lived-no-time", "token_expired", age_s=70, expires_in="0")
by_token("times-as-numbers", lambda: IMS.token(created_at=now_ms(), expires_in=DAY_MS), "accepted")
by_token("created-in-seconds", lambda: IMS.token(created_at=str(now_ms() // 1000)), "token_expired")
by_token("created-in-microseconds", lambda: IMS.token(created_at=f"{now_ms()}000"), "token_not_yet_valid")
by_token("exp-in-the-past", lambda: IMS.token(exp=1, nbf=2**40, iat=2**40), "accepted", "IMS has none of these claims, and no function reads them")
for name, value in {
    "missing": None, "empty": "", "negative": "-1", "negative-number": -1, "plus": "+1000", "float": 1781814431123.5, "exponent": "1e13",
    "hex": "0x19f", "space": " 1000", "true": True, "list": ["1000"], "object": {}, "arabic": "١٢٣", "2-to-the-64": str(2**64),
    "40-digits": "9" * 40, "1e400": "1e400",
}.items():  # fmt: skip
    by_claims(f"created-{name}", "token_malformed", created_at=value)
    by_claims(f"lifetime-{name}", "token_malformed", expires_in=value)
by_claims("lifetime-overflow", "token_malformed", expires_in=str(2**64 - 1), why="the end is past all integers")
by_claims("lifetime-overflow-number", "token_malformed", expires_in=2**64 - 1)
by_claims("lifetime-long", "accepted", expires_in=str(2**62), why="IMS says so")
by_claims("created-at-the-end-of-time", "token_malformed", created_at=str(2**64 - 1))

# The client and its organization

by_claims("client-unknown", "token_client", client_id="another-client")
by_claims("client-in-capitals", "token_client", client_id=SAMPLE_CLIENT.upper())
by_claims("client-and-more", "token_client", client_id=f"{SAMPLE_CLIENT}-2")
by_claims("client-cut-off", "token_client", client_id=SAMPLE_CLIENT[:-1])
by_claims("client-lookalike", "token_malformed", client_id=SAMPLE_CLIENT.replace("c", "с"))
by_claims("client-with-a-space", "token_malformed", client_id=f"{SAMPLE_CLIENT} ")
by_claims("client-with-nul", "token_malformed", client_id=f"{SAMPLE_CLIENT}\0")
by_claims("client-missing", "token_malformed", client_id=None)
by_claims("client-empty", "token_malformed", client_id="")
by_claims("client-number", "token_malformed", client_id=5)
by_claims("client-list", "token_malformed", client_id=[SAMPLE_CLIENT])
by_claims("client-too-long", "token_malformed", client_id="c" * 257)
by_claims("client-of-another-shop", "accepted", client_id=US_CLIENT, organization=US_ORG)
by_claims("client-of-another-shop-and-organization-of-this-one", "token_organization", client_id=US_CLIENT)
by_claims("organization-of-another-shop", "token_organization", organization=US_ORG)
by_claims("organization-unknown", "token_organization", organization="FEDCBA9876543210FEDCBA98@AdobeOrg")
by_claims("organization-empty", "token_organization", organization="")
by_claims("organization-in-small-letters", "token_organization", organization=SAMPLE_ORG.lower())
by_claims("organization-without-its-end", "token_organization", organization=SAMPLE_ORG.removesuffix("@AdobeOrg"))
by_claims("organization-listed-twice", "token_organization", organization=f"{SAMPLE_ORG},{SAMPLE_ORG}")
by_claims("organization-of-10-kb", "token_organization", organization=SAMPLE_ORG * 300)
case("organization-missing", lambda: {TOKEN: f"Bearer {IMS.token()}"}, "token_organization")
case("organization-as-a-claim", lambda: {TOKEN: f"Bearer {IMS.token(org=SAMPLE_ORG, ims_org=SAMPLE_ORG)}"}, "token_organization", "IMS has no such claim")
case("organization-without-a-token", lambda: {ORG: SAMPLE_ORG}, "signature_missing")

# A signature and a token, any of which is enough

case("right-beside-a-wrong-signature", lambda: {HMAC: "0" * 64, **IMS.headers()}, "accepted", "any one is enough")
case("wrong-beside-a-right-signature", lambda: {HMAC: hmac_hex(RAW), TOKEN: "Bearer a.b.c"}, "accepted", "any one is enough")
case("expired-beside-a-right-signature", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(age_s=2 * 86400)}, "accepted", "any one is enough")
case("of-another-shop-beside-a-right-signature", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(client_id=EU_CLIENT)}, "accepted", "the signature counts")
case("static-beside-a-right-signature", lambda: {RSA: rsa(SHOP_KEY), TOKEN: "Bearer a-static-token"}, "accepted")
case("body-signed-by-ims", lambda: {RSA: rsa(IMS.key)}, "signature_wrong", "confusion of the two RSA schemes")
case("token-in-place-of-a-signature", lambda: {RSA: IMS.token()}, "signature_wrong")
case("token-in-place-of-a-digest", lambda: {HMAC: IMS.token()}, "signature_wrong")
case("signature-in-place-of-a-token", lambda: {TOKEN: f"Bearer {rsa(SHOP_KEY)}", ORG: SAMPLE_ORG}, "signature_missing")

# A signature and a token, both of which are needed


def both(name, headers, outcome, why=""):
    case(f"both-{name}", headers, outcome, why, BOTH)


both("right", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers()}, "accepted")
both("right-with-hmac", lambda: {HMAC: hmac_hex(RAW), **IMS.headers()}, "accepted")
both("right-of-a-shop", lambda: {RSA: rsa(EU_KEY), **IMS.headers(client_id=EU_CLIENT)}, "accepted")
both("right-of-a-shop-with-hmac", lambda: {HMAC: hmac_hex(RAW, EU_SECRET), **IMS.headers(client_id=EU_CLIENT)}, "accepted")
both("wrong-hmac-right-rsa", lambda: {HMAC: "0" * 64, RSA: rsa(SHOP_KEY), **IMS.headers()}, "accepted", "any one entry is enough")
both("none", dict, "signature_missing")
both("token-alone", lambda: IMS.headers(), "signature_missing", "it does not cover the body")
both("signature-alone", lambda: {RSA: rsa(SHOP_KEY)}, "token_missing")
both("digest-alone", lambda: {HMAC: hmac_hex(RAW)}, "token_missing")
both("static-token", lambda: {RSA: rsa(SHOP_KEY), TOKEN: "Bearer a-static-token", ORG: SAMPLE_ORG}, "token_missing")
both("signature-wrong", lambda: {RSA: rsa(OTHER), **IMS.headers()}, "signature_wrong")
both("signature-of-another-body", lambda: {RSA: rsa(SHOP_KEY, "{}"), **IMS.headers()}, "signature_wrong")
both("body-signed-by-ims", lambda: {RSA: rsa(IMS.key), **IMS.headers()}, "signature_wrong")
both("token-malformed", lambda: {RSA: rsa(SHOP_KEY), TOKEN: "Bearer a.b.c", ORG: SAMPLE_ORG}, "token_malformed")
both("token-expired", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(age_s=2 * 86400)}, "token_expired")
both("token-of-an-unknown-key", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(header={"kid": "other"})}, "token_key_unknown")
both("token-by-the-shop", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(), TOKEN: f"Bearer {compact(SHOP_KEY, IMS.header(), claims())}"}, "token_wrong")
both("token-of-an-unknown-client", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(client_id="other")}, "token_client")
both("token-of-another-organization", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(), ORG: US_ORG}, "token_organization")
both("token-without-organization", lambda: {RSA: rsa(SHOP_KEY), TOKEN: f"Bearer {IMS.token()}"}, "token_organization")
both("token-of-a-shop-signature-of-none", lambda: {RSA: rsa(SHOP_KEY), **IMS.headers(client_id=EU_CLIENT)}, "shops_differ")
both("token-of-none-signature-of-a-shop", lambda: {RSA: rsa(EU_KEY), **IMS.headers()}, "shops_differ")
both("token-of-one-shop-digest-of-another", lambda: {HMAC: hmac_hex(RAW, EU_SECRET), **IMS.headers(client_id=US_CLIENT), ORG: US_ORG}, "shops_differ")
both("signatures-of-two-shops", lambda: {HMAC: hmac_hex(RAW), RSA: rsa(EU_KEY), **IMS.headers(client_id=EU_CLIENT)}, "accepted", "one pair is right")
