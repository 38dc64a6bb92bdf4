import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import alarms  # noqa: E402
import figures  # noqa: E402
import function as functions  # noqa: E402
import stack as stacks  # noqa: E402
from audit import Audit  # noqa: E402

# A script starts background jobs with SIGINT ignored, and so would be all that the tests start. And whoever ends the tests shall find
# no emulator running.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def audit():
    """Nothing leaks, in the whole suite: what is invoked or posted passes here, and in the end the logs and answers are searched."""
    seen = Audit()

    def watch(owner, name, see):
        original = getattr(owner, name)

        def watched(self, *arguments, **how):
            result = original(self, *arguments, **how)
            see(arguments, result)
            return result

        setattr(owner, name, watched)

    watch(functions.Function, "invoke", lambda given, result: seen.saw(given[0], result.answer, result.log))
    watch(stacks.Stack, "invoke_once", lambda given, result: seen.saw(given[1], *result))
    watch(stacks.Stack, "post", lambda _, result: seen.answers.add(result[1]))
    yield seen
    leaks = seen.leaks()
    assert not leaks, leaks
    assert not seen.strangers, ("lines with members that are not known, or not of their form", seen.strangers[:5])
    crashed = alarms.pattern("FunctionCrashed")
    crashes = [line for line in seen.lines if alarms.counts(crashed, line)]
    assert not crashes, ("lines that would count as crashes", crashes[:5])
    metrics = sum(map(stacks.is_metrics, seen.lines))
    counts = {"requests": seen.requests, "log lines": len(seen.lines) - metrics, "lines of metrics": metrics,
              "values and secrets looked for": len(seen.values | seen.secrets)}  # fmt: skip
    figures.write("audit", [{"what": what, "count": count} for what, count in {**counts, "leaks": len(leaks)}.items()])


@pytest.fixture(scope="session")
def shop_key(tmp_path_factory):
    """A shop's own key pair, as openssl makes it: the path of the private key. The stack knows the public one."""
    path = tmp_path_factory.mktemp("shop") / "private.pem"
    subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def stack(shop_key, audit):
    """The whole bundle, deployed from its template. It knows the sample keys and the shop's, with Windows line ends."""
    public = subprocess.run(["openssl", "rsa", "-in", shop_key, "-pubout"], check=True, capture_output=True, text=True)
    keys = stacks.sample_keys(public.stdout.replace("\n", "\r\n"))
    with stacks.Stack(port=0, keys=keys) as running:
        for channel in stacks.channels():
            # Which only a development build can, so the template does not offer it.
            running.configure(channel, LOG_LEVEL="trace")
        yield running
        # What came through the gateway has its log in CloudWatch only.
        audit.lines += running.logs()


@pytest.fixture
def account(stack):
    """The environment with which a program takes the emulator for AWS."""
    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    given = {names[name]: stacks.CREDENTIALS[name] for name in names}
    return {"AWS_ENDPOINT_URL": stack.endpoint, "AWS_REGION": stacks.REGION} | given
