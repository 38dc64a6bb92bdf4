"""What must hold before required hooks are subscribed. When the bundle does not answer such a hook as it should, the shop stops the
shopper: no order is placed. So `make apply` looks first, and refuses to go on unless ANYWAY= names the check that failed."""

from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import urlsplit

import smoke
from answers import ShopError
from terminal import paint, wrapped

# A word for each check, which whoever knows better gives as ANYWAY=….
PATH, UNANSWERED, NO_KEY = "path", "unanswered", "no-key"
WORDS = (PATH, UNANSWERED, NO_KEY)
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
    if not found:
        return
    print(f"\nThese {len(required)} hooks are required: when one fails, the shop stops the shopper.\n")
    for problem in found:
        print(wrapped(paint("✗ ", 31), f"{problem.what} {problem.why}", "  "))
        print(wrapped("  → ", f"{problem.remedy} To go on all the same: ANYWAY={problem.word}", "    "))
    raise ShopError("nothing was changed. To begin harmlessly, subscribe the hooks as not required: REQUIRED=false")


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
    if bundle.secret is None and bundle.schemes != "accept-unsigned":
        raise ShopError(f"the stack {bundle.stack} has no output WebhookKeysArn.", remedy="Deploy it from this checkout.")
    if bundle.schemes == "accept-unsigned":
        return
    from keys import for_the_shop  # boto3 takes a third of a second, which only this needs

    lacking = for_the_shop(bundle.secret, bundle.schemes or "hmac,rsa")
    if lacking:
        yield Problem(
            NO_KEY,
            f"The secret of {bundle.stack} has no key that the shop could use: {lacking}.",
            "Every event would get 401.",
            f"Add the shop's public key: make keys PEM=shop.pem STACK={bundle.stack}.{PROXY if 'generated' in lacking else ''}",
        )


def sentence(text):
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
