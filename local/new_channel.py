"""Adds a channel for an event of Commerce, or removes one: `make channel` (docs/channels.md).

It writes the crate under functions/, the function in template.yaml, the hook in commerce/webhooks.xml, the samples and the schema, and runs
the tests of the channel. If a step fails, the tree is as it was before.
"""

import argparse
import difflib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import new_channel_files as files
from new_channel_files import ROOT, Channel, Tree
from new_channel_sample import BadSample, Sample, minimal, similarity

sys.path.insert(0, str(ROOT / "commerce"))

from names import METHOD, logical_id, usual_type  # noqa: E402

TYPES = ("before", "after")
GENERIC = "generic"
SAMPLE_BYTES_MAX = 8 * 1024 * 1024
# As in consumers/.
EVENT_CHARS_MAX = 256


# Keywords of Rust, and what Cargo and rustc have for themselves.
RESERVED = set(
    "as async await break const continue crate dyn else enum extern false fn for gen if impl in let loop match mod move mut pub ref return self "
    "static struct super trait true type unsafe use where while abstract become box do final macro override priv try typeof unsized virtual yield "
    "test core std alloc proc_macro build deps examples incremental".split()
)


class Problem(Exception):
    """Why it cannot be done, in a line for a person."""


def choice(name, value, allowed):
    if value in allowed:
        return value
    near = difflib.get_close_matches(value, allowed, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise Problem(f"{name}={value}: {hint}It can be {', '.join(allowed)}.")


def event_of(text):
    """The channel's method. It must be a name that Commerce has for webhooks."""
    if not text:
        raise Problem("which event? Add EVENT=observer.… or EVENT=plugin.…; `bin/magento webhooks:list:all` lists those of a shop.")
    if len(text.partition(".")[2]) > EVENT_CHARS_MAX:
        raise Problem(f"EVENT={text[:40]}… has more than {EVENT_CHARS_MAX} characters, which no consumer takes.")
    if METHOD.fullmatch(text):
        return text
    for likely in (text.lower(), f"observer.{text.lower()}"):
        if METHOD.fullmatch(likely):
            raise Problem(f"EVENT={text} is not the name of an event; did you mean {likely}?")
    raise Problem(f"EVENT={text} is not the name of an event. It is like observer.sales_order_place_after or plugin.magento.sales.api.order_management.place.")


def sample_of(path, method, hook_type):
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(SAMPLE_BYTES_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise Problem(f"SAMPLE={path}: {reason}.") from None
    if len(text) > SAMPLE_BYTES_MAX:
        raise Problem(f"SAMPLE={path}: has more than {SAMPLE_BYTES_MAX // 1024**2} MB.")
    try:
        return Sample.read(method, hook_type, text)
    except BadSample as error:
        raise Problem(f"SAMPLE={path}: {error}.") from None


class Maker:
    def __init__(self, tree, options):
        self.tree = tree
        self.method = event_of(options.event)
        self.channel = Channel(self.method, choice("TYPE", options.type or usual_type(self.method), TYPES))
        self.models = tree.models()
        self.entity = choice("ENTITY", options.entity or GENERIC, [GENERIC, *self.models])
        queues = tree.queues()
        if not options.queue:
            raise Problem(f"which queue gets the messages? Add QUEUE=…, one of {', '.join(queues)}.")
        self.queue = choice("QUEUE", options.queue, queues)
        self.check_new()
        self.sample = self.read_sample(options.sample)

    def check_new(self):
        name = self.channel.name
        if name in self.tree.channels():
            raise Problem(f"there is a channel for {self.method}, type {self.channel.hook_type}, already: functions/{name}/.")
        same = [one for one in self.tree.channels() if logical_id(one) == self.channel.type_name]
        if same:
            raise Problem(f"its name would differ from that of {same[0]} only by underscores, which CloudFormation does not see.")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
            raise Problem(f"the package would be {name}, a name that Cargo does not allow.")
        if f'name = "{name}"' in self.tree.read(files.LOCK):
            raise Problem(f"there is a package {name} already, and the channel's would have the same name.")
        if f'name="{name}"' in self.tree.read(files.HOOKS):
            raise Problem(f"there are remains of {name} in commerce/webhooks.xml; remove them first.")
        template = self.tree.read(files.TEMPLATE)
        for taken in (f"{self.channel.type_name}{suffix}" for suffix in ("", "Role", "Url")):
            if f"\n  {taken}:" in template:
                raise Problem(f"template.yaml has {taken} already, the name of this channel there.")

    # The sample

    def read_sample(self, path):
        hook_type = self.channel.hook_type
        if path:
            sample = sample_of(path, self.method, hook_type)
        elif self.entity == GENERIC:
            sample = Sample(self.method, hook_type, minimal(self.method))
        else:
            sample = Sample(self.method, hook_type, self.body_of_model(), clean=False)
        if self.entity != GENERIC:
            keys = self.models[self.entity][1]
            found = [key for key in (*keys, "data_object") if isinstance(sample.arguments.get(key), dict)]
            if not found:
                known = ", ".join(sample.arguments) or "no arguments"
                raise Problem(f"ENTITY={self.entity}: the sample has no argument {' or '.join(keys)}, but {known}. Use ENTITY=generic.")
            sample.argument, sample.entity = found[0], sample.arguments[found[0]]
        return sample

    def relative(self):
        """The existing channel with the same model whose event is most like this one."""
        kind = self.models[self.entity][0]
        known = [name for name in self.tree.channels() if f"type Entity = {kind};" in self.tree.read(f"functions/{name}/src/lib.rs")]
        if not known:
            raise Problem(f"ENTITY={self.entity}: no channel has this model yet, from which to take what identifies it. Use ENTITY=generic.")
        words = set(self.channel.name.split("_"))
        return max(known, key=lambda name: (len(words & set(name.split("_"))), similarity(name, self.channel.name)))

    def body_of_model(self):
        """The sample of an existing channel with the same model, as this event has it."""
        keys = self.models[self.entity][1]
        other = json.loads(self.tree.read(f"events/{self.relative()}/default.body.json"))
        arguments = other.get("data", other)
        key = next((key for key in keys if isinstance(arguments.get(key), dict)), "data_object")
        entity = arguments[key]
        if self.channel.is_plugin:
            return {keys[0]: entity}
        return {"eventName": self.method.removeprefix("observer."), "data": {keys[0]: entity}}

    def of_model(self):
        """What identifies the entity and what is expected: as in the existing channel, as far as this event has it."""
        text = self.tree.read(f"functions/{self.relative()}/src/lib.rs")
        constants = {
            name: re.search(rf"const {name}: [^=]+= &(\[.*?\]);", text, re.DOTALL)[1].replace("&", "").replace(",\n    ]", "]")
            for name in ("IDENTITY", "EXPECTED")
        }
        read = {name: json.loads(re.sub(r",\s*\]", "]", value)) for name, value in constants.items()}
        sample = self.sample

        def has(field):
            first = field.split("[")[0].split(".")[0]
            return sample.has(first) or (first == "entity_id" and sample.has("id"))

        identity = [fields for fields in read["IDENTITY"] if all(map(has, fields))]
        if not identity:
            raise Problem(
                f"ENTITY={self.entity}: the sample has nothing that identifies it "
                f"({' or '.join('+'.join(fields) for fields in read['IDENTITY'])}). Use ENTITY=generic."
            )
        if self.channel.hook_type == "after":
            return read["IDENTITY"], read["EXPECTED"]
        # What is not saved yet has no id.
        return read["IDENTITY"], [field for field in read["EXPECTED"] if field != "entity_id" and has(field)]

    def model_fields(self):
        """The fields of the contract, as the hook of the existing channel has them."""
        name = self.relative()
        hook = files.hook_pattern(self.tree.method(name), "(?:before|after)").search(self.tree.read(files.HOOKS))
        keys = "|".join(self.models[self.entity][1])
        found = re.findall(rf'<field name="(?:data\.)?(?:{keys})\.([^"]+)"', hook[0] if hook else "")
        return files.hook_fields(self.channel, self.sample.argument, found)

    # The files

    def write(self):
        tree, channel, sample = self.tree, self.channel, self.sample
        folder = f"functions/{channel.name}"
        if self.entity == GENERIC:
            library = files.generic_rs(channel, sample)
            fields = files.hook_fields(channel, sample.argument, sample.fields())
        else:
            library = files.model_rs(channel, self.entity, self.models[self.entity][0], *self.of_model())
            fields = self.model_fields()
        tree.keep(folder)
        tree.keep(f"events/{channel.name}")
        tree.write(f"{folder}/Cargo.toml", files.manifest(tree, channel))
        tree.write(f"{folder}/rules.json", RULES)
        tree.write(f"{folder}/src/lib.rs", files.formatted(library))
        tree.write(f"{folder}/src/main.rs", files.main_rs(channel))
        files.add_entries(tree, channel, self.queue, fields)
        for case, text in files.samples(channel, sample).items():
            tree.write(f"events/{channel.name}/{case}.body.json", text)
        lock(tree)

    def derive(self):
        """Builds the function, signs the samples, and writes what they give, the schema and the fields of the hook."""
        name = self.channel.name
        self.tree.keep("shared/schema")
        self.tree.keep(f"shared/schema/{name}.json")
        self.tree.keep("shared/rules.schema.json")
        say("Building it …")
        run(["make", "--silent", "--no-print-directory", "binaries"])
        bundle = [part for package in ("shared", "local", "channels", *self.tree.channels()) for part in ("--package", package)]
        run(["cargo", "test", "--quiet", "--locked", *bundle, "--test", "schema"], UPDATE_SCHEMAS="1")
        run(["target/debug/local", "samples"])
        say("Sending its samples through an emulated AWS …")
        run([sys.executable, "local/stack.py", "samples", "--channel", name])
        say("Running its tests …")
        run(["cargo", "test", "--quiet", "--locked", *bundle, "--test", "schema"])
        run([sys.executable, "-m", "pytest", "-q", "local/tests/test_tree.py"])
        run([sys.executable, "-m", "pytest", "-q", "local/tests/test_bundle.py", "-k", f"{name} and (sample_gives or gateway_carries)"])

    def tell(self, seconds):
        channel, sample, name = self.channel, self.sample, self.channel.name
        folder = f"functions/{name}"
        print(f"\nThe channel {name} is ready after {seconds:.0f} s. Its tests pass.\n")
        if sample.typed:
            print("The sample holds names of types, so its values are invented.")
        if sample.replaced:
            print(f"Replaced by invented values, because they can be personal: {listed(sample.replaced)}.")
        if sample.left_out:
            print(f"Left out, because they can be secret: {listed(sample.left_out)}.")
        if sample.shortened:
            print("Left out of the sample: all but the first two elements of each list, what is nested very deep, and odd names.")
        if self.entity == GENERIC:
            for entity, (_, keys) in self.models.items():
                if sample.argument in keys:
                    print(f"The event is about {sample.argument}, of which there is a model: ENTITY={entity} reads it into exact types.")
        hook = "stops the shop's action if it fails" if channel.hook_type == "after" else "is skipped if it fails (required=false)"
        print(f"""
Look at these, and edit them if you like:

{table((
            (f"{folder}/src/lib.rs", "what identifies the event, what is expected, what the hook sends"),
            (f"{folder}/rules.json", "your rules: none yet"),
            (f"events/{name}/", "the samples; after a change run make samples"),
            ("commerce/webhooks.xml", f"the hook, which {hook}"),
            ("template.yaml", f"the function {channel.type_name}"),
        ))}

Then:

{table((
            ("make test", "checks everything"),
            ("make deploy", "deploys the function and its route"),
            ("make apply SHOP=…", "subscribes the hook in the shop"),
            (f"make channel REMOVE={name}", "removes the channel again"),
        ))}""")


RULES = """{
  "$schema": "../../shared/rules.schema.json",
  "mode": "observe",
  "rules": []
}
"""


def table(rows):
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"  {first.ljust(width)}  {second}" for first, second in rows)


def listed(names):
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def say(text):
    print(text, flush=True)


def run(command, **environment):
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    if ended.returncode:
        raise Problem(f"`{' '.join(map(str, command))[:200]}` failed, so nothing was changed:\n\n{(ended.stdout + ended.stderr)[-6000:]}")


def lock(tree):
    """Writes the package into Cargo.lock, or takes it out. The network is asked only if crates are missing here."""
    tree.keep(files.LOCK)
    command = ["cargo", "metadata", "--format-version=1", "--quiet"]
    for more in (["--offline"], []):
        ended = subprocess.run([*command, *more], cwd=tree.root, capture_output=True, text=True)
        if ended.returncode == 0:
            return
    raise Problem(f"Cargo.lock could not be written:\n{ended.stderr[-2000:]}")


def channel_named(tree, text):
    """The channel of an event or of its name."""
    known = tree.channels()
    if text in known:
        return text
    found = [name for name in known if text in (tree.method(name), Channel(text, usual_type(text)).name if METHOD.fullmatch(text) else "")]
    if len(found) == 1:
        return found[0]
    if found:
        raise Problem(f"REMOVE={text}: which of them? {', '.join(found)}")
    near = difflib.get_close_matches(text, known, 1)
    raise Problem(f"REMOVE={text}: there is no such channel{f'; did you mean {near[0]}?' if near else '.'} There are {', '.join(known)}.")


def remove(tree, text):
    name = channel_named(tree, text)
    own = files.own_parameters(tree, name)
    if own:
        raise Problem(f"{name} cannot be removed: the template has parameters only for it ({', '.join(own)}). To stop its events, remove its hook from the shop.")
    if not tree.is_custom(name):
        raise Problem(f"{name} cannot be removed: it is one of the bundle's own, which its tests and documents use. To stop its events, remove its hook from the shop.")
    if recorded := tree.recorded(name):
        raise Problem(
            f"{name} cannot be removed: its messages are promised to consumers ({recorded}). To stop its events, remove its hook from the shop; "
            "if nobody reads the messages, delete that file first."
        )
    library = tree.read(f"functions/{name}/src/lib.rs")
    hook_type = "before" if "HookType::Before" in library else "after"
    files.remove_entries(tree, name, tree.method(name), hook_type)
    for path in (f"functions/{name}", f"events/{name}", f"shared/schema/{name}.json"):
        tree.remove(path)
    lock(tree)
    print(f"The channel {name} is gone. `make deploy` removes its function. Messages that are in a queue stay there.")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("event", "entity", "queue", "type", "sample", "remove"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--sources-only", action="store_true", help="build and test nothing, and leave out what the build writes")
    options = parser.parse_args(arguments)
    tree, started = Tree(options.root), time.monotonic()
    # So that what was begun is undone.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if options.remove:
            if options.event:
                raise Problem("EVENT makes a channel and REMOVE removes one: give one of them.")
            remove(tree, options.remove)
            return
        maker = Maker(tree, options)
        say(f"Writing the channel {maker.channel.name} …")
        maker.write()
        if not options.sources_only:
            maker.derive()
    except BaseException as error:
        tree.undo()
        if isinstance(error, Problem):
            sys.exit(f"channel: {error}")
        if isinstance(error, KeyboardInterrupt):
            sys.exit("channel: interrupted, so nothing was changed")
        raise
    if not options.sources_only:
        maker.tell(time.monotonic() - started)


if __name__ == "__main__":
    main()
