"""Which shop a tool is for: its name in the secret of the stack, and the base of its REST. docs/shops.md says how they belong together."""

import os
import re

from rest import ShopError, web_address

# As the functions take it.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
UNNAMED = "the shop without a name"


def which(given, environment=os.environ):
    """The name of the shop and the base of its REST, each None if nobody says it. `given` is what SHOP says: one of the two."""
    name, base = named(given), environment.get("COMMERCE_URL") or None
    if given and name is None:
        base = given
    of_environment = environment.get("COMMERCE_SHOP") or None
    if of_environment and not NAME.fullmatch(of_environment):
        raise ShopError(f"COMMERCE_SHOP is no name of a shop: {RULE}")
    if name and of_environment and name != of_environment:
        raise ShopError(
            f"SHOP={name} is given, but the environment is that of the shop {of_environment} (COMMERCE_SHOP).",
            remedy=f"Load the environment of {name}.",
        )
    if name and not base:
        raise ShopError(
            f"SHOP={name} is the name of a shop. Where is its REST?",
            remedy="Set COMMERCE_URL in the environment, as https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>.",
        )
    if base and base == environment.get("COMMERCE_URL"):
        web_address("COMMERCE_URL", base)
    return name or of_environment, base


RULE = "1 to 32 of a-z, 0-9, - and _, and the first is a letter or a digit"


def named(given):
    """The name that SHOP says, or None if it says something else."""
    return given if given and NAME.fullmatch(given) else None


def only_name(given, environment=os.environ):
    """The name of the shop for a tool that asks no shop, or None."""
    if given and not named(given):
        raise ShopError(f"SHOP must be the name of a shop in the secret: {RULE}")
    return named(given) or environment.get("COMMERCE_SHOP") or None


def words(name):
    return f"the shop {name}" if name else UNNAMED


def ims_command(client, organization, shop, stack):
    """The command line that names a client and its organization in the secret. Ids that come from a shop could hold what a shell obeys."""
    client, organization = (one if re.fullmatch(r"[A-Za-z0-9_.@-]{1,256}", one) else "…" for one in (client, organization))
    where = [f"SHOP={shop}"] if shop else []
    return " ".join([f"make keys IMS_CLIENT={client} IMS_ORG={organization}", *where, f"STACK={stack}"])
