"""Lets one more public key of the shop vouch for events: `make keys PEM=shop.pem`. Nothing that vouched before stops to.

The secret is read, the key is added, and a new version is put. No secret is shown, and none is on a command line.
"""

import json
import sys
from pathlib import Path

import botocore.exceptions
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from aws import PATIENCE, boto3_session, described
from rest import ShopError

KEYS_MAX = 16


def main(stack, path):
    pem = public_key(Path(path))
    try:
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described(stack).get("Outputs", [])}
        if "WebhookKeysArn" not in outputs:
            raise SystemExit(f"keys: the stack {stack} has no output WebhookKeysArn: is it this bundle's, and deployed?")
        store = boto3_session().client("secretsmanager", config=PATIENCE)
        secret = store.get_secret_value(SecretId=outputs["WebhookKeysArn"])["SecretString"]
        changed, place = with_key(secret, pem)
        if changed is None:
            print(f"It is there already, as public_keys/{place}. Nothing was changed.")
            return
        store.put_secret_value(SecretId=outputs["WebhookKeysArn"], SecretString=changed)
    except ShopError as error:
        raise SystemExit(f"keys: {error}") from None
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise SystemExit(f"keys: the secret of {stack} cannot be read or written: {error}") from None
    print(f"Added as public_keys/{place} to the secret of {stack}. It vouches within ten seconds.")


def public_key(path):
    """The key as PEM, written anew, so that no blank and no carriage return of a copied text is left."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SystemExit(f"keys: {path} cannot be read: {error.strerror}") from None
    if b"PRIVATE KEY" in content:
        raise SystemExit(f"keys: {path} holds a private key, which is the shop's alone. The Admin shows the public one")
    try:
        key = serialization.load_pem_public_key(content.strip() + b"\n")
    except (ValueError, UnsupportedAlgorithm):
        raise SystemExit(f"keys: {path} holds no public key in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise SystemExit(f"keys: {path} holds another key than RSA with 2048 bits or more, with which a shop signs")
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def with_key(secret, pem):
    """The secret with the key, and the key's place; None in place of the secret if the key is there."""
    try:
        content = json.loads(secret)
    except ValueError:
        content = None
    keys = content.get("public_keys", []) if isinstance(content, dict) else None
    keys = [keys] if isinstance(keys, str) else keys
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise SystemExit("keys: the secret is not of the form that README, Deploy, has")
    for place, key in enumerate(keys):
        if "".join(key.split()) == "".join(pem.split()):
            return None, place
    if len(keys) >= KEYS_MAX:
        raise SystemExit(f"keys: the secret holds {KEYS_MAX} public keys, and no more are looked at. Take one out first")
    content["public_keys"] = [*keys, pem]
    return json.dumps(content), len(keys)


if __name__ == "__main__":
    main(*sys.argv[1:])
