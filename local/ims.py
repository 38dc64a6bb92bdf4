"""A stand-in for Adobe's Identity Management Service (IMS): it serves public keys on loopback, and signs access tokens.

It has the sample key in events/sample-keys/, with which the sender signs, too (`make send SCHEME=ims`).
"""

import base64
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from faults import ANSWERS, PATIENCE, Proxy, reset
from stack import EVENTS, SAMPLE_CLIENT, SAMPLE_ORG

PATH = "/ims/keys"
SAMPLE_KID = "sample-1"
DAY_MS = 24 * 60 * 60 * 1000

# What can happen to a request for the keys. `serves` is the right answer.
FAULTS = ["hangs", "resets", "fails", "garbage", "empty", "truncated", "huge", "redirect", "not-json", "no-keys", "denied"]
HUGE_BYTES = 10_000_000


def private_key(name):
    """A private key in events/sample-keys/."""
    return serialization.load_pem_private_key((EVENTS / "sample-keys" / f"{name}.pem").read_bytes(), None)


def new_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


def base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def encoded(content):
    """A part of a token: these bytes, or an object as JSON."""
    return base64url(content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode())


def jwk(kid, key, **changes):
    """A public key as IMS lists it. None takes a member away."""
    numbers = key.public_key().public_numbers()
    n, e = (base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
    members = {"kid": kid, "alg": "RS256", "kty": "RSA", "n": n, "e": e, "use": "sig"} | changes
    return {name: value for name, value in members.items() if value is not None}


def signature(key, text, digest=None):
    """The RSA signature (PKCS #1 v1.5, by default with SHA-256) of a text."""
    return key.sign(text.encode(), padding.PKCS1v15(), digest or hashes.SHA256())


def compact(key, header, claims):
    """A token with this header and these claims, each an object or bytes."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{base64url(signature(key, signed))}"


def claims(client_id=SAMPLE_CLIENT, age_s=1, **changes):
    """The claims of an access token as IMS issues them. None takes one away."""
    created_at = str(int((time.time() - age_s) * 1000))
    issued = {"id": f"{created_at}_sample", "type": "access_token", "client_id": client_id, "user_id": f"{client_id}@techacct.adobe.com",
              "as": "ims-na1", "created_at": created_at, "expires_in": str(DAY_MS), "scope": "openid,AdobeID"} | changes  # fmt: skip
    return {name: value for name, value in issued.items() if value is not None}


class Ims(Proxy):
    """Serves the keys, or does what `fault` says: a name out of FAULTS, or a function that chooses one for each request. `delay_s`
    makes each answer slow. Use it in a `with`."""

    WORKS = "serves"

    def __init__(self, fault=WORKS):
        super().__init__(port=0, fault=fault)
        # The key that signs, and all keys that are served.
        self.kid, self.key = SAMPLE_KID, private_key("ims-private-key")
        self.jwks = [jwk(self.kid, self.key)]
        self.delay_s = 0

    @property
    def url(self):
        return f"{self.endpoint}{PATH}"

    def rotate(self, keep=1):
        """Signs with a new key from now on, and serves it beside the last `keep` ones."""
        self.kid, self.key = f"rotated-{time.monotonic_ns()}", new_key()
        self.jwks = [*self.jwks[len(self.jwks) - keep :], jwk(self.kid, self.key)]

    def header(self, **changes):
        """The header of a token. None takes a member away."""
        members = {"alg": "RS256", "x5u": f"{self.kid}.cer", "kid": self.kid, "itt": "at", "typ": "JWT"} | changes
        return {name: value for name, value in members.items() if value is not None}

    def token(self, header=None, **how):
        """An access token, with these changes of its header and, as in `claims`, of its claims."""
        return compact(self.key, self.header(**(header or {})), claims(**how))

    def headers(self, **how):
        """The two headers with which a shop sends its token."""
        return {"authorization": f"Bearer {self.token(**how)}", "x-gw-ims-org-id": SAMPLE_ORG}

    def treat(self, request, connection, _):
        fault = self.fault(request[1]) if callable(self.fault) else self.fault
        # Whoever follows the redirect gets the keys.
        fault = fault if request[1] == PATH else "serves"
        self.requests.append((request[1], fault))
        time.sleep(self.delay_s)
        content = json.dumps({"keys": self.jwks}).encode()
        if fault == "resets":
            reset(connection)
        elif fault == "hangs":
            connection.settimeout(PATIENCE)
            connection.recv(1)
        elif fault in ANSWERS:
            connection.sendall(ANSWERS[fault])
        elif fault == "redirect":
            connection.sendall(f"HTTP/1.1 302 Found\r\nlocation: {self.endpoint}/other\r\ncontent-length: 0\r\n\r\n".encode())
        elif fault == "truncated":
            connection.sendall(ok(content)[: -len(content) // 2])
        elif fault == "huge":
            connection.sendall(ok(content.ljust(HUGE_BYTES)))
        elif fault == "not-json":
            connection.sendall(ok(b"<html>sign in</html>"))
        elif fault == "no-keys":
            connection.sendall(ok(b'{"keys":[]}'))
        else:
            connection.sendall(ok(content))
            return True
        return False


def ok(content):
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content
