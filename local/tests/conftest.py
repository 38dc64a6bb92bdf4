import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stack as stacks  # noqa: E402


@pytest.fixture(scope="session")
def shop_key(tmp_path_factory):
    """A shop's own key pair, as openssl makes it: the path of the private key. The stack knows the public one."""
    path = tmp_path_factory.mktemp("shop") / "private.pem"
    subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def stack(shop_key):
    """The whole bundle, deployed from its template. It knows the sample keys and the shop's, with Windows line ends."""
    public = subprocess.run(["openssl", "rsa", "-in", shop_key, "-pubout"], check=True, capture_output=True, text=True)
    with stacks.Stack(port=0, keys=stacks.sample_keys(public.stdout.replace("\n", "\r\n"))) as running:
        yield running


FIGURES = pytest.StashKey[dict]()


@pytest.fixture(scope="session")
def figures(request):
    """Keeps what a test measured, under a name: for the terminal, and for others in target/figures/."""
    kept = request.config.stash.setdefault(FIGURES, {})

    def keep(name, measured):
        kept[name] = measured
        folder = stacks.ROOT / "target" / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(measured, indent=2) + "\n")

    return keep


def pytest_terminal_summary(terminalreporter, config):
    for name, measured in config.stash.get(FIGURES, {}).items():
        terminalreporter.write_line(f"{name}: {', '.join(f'{value} {what}' for what, value in measured.items())}")
