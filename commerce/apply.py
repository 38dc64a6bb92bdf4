"""Makes a shop's hooks what the plan says, so that nothing that happens in between loses one.

The shop cannot change a hook: it is unsubscribed and subscribed anew. While it is out, signals wait, nobody has to read the output, and
the journal names it. Whatever goes wrong, the old hook is put back; and if that cannot be, the last line says so.
"""

import contextlib
import os
import shlex
import signal
import sys
import time
from dataclasses import dataclass, replace

import checks
from answers import ShopError
from hooks import IDENTITY, as_listed, difference, from_rest, identity_of, to_rest
from plan import make_plan, show_plan, show_requests
from terminal import agreed, nobody_reads, note, paint, wrapped

IN_STEP, FAILED, CHANGES = 0, 1, 2
# Those that end a process, by a person, a closed terminal or a machine that stops.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Seconds before each attempt to put a hook back, and, of these, before each look whether the list has a new one.
PAUSES = (0, 1, 3, 9)
LOOKS = 3
# With which a shop says that it does not have what it should take out.
ABSENT = (400, 404)
LATE = "The shop may still take it out; run `make plan` again in a minute."


class StillThere(ShopError):
    """The shop gave no answer to an `unsubscribe`, and has the hook: it may take it out yet."""


@dataclass(frozen=True)
class Outcome:
    """What was done with a hook, or the problem. `whole` is None if nobody knows whether the shop has the hook. One that is `late` is
    there, but the shop may still take it out."""

    done: str = None
    problem: str = None
    whole: bool = True
    late: bool = False


def apply(shop, bundle, journal, options):
    """The exit code of `shop.py apply`."""
    if options.dry_run:
        plan = make_plan(shop, bundle, journal, options.channel, options.renew_oauth)
        show_plan(shop, bundle, plan, options.channel)
        if plan.todo:
            show_requests(shop, plan.todo)
        return CHANGES if plan.todo else IN_STEP
    with journal.alone():
        plan = make_plan(shop, bundle, journal, options.channel, options.renew_oauth)
        if plan.unread:
            note(f"shop: {shop.clean(str(plan.unread.what))} {journal.set_aside()}")
            plan = replace(plan, unread=None)
        journal.settle(plan.whole)
        show_plan(shop, bundle, plan, options.channel)
        if not plan.todo:
            return IN_STEP
        try:
            steps = checks.with_sendable_oauth(bundle, plan.todo, options.anyway)
            checks.refuse(bundle, steps, options.anyway)
            go_on = agreed_to(plan, options)
        except ShopError as error:
            still = ", ".join(entry.new.channel for entry in plan.missing)
            raise ShopError(f"{str(error).rstrip('.')}. Still MISSING in the shop: {still}" if still else str(error)) from None
        if not go_on:
            print("Nothing was changed.")
            return CHANGES
        print(flush=True)
        return make_it_so(shop, bundle, journal, options, steps)


def agreed_to(plan, options):
    if any(step.sign == "~" for step in plan.todo):
        text = "The shop cannot change a hook: each is taken out and put in again, one at a time. What happens in between is not sent."
        print("\n" + wrapped("", text, ""))
    return options.yes or agreed("Apply this?", "nothing was changed: there is nobody to ask. Add YES=1 to apply it unasked.")


def make_it_so(shop, bundle, journal, options, steps):
    outcomes, unread, after = {}, False, None
    with deferred() as caught:
        for step in steps:
            outcome = outcomes[step] = carried_out(shop, journal, step)
            unread = tell(shop, step, outcome)
            # Where one hook is gone, no other is risked.
            if caught or unread or outcome.late or not outcome.whole:
                break
        try:
            after = make_plan(shop, bundle, journal, options.channel)
            journal.settle(after.whole - {step.old.identity for step, outcome in outcomes.items() if outcome.late})
        except Exception as error:  # noqa: BLE001 — what is missing must be said all the same
            note(f"shop: after that, {shop.clean(str(error))}")
    report_missing(shop, options, outcomes, after)
    if caught or unread:
        why = "" if caught else ", because nobody reads the output"
        raise ShopError(f"stopped{why}; every hook that was begun is whole.", remedy=f"Go on by: {command('apply', shop, options)}")
    good = all(outcome.done for outcome in outcomes.values())
    for step in after.todo if after and good else []:
        text = "the shop said yes, but its list says otherwise. Is the hook set up by a webhooks.xml of the shop?"
        print(wrapped(f"{paint('✗', 31)} {step.name}: ", text, "  "))
    if after is None or after.todo or not good:
        print("\nNot everything is as it should be. `make plan` says what is left; `make apply` can be repeated.")
        return FAILED
    which = f"the hooks of {options.channel}" if options.channel else "all hooks"
    print(f"\nThe shop's list says the same: {which} are as they should be.")
    return IN_STEP


def report_missing(shop, options, outcomes, after):
    """Ends with the names of the hooks that are out, as the last line."""
    begun = {step.new.identity: step.name for step, outcome in outcomes.items() if not outcome.whole}
    if after is not None:
        # The journal may have become unreadable meanwhile.
        out = {entry.identity: entry.new.channel for entry in after.missing}
        names = list((out | {identity: name for identity, name in begun.items() if identity in after.absent}).values())
        state = "are MISSING in the shop" if len(names) > 1 else "is MISSING in the shop"
    else:
        names = list(begun.values())
        state = "may be MISSING in the shop, whose list cannot be read"
    if names:
        what = f"{', '.join(names)} {state}. The events are lost until this succeeds:"
        raise ShopError(what, remedy=command("apply", shop, options))


def tell(shop, step, outcome):
    """Says what came of a step. Whether nobody reads it is returned, because the hooks come first."""
    mark, words = (paint("✗", 31), outcome.problem) if outcome.problem else (paint("✓", 32), outcome.done)
    try:
        print(wrapped(f"{mark} {step.name}: ", shop.clean(words), "  "), flush=True)
    except (OSError, ValueError) as error:
        return nobody_reads(error)
    return False


def carried_out(shop, journal, step):
    try:
        return carry_out(shop, journal, step)
    except Exception as error:  # noqa: BLE001 — nobody foresaw it, so nobody knows
        return Outcome(problem=f"unexpected: {type(error).__name__}: {error}.", whole=None)


def carry_out(shop, journal, step):
    if step.old and step.new:
        return changed(shop, journal, step.old, step.new)
    if step.old:
        problem, done = attempt(remove, shop, step.old), "unsubscribed"
    elif step.lost:
        return put_in_again(shop, step.lost, step.new, "put in again")
    else:
        problem, done = attempt(add, shop, step.new), "subscribed"
    if problem is None:
        return Outcome(done)
    if isinstance(problem, StillThere):
        return Outcome(problem=f"{problem} {LATE}")
    return Outcome(problem=f"{problem} {'Nobody knows whether it was done.' if problem.unknown else 'Nothing was changed.'}")


def changed(shop, journal, old, new):
    """Takes the old hook out and puts the new one in."""
    started = time.monotonic()
    try:
        journal.begin(old, new)
    except Exception as error:  # noqa: BLE001 — whatever it is, nothing was taken out yet
        return Outcome(problem=f"{error} The old hook is in place.")
    problem = attempt(remove, shop, old)
    if isinstance(problem, StillThere):
        return Outcome(problem=f"{problem} The old hook is in place. {LATE}", late=True)
    if problem and not problem.unknown:
        return Outcome(problem=f"{problem} The old hook is in place.")
    # If nobody knows whether it was done, it may be gone, and then the new one must come. If it is there, the shop takes no second one.
    outcome = put_in_again(shop, old, new, "changed, out and in again", late=problem is not None)
    # Including the look at the list, which the shop's events do not wait for.
    return replace(outcome, done=f"{outcome.done} within {(time.monotonic() - started) * 1000:.0f} ms") if outcome.done else outcome


def put_in_again(shop, old, new, done, late=False):
    """Puts the new hook in; if that fails, the old one. Then the list says what came of it. `late`: the shop may still be about to take
    the old one out."""
    problem = attempt(add, shop, new)
    if problem is None:
        try:
            if seen(shop, new):
                return Outcome(done)
            problem = ShopError("the shop said yes, but its list says otherwise: it does not have the hook.")
        except Exception as error:  # noqa: BLE001 — whatever it is, the shop may have said yes to nothing
            return Outcome(problem=f"the shop said yes, but its list cannot be read: {error}", whole=None)
    old = replace(old, developer_console_oauth=checks.sendable(old, new))
    reason, second, body = str(problem), None, as_listed(old)
    for pause in PAUSES:
        time.sleep(pause)
        second = attempt(put_back, shop, old, body)
        if second is None:
            break
        if second.final and body == plainly(old):
            break
        if second.final:
            # What is unknown here may be what the shop does not take: better without it than no hook.
            body = plainly(old)
    if second:
        reason += f" Nor could the old hook be put back: {second}"
    try:
        live = live_hooks(shop).get(old.identity)
    except Exception:  # noqa: BLE001 — whatever it is, the hook may be out
        return Outcome(problem=f"{reason} NOBODY KNOWS WHETHER THE HOOK IS THERE.", whole=None)
    if live is None:
        return Outcome(problem=f"{reason} THE HOOK IS GONE.", whole=False)
    if not difference(live, new):
        return Outcome("changed, though the shop did not say so")
    if difference(live, old) or as_listed(live) != as_listed(old):
        return Outcome(problem=f"{reason} The hook is there, but altered.")
    return Outcome(problem=f"{reason} The old hook is in place.{f' {LATE}' if late else ''}", late=late)


def seen(shop, hook):
    """Whether the shop's list has the hook, be it after a moment."""
    for pause in PAUSES[:LOOKS]:
        time.sleep(pause)
        if hook.identity in live_hooks(shop):
            return True
    return False


def attempt(deed, *given):
    """What went wrong, or None. Whatever it is, it must not end what is under way."""
    try:
        deed(*given)
    except ShopError as error:
        return error
    except Exception as error:  # noqa: BLE001 — while a hook is out, every failure is the same failure
        return ShopError(f"unexpected: {type(error).__name__}: {error}.", unknown=True)
    return None


def add(shop, hook):
    put_back(shop, hook, to_rest(hook))


def put_back(shop, hook, body):
    settled(shop, shop.subscribe, body, lambda live: live is not None and not difference(live, hook))


def plainly(hook):
    """The hook with only what every shop takes."""
    return to_rest(replace(hook, headers=tuple((name, value) for name, value in hook.headers if value)))


def remove(shop, hook):
    body = {name: getattr(hook, name) for name in IDENTITY}
    settled(shop, shop.unsubscribe, body, lambda live: live is None, StillThere, ABSENT)


def settled(shop, deed, body, done, not_done=ShopError, doubtful=()):
    """Does it; and where nobody knows whether it was done, looks. A refusal with a status that is `doubtful` may say that it is done."""
    try:
        deed(body)
        return
    except ShopError as error:
        if not error.unknown and error.status not in doubtful:
            raise
        reason = error
    except Exception as error:  # noqa: BLE001 — the request may have reached the shop
        reason = ShopError(f"unexpected: {type(error).__name__}: {error}.", unknown=True)
    try:
        live = live_hooks(shop)
    except Exception:  # noqa: BLE001
        raise ShopError(str(reason), status=reason.status, unknown=True) from None
    if not done(live.get(identity_of(body))):
        raise (not_done if reason.unknown else ShopError)(str(reason), status=reason.status) from None


def live_hooks(shop):
    return {hook.identity: hook for hook in from_rest(shop.hooks())}


@contextlib.contextmanager
def deferred():
    """Signals wait until the hook in hand is whole; those that came are in the list that is given. Who starts the program with a signal
    ignored, as nohup does, keeps that."""
    caught, before = [], {}

    def later(number, _):
        caught.append(number)
        # Not by print, which the signal may have interrupted. Without a standard error, its number may be another file's.
        with contextlib.suppress(OSError, AttributeError, ValueError):
            os.write(sys.__stderr__.fileno(), b"\nshop: stopping as soon as the hook in hand is whole\n")

    try:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, later) or signal.SIG_DFL
        # Ctrl-Z would leave the hook out for as long as the process sleeps.
        before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN) or signal.SIG_DFL
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command(verb, shop, options):
    """The command line that does the same again."""
    given = {
        "SHOP": options.shop_name or shop.base,
        "COMMERCE_URL": shop.base if options.shop_name else None,
        "STACK": None if options.url else options.stack,
        "URL": options.url,
        "HOOK_TIMEOUT_MS": options.hook_timeout_ms,
        "SOFT_TIMEOUT_MS": options.soft_timeout_ms,
        "REQUIRED": options.required,
        "RENEW_OAUTH": "1" if options.renew_oauth else None,
        "ANYWAY": ",".join(sorted(options.anyway)),
    }
    return " ".join([f"make {verb}", *(f"{name}={shlex.quote(str(value))}" for name, value in given.items() if value)])
