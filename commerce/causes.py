"""Why a shop did not do what it was asked: each cause with what it means and what to do.

Commerce answers in JSON. What answers with a page, or asks for a password of a web server, is not the shop but something before it,
and then neither the token nor its role is to blame.
"""

import re

from answers import ShopError, expired, message_of
from credentials import GUIDE
from text import short

# Anybody may read it in every Commerce shop: what it answers says whether the address is right.
OPEN_TO_ALL = "directory/currency"
# Each needs a resource of its own. One that is answered shows that the shop takes the credentials.
OTHERS = ("store/storeViews", "modules")
OF_MAGENTO = "authorized to access"
BLAMELESS = "So the shop itself was not asked: neither the credentials nor their role are the cause."
NO_ROUTE = "Request does not match any route"
BASE_HINT = "is SHOP the base of REST, as https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>?"
DEEDS = {
    "webhooks/list": "list its hooks",
    "webhooks/supportedList": "list what it supports",
    "webhooks/subscribe": "subscribe a hook",
    "webhooks/unsubscribe": "unsubscribe a hook",
}


def deed(path):
    """What was asked of the shop, in words."""
    return DEEDS.get(path, f"read {path}")


def refusal(shop, verb, path, answer):
    """The cause of an answer that is not the one that was asked for, to be raised."""
    if not answer.is_commerce:
        return not_the_shop(shop, verb, answer)
    said = message_of(answer, shop.clean)
    if answer.status in (401, 403):
        cause = gateway_refused(shop, path, answer, said)
        if cause is None and verb == "GET" and OF_MAGENTO not in said and shop.is_there(OPEN_TO_ALL) is False:
            cause = something_before(shop, answer)
        cause = cause or not_allowed(shop, verb, path, answer, said)
    elif answer.status == 404:
        cause = not_found(shop, verb, path, answer, said)
    else:
        what = f"the shop would not {deed(path)} (status {answer.status})."
        cause = ShopError(what, status=answer.status, unknown=verb == "POST" and answer.status >= 500)
    return with_words(cause, said)


def with_words(cause, said):
    """The cause, with what the shop said of it, if that tells more."""
    quoted = f'The shop says: "{said}"' if said else ""
    why = " ".join(part for part in (cause.why, quoted) if part)
    return ShopError(cause.what, why, cause.remedy, status=cause.status, unknown=cause.unknown)


def not_the_shop(shop, verb, answer):
    """Something before the shop, or something else at its address."""
    unknown = verb == "POST" and (answer.good or answer.status >= 500)
    about = {"status": None if answer.good else answer.status, "unknown": unknown}
    server = short(answer.headers.get("Server", ""), 60)
    form = answer.form() + (f", Server: {server}" if server else "")
    if answer.asks_for_password:
        return ShopError(
            f"a web server before {shop.host} asks for a password of its own ({form}, WWW-Authenticate: {answer.asks_for_password}).",
            f"{BLAMELESS} A request has one header Authorization, and the shop's credentials are in it.",
            "Let that server admit this machine's address without a password, or give SHOP=… with an address behind it.",
            **about,
        )
    if answer.status == 404:
        return ShopError(f"{shop.host} knows no such place ({form}):", remedy=BASE_HINT, **about)
    if answer.good:
        what = f"{shop.host} answered with something else than JSON ({form}), perhaps a page to log in:"
        return ShopError(what, remedy=BASE_HINT, **about)
    if answer.status >= 500:
        return ShopError(
            f"not the shop but a web server before it answered ({form}).",
            "The shop is down, in maintenance mode, or out of reach for that server.",
            "Try again later, or look at the shop's web server.",
            **about,
        )
    return ShopError(
        f"not Commerce but something before {shop.host} answered ({form}): a firewall, a CDN or a web server.",
        f"Commerce answers in JSON. {BLAMELESS}",
        "Let it admit this machine's address, or give SHOP=… with an address behind it. Its own log says which rule refused the request.",
        **about,
    )


def something_before(shop, answer):
    """An answer in JSON by something that also keeps us from what Commerce lets anybody read."""
    server = short(answer.headers.get("Server", ""), 60)
    form = answer.form() + (f", Server: {server}" if server else "")
    return ShopError(
        f"not Commerce but something before {shop.host} answered ({form}): a firewall, an API gateway or another site.",
        f"Commerce lets anybody read {OPEN_TO_ALL}, and that is refused, too. {BLAMELESS}",
        f"Let it admit this machine's address. Or {BASE_HINT}",
        status=answer.status,
    )


def gateway_refused(shop, path, answer, said):
    """Adobe's gateway before a SaaS shop has codes of its own."""
    code = answer.json.get("error_code") if isinstance(answer.json, dict) else None
    if not isinstance(code, (str, int)) or isinstance(code, bool):
        return None
    what = f"Adobe's gateway does not let us {deed(path)} (status {answer.status}, error_code {short(str(code), 20)})."
    why = "It did not ask the shop: it refuses the access token, the client id or the organization."
    remedy = f"{renewal(shop)} COMMERCE_CLIENT_ID and COMMERCE_ORG_ID must be those of the credential that the token is of: {GUIDE}."
    return ShopError(what, why, remedy, status=answer.status)


def not_allowed(shop, verb, path, answer, said):
    """The token is not valid, or its role lacks the resource. Commerce says the same in both cases."""
    what = f"the shop does not let us {deed(path)} (status {answer.status})."
    end = shop.token and expired(shop.token)
    if end:
        return ShopError(
            f"{what[:-1]}: the token expired at {end:%Y-%m-%d %H:%M} UTC.", remedy=renewal(shop), status=answer.status
        )
    if shop.way == "an integration" and said and OF_MAGENTO not in said:
        return ShopError(
            what,
            "One of the integration's four values is wrong, or this machine's clock is.",
            f"Compare them with System > Extensions > Integrations in the Admin: {GUIDE}.",
            status=answer.status,
        )
    # Adobe documents the resource for listing only; for the rest, the shop's own answer names it.
    named = re.search(r"Magento_\w+::\w+", said)
    resource = named.group() if named else "Magento_AdobeCommerceWebhooks::webhooks_list" if path.endswith("ist") else "for it"
    lacks = f"the role or integration lacks the resource {short(resource, 100)}"
    # With a hook out, nothing is tried but to put it back; and what lists hooks has credentials that the shop takes.
    valid = True if verb == "POST" else shop.is_known(OTHERS)
    if valid:
        why = f"The credentials are valid, because the shop answers them elsewhere: {lacks}."
        remedy = f"Add the resource to it in the Admin: {GUIDE}."
    elif valid is None:
        why = f"Either {lacks}, or {wrong_way(shop)}."
        remedy = f"{renewal(shop)} If that changes nothing, add the resource to the role."
    else:
        why = f"The shop takes these credentials nowhere, so {wrong_way(shop)}. Or {lacks}, and all others."
        remedy = f"{renewal(shop)} If that changes nothing, add the resource to the role."
    return ShopError(what, why, remedy, status=answer.status)


def not_found(shop, verb, path, answer, said):
    # A store code that the shop does not know is to Commerce a part of the path, and the path is then one of no module.
    ours = path.startswith("webhooks/")
    there = True if verb == "POST" or not (ours or NO_ROUTE in said) else shop.is_there(OPEN_TO_ALL)
    if NO_ROUTE not in said:
        if there is False:
            return something_before(shop, answer)
        if ours:
            return missing_module(shop, path)
        return ShopError(f"{shop.host} has no {path}.", status=404)
    if there:
        if ours:
            return missing_module(shop, path)
        return ShopError(f"{shop.host} has no {path}: the module that serves it is missing or not enabled.", status=404)
    code = shop.base.rstrip("/").rpartition("/")[2]
    return ShopError(
        f"Commerce answers at {shop.host}, but not below {short(shop.base, 150)}.",
        f"The store code is wrong, if {short(code, 60)} is meant as one: Commerce knows no such store view.",
        "Give SHOP=https://…/rest/all, which is right for every shop that is not SaaS, or the code of a store view.",
        status=404,
    )


def missing_module(shop, path):
    if path == "webhooks/list":
        what, version = "Magento_AdobeCommerceWebhooks", "lists hooks by REST from version 1.8.0 on"
    else:
        what, version = "Magento_AdobeCommerceWebhooksSubscriber", "subscribes hooks by REST from version 1.13.0 of the webhooks module on"
    return ShopError(
        f"{shop.host} has no such endpoint, {path}: the module {what} is missing, not enabled, or too old.",
        f"It {version}.",
        f"`bin/magento module:status {what}` says whether it is there. Without it, use commerce/webhooks.xml (`make webhooks-xml`).",
        status=404,
    )


def wrong_way(shop):
    return {
        "a token": "the token is expired (an admin's lasts 4 hours), or it is an integration's, which alone counts only where the shop "
        "allows it",
        "an integration": "one of the integration's four values is wrong, or this machine's clock is",
        "Adobe IMS": "the credential's product profile does not hold this shop",
    }[shop.way]


def renewal(shop):
    return {
        "a token": f"Get a new token and set COMMERCE_TOKEN, or set the four values of the integration: {GUIDE}.",
        "an integration": f"Compare the four values with System > Extensions > Integrations in the Admin: {GUIDE}.",
        "Adobe IMS": f"Look at the credential in the Adobe Developer Console: {GUIDE}.",
    }[shop.way]
