"""The commands plan, apply, doctor and xml, run in this process against the stand-ins."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import stand_in
from checkout import checkout
from stack import ROOT, shipped
from stand_in import SECRETS, TOKEN

sys.path.append(str(ROOT / "commerce"))

import answers  # noqa: E402, F401
import apply as applying  # noqa: E402
import aws  # noqa: E402, F401
import bundle as commerce_bundle  # noqa: E402
import examine  # noqa: E402, F401
import hooks as commerce_hooks  # noqa: E402
import keys  # noqa: E402, F401
import rest  # noqa: E402
from journal import Journal  # noqa: E402, F401

specification = importlib.util.spec_from_file_location("commerce_shop", ROOT / "commerce" / "shop.py")
program = importlib.util.module_from_spec(specification)
sys.modules["commerce_shop"] = program
specification.loader.exec_module(program)



def without_other_channels():
    """A checkout whose webhooks.xml has no hook of the merchant's own channels: these tests know how many there are."""
    text = commerce_bundle.OWN_FILE.read_text()
    for hook in commerce_bundle.own_hooks():
        if hook.channel not in shipped():
            text = commerce_hooks.without_method(text, hook.webhook_method, hook.webhook_type)
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in checkout().iterdir():
        if path.name != "commerce":
            (folder / path.name).symlink_to(path)
    shutil.copytree(ROOT / "commerce", folder / "commerce")
    (folder / "commerce" / "webhooks.xml").write_text(text)
    return folder


TREE = without_other_channels()
PROGRAM = TREE / "commerce" / "shop.py"
OWN_FILE = TREE / "commerce" / "webhooks.xml"
ADDRESS = stand_in.BundleStandIn()
BUNDLE = ADDRESS.url
# Without those that are switched on by a parameter, about which a URL says nothing.
LEFT_OUT = commerce_bundle.left_out(None)
CHANNELS = sorted(set(shipped()) - set(LEFT_OUT))
OWN = [hook for hook in commerce_bundle.own_hooks() if hook.channel in CHANNELS]
BATCH = OWN[0].batch_name
CHANGED = {"sales_order_place_after": {"timeout": 1}, "sales_order_save_after": {"timeout": 2}}
SECRET = "of-this-tenant-only"
TIMES = {"timeout": 5000, "soft_timeout": 1000}
FOREIGN = {
    "webhook_method": "observer.sales_order_place_after",
    "webhook_type": "before",
    "batch_name": "tax",
    "hook_name": "check",
    "url": "https://x.example/",
}


def flat(said):
    """Without the line breaks that the width of a terminal asks for."""
    return " ".join(said.split())


def wanted(**changes):
    """The hooks as this bundle wants them, as the shop's list would give them; `channel={…}` changes one, None takes it away."""
    made = {hook.channel: commerce_hooks.to_rest(commerce_hooks.for_bundle(hook, BUNDLE, 5000, 1000)) for hook in OWN}
    for channel, change in changes.items():
        made[channel] = None if change is None else made[channel] | change
    return [hook for hook in made.values() if hook]


def fields_of(channel):
    return next(hook.fields for hook in OWN if hook.channel == channel)


def fields_without(channel, *endings, **more):
    kept = [field for field in fields_of(channel) if not field[0].endswith(endings)]
    return {
        "fields": [{"name": name, "source": source} for name, source in kept]
        + [{"name": name, "source": source} for name, source in more.items()]
    }


def journals():
    return list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.json"))


def lose_a_hook(run, shop):
    """Lets an `apply` take a hook out and fail to put it in again."""
    shop.faults = [("POST subscribe", "no")] * 3
    assert run("apply", shop, "--yes")[0] == 1
    shop.faults = []


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("COMMERCE_", "WEBHOOK_OAUTH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("COMMERCE_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(rest, "REPEATED", {verb: policy.new(backoff_factor=0, retry_after_max=0) for verb, policy in rest.REPEATED.items()})
    monkeypatch.setattr(applying, "PAUSES", (0, 0, 0))
    monkeypatch.setattr(ADDRESS, "usual", ADDRESS.RIGHT)
    monkeypatch.setattr(ADDRESS, "others", {})
    monkeypatch.setattr(ADDRESS, "posts", [])
    # Without the merchant's rules and channels.
    monkeypatch.setattr(commerce_bundle, "OWN_FILE", OWN_FILE)
    monkeypatch.setattr(program, "OWN_FILE", OWN_FILE)
    monkeypatch.setattr(examine, "ROOT", checkout())


@pytest.fixture
def run(capsys):
    """Runs a command against a stand-in: exit code, and everything that was printed, which never holds a secret or what a terminal obeys."""

    def run(command, shop=None, *more):
        where = ["--shop", getattr(shop, "url", shop)] if shop else []
        if not {"--url", "--stack"} & set(more):
            more = ("--url", BUNDLE, *more)
        capsys.readouterr()
        try:
            code = program.main([command, *where, *more])
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        for secret in SECRETS:
            assert secret not in out + err
        assert "Traceback" not in err
        assert (out + err).replace("\n", "").isprintable()
        return code, out + err

    return run
