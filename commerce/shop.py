"""The hooks of a shop: as they should be for this bundle, as they are, and how to get from one to the other.

    shop.py plan     show what is not as commerce/webhooks.xml says; changes nothing. Exit code 0: in step, 2: not
    shop.py apply    make it so
    shop.py doctor   say what is wrong, what it means and what to do. Exit code 1: there are errors
    shop.py xml      print commerce/webhooks.xml with the timeouts of the bundle, for a shop that is set up by files

Only hooks of the batch that commerce/webhooks.xml names are ever changed. Credentials come from the environment: COMMERCE_TOKEN; or
COMMERCE_CONSUMER_KEY, COMMERCE_CONSUMER_SECRET, COMMERCE_ACCESS_TOKEN and COMMERCE_ACCESS_TOKEN_SECRET (an integration, OAuth 1.0a);
or COMMERCE_CLIENT_ID, COMMERCE_CLIENT_SECRET and COMMERCE_ORG_ID (Adobe IMS).
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from doctor import ERROR, INFO, WARNING, Expected, examine, relevant
from hooks import (
    IDENTITY,
    ROUTE,
    URL_VARIABLE,
    BadHooks,
    Hook,
    difference,
    for_bundle,
    from_rest,
    from_xml,
    printable,
    to_rest,
    with_timeouts,
)

try:
    from rest import Shop, ShopError, web_address
    from terminal import Parser, agreed, paint, wrapped
except ModuleNotFoundError as missing:
    sys.exit(f"shop: the module {missing.name} is not installed here. Start this with `make plan`, or with .venv/bin/python")

OWN_FILE = Path(__file__).resolve().parent / "webhooks.xml"
STACK = "commerce-webhooks"
IN_STEP, FAILED, CHANGES = 0, 1, 2
# What the template takes for HookTimeoutMs and SoftTimeoutMs.
HOOK_TIMEOUT_MS, SOFT_TIMEOUT_MS = range(600, 29001), range(100, 29001)


@dataclass(frozen=True)
class Bundle:
    """Where the bundle is, the times that it goes by, and its parameters InvalidEvents and Contract (None if they are not known)."""

    url: str
    timeout: int
    soft_timeout: int
    invalid_events: str = None
    contract: str = None
    # Those of the times that nobody said.
    assumed: tuple = ()

    def hooks(self):
        """The hooks that it wants, by channel."""
        hooks = [for_bundle(hook, self.url or URL_VARIABLE, self.timeout, self.soft_timeout) for hook in own_hooks()]
        return {hook.channel: hook for hook in hooks}

    def __str__(self):
        place = self.url or "not named, so where the hooks go is not checked"
        timeout, soft = (" assumed" if name in self.assumed else "" for name in ("timeout", "soft_timeout"))
        return f"{place}  (timeout {self.timeout} ms{timeout}, soft {self.soft_timeout} ms{soft})"


@dataclass(frozen=True)
class Step:
    """What becomes of one hook. `old` is what the shop has, `new` what it shall have."""

    old: Hook
    new: Hook

    @property
    def changes(self):
        return difference(self.old, self.new) if self.old and self.new else []

    @property
    def sign(self):
        if not self.old:
            return "+"
        if not self.new:
            return "-"
        return "~" if self.changes else "="

    @property
    def name(self):
        """The channel; of a hook that should not be there, all that tells it from others."""
        if self.new:
            return self.new.channel
        return printable(f"{self.old.channel} ({self.old.webhook_type}, {self.old.batch_name}/{self.old.hook_name})")


def main(arguments=None):
    options = read_options(arguments)
    # What it ends with if nobody reads on: a plan never with less than there may be to do.
    shop, code = None, CHANGES if options.command == "plan" else FAILED
    try:
        if options.command == "xml":
            code = print_xml(bundle_of(options))
        elif options.command == "doctor" and options.xml:
            code = doctor_of_file(options)
        else:
            shop = Shop(options.shop)
            code = {"plan": plan, "apply": apply, "doctor": doctor}[options.command](shop, bundle_of(options), options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who read it has read enough. Python would try once more to write the rest, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    except (ShopError, BadHooks) as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "stopped"
    except Exception as error:  # noqa: BLE001 — a traceback could show a credential
        reason = f"unexpected: {type(error).__name__}: {error}"
    sys.stdout.flush()
    print(f"shop: {shop.clean(reason) if shop else reason}", file=sys.stderr)
    return FAILED


def read_options(arguments):
    parser = Parser("shop", __doc__)
    parser.add_argument("command", choices=["plan", "apply", "doctor", "xml"])
    parser.add_argument(
        "--shop", help="base of the shop's REST: https://shop.example/rest/all, https://na1.api.commerce.adobe.com/<tenant>"
    )
    parser.add_argument("--stack", help=f"the bundle's stack in CloudFormation (default {STACK})")
    parser.add_argument("--url", help="the bundle's API endpoint, instead of a stack")
    parser.add_argument("--hook-timeout-ms", type=within(HOOK_TIMEOUT_MS), help="HookTimeoutMs of the bundle, with --url")
    parser.add_argument("--soft-timeout-ms", type=within(SOFT_TIMEOUT_MS), help="SoftTimeoutMs of the bundle, with --url")
    parser.add_argument("--xml", type=Path, help="doctor: look at this webhooks.xml instead of asking a shop")
    parser.add_argument("--yes", action="store_true", help="apply: do not ask")
    parser.add_argument("--dry-run", action="store_true", help="apply: show the requests, send none")
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


# What is wanted


def own_hooks():
    hooks = from_xml(OWN_FILE.read_text())
    for hook in hooks:
        for name in ("batch_name", "hook_name"):
            value = getattr(hook, name)
            if not (value.isascii() and value.replace("_", "a").isalnum()):
                raise BadHooks(f"commerce/webhooks.xml: {value!r} is no name for a shop, which takes letters, digits and _")
    return hooks


def bundle_of(options):
    """The bundle as a stack says, or as the command line says; times that nobody says are those of our webhooks.xml."""
    written = own_hooks()[0]
    times = {"timeout": options.hook_timeout_ms, "soft_timeout": options.soft_timeout_ms}
    url, parameters = None, {}
    if options.url:
        url = web_address("URL", ROUTE.sub("", options.url.rstrip("/")), "https://….execute-api.eu-west-1.amazonaws.com")
    elif not options.xml or options.stack:
        from aws import stack_says  # boto3 takes a third of a second, which only this needs

        url, said = stack_says(options.stack or STACK)
        times = {name: given or said[name] for name, given in times.items()}
        parameters = {name: said[name] for name in ("invalid_events", "contract")}
    assumed = tuple(name for name, given in times.items() if not given)
    times = {name: given or getattr(written, name) for name, given in times.items()}
    return Bundle(url=url, assumed=assumed, **times, **parameters)


# plan and apply


def plan(shop, bundle, _):
    steps, others = steps_for(shop, bundle)
    show_plan(shop, bundle, steps, others)
    if todo(steps):
        print("\n`make apply` makes it so.")
        return CHANGES
    return IN_STEP


def apply(shop, bundle, options):
    steps, others = steps_for(shop, bundle)
    show_plan(shop, bundle, steps, others)
    wanted = todo(steps)
    if not wanted:
        return IN_STEP
    if options.dry_run:
        show_requests(shop, wanted)
        return CHANGES
    if any(step.sign == "~" for step in wanted):
        print(
            "\nThe shop cannot change a hook: each is taken out and put in again, one at a time. What happens in between is not sent."
        )
    if not options.yes and not agreed("Apply this?", "nothing was changed: there is nobody to ask. Add YES=1 to apply it unasked."):
        print("Nothing was changed.")
        return CHANGES
    print()
    good = True
    for step in wanted:
        with uninterrupted():
            problem, note = carry_out(shop, step)
        good = good and not problem
        mark, words = (paint("✗", 31), problem) if problem else (paint("✓", 32), note)
        print(wrapped(f"{mark} {step.name}: ", shop.clean(words), "  "), flush=True)
    left = todo(steps_for(shop, bundle)[0])
    for step in left:
        known = any(step.name == one.name for one in wanted)
        if good and known:
            text = "the shop said yes, but its list says otherwise. Is the hook set up by a webhooks.xml of the shop?"
            print(wrapped(f"{paint('✗', 31)} {step.name}: ", text, "  "))
    if left or not good:
        print("\nNot everything is as it should be. `make plan` says what is left; `make apply` can be repeated.")
        return FAILED
    print("\nThe shop's list says the same: all hooks are as they should be.")
    return IN_STEP


def steps_for(shop, bundle):
    """What becomes of each hook of ours, those that go last, so that no event goes nowhere; and the hooks of others."""
    wanted = bundle.hooks().values()
    batches = {hook.batch_name for hook in wanted}
    live = from_rest(shop.hooks())
    ours = {hook.identity: hook for hook in live if hook.batch_name in batches}
    steps = [Step(ours.pop(hook.identity, None), hook) for hook in wanted]
    return steps + [Step(hook, None) for hook in ours.values()], [hook for hook in live if hook.batch_name not in batches]


def todo(steps):
    return [step for step in steps if step.sign != "="]


def carry_out(shop, step):
    """What went wrong, in words that say in which state the shop is now, or None; and what was done."""
    try:
        if step.sign == "+":
            add(shop, step.new)
            return None, "subscribed"
        if step.sign == "-":
            remove(shop, step.old)
            return None, "unsubscribed"
    except ShopError as error:
        state = "Nobody knows whether it was done." if error.unknown else "Nothing was changed."
        return f"{error} {state}", None
    return change(shop, step.old, step.new)


def change(shop, old, new):
    """Takes the old hook out and puts the new one in; if that fails, the old one again. Then the list says what came of it."""
    started = time.monotonic()
    try:
        remove(shop, old)
    except ShopError as error:
        if not error.unknown:
            return f"{error} The old hook is in place.", None
        # It may be gone, and then the new one must come. If it is not, the shop does not take a second one of its name.
    try:
        add(shop, new)
    except ShopError as error:
        return put_back(shop, old, new, error)
    return None, f"changed, out and in again within {(time.monotonic() - started) * 1000:.0f} ms"


def put_back(shop, old, new, error):
    reason = str(error)
    try:
        add(shop, old)
    except ShopError as second:
        reason = f"{reason} Nor could the old hook be put back: {second}"
    try:
        live = live_hooks(shop).get(old.identity)
    except (ShopError, BadHooks):
        return f"{reason} NOBODY KNOWS WHETHER THE HOOK IS THERE: run `make plan`.", None
    if live is None:
        return f"{reason} THE HOOK IS GONE, and its events are lost until `make apply` succeeds.", None
    if not difference(live, new):
        return None, "changed, though the shop did not say so"
    return f"{reason} The old hook is in place." if not difference(live, old) else f"{reason} The hook is there, but altered.", None


def add(shop, hook):
    settled(shop, shop.subscribe, to_rest(hook), lambda live: live is not None and not difference(live, hook))


def remove(shop, hook):
    body = {name: getattr(hook, name) for name in IDENTITY}
    settled(shop, shop.unsubscribe, body, lambda live: live is None)


def settled(shop, deed, body, done):
    """Does it; and where nobody knows whether it was done, looks."""
    try:
        deed(body)
    except ShopError as error:
        if not error.unknown:
            raise
        try:
            live = live_hooks(shop)
        except (ShopError, BadHooks):
            raise error from None
        if not done(live.get(tuple(body[name] for name in IDENTITY))):
            raise ShopError(str(error)) from None


def live_hooks(shop):
    return {hook.identity: hook for hook in from_rest(shop.hooks())}


@contextlib.contextmanager
def uninterrupted():
    """Ctrl-C waits until the hook is whole again."""
    caught = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt


# doctor and xml


def doctor(shop, bundle, _):
    supported, unread = None, None
    hooks = from_rest(shop.hooks())
    try:
        supported = shop.supported()
    except ShopError as error:
        unread = shop.clean(str(error))
    head(("Shop", f"{shop.base}  ({shop.way})"), ("Bundle", str(bundle)))
    if unread:
        print(wrapped("", f"Which events the shop supports could not be asked: {unread}", "") + "\n")
    return show_findings(hooks, bundle, supported, "make apply")


def doctor_of_file(options):
    bundle = bundle_of(options)
    try:
        hooks = from_xml(options.xml.read_text())
    except (OSError, ValueError) as error:
        raise BadHooks(f"{options.xml} cannot be read: {error}") from None
    except BadHooks as error:
        raise BadHooks(f"{options.xml} {error}") from None
    head(("File", str(options.xml)), ("Bundle", str(bundle)))
    return show_findings(hooks, bundle, None, "make webhooks-xml")


def print_xml(bundle):
    print(with_timeouts(OWN_FILE.read_text(), bundle.timeout, bundle.soft_timeout), end="")
    print(f"Set in the shop's environment: COMMERCE_WEBHOOKS_URL={bundle.url}", file=sys.stderr)
    return IN_STEP


# What is shown


def show_plan(shop, bundle, steps, others):
    head(("Shop", f"{shop.base}  ({shop.way})"), ("Bundle", str(bundle)))
    says = {"+": "will be subscribed", "~": "will be changed", "-": "will be unsubscribed", "=": "as it should be"}
    colours = {"+": 32, "~": 33, "-": 31, "=": 2}
    width = max(len(step.name) for step in steps)
    for step in steps:
        print(paint(f"{step.sign} {step.name:{width}}  {says[step.sign]}", colours[step.sign]))
        for name, old, new in step.changes:
            show_change(name, old, new)
    counts = {sign: sum(step.sign == sign for step in steps) for sign in "+~-="}
    done = ", ".join(
        f"{counts[sign]} {what}" for sign, what in zip("+~-", ("to subscribe", "to change", "to unsubscribe")) if counts[sign]
    )
    print(f"\n{done or 'Nothing to do'}; {counts['=']} as they should be. Hooks of others, left alone: {len(others)}.")
    if any(step.old and URL_VARIABLE in step.old.url for step in steps):
        text = (
            "Hooks with {env:…} in their URL come from a webhooks.xml of the shop, and REST does not change those: change the file."
        )
        print(wrapped(paint("! ", 33), text, "  "))
    for hook in others:
        if hook.url.startswith(f"{bundle.url}/"):
            text = f"{hook.batch_name}/{hook.hook_name}, of another batch, sends {hook.webhook_method} here, too, so its events come twice."
            print(wrapped(paint("! ", 33), f"{text} Remove it in the shop.", "  "))


def show_change(name, old, new):
    margin = f"    {name:22}  "
    if isinstance(old, str):
        print(margin + old + (f" → {new}" if len(old + new) < 60 else f"\n{'':26}→ {new}"))
        return
    for sign, rows in (("-", old), ("+", new)):
        if rows:
            print(wrapped(f"{margin}{sign} ", some(rows), " " * 30))
            margin = " " * 28


def show_requests(shop, steps):
    """What would be sent, without the values of headers and credentials."""
    print("\nDry run. These requests would be sent, in this order:")
    for step in steps:
        if step.old:
            show_request(shop, "unsubscribe", {name: getattr(step.old, name) for name in IDENTITY})
        if step.new:
            hidden = replace(step.new, headers=tuple((name, "•••") for name, _ in step.new.headers))
            show_request(shop, "subscribe", to_rest(hidden))


def show_request(shop, deed, body):
    print(f"\nPOST {shop.base}/V1/webhooks/{deed}\n{json.dumps({'webhook': body}, indent=2, ensure_ascii=False)}")


def show_findings(hooks, bundle, supported, renew):
    parameters = {"invalid_events": bundle.invalid_events, "contract": bundle.contract}
    expected = Expected(bundle.url, bundle.timeout, bundle.soft_timeout, bundle.hooks(), **parameters)
    found, ours = examine(hooks, expected, supported), relevant(hooks, expected)
    for channel, findings in found.items():
        levels = {finding.level for finding in findings}
        mark = paint("✗", 31) if ERROR in levels else paint("!", 33) if WARNING in levels else paint("✓", 32)
        of_channel = [hook for hook in ours if channel in (hook.channel, hook.webhook_method)]
        required = " and ".join(dict.fromkeys("required" if hook.required else "not required" for hook in of_channel))
        print(f"{mark} {printable(channel)}{f'  {required}' if required else ''}")
        for finding in sorted(findings, key=lambda one: (ERROR, WARNING, INFO).index(one.level)):
            level = paint(f"{finding.level:7}", {ERROR: 31, WARNING: 33, INFO: 2}[finding.level])
            print(wrapped(f"    {level}  ", finding.what, " " * 13))
            print(wrapped(" " * 13, finding.why, " " * 13))
            print(wrapped(" " * 13 + "→ ", finding.remedy.replace("make apply", renew), " " * 15))
    counts = [
        (level, sum(one.level == level for findings in found.values() for one in findings)) for level in (ERROR, WARNING, INFO)
    ]
    words = ", ".join(f"{count} {level}{'s' if level != INFO and count != 1 else ''}" for level, count in counts if count)
    print(f"\n{words or 'Nothing is wrong'}. Hooks of others, not looked at: {len(hooks) - len(ours)}.")
    return FAILED if counts[0][1] else IN_STEP


def head(*lines):
    for name, text in lines:
        print(f"{name:7} {text}")
    print()


def some(rows):
    return ", ".join(rows[:10]) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")


if __name__ == "__main__":
    sys.exit(main())
