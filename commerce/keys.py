"""Adds keys to the secret of a stack: `make keys PEM=FILE` every public key of a file, `make keys HMAC=FILE` a shared secret. Every
key that is valid now stays valid.

The text of the secret is read and changed by the project's own tool (`local keys`), with the reader that the functions use. No
secret is shown, and none is on a command line.
"""

import json
import subprocess
import sys
from pathlib import Path

import botocore.exceptions

from aws import described, secret_store
from rest import ShopError
from text import printable, short

TOOL = Path(__file__).resolve().parent.parent / "target" / "debug" / "local"
# PasswordLength in the template.
GENERATED_LENGTH = 64


def main(stack, kind, path):
    try:
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described(stack).get("Outputs", [])}
        if "WebhookKeysArn" not in outputs:
            raise SystemExit(f"keys: the stack {stack} has no output WebhookKeysArn: is it this bundle's, and deployed?")
        store, emulated = secret_store()
        secret = store.get_secret_value(SecretId=outputs["WebhookKeysArn"]).get("SecretString", "")
        # Of the sample keys everybody has the private half, so only an emulator may know them.
        change = asked(secret, f"--{kind}={path}", *["--allow-published"] if emulated else [])
        for warning in change["warnings"]:
            print(f"keys: warning: {warning}", file=sys.stderr)
        for place in change["known"]:
            print(f"The secret of {stack} holds {place} already.")
        if change["secret"] is None:
            print("Nothing was changed.")
            return
        store.put_secret_value(SecretId=outputs["WebhookKeysArn"], SecretString=change["secret"])
    except ShopError as error:
        raise SystemExit(f"keys: {printable(str(error))}") from None
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise SystemExit(f"keys: the secret of {stack} cannot be read or written: {short(str(error))}") from None
    for place in change["added"]:
        print(f"Added {place} to the secret of {stack}. It is valid within ten seconds.")


def asked(secret, *arguments):
    """What the tool says of the text of a secret."""
    try:
        tool = subprocess.run([TOOL, "keys", *arguments], input=secret.encode(), capture_output=True, check=False)
    except OSError as error:
        raise ShopError(f"the project's own tool cannot be run: {error.strerror}.", remedy="Run `make binaries`.") from None
    if tool.returncode:
        raise ShopError(short(tool.stderr.decode(errors="replace").removeprefix("local: ")))
    try:
        return json.loads(tool.stdout)
    except ValueError:
        raise ShopError("the project's own tool is of another version.", remedy="Run `make binaries`.") from None


def for_the_shop(arn, schemes):
    """Why the shop can sign with no key of a secret, or None if it can with one. Raises ShopError where that cannot be known."""
    try:
        store, emulated = secret_store()
        secret = store.get_secret_value(SecretId=arn).get("SecretString", "")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise ShopError(f"the secret cannot be read: {short(str(error))}") from None
    usable = [key for key in asked(secret, "--list")["keys"] if emulated or not key["published"]]
    places = {key["place"] for key in usable} - ({"hmac_secrets/0"} if is_generated(secret) else set())
    if any(place.startswith("public_keys/") for place in places) and "rsa" in schemes:
        return None
    if any(place.startswith("hmac_secrets/") for place in places) and "hmac" in schemes:
        return None
    if places:
        return f"its keys are not of the kind that SignatureSchemes={schemes} takes"
    if usable:
        return "it holds only the HMAC secret that the deployment generated"
    return "it holds no key that can be used"


def is_generated(secret):
    """Whether its HMAC secret is as the template's GenerateSecretString makes it: one text, and no list as `make keys` writes."""
    try:
        given = json.loads(secret).get("hmac_secrets")
    except (ValueError, AttributeError, RecursionError):
        return False
    if not (isinstance(given, str) and len(given) == GENERATED_LENGTH and given.isascii() and given.isalnum()):
        return False
    # It has at least one of each kind, which 64 hex digits have not.
    return all(any(map(kind, given)) for kind in (str.isupper, str.islower, str.isdigit))


if __name__ == "__main__":
    main(*sys.argv[1:])
