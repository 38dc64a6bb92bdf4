"""The texts of a new channel, and the places in the tree where they go."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "commerce"))

from names import channel_of, logical_id, routes_of, usual_type  # noqa: E402

RESOURCES_END = "  # `make channel` adds functions above this line.\n"
OUTPUTS_END = "  # `make channel` adds URLs above this line.\n"
MANIFEST, TEMPLATE, HOOKS, LOCK = "local/channels/Cargo.toml", "template.yaml", "commerce/webhooks.xml", "Cargo.lock"
DEPENDENCY = '{name} = {{ path = "../../functions/{name}" }}\n'
# In the manifest of a channel that `make channel` made. The tests and tools of the bundle rely on none of these.
CUSTOM = "[package.metadata.channel]\ncustom = true\n"
METHOD_OF = re.compile(r'const METHOD: &str =\s*"([^"]+)"')


class Channel:
    """The names of a channel."""

    def __init__(self, method, hook_type):
        self.method, self.hook_type = method, hook_type
        self.name = channel_of(method, hook_type)
        self.type_name = logical_id(self.name)
        self.routes = routes_of(method, hook_type)
        self.is_usual = hook_type == usual_type(method)
        self.is_plugin = method.startswith("plugin.")


class Tree:
    """The files of a checkout. What it has changed can be undone."""

    def __init__(self, root=ROOT):
        self.root = root
        self.before = {}

    def read(self, path):
        return (self.root / path).read_text()

    def keep(self, path):
        """Remembers a file or a folder as it is, so that undo brings it back."""
        path = self.root / path
        if path in self.before:
            return
        if path.is_dir():
            for inner in path.rglob("*"):
                if inner.is_file():
                    self.keep(inner)
        self.before[path] = path.read_bytes() if path.is_file() else path.is_dir()

    def write(self, path, text):
        self.keep(path)
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove(self, path):
        self.keep(path)
        path = self.root / path
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def undo(self):
        for path, content in self.before.items():
            if isinstance(content, bytes):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            elif not content:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    # What there is

    def channels(self):
        """The names of the channels."""
        return sorted(path.parent.name for path in (self.root / "functions").glob("*/Cargo.toml"))

    def is_custom(self, channel):
        """Whether `make channel` made it."""
        return CUSTOM in self.read(f"functions/{channel}/Cargo.toml")

    def method(self, channel):
        return METHOD_OF.search(self.read(f"functions/{channel}/src/lib.rs"))[1]

    def queues(self):
        """What QUEUE can be: the source queues of the template, in small letters."""
        names = re.findall(r"^  (\w+)Queue:\n    Type: AWS::SQS::Queue$", self.read(TEMPLATE), re.MULTILINE)
        return [name.lower() for name in names if f"{name}DeadLetterQueue:" in self.read(TEMPLATE)]

    def models(self):
        """The entities with a model: name -> Rust type and the names of its argument."""
        found = {}
        for path in sorted((self.root / "shared" / "src" / "model").glob("*.rs")):
            for kind, name, keys in re.findall(
                r"impl Entity for (\w+) \{\s*const NAME: &'static str = \"(\w+)\";.*?const KEYS: [^=]+= &\[(.*?)\];", path.read_text(), re.DOTALL
            ):
                found[name] = (kind, re.findall(r'"(\w+)"', keys))
        return found

    def recorded(self, channel):
        """Where the messages of a channel are promised to consumers, or None."""
        return next((path.relative_to(self.root) for path in (self.root / "docs" / "contract").glob(f"*/{channel}.json")), None)


# The files of the crate


def manifest(tree, channel):
    """As that of the other channels, of which one is copied."""
    other = next(name for name in tree.channels() if name != channel.name and not tree.is_custom(name))
    text = tree.read(f"functions/{other}/Cargo.toml").replace(f'"{other}"', f'"{channel.name}"')
    return text.replace("\n\n", f"\n\n{CUSTOM}\n", 1)


def main_rs(channel):
    return f"""//! The Lambda function of the channel.

use std::process::ExitCode;

use {channel.name}::{channel.type_name};

fn main() -> ExitCode {{
    shared::run({channel.type_name})
}}
"""


def rust_list(names):
    return "&[" + ", ".join(json.dumps(name) for name in names) + "]"


def pointers(names):
    return rust_list(f"/{name}" for name in names)


def imports(channel, *names):
    hook_type = [] if channel.hook_type == "after" else ["HookType"]
    return f"use shared::{{{', '.join(['Channel', *hook_type, *names])}}};"


def names_of(channel):
    """The constants that say which event it is."""
    hook_type = "" if channel.hook_type == "after" else "    const HOOK_TYPE: HookType = HookType::Before;\n"
    return f"""    // The event as Commerce names it, and the name of this folder. Do not change them: remove the
    // channel by `make channel REMOVE=…` and make another one.
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "{channel.method}";
{hook_type}"""


def when(channel):
    if channel.hook_type == "after":
        return "The shop has done it when the event arrives. The event goes to the queue."
    return "The shop has not done it yet. Rules can refuse or change it. The event is not queued,\n//! unless the stack's parameter `ForwardBefore` is true."


HOW = """//! You can edit the constants below without knowing Rust: a text in quotes, lists in `&[...]`.
//! Then run `make samples`, read what changed (`git diff`), and run `make test`."""


def generic_rs(channel, sample):
    entity = f"the argument `{sample.argument}`" if sample.argument else "all arguments together"
    group = sample.group()
    group = f'Some(("{group[0]}", "/{group[1]}"))' if group else "None"
    identity = "&[" + ", ".join(pointers(names) for names in sample.identity()) + "]"
    return f"""//! The event of type {channel.hook_type}
//! `{channel.method}`.
//!
//! {when(channel)}
//!
{HOW}
//! docs/channels.md explains each constant.

{imports(channel, "Generic", "GenericChannel")}

/// The channel `{channel.name}`.
pub struct {channel.type_name};

impl Channel for {channel.type_name} {{
{names_of(channel)}
    // Which fields identify the entity. An event that lacks all of these sets is refused or
    // quarantined. `&[]`: nothing has to identify it. A field is named by its JSON pointer:
    // `/order_id`, or `/items/0/sku` for a field of the first item.
    const IDENTITY: &[&[&str]] = {identity};

    // Fields that the consumer probably needs. If one is missing, the message says so in `issues`.
    const EXPECTED: &[&str] = {pointers(sample.expected())};

    // No model: the message holds the event as the shop sent it.
    type Entity = Generic<Self>;
}}

impl GenericChannel for {channel.type_name} {{
    // What the event is about: {entity}.
    const ARGUMENTS: &[&str] = {rust_list([sample.argument] if sample.argument else [])};

    // Where its id is: the first of these that is present. It is in the message's `subject`.
    const SUBJECT: &[&str] = {pointers(sample.subject())};

    // Which events stay in order: those with the same kind and id. `order` is also the kind of
    // all orders, invoices and shipments. `None`: in any order.
    const GROUP: Option<(&str, &str)> = {group};

    // What the hook asks the shop to send. `&[]`: everything, so passwords and tokens as well.
    const FIELDS: &[&str] = {rust_list(sample.fields())};
}}
"""


def model_rs(channel, entity, kind, identity, expected):
    sets = "&[" + ", ".join(map(rust_list, identity)) + "]"
    return f"""//! The event of type {channel.hook_type}
//! `{channel.method}`.
//!
//! {when(channel)}
//!
{HOW}
//! docs/channels.md explains each constant.

use shared::{{Channel, {"" if channel.hook_type == "after" else "HookType, "}model::{kind}}};

/// The channel `{channel.name}`.
pub struct {channel.type_name};

impl Channel for {channel.type_name} {{
{names_of(channel)}
    // Which fields identify the entity. An event that lacks all of these sets is refused or
    // quarantined. Fields have the names of the contract, as in
    // shared/schema/{channel.name}.json.
    const IDENTITY: &[&[&str]] = {sets};

    // Fields that the consumer probably needs. If one is missing, the message says so in `issues`.
    const EXPECTED: &[&str] = {rust_list(expected)};

    // The model of the contract, which reads every form in which a shop writes this entity.
    type Entity = {kind};
}}
"""


def formatted(text):
    """The text as `cargo fmt` would write it."""
    return subprocess.run(["rustfmt", "--edition", "2024"], input=text, capture_output=True, text=True, check=True).stdout


# The entries in other files


def function_yaml(tree, channel, queue):
    """The function and its role: those of another channel with the same kind of entry, with other names."""
    name, queue = channel.type_name, f"{queue.capitalize()}Queue"
    other, text = plain_entry(tree)
    other_queue = re.search(r"QUEUE_URL: !Ref (\w+)", text)[1]
    other_name = re.search(r"Binary: (\w+)", text)[1]
    text = re.sub(rf"\b{other}(?=Role\b|:|\b)", name, text)
    text = re.sub(rf"\b{other_queue}\b", queue, text)
    text = re.sub(rf"(Binary: |/opt/){other_name}\b", rf"\g<1>{channel.name}", text)
    start, end = re.search(r"        Webhook:\n(?: {10}.*\n)+", text).span()
    events = ""
    for number, route in enumerate(channel.routes):
        events += f"""        Webhook{"Saas" if number else ""}:
          Type: HttpApi
          Properties: {{ ApiId: !Ref Api, Method: POST, Path: {route} }}
"""
    return text[:start] + events + text[end:]


def entries(template):
    """The functions of the channels in the text of the template: logical id -> text of function and role."""
    found = {}
    for name in re.findall(r"^  (\w+):\n    Type: AWS::Serverless::Function\n(?:    Condition: \w+\n)?    Metadata:\n", template, re.MULTILINE):
        text = re.search(rf"^  {name}:\n(?:    .*\n|\n)*  {name}Role:\n(?:    .*\n)*\n", template, re.MULTILINE)
        if text and "Binary: " in text[0]:
            found[name] = text[0]
    return found


def own_parameters(tree, channel):
    """The parameters and conditions that only this function has."""
    found = entries(tree.read(TEMPLATE))
    used = {name: set(re.findall(r"!Ref (\w+)|!If \[(\w+)|^ +- (Has\w+)$|    Condition: (\w+)", text, re.MULTILINE)) for name, text in found.items()}
    words = {name: {word for match in matches for word in match if word and not word.startswith(name)} for name, matches in used.items()}
    others = set().union(*(those for name, those in words.items() if name != logical_id(channel)))
    return sorted(word for word in words.get(logical_id(channel), set()) - others if not word.endswith("Queue"))


def plain_entry(tree):
    """The first function with nothing of its own."""
    found = entries(tree.read(TEMPLATE))
    for name, text in found.items():
        binary = re.search(r"Binary: (\w+)", text)[1]
        if not own_parameters(tree, binary) and text.count("Type: HttpApi") == 1 and "Condition:" not in text:
            return name, text
    raise SystemExit("channel: template.yaml has no plain function to copy")


def output_yaml(channel):
    kind = "" if channel.is_usual else f", type {channel.hook_type}"
    return f"""  {channel.type_name}Url:
    Description: URL for the hook of {channel.method}{kind}
    Value: !Sub ["${{Url}}{channel.routes[0]}", {{ Url: !If [HasDomain, !Sub "https://${{DomainName}}", !GetAtt Api.ApiEndpoint] }}]
"""


def hook_xml(tree, channel, fields):
    timeouts = re.search(r'timeout="\d+" softTimeout="\d+"', tree.read(HOOKS))[0]
    # Of type before only the rules matter, which are no reason to stop a shop while this bundle cannot be reached.
    required, message = ("true", "passed on") if channel.hook_type == "after" else ("false", "checked")
    lines = "".join(f'                        <field name="{field}" />\n' for field in fields)
    return f"""    <method name="{channel.method}" type="{channel.hook_type}">
        <hooks>
            <batch name="aws_commerce_webhooks">
                <hook name="{channel.name}"
                      url="{{env:COMMERCE_WEBHOOKS_URL}}{channel.routes[0]}"
                      method="POST" {timeouts} required="{required}" ttl="0"
                      fallbackErrorMessage="This could not be {message}. Please try again in a moment.">
                    <fields>
{lines}                    </fields>
                </hook>
            </batch>
        </hooks>
    </method>
"""


def hook_fields(channel, argument, fields):
    """The fields of the hook, as shared/src/schema.rs writes them."""
    root = "" if channel.is_plugin else "data"
    path = ".".join(part for part in (root, argument) if part)
    return [*([] if channel.is_plugin else ["eventName"]), *(f"{path}.{field}" if path else field for field in fields)]


def hook_pattern(method, hook_type):
    return re.compile(rf'    <method name="{re.escape(method)}" type="{hook_type}">\n.*?    </method>\n', re.DOTALL)


def add_entries(tree, channel, queue, fields):
    """Adds the channel to the files that list all of them."""
    template = tree.read(TEMPLATE)
    for end, text in ((RESOURCES_END, function_yaml(tree, channel, queue)), (OUTPUTS_END, output_yaml(channel))):
        if template.count(end) != 1:
            raise SystemExit(f"channel: template.yaml must have this line once: {end.strip()}")
        template = template.replace(end, text + end)
    tree.write(TEMPLATE, template)

    lines = tree.read(MANIFEST).splitlines(keepends=True)
    at = max(number for number, line in enumerate(lines) if "../../functions/" in line) + 1
    names = [number for number, line in enumerate(lines) if "../../functions/" in line and line > DEPENDENCY.format(name=channel.name)]
    lines.insert(min(names, default=at), DEPENDENCY.format(name=channel.name))
    tree.write(MANIFEST, "".join(lines))

    hooks = tree.read(HOOKS)
    tree.write(HOOKS, hooks.replace("</config>", hook_xml(tree, channel, fields) + "</config>"))


def remove_entries(tree, name, method, hook_type):
    template = tree.read(TEMPLATE)
    entry = entries(template).get(logical_id(name))
    if entry:
        template = template.replace(entry, "")
    template = re.sub(rf"^  {logical_id(name)}Url:\n(    .*\n)+", "", template, flags=re.MULTILINE)
    tree.write(TEMPLATE, template)
    tree.write(MANIFEST, tree.read(MANIFEST).replace(DEPENDENCY.format(name=name), ""))
    tree.write(HOOKS, hook_pattern(method, hook_type).sub("", tree.read(HOOKS), count=1))


# The samples


def compact(body):
    """A body as PHP writes it, on one line."""
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/")


def samples(channel, sample):
    """The bodies of the samples: name of the case -> text."""
    made = {"default": compact(sample.body)}
    if not channel.is_plugin:
        entity = sample.arguments.get(sample.argument)
        alone = {name: value for name, value in sample.arguments.items() if name == sample.argument or value != entity}
        envelope = {
            "merchant_id": "merchant-1",
            "environment_id": "production",
            "event": channel.method,
            "event_id": "7f7d6f0e-3d1c-4f2f-9f64-0f6f5f2f3c11",
            "data": alone,
        }
        made["ideal"] = json.dumps(envelope, indent=2, ensure_ascii=False) + "\n"
        made["wrong-event"] = json.dumps({"eventName": "another_event", "data": alone}, indent=2, ensure_ascii=False) + "\n"
    else:
        # What PHP writes if there are no arguments.
        made["no-arguments"] = "[]\n"
    return made
