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
from dataclasses import dataclass

import checks
from answers import ShopError
from hooks import IDENTITY, difference, from_rest, to_rest
from journal import JournalError
from plan import make_plan, show_plan, show_requests
from terminal import agreed, nobody_reads, note, paint, wrapped

IN_STEP, FAILED, CHANGES = 0, 1, 2
# Those that end a process, by a person, a closed terminal or a machine that stops.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Seconds before each attempt to put a hook back.
PAUSES = (0, 1, 3, 9)


@dataclass(frozen=True)
class Outcome:
    """What was done with a hook, or the problem. `whole` is None if nobody knows whether the shop has the hook."""

    done: str = None
    problem: str = None
    whole: bool = True


def apply(shop, bundle, journal, options):
    """The exit code of `shop.py apply`."""
    if options.dry_run:
        plan = make_plan(shop, bundle, journal, options.channel)
        show_plan(shop, bundle, plan, options.channel)
        if plan.todo:
            show_requests(shop, plan.todo)
        return CHANGES if plan.todo else IN_STEP
    with journal.alone():
        plan = make_plan(shop, bundle, journal, options.channel)
        if plan.unread:
            raise plan.unread
        journal.settle(plan.whole)
        show_plan(shop, bundle, plan, options.channel)
        if not plan.todo:
            return IN_STEP
        try:
            checks.refuse(bundle, plan.todo, options.anyway)
        except ShopError as error:
            still = ", ".join(entry.new.channel for entry in plan.missing)
            raise ShopError(f"{error}. Still MISSING in the shop: {still}" if still else str(error)) from None
        if any(step.sign == "~" for step in plan.todo):
            text = "The shop cannot change a hook: each is taken out and put in again, one at a time. What happens in between is not sent."
            print("\n" + wrapped("", text, ""))
        if not options.yes and not agreed("Apply this?", "nothing was changed: there is nobody to ask. Add YES=1 to apply it unasked."):
            print("Nothing was changed.")
            return CHANGES
        print(flush=True)
        return make_it_so(shop, bundle, journal, options, plan.todo)


def make_it_so(shop, bundle, journal, options, steps):
    outcomes, unread, after = {}, False, None
    with deferred() as caught:
        for step in steps:
            outcome = outcomes[step] = carried_out(shop, journal, step)
            unread = tell(shop, step, outcome)
            # Where one hook is gone, no other is risked.
            if caught or unread or not outcome.whole:
                break
        try:
            after = make_plan(shop, bundle, journal, options.channel)
            journal.settle(after.whole)
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
    if after is not None:
        names = [entry.new.channel for entry in after.missing]
        state = "are MISSING in the shop" if len(names) > 1 else "is MISSING in the shop"
    else:
        names = [step.name for step, outcome in outcomes.items() if not outcome.whole]
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
    return Outcome(problem=f"{problem} {'Nobody knows whether it was done.' if problem.unknown else 'Nothing was changed.'}")


def changed(shop, journal, old, new):
    """Takes the old hook out and puts the new one in."""
    started = time.monotonic()
    try:
        journal.begin(old, new)
    except JournalError as error:
        return Outcome(problem=f"{error} The old hook is in place.")
    problem = attempt(remove, shop, old)
    if problem and not problem.unknown:
        return Outcome(problem=f"{problem} The old hook is in place.")
    # If nobody knows whether it was done, it may be gone, and then the new one must come. If it is there, the shop takes no second one.
    return put_in_again(shop, old, new, lambda: f"changed, out and in again within {(time.monotonic() - started) * 1000:.0f} ms")


def put_in_again(shop, old, new, done):
    """Puts the new hook in; if that fails, the old one. Then the list says what came of it."""
    problem = attempt(add, shop, new)
    if problem is None:
        return Outcome(done() if callable(done) else done)
    reason, second = str(problem), None
    for pause in PAUSES:
        time.sleep(pause)
        second = attempt(add, shop, old)
        if second is None or second.final:
            break
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
    state = "The old hook is in place." if not difference(live, old) else "The hook is there, but altered."
    return Outcome(problem=f"{reason} {state}")


def attempt(deed, shop, hook):
    """What went wrong, or None. Whatever it is, it must not end what is under way."""
    try:
        deed(shop, hook)
    except ShopError as error:
        return error
    except Exception as error:  # noqa: BLE001 — while a hook is out, every failure is the same failure
        return ShopError(f"unexpected: {type(error).__name__}: {error}.", unknown=True)
    return None


def add(shop, hook):
    settled(shop, shop.subscribe, to_rest(hook), lambda live: live is not None and not difference(live, hook))


def remove(shop, hook):
    body = {name: getattr(hook, name) for name in IDENTITY}
    settled(shop, shop.unsubscribe, body, lambda live: live is None)


def settled(shop, deed, body, done):
    """Does it; and where nobody knows whether it was done, looks."""
    try:
        deed(body)
        return
    except ShopError as error:
        if not error.unknown:
            raise
        reason = error
    except Exception as error:  # noqa: BLE001 — the request may have reached the shop
        reason = ShopError(f"unexpected: {type(error).__name__}: {error}.", unknown=True)
    try:
        live = live_hooks(shop)
    except Exception:  # noqa: BLE001
        raise reason from None
    if not done(live.get(tuple(body[name] for name in IDENTITY))):
        raise ShopError(str(reason), status=reason.status) from None


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
        "SHOP": shop.base,
        "STACK": None if options.url else options.stack,
        "URL": options.url,
        "HOOK_TIMEOUT_MS": options.hook_timeout_ms,
        "SOFT_TIMEOUT_MS": options.soft_timeout_ms,
        "REQUIRED": options.required,
        "ANYWAY": ",".join(sorted(options.anyway)),
    }
    return " ".join([f"make {verb}", *(f"{name}={shlex.quote(str(value))}" for name, value in given.items() if value)])
