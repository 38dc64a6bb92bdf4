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

from aws import PATIENCE, boto3_session, described
from rest import ShopError

TOOL = Path(__file__).resolve().parent.parent / "target" / "debug" / "local"


def main(stack, kind, path):
    try:
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described(stack).get("Outputs", [])}
        if "WebhookKeysArn" not in outputs:
            raise SystemExit(f"keys: the stack {stack} has no output WebhookKeysArn: is it this bundle's, and deployed?")
        store = boto3_session().client("secretsmanager", config=PATIENCE)
        secret = store.get_secret_value(SecretId=outputs["WebhookKeysArn"]).get("SecretString", "")
        change = with_keys(secret, kind, path)
        for warning in change["warnings"]:
            print(f"keys: warning: {warning}", file=sys.stderr)
        for place in change["known"]:
            print(f"The secret of {stack} holds {place} already.")
        if change["secret"] is None:
            print("Nothing was changed.")
            return
        store.put_secret_value(SecretId=outputs["WebhookKeysArn"], SecretString=change["secret"])
    except ShopError as error:
        raise SystemExit(f"keys: {error}") from None
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise SystemExit(f"keys: the secret of {stack} cannot be read or written: {error}") from None
    for place in change["added"]:
        print(f"Added {place} to the secret of {stack}. It is valid within ten seconds.")


def with_keys(secret, kind, path):
    """What becomes of the secret with the keys of the file."""
    tool = subprocess.run([TOOL, "keys", f"--{kind}={path}"], input=secret.encode(), capture_output=True, check=False)
    if tool.returncode:
        raise SystemExit(f"keys: {tool.stderr.decode().removeprefix('local: ').strip()}")
    return json.loads(tool.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
