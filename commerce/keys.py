"""Adds keys to the secret of a stack. Every key that is valid now stays valid.

    keys.py STACK --pem FILE                            every public key of a file
    keys.py STACK --hmac FILE                           a shared secret
    keys.py STACK --ims-client ID --ims-org ID@AdobeOrg who may send tokens of Adobe IMS
    keys.py STACK --list                                the places of the keys, with their shops

With --shop eu they are keys of the shop eu; --source https://eu.example is the source of its events.

The text of the secret is read and changed by the project's own tool (`local keys`), with the reader that the functions use. No
secret is shown, and none is on a command line.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import botocore.exceptions

from aws import described, secret_store
from rest import ShopError
from schemes import TOKEN, ways
from shops import only_name, words
from terminal import Parser
from text import printable, short

TOOL = Path(__file__).resolve().parent.parent / "target" / "debug" / "local"
# PasswordLength in the template.
GENERATED_LENGTH = 64
# The place of a key that verifies signatures.
PLACE = re.compile(r"(?:shops/([a-z0-9_-]{1,32})/)?(hmac_secrets|public_keys)/\d+")
SCHEMES = {"hmac_secrets": "hmac", "public_keys": "rsa"}


def main(stack, kind, *given, shop=None, source=None):
    """Adds the keys of a file, or a client and its organization."""
    try:
        parameters, outputs = stack_with_secret(stack)
        store, emulated = secret_store()
        secret = store.get_secret_value(SecretId=outputs["WebhookKeysArn"]).get("SecretString", "")
        arguments = [f"--ims-client={given[0]}", f"--ims-org={given[1]}"] if kind == "ims" else [f"--{kind}={given[0]}"]
        arguments += [f"--shop={shop}"] if shop else []
        arguments += [f"--source={source}"] if source else []
        if event_source := parameters.get("EventSource"):
            arguments.append(f"--event-source={event_source}")
        # Of the sample keys everybody has the private half, so only an emulator may know them.
        change = asked(secret, *arguments, *["--allow-published"] if emulated else [])
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


def show_list(stack, shop=None):
    """Shows the places of the keys, those of one shop or of all."""
    try:
        _, outputs = stack_with_secret(stack)
        store, _ = secret_store()
        secret = store.get_secret_value(SecretId=outputs["WebhookKeysArn"]).get("SecretString", "")
        known = asked(secret, "--list")
    except ShopError as error:
        raise SystemExit(f"keys: {printable(str(error))}") from None
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise SystemExit(f"keys: the secret of {stack} cannot be read: {short(str(error))}") from None
    rows = []
    for key in known["keys"]:
        if found := PLACE.fullmatch(key["place"]):
            rows.append((found[1], key["place"], "a published sample key" if key["published"] else ""))
    for of_shop in known.get("ims", []):
        for kind in ("client_ids", "org_ids"):
            rows += [(of_shop["shop"], f"{prefix(of_shop['shop'])}ims/{kind}", one) for one in of_shop[kind]]
    sources = {one["name"]: one["source"] for one in known.get("shops", [])}
    rows = [row for row in rows if shop is None or row[0] == shop]
    for name in sorted({row[0] for row in rows} | {name for name in sources if shop in (None, name)}, key=lambda name: name or ""):
        print(f"{words(name)}{f', source {sources[name]}' if name in sources else ''}")
        for _, place, detail in (row for row in rows if row[0] == name):
            print(f"    {printable(place)}{f'  {printable(detail)}' if detail else ''}")
    if not rows:
        print("There is no key.")


def prefix(shop):
    return f"shops/{shop}/" if shop else ""


def stack_with_secret(stack):
    """The parameters and the outputs of a stack that has a secret."""
    said = described(stack)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in said.get("Outputs", [])}
    if "WebhookKeysArn" not in outputs:
        raise ShopError(f"the stack {stack} has no output WebhookKeysArn: is it this bundle's, and deployed?")
    return {one["ParameterKey"]: one.get("ParameterValue") for one in said.get("Parameters", [])}, outputs


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


@dataclass(frozen=True)
class Known:
    """What the secret holds of one shop: kinds of signatures that it can verify, and the clients and organizations whose tokens it takes."""

    schemes: frozenset
    # Whether the only key is one that nobody has but the stack.
    generated_only: bool
    clients: tuple
    organizations: tuple

    @property
    def ims(self):
        return self.clients, self.organizations


def known_of(arn, shop=None):
    """What a secret holds of a shop. Raises ShopError where that cannot be known."""
    try:
        store, emulated = secret_store()
        secret = store.get_secret_value(SecretId=arn).get("SecretString", "")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise ShopError(f"the secret cannot be read: {short(str(error))}") from None
    said = asked(secret, "--list")
    usable = {key["place"] for key in said["keys"] if emulated or not key["published"]}
    of_shop = {place for place in usable if (found := PLACE.fullmatch(place)) and found[1] == shop}
    places = of_shop - ({"hmac_secrets/0"} if is_generated(secret) else set())
    [ims] = [one for one in said.get("ims", []) if one["shop"] == shop] or [{"client_ids": [], "org_ids": []}]
    schemes = frozenset(SCHEMES[PLACE.fullmatch(place)[2]] for place in places)
    return Known(schemes, bool(of_shop) and not places, tuple(ims["client_ids"]), tuple(ims["org_ids"]))


def for_the_shop(arn, schemes, shop=None, oauth=None):
    """Why no event of a shop can be verified with a secret, or None if it can. `oauth` are the credentials of its hooks, if they are
    known. Raises ShopError where that cannot be known."""
    known = known_of(arn, shop)
    has = set(known.schemes)
    if known.clients and known.organizations and (oauth is None or accepted(oauth, known.ims)):
        has.add(TOKEN)
    if any(way <= has for way in ways(schemes)):
        return None
    if shop and not has and not known.generated_only and not known.clients:
        return f"it holds no key of {words(shop)} that can be used"
    if oauth and known.clients and TOKEN not in has and any(way - {TOKEN} <= has for way in ways(schemes) if TOKEN in way):
        return f"its `ims` does not name the client {short(oauth.client_id, 60)} with the organization {short(oauth.org_id, 60)}"
    if has or known.clients:
        return f"its keys are not of the kind that SignatureSchemes={schemes} takes"
    if known.generated_only:
        return "it holds only the HMAC secret that the deployment generated"
    return "it holds no key that can be used"


def accepted(oauth, ims):
    """Whether tokens of a client are taken, by the clients and organizations that a secret names."""
    clients, organizations = ims
    return oauth.client_id in clients and oauth.org_id in organizations


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


def read_options(arguments):
    parser = Parser("keys", __doc__)
    parser.add_argument("stack", help="the stack in CloudFormation")
    parser.add_argument("--pem", help="file with public keys of the shop")
    parser.add_argument("--hmac", help="file with a secret that the shop shares")
    parser.add_argument("--ims-client", help="client id of an OAuth server-to-server credential")
    parser.add_argument("--ims-org", help="its organization, as 12345@AdobeOrg")
    parser.add_argument("--list", action="store_true", help="show the places of the keys")
    parser.add_argument("--shop", help="the name of the shop, as eu")
    parser.add_argument("--source", help="the source of the shop's events, a URI as https://eu.example")
    options = parser.parse_args(arguments)
    ims = bool(options.ims_client or options.ims_org)
    if sum(map(bool, (options.pem, options.hmac, ims, options.list))) != 1:
        parser.error(
            "which key? Add PEM=FILE, with what the Admin shows as the public key, HMAC=FILE, with a shared secret, or IMS_CLIENT=… and "
            "IMS_ORG=…. LIST=1 shows what there is"
        )
    if ims and not (options.ims_client and options.ims_org):
        parser.error("IMS_CLIENT=… and IMS_ORG=… belong together: a token counts only with its organization")
    if options.source and not options.shop:
        parser.error("SOURCE=… is of a shop: add SHOP=…. Events of the shop without a name have the parameter EventSource")
    try:
        options.shop = only_name(options.shop, {})
    except ShopError as error:
        parser.error(str(error))
    return options


def run(arguments):
    options = read_options(arguments)
    if options.list:
        show_list(options.stack, options.shop)
    elif options.ims_client:
        main(options.stack, "ims", options.ims_client, options.ims_org, shop=options.shop, source=options.source)
    else:
        kind = "pem" if options.pem else "hmac"
        main(options.stack, kind, options.pem or options.hmac, shop=options.shop, source=options.source)


if __name__ == "__main__":
    run(sys.argv[1:])
