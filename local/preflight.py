"""What `make deploy` looks at before it builds for many minutes: that samconfig.toml and AWS are ready for it.

The parameters are read by SAM's own code, and each value is held against what template.yaml asks of it, as CloudFormation will do
after the build. SAM cuts or drops values that are not written as it wants them; here that is an error.

What lets events pass rules and the stock check is asked about: CONFIRM=quarantine says yes where nobody can be asked.
"""

import json
import os
import re
import sys
import textwrap
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import click
import tomlkit
from samcli.cli.types import CfnParameterOverridesType, _unquote_wrapped_quotes
from stack import ROOT, template

CONFIG = ROOT / "samconfig.toml"
FUNCTIONS = ROOT / "functions"
# A number that is the same number to everybody who reads it: CloudFormation takes others, too, but compares them as text.
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
QUOTES = ("'", '"')


def main(environment):
    try:
        config = tomlkit.parse(CONFIG.read_text()).unwrap()
    except tomlkit.exceptions.ParseError as error:
        sys.exit(f"make: samconfig.toml is not TOML: {error}")
    known = [name for name, sections in config.items() if isinstance(sections, dict)]
    if environment not in known:
        sys.exit(f"make: samconfig.toml knows no {environment}, but: {', '.join(known)}")
    chosen = config[environment].get("global", {}).get("parameters", {})
    problems = list(misplaced(environment, config[environment]))
    parameters, found = read(chosen.get("parameter_overrides", []))
    declared = template()["Parameters"]
    problems += found or unfit(parameters, declared)
    if problems:
        sys.exit("\n".join(f"make: samconfig.toml: {problem}" for problem in problems))
    region, account = where()
    # SAM keeps what the stack has for every parameter that is named nowhere.
    confirm({name: str(one["Default"]) for name, one in declared.items()} | deployed(chosen["stack_name"], region) | parameters)
    architecture = parameters.get("Architecture") or declared["Architecture"]["Default"]
    print(f"Stack {chosen['stack_name']} in {region}, account {account}. Building eight functions for {architecture} first, which takes")
    print("up to twenty minutes the first time.", flush=True)


def misplaced(environment, sections):
    """Parameters of one command alone, in place of which the others take those under `global`, or none."""
    for name, section in sections.items():
        if name != "global" and isinstance(section, dict) and "parameter_overrides" in section.get("parameters", {}):
            yield f"parameter_overrides stands under {environment}.{name}.parameters; move it to {environment}.global.parameters"


class Whole(CfnParameterOverridesType):
    """Reads parameters as SAM does, and notes what SAM would cut, drop, or take for something else."""

    def __init__(self):
        self.problems = []
        self.names = set()

    def convert(self, values, param, ctx, *files):
        for value in flat(values):
            if isinstance(value, dict):
                self.check_table(value)
            elif isinstance(value, str) and value and not value.startswith("file://"):
                self.check_text(value)
        # SAM itself stops at some of them, with words about its own formats.
        return {} if self.problems else super().convert(values, param, ctx, *files)

    def check_text(self, text):
        """One or more NAME=VALUE."""
        # For a quote that is not closed, SAM's patterns take hours to find that they do not match.
        found, whole = ([], False) if has_open_quote(text) else self.taken(text)
        for name, _ in found:
            self.note(name.strip("\"'"))
        if not whole:
            self.problems.append(f"SAM would not take all of {shown(text)}. Write {self.advice(text)}")

    def taken(self, text):
        """The names and values that SAM finds in a text, and whether nothing is lost. SAM passes over what is not of its form."""
        text, end = text.strip(), text[len(text.rstrip()) :]
        for pattern in self.ordered_pattern_match:
            if found := re.findall(pattern, f" {text}"):
                break
        # Spaces at the end are lost, unless a quote ends the value. The long form without a value is read as the short one.
        cut = not found or re.sub(pattern, "", f" {text}").strip(" ") or (end and found[-1][1][0] not in QUOTES)
        if cut or found[0][0] == "ParameterKey":
            return found, False
        return found, all(unquoted(value) == _unquote_wrapped_quotes(value) for _, value in found)

    def advice(self, text):
        """How to write what SAM would not take."""
        named = re.findall(r"(?:^|\s)(?:ParameterKey=)?([A-Za-z0-9]+)(?:=|,ParameterValue=)", text)
        if len(named) != 1:
            return """a value with spaces as 'NAME="…"', and an empty one as 'NAME=""'"""
        value = re.split(",ParameterValue=|=", text.replace("ParameterKey=", ""), maxsplit=1)[1].replace('\\"', '"')
        right = '{}="{}"'.format(named[0], value.replace('"', '\\"'))
        if not self.taken(right)[1]:
            return "another value, because SAM has no form for this one"
        # As text of TOML, the shorter way if there is one.
        return f"'{right}'" if "'" not in right and right.isprintable() else tomlkit.item(right).as_string()

    def check_table(self, table):
        """Each value is text, a number, or a list whose elements SAM joins with commas."""
        for name, value in table.items():
            if name == "$include":
                continue
            self.note(name)
            given = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            if super().convert({name: value}, None, None) != {name: given}:
                without = "Write it without quotes, backslashes and empty elements"
                self.problems.append(f"SAM would not take all of {shown(given)} for {name}. {without}")

    def note(self, name):
        if name in self.names:
            self.problems.append(f"{name} is set twice")
        self.names.add(name)


def has_open_quote(text):
    """Whether a value begins with a quote and does not end with one."""
    starts = re.finditer("=(['\"])", text)
    return any(not re.search(rf"(?<!\\){start[1]}", text[start.end() :]) for start in starts)


def unquoted(value):
    """What a value means to whoever wrote it: in quotes every character counts, but that a quote in them is escaped."""
    if value[0] not in QUOTES:
        return value.replace("\\ ", " ")
    quote = value[0]
    return value[1:-1].replace(f"\\{quote}", quote) if len(value) > 1 else value


def shown(text):
    return text if text.isprintable() else repr(text)


def flat(values):
    """The elements of lists in lists, or one value alone."""
    if not isinstance(values, (list, tuple)):
        yield values
        return
    for value in values:
        yield from flat(value)


def read(overrides):
    """The parameters that SAM reads, and what is wrong with how they are written."""
    reader = Whole()
    try:
        return reader.convert(overrides, None, None), reader.problems
    except click.ClickException as error:
        return {}, [f"parameter_overrides: {error.format_message()}"]


def unfit(parameters, declared):
    """What CloudFormation or a function would refuse: a line for each parameter."""
    # A misspelt one would be passed over without a word.
    if strangers := sorted(set(parameters) - set(declared)):
        yield f"template.yaml has no parameter {', '.join(strangers)}"
    for name, value in parameters.items():
        if reason := name in declared and refusal(value, declared[name]):
            yield f"{name} {reason}, not {value!r}"


def refusal(value, declared):
    """What a parameter that is declared so must be, if this value is not it."""
    if "AllowedValues" in declared:
        allowed = [str(one) for one in declared["AllowedValues"]]
        return None if value in allowed else f"must be one of {'; '.join(allowed)}"
    if declared["Type"] == "Number":
        least, most = declared.get("MinValue"), declared.get("MaxValue")
        limits = f" from {least} to {most}" if most is not None else "" if least is None else f" of at least {least}"
        fits = WHOLE.fullmatch(value) and (least is None or int(value) >= least) and (most is None or int(value) <= most)
        return None if fits else f"must be a whole number{limits}, written in digits"
    # CloudFormation counts as Java does.
    length = len(value.encode("utf-16-le", "surrogatepass")) // 2
    least, most = declared.get("MinLength", 0), declared.get("MaxLength", 4096)
    if least <= length <= most and re.fullmatch(declared.get("AllowedPattern", r"[\s\S]*"), value):
        return None
    plain = f"must have from {least} to {most} characters, and match {declared.get('AllowedPattern')}"
    return declared.get("ConstraintDescription", plain)


def where():
    """Region and account, if there are a region and credentials."""
    try:
        session = boto3.Session()
        region = os.environ.get("AWS_REGION") or session.region_name
        if not region:
            sys.exit("make: no region. Set AWS_REGION, or a region in ~/.aws/config")
        return region, session.client("sts", region_name=region).get_caller_identity()["Account"]
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
        sys.exit("make: no credentials of AWS. Log in, or set AWS_PROFILE; `make build` needs none")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        sys.exit(f"make: AWS does not say who you are: {error}")


def deployed(stack, region):
    """The parameters of the stack as it is now; none if there is no stack yet."""
    try:
        client = boto3.client("cloudformation", region_name=region)
        [said] = client.describe_stacks(StackName=stack)["Stacks"]
        return {one["ParameterKey"]: one.get("ParameterValue", "") for one in said.get("Parameters", [])}
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return {}
        sys.exit(f"make: AWS does not show the stack {stack}: {error}")
    except botocore.exceptions.BotoCoreError as error:
        sys.exit(f"make: AWS does not show the stack {stack}: {error}")


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
    print(textwrap.fill(words, 100, break_on_hyphens=False, break_long_words=False), flush=True)
    if not sys.stdin.isatty():
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
    main(sys.argv[1])
