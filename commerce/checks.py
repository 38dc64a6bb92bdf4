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
    found = [] if PATH in anyway else list(about_path(bundle))
    if UNANSWERED not in anyway:
        found += about_answers(bundle, {hook.channel: hook.url for hook in required})
    if NO_KEY not in anyway:
        try:
            found += about_keys(bundle)
        except ShopError as error:
            print(wrapped(paint("! ", 33), f"Whether the shop has a key in the secret of the stack was not checked: {error}", "  "))
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
    if bundle.secret is None:
        raise ShopError("no stack is named. Give STACK=…, or see to it that `make keys` has added the shop's key.")
    if bundle.schemes == "accept-unsigned":
        return
    from keys import for_the_shop  # boto3 takes a third of a second, which only this needs

    lacking = for_the_shop(bundle.secret, bundle.schemes or "hmac,rsa")
    if lacking:
        yield Problem(
            NO_KEY,
            f"The secret of {bundle.stack} has no key that the shop could use: {lacking}.",
            "Every event would get 401.",
            f"Add the shop's public key: make keys PEM=shop.pem STACK={bundle.stack}.",
        )


def sentence(text):
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
