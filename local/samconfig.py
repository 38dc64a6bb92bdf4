"""Reads what samconfig.toml says of an environment, and finds what of it would not reach CloudFormation as it is written.

The parameters are read by SAM's own code, and each value is held against what template.yaml asks of it, as CloudFormation will do
after the build. SAM cuts or drops values that are not written as it wants them; here that is an error.
"""

import re
import sys
from pathlib import Path

import click
import tomlkit
from samcli.cli.types import CfnParameterOverridesType, _unquote_wrapped_quotes

# A number that is the same number to everybody who reads it: CloudFormation takes others, too, but compares them as text.
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
QUOTES = ("'", '"')
# In characters; and those that CloudFormation adds to a name.
QUEUE_NAME_MAX, RANDOM_LENGTH = 80, 13


def sections_of(path, environment):
    """The sections of an environment; ends with what is wrong with the file, or the environments that it knows."""
    try:
        config = tomlkit.parse(path.read_text()).unwrap()
    except (tomlkit.exceptions.TOMLKitError, UnicodeDecodeError) as error:
        sys.exit(f"make: samconfig.toml is not TOML: {error}")
    except OSError as error:
        sys.exit(f"make: samconfig.toml cannot be read: {error.strerror}")
    known = [name for name, sections in config.items() if isinstance(sections, dict)]
    if environment not in known:
        sys.exit(f"make: samconfig.toml knows no {environment}, but: {', '.join(known)}")
    sections = config[environment]
    for name, section in sections.items():
        said = section.get("parameters", {}) if isinstance(section, dict) else None
        if not isinstance(said, dict):
            sys.exit(f"make: samconfig.toml: {environment}.{name}.parameters is not a table")
        for key in ("stack_name", "region", "profile", "s3_prefix"):
            if not isinstance(said.get(key, ""), str):
                sys.exit(f"make: samconfig.toml: {key} of {environment} is not text")
    return sections


def settings(sections):
    """What `sam deploy` takes from the sections of an environment."""
    return {name: value for section in ("global", "deploy") for name, value in sections.get(section, {}).get("parameters", {}).items()}


def unfit_name(stack, bundle):
    """CloudFormation names a queue <stack>-<logical id>-<random>.fifo, and does not shorten what is longer than SQS takes."""
    queues = [name for name, one in bundle["Resources"].items() if one["Type"] == "AWS::SQS::Queue"]
    most = QUEUE_NAME_MAX - len(".fifo") - RANDOM_LENGTH - 2 - max(map(len, queues))
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]*", stack) or len(stack) > most:
        yield f"stack_name must begin with a letter, and have at most {most} letters, digits and hyphens, so that SQS takes the queues' names"


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


if __name__ == "__main__":
    # For the Makefile: the stack of an environment.
    found = settings(sections_of(Path(__file__).resolve().parent.parent / "samconfig.toml", sys.argv[1])).get("stack_name")
    print(found or sys.exit(f"make: samconfig.toml: {sys.argv[1]} has no stack_name"))
