"""What becomes of the hooks of a shop: those that there are beside those that the bundle wants."""

import json
from collections import Counter
from dataclasses import dataclass, replace

from bundle import own_hooks
from hooks import IDENTITY, URL_VARIABLE, Hook, channel_in, difference, from_rest, to_rest
from journal import JournalError
from terminal import paint, wrapped
from text import printable, short


@dataclass(frozen=True)
class Step:
    """What becomes of one hook. `old` is what the shop has, `new` what it shall have, `lost` what an `apply` has taken out and not put
    in again."""

    old: Hook
    new: Hook
    lost: Hook = None
    # Whether it gets the client secret again, which the shop's list does not tell from another.
    renewed: bool = False

    @property
    def changes(self):
        changes = difference(self.old, self.new) if self.old and self.new else []
        if self.renewed:
            changes.append(("developer_console_oauth", [], ["the client secret of the environment"]))
        return changes

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
        return short(f"{self.old.webhook_method.removeprefix('observer.')} ({self.old.webhook_type}, {self.old.batch_name}/{self.old.hook_name})", 150)


@dataclass(frozen=True)
class Plan:
    """The steps, the hooks of other batches, which are left alone, and the entries of the journal whose hooks are missing."""

    steps: list
    others: list
    missing: list
    # Identities of the hooks that the journal has and that are whole: in the shop, or no longer wanted.
    whole: set
    # Identities of the hooks that the bundle wants and the shop does not have, of whatever channel, with these.
    absent: dict
    # Names of the hooks that the list has more than once.
    twice: list
    # Why the journal cannot be read, or None.
    unread: JournalError = None

    @property
    def todo(self):
        return [step for step in self.steps if step.sign != "="]


def make_plan(shop, bundle, journal, channel=None, renew_oauth=False):
    """What becomes of each hook of ours, those that go last, so that no event goes nowhere. With a channel, of its hooks alone, and of
    those that are missing since an `apply` was stopped. With `renew_oauth` every hook that has credentials gets them again."""
    live = from_rest(shop.hooks())
    wanted = bundle.with_subscribed(live).with_names_of(shop).values()
    batches = {hook.batch_name for hook in own_hooks()}
    ours = {hook.identity: hook for hook in live if hook.batch_name in batches}
    entries, unread = read(journal)
    expected = {hook.identity for hook in wanted}
    missing = {entry.identity: entry for entry in entries if entry.identity in expected and entry.identity not in ours}
    often = Counter(hook.identity for hook in live if hook.batch_name in batches)
    twice = [short(f"{identity[0].removeprefix('observer.')} ({identity[3]})", 150) for identity, count in often.items() if count > 1]
    absent = {hook.identity: hook.channel for hook in wanted if hook.identity not in ours}
    by_channel = {hook.channel: hook for hook in wanted}
    steps = []
    for hook in wanted:
        lost, old = missing.get(hook.identity), ours.pop(hook.identity, None)
        # The name that the shop took once, it takes again.
        hook = replace(hook, webhook_method=old.webhook_method) if old else hook
        lost = lost and lost.old
        if bundle.takes_token and bundle.oauth is None:
            # Who gives no credentials does not mean to take any away.
            hook = replace(hook, developer_console_oauth=next((one.developer_console_oauth for one in (old, lost) if one), ()))
        steps.append(Step(old, hook, lost, bool(renew_oauth and old and hook.developer_console_oauth)))
    steps += [Step(hook, None) for hook in ours.values()]
    if channel:
        steps = [step for step in steps if channel == channel_in(step.new or step.old, by_channel) or step.lost]
    # What is missing comes first: each moment costs events.
    steps.sort(key=lambda step: not step.lost)
    whole = {entry.identity for entry in entries} - missing.keys()
    return Plan(steps, [hook for hook in live if hook.batch_name not in batches], list(missing.values()), whole, absent, twice, unread)


def read(journal):
    try:
        return journal.entries(), None
    except JournalError as error:
        return [], error


# What is shown


def show_plan(shop, bundle, plan, channel=None):
    head(*shop_lines(shop, bundle))
    says = {"+": "will be subscribed", "~": "will be changed", "-": "will be unsubscribed", "=": "as it should be"}
    colours = {"+": 32, "~": 33, "-": 31, "=": 2}
    width = max((len(step.name) for step in plan.steps), default=0)
    for step in plan.steps:
        note = "MISSING since an `apply` took it out; " if step.lost else ""
        kind = f" (type {step.new.webhook_type})" if step.new and not step.new.is_usual else ""
        print(paint(f"{step.sign} {step.name:{width}}  {note}{says[step.sign]}{kind}", 31 if step.lost else colours[step.sign]))
        for name, old, new in step.changes:
            show_change(name, old, new)
    counts = {sign: sum(step.sign == sign for step in plan.steps) for sign in "+~-="}
    done = ", ".join(
        f"{counts[sign]} {what}" for sign, what in zip("+~-", ("to subscribe", "to change", "to unsubscribe")) if counts[sign]
    )
    print(f"\n{done or 'Nothing to do'}; {counts['=']} as they should be. Hooks of others, left alone: {len(plan.others)}.")
    for name in plan.twice:
        text = f"{name} stands more than once in the shop's list, perhaps by REST and by a webhooks.xml. Its events may come twice."
        print(wrapped(paint("! ", 33), text, "  "))
    if plan.unread:
        print(wrapped(paint("! ", 33), str(plan.unread), "  "))
    shown = {step.new.channel for step in plan.steps if step.new}
    for name, why in bundle.left_out:
        if name not in shown and channel is None:
            print(wrapped(paint("! ", 33), why, "  "))
    if channel:
        print(f"Only the hooks of {channel} were looked at.")
        show_absent(plan, channel)
    if bundle.none_required:
        text = "With REQUIRED=false no hook is required: when one fails, the shop goes on, and the event is lost."
        print(wrapped(paint("! ", 33), text, "  "))
    if bundle.oauth and not bundle.takes_token:
        text = (
            f"WEBHOOK_OAUTH_* are in the environment, but the stack looks at no token (SignatureSchemes={bundle.schemes}), so no hook gets "
            "Developer Console OAuth."
        )
        print(wrapped(paint("! ", 33), text, "  "))
    if any(step.old and URL_VARIABLE in step.old.url for step in plan.steps):
        text = (
            "Hooks with {env:…} in their URL come from a webhooks.xml of the shop, and REST does not change those: change the file."
        )
        print(wrapped(paint("! ", 33), text, "  "))
    for hook in plan.others:
        if hook.url.startswith(f"{bundle.url}/"):
            name, method = (short(text, 100) for text in (f"{hook.batch_name}/{hook.hook_name}", hook.webhook_method))
            text = f"{name}, of another batch, sends {method} here, too, so its events come twice. Remove it in the shop."
            print(wrapped(paint("! ", 33), text, "  "))


def show_absent(plan, channel):
    """The hooks of other channels that the shop does not have, and that nothing is done about."""
    shown = {step.new.identity for step in plan.steps if step.new}
    names = [name for identity, name in plan.absent.items() if identity not in shown]
    if names:
        print(wrapped(paint("! ", 33), f"Of the other channels, these have no hook in the shop: {', '.join(names)}.", "  "))


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
            body = to_rest(hidden)
            if "developer_console_oauth" in body:
                body["developer_console_oauth"]["client_secret"] = "•••"
            show_request(shop, "subscribe", body)


def show_request(shop, deed, body):
    content = json.dumps({"webhook": body}, indent=2, ensure_ascii=False)
    print(f"\nPOST {shop.base}/V1/webhooks/{deed}\n" + "\n".join(map(printable, content.split("\n"))))


def shop_lines(shop, bundle):
    """Which shop and which bundle, for the head of what is shown."""
    name = f"{bundle.shop}: " if bundle.shop else ""
    return ("Shop", f"{name}{shop.base}  ({shop.way})"), ("Bundle", str(bundle))


def head(*lines):
    for name, text in lines:
        print(f"{name:7} {printable(text)}")
    print()


def some(rows):
    return ", ".join(rows[:10]) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
