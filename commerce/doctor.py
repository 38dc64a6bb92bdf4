"""What is wrong between a shop and the bundle: with the way into the shop, with its hooks, and with the address that they post to."""

from dataclasses import replace
from itertools import islice

import checks
import smoke
from answers import ShopError
from examine import ERROR, INFO, WARNING, Finding, examine, relevant
from hooks import BadHooks, channel_in, from_rest, from_xml
from journal import JournalError
from plan import head, shop_lines, some
from terminal import paint, wrapped
from text import printable

IN_STEP, FAILED = 0, 1
LEVELS = (ERROR, WARNING, INFO)
# Its sample is shown in Adobe's own test.
EXAMPLE = "sales_order_place_after"
HOOKS_MAX_BYTES = 8 * 1024 * 1024
# Of a shop with thousands of odd hooks, no more is read by anybody: names, the bundle's channels first, and findings of one.
NAMES_SHOWN, FINDINGS_SHOWN = 50, 20


def doctor(shop, bundle, journal, options):
    head(*shop_lines(shop, bundle))
    found, hooks = {}, None
    try:
        hooks = from_rest(shop.hooks())
    except ShopError as error:
        found["the shop's REST"] = [Finding(ERROR, shop.clean(error.what), shop.clean(error.why), error.remedy)]
    except BadHooks as error:
        found["the shop's REST"] = [Finding(ERROR, str(error), "", "Is SHOP the base of the shop's REST?")]
    if hooks is not None:
        bundle = with_ims(bundle.with_subscribed(hooks))
        found |= examine(hooks, bundle, supported(shop, found))
    add_missing(found, journal, hooks)
    return show_findings(found, hooks, bundle, options.channel, "make apply", shop.is_saas)


def doctor_of_file(bundle, options):
    path = options.xml
    try:
        if path.stat().st_size > HOOKS_MAX_BYTES:
            raise BadHooks(f"has more than {HOOKS_MAX_BYTES // 1024 // 1024} MB")
        hooks = from_xml(path.read_text())
    except (OSError, ValueError) as error:
        raise BadHooks(f"{path} cannot be read: {error}") from None
    except BadHooks as error:
        raise BadHooks(f"{path} {error}") from None
    head(("File", str(path)), ("Bundle", str(bundle)))
    bundle = with_ims(bundle.with_subscribed(hooks))
    return show_findings(examine(hooks, bundle), hooks, bundle, options.channel, "make webhooks-xml", False)


def with_ims(bundle):
    """The bundle with the clients and organizations that the secret names, if tokens count and that can be known."""
    if not (bundle.secret and bundle.takes_token):
        return bundle
    from keys import known_of  # boto3 takes a third of a second, which only this needs

    try:
        return replace(bundle, ims=known_of(bundle.secret, bundle.shop).ims)
    except ShopError:
        # What the secret has of keys is looked at later, and why it cannot be known is said there.
        return bundle


def supported(shop, found):
    """The events that the shop supports, or None."""
    try:
        return shop.supported()
    except ShopError as error:
        what = "which events the shop supports could not be asked"
        found["supported events"] = [Finding(WARNING, what, shop.clean(f"{error.what} {error.why}".strip()), error.remedy)]
        return None


def add_missing(found, journal, hooks):
    """The hooks that an `apply` has taken out and not put in again."""
    try:
        entries = journal.entries()
    except JournalError as error:
        found["the journal of make apply"] = [Finding(ERROR, error.what, error.why, error.remedy)]
        return
    at_work = journal.at_work()
    live = {hook.identity for hook in hooks or ()}
    for entry in entries:
        if hooks is None:
            what = f"may be missing: make apply took it out at {entry.began}, and the shop cannot be asked"
        elif entry.identity not in live:
            what = f"is missing: make apply took it out at {entry.began}, and did not put it in again"
        else:
            continue
        remedy = f"Wait: another make apply ({at_work}) is changing the shop now." if at_work else "make apply: it puts it in again."
        of_hook = found.setdefault(entry.new.channel, [])
        of_hook[:] = [one for one in of_hook if one.what != "is not subscribed"]
        of_hook.append(Finding(ERROR, what, "Its events never come here, and are lost.", remedy))


def add_bundle(found, bundle, channel):
    """What is wrong with the address of the bundle and with its secret."""
    if bundle.url is None:
        return
    general = []
    urls = {name: hook.url for name, hook in bundle.hooks().items() if channel in (None, name)}
    for name, (finding, _) in smoke.check_all(urls, bundle.soft_timeout).items():
        if not finding.good:
            level = WARNING if finding.verdict == smoke.SLOW else ERROR
            status = f" (status {finding.status})" if finding.status != "-" else ""
            what = f"the bundle does not answer at the address of the hook as it should: {finding.verdict}{status}"
            why = checks.sentence(smoke.HELP[finding.verdict].format(finding.detail))
            found.setdefault(name, []).append(Finding(level, what, why, "make smoke asks it again."))
            if level == ERROR and not general:
                general = [Finding(ERROR, one.what, one.why, one.remedy) for one in checks.about_path(bundle)]
    if bundle.oauth and bundle.takes_token:
        general += [Finding(ERROR if bundle.needs_token else WARNING, one.what, one.why, one.remedy) for one in checks.about_token(bundle)]
    if bundle.secret:
        try:
            general += [Finding(ERROR, one.what, one.why, one.remedy) for one in checks.about_keys(bundle)]
        except ShopError as error:
            why = "So it is not known whether the shop's key is there."
            general.append(Finding(INFO, f"the secret of {bundle.stack} was not looked at: {error.what}", why, error.remedy))
    if general:
        found["the bundle"] = general


# What is shown


def show_findings(found, hooks, bundle, channel, renew, is_saas):
    add_bundle(found, bundle, channel)
    ours, wanted = relevant(hooks or [], bundle), bundle.hooks()
    if channel:
        others = set(wanted) | {hook.webhook_method for hook in ours}
        found = {name: findings for name, findings in found.items() if name == channel or name not in others}
    alone, shared = told_apart(found)
    for name, findings in islice(found.items(), NAMES_SHOWN):
        of_channel = [hook for hook in ours if name in (channel_in(hook, wanted), hook.webhook_method)]
        required = " and ".join(dict.fromkeys("required" if hook.required else "not required" for hook in of_channel))
        if name in wanted and not wanted[name].is_usual:
            required = f"type {wanted[name].webhook_type}{f', {required}' if required else ''}"
        print(f"{mark(findings)} {printable(name)}{f'  {required}' if required else ''}")
        show(alone[name], renew)
    if len(found) > NAMES_SHOWN:
        print(f"… and {len(found) - NAMES_SHOWN:,} more events.")
    for finding, names in islice(shared.items(), FINDINGS_SHOWN):
        print("\n" + wrapped("", whom(names, bundle, channel), ""))
        show([finding], renew)
    everything = [*shared, *(finding for findings in alone.values() for finding in findings)]
    counts = [(level, sum(one.level == level for one in everything)) for level in LEVELS]
    words = ", ".join(f"{count} {level}{'s' if level != INFO and count != 1 else ''}" for level, count in counts if count)
    others = " The shop's hooks could not be looked at." if hooks is None else f" Hooks of others, not looked at: {len(hooks) - len(ours)}."
    print(f"\n{words or 'Nothing is wrong'}.{others}")
    for _, why in bundle.left_out if not channel else ():
        print(wrapped(paint("! ", 33), why, "  "))
    if bundle.url is None:
        print("The address of the bundle was not asked: give STACK=… or URL=….")
    if channel:
        print(f"Only {channel} was looked at.")
    show_adobes_test(bundle, channel or next((name for name in (EXAMPLE, *wanted) if name in wanted), None), is_saas)
    return FAILED if counts[0][1] else IN_STEP


def told_apart(found):
    """The findings that one channel has alone, by channel, and those that several have, each with their names."""
    names = {}
    for name, findings in found.items():
        for finding in findings:
            names.setdefault(finding, {})[name] = None
    shared = {finding: list(several) for finding, several in names.items() if len(several) > 1}
    alone = {name: [one for one in findings if one not in shared] for name, findings in found.items()}
    return alone, dict(sorted(shared.items(), key=lambda pair: LEVELS.index(pair[0].level)))


def whom(names, bundle, channel):
    if not channel and set(names) == set(bundle.hooks()):
        return f"On all {len(names)} channels:"
    return f"On {some([printable(name) for name in names])}:"


def mark(findings):
    levels = {finding.level for finding in findings}
    return paint("✗", 31) if ERROR in levels else paint("!", 33) if WARNING in levels else paint("✓", 32)


def show(findings, renew):
    for finding in sorted(findings, key=lambda one: LEVELS.index(one.level))[:FINDINGS_SHOWN]:
        level = paint(f"{finding.level:7}", {ERROR: 31, WARNING: 33, INFO: 2}[finding.level])
        print(wrapped(f"    {level}  ", finding.what, " " * 13))
        if finding.why:
            print(wrapped(" " * 13, finding.why, " " * 13))
        if finding.remedy:
            print(wrapped(" " * 13 + "→ ", finding.remedy.replace("make apply", renew), " " * 15))
    if len(findings) > FINDINGS_SHOWN:
        print(f"    … and {len(findings) - FINDINGS_SHOWN:,} more findings.")


def show_adobes_test(bundle, channel, is_saas):
    """How to try a hook from the shop's side, which nothing else here does."""
    hook = bundle.hooks().get(channel)
    if hook is None:
        return
    sample = f"events/{channel}/default.body.json"
    if is_saas:
        text = (
            f"In the Admin, open System > Webhooks > Webhooks Subscriptions. At the hook {hook.hook_name}, choose Select > Test "
            f"Webhook, paste {sample} as the request payload, and click Run Webhook."
        )
        lines = [wrapped("", text, "")]
    else:
        text = f"Copy {sample} to the shop's machine. In developer mode, run:"
        run = f'bin/magento webhooks:dev:run {hook.webhook_method}:{hook.webhook_type} "$(cat default.body.json)"'
        lines = [wrapped("", text, ""), f"  {run}"]
    kind = "SaaS" if is_saas else "PaaS and on-premises"
    text = f"Adobe's own test ({kind}) sends a sample from the shop, signed as any event. It reaches the queue."
    print("\n" + wrapped("", text, "") + "\n" + "\n".join(lines))
