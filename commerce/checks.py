"""What must hold before required hooks are subscribed. When the bundle does not answer such a hook as it should, the shop stops the
shopper: no order is placed. So `make apply` looks first, and refuses to go on unless ANYWAY= names the check that failed."""

from collections import defaultdict
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import smoke
from answers import ShopError
from credentials import OAUTH_GUIDE
from rest import HookTokens
from schemes import ACCEPT_UNSIGNED, DEFAULT, TOKEN, ways
from shops import ims_command
from terminal import paint, wrapped
from text import short

# A word for each check, which whoever knows better gives as ANYWAY=….
PATH, UNANSWERED, NO_KEY, NO_TOKEN, OAUTH = "path", "unanswered", "no-key", "no-token", "oauth"
WORDS = (PATH, UNANSWERED, NO_KEY, NO_TOKEN, OAUTH)
PROXY = " Where a proxy signs with that HMAC secret, nothing is to be added."
LOOK = "Run this where the secret can be read (secretsmanager:GetSecretValue) and Rust is installed."


@dataclass(frozen=True)
class Problem:
    word: str
    what: str
    why: str
    remedy: str


def refuse(bundle, steps, anyway):
    """Ends `apply` if the required hooks among the steps would stop the shop."""
    required = [step.new for step in steps if step.new and step.new.required]
    if not required:
        return
    found = []
    if UNANSWERED not in anyway or (bundle.path and PATH not in anyway):
        unanswered = list(about_answers(bundle, {hook.channel: hook.url for hook in required}))
        # A path is right where the bundle answers below it, as with the emulator of `make run`.
        found += about_path(bundle) if unanswered and PATH not in anyway else []
        found += unanswered if UNANSWERED not in anyway else []
    if NO_KEY not in anyway:
        try:
            found += about_keys(bundle)
        except ShopError as error:
            if not bundle.stack:
                print(wrapped(paint("! ", 33), f"Whether the bundle has a key of the shop was not checked: {error}", "  "))
            else:
                what = f"Whether the secret of {bundle.stack} has a key of the shop cannot be known: {error.what}"
                found.append(Problem(NO_KEY, what, "Without one, every event would get 401.", error.remedy or LOOK))
    if bundle.oauth and NO_TOKEN not in anyway and any(hook.developer_console_oauth for hook in required):
        found += about_token(bundle)
    if not found:
        return
    print(f"\nThese {len(required)} hooks are required: when one fails, the shop stops the shopper.\n")
    for problem in found:
        show(problem)
    raise ShopError("nothing was changed. To begin harmlessly, subscribe the hooks as not required: REQUIRED=false")


def show(problem):
    print(wrapped(paint("✗ ", 31), f"{problem.what} {problem.why}", "  "))
    print(wrapped("  → ", f"{problem.remedy} To go on all the same: ANYWAY={problem.word}", "    "))


def with_sendable_oauth(bundle, steps, anyway):
    """The steps, with new hooks whose credentials can be sent. Ends `apply` if a hook has others, because the shop shows no client
    secret: such a hook could not be put in again, or not be put back."""
    own = bundle.oauth and bundle.oauth.client_id
    unsendable = {client_of(step.new) for step in steps} - {own, None}
    before = {client_of(hook) for step in steps if step.new for hook in (step.old, step.lost)}
    # A stack that looks at no token lacks nothing if a hook comes back without.
    no_way_back = before - {own, None} - unsendable if bundle.takes_token else set()
    if (unsendable or no_way_back) and OAUTH not in anyway:
        clients = short(", ".join(sorted(unsendable or no_way_back)))
        instead = f"with the client {own}" if own else "without Developer Console OAuth"
        why = f"If the shop refuses a new hook, the old one can be put back only {instead}."
        if unsendable:
            why = "The shop does not show it, so these hooks can be put in again only without Developer Console OAuth."
        problem = Problem(
            OAUTH,
            f"Hooks that change have the OAuth client {clients}, whose client secret is not in the environment.",
            why,
            f"Set WEBHOOK_OAUTH_* to the credentials of that client ({OAUTH_GUIDE}).",
        )
        print()
        show(problem)
        raise ShopError("nothing was changed")
    return [
        replace(step, new=replace(step.new, developer_console_oauth=())) if client_of(step.new) in unsendable else step
        for step in steps
    ]


def client_of(hook):
    return dict(hook.developer_console_oauth).get("client_id") if hook else None


def sendable(old, new):
    """The credentials with which an old hook can be put back: its own if the new hook has the same client, otherwise the new one's."""
    return old.developer_console_oauth if client_of(old) == client_of(new) else new.developer_console_oauth


def about_token(bundle):
    """A problem if Adobe IMS gives no token for the credentials of the hooks: the shop would post its events without one."""
    tokens = HookTokens(bundle.oauth)
    try:
        tokens.get()
    except ShopError as error:
        why = "The shop would get none either, and post its events without a token."
        yield Problem(NO_TOKEN, sentence(tokens.clean(error.what)), why, error.remedy or "Does the network here let HTTPS out?")


def about_path(bundle):
    if bundle.path:
        host = bundle.url.removesuffix(bundle.path)
        doubled = " Commerce would post to /webhook/webhook/…." if bundle.path.endswith("/webhook") else ""
        yield Problem(
            PATH,
            f"The address of the bundle has a path, {bundle.path}.",
            f"The routes begin at the host.{doubled}",
            f"Give URL={host}.",
        )


def about_answers(bundle, urls):
    """A problem for each way in which the bundle's address does not answer, with the channels that it concerns."""
    for (verdict, detail), channels in answers(bundle, urls).items():
        which = "" if len(channels) == len(urls) else f" for {', '.join(channels)}"
        yield Problem(
            UNANSWERED,
            f"{urlsplit(bundle.url).netloc} does not answer as this bundle{which}: {verdict}.",
            sentence(smoke.HELP[verdict].format(detail)),
            "`make smoke` asks it again.",
        )


def answers(bundle, urls):
    """The channels by what is wrong with the answer of their route. A slow answer is one."""
    bad = defaultdict(list)
    for channel, (finding, _) in smoke.check_all(urls, bundle.soft_timeout).items():
        if not finding.good and finding.verdict != smoke.SLOW:
            bad[finding.verdict, finding.detail].append(channel)
    return bad


def about_keys(bundle):
    """Raises ShopError where it cannot be known."""
    if bundle.stack is None:
        raise ShopError("no stack is named. Give STACK=…, or see to it that `make keys` has added the shop's key.")
    if bundle.secret is None and bundle.schemes != ACCEPT_UNSIGNED:
        raise ShopError(f"the stack {bundle.stack} has no output WebhookKeysArn.", remedy="Deploy it from this checkout.")
    if bundle.schemes == ACCEPT_UNSIGNED:
        return
    from keys import for_the_shop  # boto3 takes a third of a second, which only this needs

    schemes = bundle.schemes or DEFAULT
    lacking = for_the_shop(bundle.secret, schemes, bundle.shop, bundle.oauth if bundle.takes_token else None)
    if lacking:
        where = f"{f'SHOP={bundle.shop} ' if bundle.shop else ''}STACK={bundle.stack}"
        signed = any(TOKEN not in way for way in ways(schemes))
        oauth = bundle.oauth
        ims = oauth and ims_command(oauth.client_id, oauth.org_id, bundle.shop, bundle.stack)
        remedy = f"Add the shop's public key: make keys PEM=shop.pem {where}." if signed else ""
        if bundle.takes_token and (ims or not signed):
            remedy = f"{remedy} {'Or add' if remedy else 'Add'} its client: {ims or f'make keys IMS_CLIENT=… IMS_ORG=… {where}'}.".strip()
        yield Problem(
            NO_KEY,
            f"The secret of {bundle.stack} has no key that the shop could use: {lacking}.",
            "Every event would get 401.",
            f"{remedy}{PROXY if 'generated' in lacking else ''}",
        )


def sentence(text):
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
