"""What `make deploy` looks at before it builds for many minutes: that samconfig.toml and AWS are ready for it.

In this order: what samconfig.toml says; who deploys where; the state of the stack; what its parameters ask of the account. All that
stops the deployment is said at once, with what helps, and nothing is changed.

What lets events pass rules and the stock check is asked about: CONFIRM=quarantine says yes where nobody can be asked. YES=1 asks
nothing, and BUILT=1 deploys what was built last.
"""

import json
import os
import sys
import textwrap
from urllib.parse import urlsplit

import account as aws
import aliases
import arns
import concurrency
import samconfig
import states
from finding import WIDTH, Finding, note
from stack import ROOT, template

CONFIG = ROOT / "samconfig.toml"
FUNCTIONS = ROOT / "functions"
BUILD = ROOT / ".aws-sam" / "build"
# Of the 64 characters of a function's name, CloudFormation leaves the stack's name at least these.
HOOK_STACK_NAME_MAX = 25
# What an ELF file says of its processor, in its 19th and 20th byte.
MACHINES = {"arm64": 183, "x86_64": 62}


def main(environment):
    """Ends unless the environment can be deployed."""
    sections = samconfig.sections_of(CONFIG, environment)
    settings, bundle = samconfig.settings(sections), template()
    given = read(environment, sections, settings, bundle)
    if asks(settings) and not os.environ.get("YES") and not sys.stdin.isatty():
        sys.exit("make: there is nobody to confirm what changes. Set YES=1, which deploys without asking")
    account, stack = aws.Account(settings), settings["stack_name"]
    described = account.stack(stack)
    end_if_stopped(foreign(described, bundle))
    if described and (found := states.look(described["StackStatus"], stack, account.region)):
        end_if_stopped([found])
    deployed = parameters_of(described)
    # SAM keeps what the stack has for every parameter that is named nowhere.
    wanted = {name: str(one["Default"]) for name, one in bundle["Parameters"].items()} | deployed | given
    end_if_stopped(kept_and_unfit(deployed, given, bundle["Parameters"]))
    if os.environ.get("BUILT"):
        end_if_stopped(unfit_build(described, bundle, wanted["Architecture"]))
    end_if_stopped(findings(account, settings, bundle, deployed, wanted))
    confirm(wanted)
    print(f"Stack {stack} in {account.region}, account {account.number}.")
    if os.environ.get("BUILT"):
        release = (BUILD / "Rules" / "release").read_text().strip()
        print(f"Deploying what was built last, of release {release}, without building it again.", flush=True)
    else:
        print(f"Building the functions for {wanted['Architecture']} first, which takes up to twenty minutes the first time.", flush=True)


def foreign(described, bundle):
    """A stack of that name that is not this bundle's would be replaced by it."""
    if described and described["StackStatus"] != "REVIEW_IN_PROGRESS" and described.get("Outputs"):
        if not {one["OutputKey"] for one in described["Outputs"]} & set(bundle["Outputs"]):
            name = described["StackName"]
            yield Finding(f"There is a stack {name} already, and it is not this bundle's: none of its outputs is. Choose another stack_name.")


def target(environment):
    """Where an environment is deployed: account and settings."""
    settings = samconfig.settings(samconfig.sections_of(CONFIG, environment))
    return aws.Account(settings), settings


def asks(settings):
    """Whether the changes have to be confirmed, as samconfig.toml says for `sam deploy`, too."""
    return bool(settings.get("confirm_changeset"))


def kept_and_unfit(deployed, given, declared):
    """What the stack has, nobody names, and the template does not take any more."""
    kept = {name: value for name, value in deployed.items() if name in declared and name not in given}
    for problem in samconfig.unfit(kept, declared):
        yield Finding(f"{problem}. The stack has that value; write another into samconfig.toml.")


def was_rolled_back(described):
    """Then the release that was rolled back has left its versions, and one that equals it cannot be deployed: `make build-Rules`."""
    return bool(described) and described["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def read(environment, sections, settings, bundle):
    """The parameters of samconfig.toml. Ends with all that is wrong with them."""
    problems = list(samconfig.misplaced(environment, sections))
    if not settings.get("stack_name"):
        problems.append(f"{environment}.global.parameters has no stack_name")
    else:
        problems += samconfig.unfit_name(settings["stack_name"], bundle)
    given, found = samconfig.read(settings.get("parameter_overrides", []))
    problems += found or samconfig.unfit(given, bundle["Parameters"])
    if problems:
        sys.exit("\n".join(f"make: samconfig.toml: {problem}" for problem in problems))
    return given


def unfit_build(described, bundle, processor):
    """What stops a deployment of what was built before."""
    functions = [name for name, one in bundle["Resources"].items() if one["Type"] == "AWS::Serverless::Function"]
    built = [BUILD / name / "bootstrap" for name in functions]
    if not all(path.exists() for path in (BUILD / "template.yaml", BUILD / "Rules" / "release", *built)):
        yield Finding("BUILT=1 deploys what was built last, and not everything is built. Leave it out.")
    elif was_rolled_back(described):
        yield Finding("BUILT=1 would deploy the release that was rolled back. Leave it out: Lambda takes no version twice.")
    elif any(machine(path) != MACHINES[processor] for path in built):
        yield Finding(f"BUILT=1 deploys what was built last, and that is not for {processor}. Leave it out.")


def machine(path):
    with path.open("rb") as program:
        return int.from_bytes(program.read(20)[18:], "little")


def parameters_of(described):
    """The parameters of a stack as it is deployed."""
    if not described or described["StackStatus"] == "REVIEW_IN_PROGRESS":
        return {}
    return {one["ParameterKey"]: one.get("ParameterValue", "") for one in described.get("Parameters", [])}


def findings(account, settings, bundle, deployed, wanted):
    """What of the account stops the deployment, and what could not be looked at."""
    if settings.get("resolve_s3"):
        yield from aws.looked_at("the bucket of SAM", aws.managed_bucket(account))
    yield from concurrency.inconsistent(bundle, wanted)
    yield from aws.looked_at("whether the account has the concurrency", concurrency.account_limits(account, bundle, deployed, wanted))
    yield from arns.findings(account, wanted)
    if wanted["PreTrafficCheck"] == "true":
        yield from unfit_for_the_hook(settings["stack_name"], wanted)
    if deployed:
        yield from arns.moved(deployed, wanted)
        stack = settings["stack_name"]
        yield from aws.looked_at("what the last deployment left", left_behind(account, stack, bundle, deployed, wanted))


def unfit_for_the_hook(stack, wanted):
    """What of the pre-traffic hook would not do what was asked for."""
    if wanted["Deployment"] == "AllAtOnce":
        yield note("PreTrafficCheck=true checks nothing with Deployment=AllAtOnce, which moves all traffic at once.")
    elif len(stack) > HOOK_STACK_NAME_MAX:
        yield Finding(
            f"With PreTrafficCheck=true, stack_name must have at most {HOOK_STACK_NAME_MAX} characters: CloudFormation shortens longer ones "
            "in the names of functions, and the hook is allowed to call those that begin with the stack's name."
        )


def left_behind(account, stack, bundle, deployed, wanted):
    resources = account.resources(stack)
    yield from aws.looked_at("whether DeploymentAlarm rings", aliases.ringing(account, resources, wanted))
    yield from aws.looked_at("whether the aliases are as the stack knows them", aliases.changed(account, resources, wanted))
    yield from aws.looked_at("whether what is provisioned is ready", concurrency.provisioning(account, bundle, resources, deployed, wanted))


def end_if_stopped(found):
    stopped = False
    for finding in found:
        print(finding, file=sys.stderr if finding.stops else sys.stdout, flush=True)
        stopped |= finding.stops
    if stopped:
        sys.exit(1)


def confirm(parameters):
    """Asks whether events that cannot be used shall pass what would stop others. Ends the deployment unless somebody says yes."""
    rules, stock = enforced(), urlsplit(parameters["StockUrl"]).hostname
    if parameters["InvalidEvents"] != "quarantine" or not (rules or stock) or os.environ.get("CONFIRM") == "quarantine":
        return
    passed = [f"the rules of {', '.join(rules)} do not stop it"] if rules else []
    passed += [f"the stock system at {stock} is not asked"] if stock else []
    words = (
        "InvalidEvents=quarantine: the shop gets `success` for an event that cannot be used, and the event goes to the quarantine. "
        f"Nothing looks at it first: {', and '.join(passed)}."
    )
    print(textwrap.fill(words, WIDTH, break_on_hyphens=False, break_long_words=False), flush=True)
    if os.environ.get("YES") or not sys.stdin.isatty():
        sys.exit("make: there is nobody to confirm that. Set CONFIRM=quarantine, or InvalidEvents=refuse in samconfig.toml")
    try:
        answer = input("Type yes to deploy it so: ")
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        sys.exit("make: nothing was deployed")


def enforced():
    """The channels with a rule that acts."""
    found = []
    for path in sorted(FUNCTIONS.glob("*/rules.json")):
        try:
            written = json.loads(path.read_text())
            acts = written.get("mode", "enforce") == "enforce" and any(rule.get("enabled", True) for rule in written["rules"])
        except (ValueError, KeyError, TypeError, AttributeError):
            # `make rules` comes next, and says what is wrong with the file.
            continue
        found += [path.parent.name] * acts
    return found


if __name__ == "__main__":
    if sys.argv[1] == "--new-release":
        account, settings = target(sys.argv[2])
        print("1" if was_rolled_back(account.stack(settings["stack_name"])) else "")
    else:
        try:
            main(sys.argv[1])
        except KeyboardInterrupt:
            sys.exit("make: stopped; nothing was changed")
