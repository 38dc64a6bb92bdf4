"""The hooks of a shop: as they should be for this bundle, as they are, and how to get from one to the other.

    shop.py plan     show what is not as commerce/webhooks.xml says; changes nothing. Exit code 0: in step, 2: not
    shop.py apply    make it so
    shop.py doctor   say what is wrong, what it means and what to do. Exit code 1: there are errors
    shop.py xml      print commerce/webhooks.xml with the timeouts of the bundle, for a shop that is set up by files

Only hooks of the batch that commerce/webhooks.xml names are ever changed. Credentials come from the environment: COMMERCE_TOKEN; or
COMMERCE_CONSUMER_KEY, COMMERCE_CONSUMER_SECRET, COMMERCE_ACCESS_TOKEN and COMMERCE_ACCESS_TOKEN_SECRET (an integration, OAuth 1.0a);
or COMMERCE_CLIENT_ID, COMMERCE_CLIENT_SECRET and COMMERCE_ORG_ID (Adobe IMS). How to get each: docs/commerce-credentials.md.
WEBHOOK_OAUTH_CLIENT_ID, WEBHOOK_OAUTH_CLIENT_SECRET and WEBHOOK_OAUTH_ORG_ID are those that the hooks get: docs/ims.md. With several
shops, COMMERCE_SHOP is the name of this one in the secret, and COMMERCE_URL the base of its REST: docs/shops.md.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

try:
    from answers import ShopError
    from apply import CHANGES, FAILED, IN_STEP, apply
    from bundle import OWN_FILE, STACK, bundle_of, channel_named, methods, own_hooks
    from checks import WORDS
    from credentials import HOOK_OAUTH, OAUTH_GUIDE, enumerated, hook_oauth
    from doctor import doctor, doctor_of_file
    from hooks import BadHooks, with_oauth, with_timeouts, without_method
    from journal import Journal
    from plan import make_plan, show_plan
    from rest import Shop
    from shops import named, only_name, which
    from terminal import Parser, nobody_reads, note, silence, writable
except ModuleNotFoundError as missing:
    sys.exit(f"shop: the module {missing.name} is not installed here. Start this with `make plan`, or with .venv/bin/python")

# What the template takes for HookTimeoutMs and SoftTimeoutMs.
HOOK_TIMEOUT_MS, SOFT_TIMEOUT_MS = range(600, 29001), range(100, 29001)


def main(arguments=None):
    writable()
    options = read_options(arguments)
    code = carried_out(options)
    return IN_STEP if code == CHANGES and options.exit_zero else code


def carried_out(options):
    # What it ends with if nobody reads on: a plan never with less than there may be to do.
    shop, code = None, CHANGES if options.command == "plan" else FAILED
    try:
        check_channel(options)
        asks_shop = options.command != "xml" and not options.xml
        options.shop_name, base = which(options.shop) if asks_shop else (only_name(named(options.shop)), None)
        if options.command == "xml":
            code = print_xml(chosen_bundle(options))
        elif options.command == "doctor" and options.xml:
            code = doctor_of_file(chosen_bundle(options), options)
        else:
            shop = Shop(base)
            do = {"plan": plan, "apply": apply, "doctor": doctor}[options.command]
            code = do(shop, chosen_bundle(options), Journal(shop.base), options)
        print(end="", flush=True)
        return code
    except (ShopError, BadHooks) as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "stopped"
    except Exception as error:  # noqa: BLE001 — a traceback could show a credential
        if nobody_reads(error):
            return code
        reason = f"unexpected: {type(error).__name__}: {error}"
    finally:
        silence()
    note(f"shop: {shop.clean(reason) if shop else reason}")
    silence()
    return FAILED


def read_options(arguments):
    parser = Parser("shop", __doc__)
    parser.add_argument("command", choices=["plan", "apply", "doctor", "xml"])
    parser.add_argument(
        "--shop", help="base of the shop's REST: https://shop.example/rest/all, https://na1.api.commerce.adobe.com/<tenant>; or its name "
        "in the stack's secret, and COMMERCE_URL in the environment is that base"
    )
    parser.add_argument("--stack", help=f"the bundle's stack in CloudFormation (default {STACK})")
    parser.add_argument("--url", help="the bundle's API endpoint, instead of a stack")
    parser.add_argument("--hook-timeout-ms", type=within(HOOK_TIMEOUT_MS), help="HookTimeoutMs of the bundle, with --url")
    parser.add_argument("--soft-timeout-ms", type=within(SOFT_TIMEOUT_MS), help="SoftTimeoutMs of the bundle, with --url")
    parser.add_argument("--channel", help="only the hooks of this channel")
    parser.add_argument("--required", choices=["false"], help="no hook is required: when one fails, the shop goes on, and the event is lost")
    parser.add_argument("--xml", type=Path, help="doctor: look at this webhooks.xml instead of asking a shop")
    parser.add_argument("--yes", action="store_true", help="apply: do not ask")
    parser.add_argument("--dry-run", action="store_true", help="apply: show the requests, send none")
    parser.add_argument("--renew-oauth", action="store_true", help="plan, apply: give the hooks the client secret of the environment again")
    parser.add_argument("--exit-zero", action="store_true", help="end with 0 also if there are changes")
    parser.add_argument(
        "--anyway", type=words, default=frozenset(), metavar="WORD,…",
        help=f"apply: subscribe required hooks though a check fails, of which each has a word: {', '.join(WORDS)}",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.stack and options.url:
        parser.error("--stack and --url: one of them says where the bundle is")
    return options


def within(allowed):
    def milliseconds(text):
        if not (text.isascii() and text.isdigit() and int(text) in allowed):
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {allowed[0]} to {allowed[-1]}, as the template takes it")
        return int(text)

    return milliseconds


def words(text):
    given = frozenset(word.strip() for word in text.split(",") if word.strip())
    if unknown := sorted(given - set(WORDS)):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there is no such check, but: {', '.join(WORDS)}")
    return given


def check_channel(options):
    if options.channel is None:
        return
    options.channel = channel_named(options.channel)
    channels = [hook.channel for hook in own_hooks()]
    if options.channel not in channels:
        raise ShopError(f"there is no channel {options.channel[:100]!r}, but: {', '.join(channels)}")


def chosen_bundle(options):
    bundle = bundle_of(options)
    oauth = hook_oauth(os.environ)
    bundle = bundle.with_oauth(oauth) if options.command in ("plan", "apply") else replace(bundle, oauth=oauth)
    if why := dict(bundle.left_out).get(options.channel):
        raise ShopError(why)
    return bundle


def plan(shop, bundle, journal, options):
    found = make_plan(shop, bundle, journal, options.channel, options.renew_oauth)
    show_plan(shop, bundle, found, options.channel)
    if at_work := journal.at_work():
        print(f"\nAnother `make apply` ({at_work}) is changing the shop now.")
    if not found.todo:
        return IN_STEP
    print("\n`make apply` makes it so.")
    return CHANGES


def print_xml(bundle):
    text = with_timeouts(OWN_FILE.read_text(), bundle.timeout, bundle.soft_timeout)
    oauth = bundle.needs_token or (bundle.oauth and bundle.takes_token)
    text = with_oauth(text) if oauth else text
    for channel, why in bundle.left_out:
        text = without_method(text, *methods()[channel])
        note(why)
    print(text, end="")
    note(f"Set in the shop's environment: COMMERCE_WEBHOOKS_URL={bundle.url}")
    if oauth:
        note(f"And {enumerated(tuple(HOOK_OAUTH.values()))}, with the credentials of {OAUTH_GUIDE}")
    return IN_STEP


if __name__ == "__main__":
    sys.exit(main())
