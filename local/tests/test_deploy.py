"""What stands before and after a deployment: the look at samconfig.toml and AWS, and the first key of the shop."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

import preflight
import pytest
from checkout import SAMCONFIG, checkout
from stack import REGION, ROOT, channels, machine

PYTHON = sys.executable
PUBLIC = ROOT / "events" / "sample-keys" / "public-key.pem"


def run(*command, cwd=None, **environment):
    """Exit code and output, in the checkout with settings of its own, and with nothing of AWS, and of a make around it, in the
    environment but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
    clean |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}
    result = subprocess.run(
        command, cwd=cwd or checkout(), env=clean | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    return result.returncode, result.stdout + result.stderr


# Before


def test_a_deployment_says_where_it_goes(account):
    code, said = run(PYTHON, "local/preflight.py", "default", **account, YES="1")
    assert (code, said) == (
        0,
        f"Stack commerce-webhooks-dev in {REGION}, account 000000000000.\n"
        "Building the functions for arm64 first, which takes up to twenty minutes the first time.\n",
    )


def test_without_a_terminal_and_without_yes_nothing_is_built(account):
    code, said = run(PYTHON, "local/preflight.py", "default", **account)
    assert (code, said) == (1, "make: there is nobody to confirm what changes. Set YES=1, which deploys without asking\n")


def test_yes_does_not_confirm_what_passes_rules_and_stock_check(account, tmp_path):
    code, said = look(tmp_path, account, [ON, STOCK], {}, answer="yes", YES="1")
    assert code == 1 and "Type yes" not in said and "Set CONFIRM=quarantine" in said


@pytest.mark.parametrize("environment", tomllib.loads(SAMCONFIG.read_text()).items(), ids=lambda pair: pair[0])
def test_nothing_to_change_is_no_error_in_any_environment(environment):
    _, sections = environment
    if isinstance(sections, dict):
        assert sections["deploy"]["parameters"]["fail_on_empty_changeset"] is False, "SAM's own default is an error"


@pytest.mark.parametrize(
    ("environment", "variables", "said"),
    [
        ("prd", {}, "make: samconfig.toml knows no prd, but: default, prod"),
        ("prod", {}, "make: no region. Set AWS_REGION, or a region in ~/.aws/config"),
        ("prod", {"AWS_REGION": REGION}, "make: no credentials of AWS. Log in, or set AWS_PROFILE; `make build` needs none"),
        ("prod", {"AWS_REGION": REGION, "AWS_PROFILE": "nobody"}, "make: AWS does not say who you are: The config profile (nobody)"),
    ],
)
def test_what_a_deployment_lacks_is_said_in_one_line_before_it_builds(environment, variables, said):
    code, output = run(PYTHON, "local/preflight.py", environment, YES="1", **variables)
    assert code == 1 and output.startswith(said) and output.count("\n") == 1, output


def test_a_misspelt_parameter_is_not_passed_over(tmp_path):
    for name in ("local", "template.yaml", "functions", "events"):
        (tmp_path / name).symlink_to(ROOT / name)
    config = SAMCONFIG.read_text().replace('"LogRetentionDays=7"', '"HookTimeout=3000"')
    (tmp_path / "samconfig.toml").write_text(config)
    script = "import sys, pathlib; sys.path.insert(0, 'local'); import preflight; preflight.CONFIG = pathlib.Path('samconfig.toml'); "
    code, said = run(PYTHON, "-c", script + "preflight.main('default')", cwd=tmp_path, YES="1")
    assert (code, said) == (1, "make: samconfig.toml: template.yaml has no parameter HookTimeout\n")


@pytest.mark.parametrize(("arguments", "stack"), [([], "commerce-webhooks-dev"), (["ENV=prod"], "commerce-webhooks"), (["STACK=mine"], "mine")])
def test_the_shop_is_pointed_at_the_stack_that_is_deployed(arguments, stack):
    _, said = run("make", "-n", "plan", "SHOP=https://shop.example", *arguments)
    assert f'--stack "{stack}"' in said


def test_a_region_in_either_of_the_two_variables_is_one_for_all_tools():
    show = ["make", "--eval=show: ; @echo $$AWS_DEFAULT_REGION", "show"]
    assert run(*show, AWS_REGION="eu-central-1") == (0, "eu-central-1\n")
    assert run(*show, AWS_REGION="eu-central-1", AWS_DEFAULT_REGION="eu-west-3") == (0, "eu-central-1\n")
    assert run(*show) == (0, "\n")


def test_nothing_to_change_is_no_error_to_sam(account, tmp_path):
    (tmp_path / "template.json").write_text(json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}))
    stack, sam = f"unchanged-{uuid.uuid4().hex[:8]}", Path(PYTHON).with_name("sam")
    command = [sam, "deploy", "--config-file", SAMCONFIG, "--config-env", "default", "--no-confirm-changeset", "--stack-name", stack]
    command += ["--template-file", "template.json", "--s3-bucket", "code", "--no-resolve-s3", "--parameter-overrides", "A=b"]
    first = run(*command, cwd=tmp_path, **account, AWS_DEFAULT_REGION=REGION, SAM_CLI_TELEMETRY="0")
    assert first[0] == 0 and "Successfully created/updated stack" in first[1], first
    code, said = run(*command, cwd=tmp_path, **account, AWS_DEFAULT_REGION=REGION, SAM_CLI_TELEMETRY="0")
    assert code == 0 and f"No changes to deploy. Stack {stack} is up to date" in said, said
    code, said = run(*command, "--fail-on-empty-changeset", cwd=tmp_path, **account, AWS_DEFAULT_REGION=REGION, SAM_CLI_TELEMETRY="0")
    assert code == 1 and "No changes to deploy" in said, "which is what samconfig.toml turns off"


# From the beginning to the end


@pytest.fixture
def shims(tmp_path):
    """In the place of the tools in .venv: what writes down that it was called. Only preflight and protection are themselves."""
    folder, log = tmp_path / "venv", tmp_path / "log"
    (folder / "bin").mkdir(parents=True)
    (folder / "installed").touch()
    for name, then in {"sam": 'exit "${FAILS:-0}"', "cargo": "true", "python": f'exec {PYTHON} "$@"'}.items():
        shim = folder / "bin" / name
        shim.write_text(f'#!/bin/sh\necho "{name} $1 $2 $3 $4 $5 release=$NEW_RELEASE" >> {log}\n{then}\n')
        shim.chmod(0o755)

    def deploy(*arguments, **environment):
        log.write_text("")
        code, said = run("make", "--silent", "deploy", f"VENV={folder}", *arguments, **environment)
        return code, said, [" ".join(line.replace("release=", "").split()) for line in log.read_text().splitlines()]

    return deploy


def protected(stack, name):
    return stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["EnableTerminationProtection"]


def test_a_deployment_looks_builds_deploys_and_protects(stack, account, shims):
    stack.client("cloudformation").update_termination_protection(StackName="commerce-webhooks", EnableTerminationProtection=False)
    code, said, calls = shims("ENV=prod", "YES=1", **account)
    assert code == 0 and calls == [
        "python local/preflight.py prod",
        "python local/preflight.py --new-release prod",
        *[one for one in calls if one.startswith("cargo ")],
        "sam build --config-env prod",
        "python local/deploy.py prod --yes",
        "sam deploy --no-execute-changeset --config-env prod",
        "python local/protect.py prod",
    ], (said, calls)
    assert any(one.startswith("cargo ") for one in calls), "the rules are checked by what is built"
    assert "The stack commerce-webhooks is protected from being deleted.\nTo remove it: RUNBOOK.md, Remove the stack.\n" in said
    assert protected(stack, "commerce-webhooks") is True
    # Once is enough.
    code, said, _ = shims("ENV=prod", "YES=1", **account)
    assert code == 0 and "protected" not in said


def built(folder, machine):
    """What `sam build` leaves, for a processor."""
    (folder / "Rules").mkdir(parents=True)
    (folder / "Rules" / "release").write_text("abc\n")
    (folder / "template.yaml").touch()
    for name in channels().values():
        (folder / name).mkdir()
        (folder / name / "bootstrap").write_bytes(b"\x7fELF".ljust(18, b"\0") + machine.to_bytes(2, "little"))


def test_what_was_built_is_deployed_again_without_a_build(account, shims):
    code, said, calls = shims("ENV=prod", "YES=1", "BUILT=1", **account)
    assert code == 2 and "BUILT=1 deploys what was built last, and not everything is built." in said
    assert calls == ["python local/preflight.py prod"]
    # As the stack is, which is deployed for this machine.
    built(checkout() / ".aws-sam" / "build", preflight.MACHINES[machine()])
    try:
        code, said, calls = shims("ENV=prod", "YES=1", "BUILT=1", **account)
        assert code == 0 and "Deploying what was built last, of release abc, without building it again." in said
        assert calls == [
            "python local/preflight.py prod",
            "python local/deploy.py prod --yes",
            "sam deploy --no-execute-changeset --config-env prod",
            "python local/protect.py prod",
        ]
    finally:
        shutil.rmtree(checkout() / ".aws-sam" / "build")


def test_a_deployment_that_fails_protects_nothing(account, shims):
    code, _, calls = shims("ENV=prod", "YES=1", **account, FAILS="1")
    assert code == 2 and calls[-1] == "sam build --config-env prod"


def test_what_preflight_refuses_is_not_built(account, shims):
    code, said, calls = shims("ENV=prod", **account)
    assert code == 2 and said.startswith("make: there is nobody to confirm") and calls == ["python local/preflight.py prod"]


def test_the_stack_of_dev_can_be_deleted_at_once(stack, account, shims):
    name = "commerce-webhooks-dev"
    queue = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(queue))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    try:
        code, said, _ = shims("YES=1", **account)
        assert code == 0 and "protected" not in said and protected(stack, name) is False
    finally:
        cloudformation.delete_stack(StackName=name)


# What lets events pass rules and the stock check


ON, STOCK = "InvalidEvents=quarantine", "StockUrl=https://erp.example/stock/{sku}"
RULE = {"name": "one", "when": [], "then": {"op": "exception"}}
OFF = {**RULE, "enabled": False}


def look(tmp_path, account, parameters, rules, answer=None, stack_name="not-there-yet", **environment):
    """The look at a samconfig.toml with these parameters, and rules by channel: exit code and output. An answer comes by a terminal."""
    overrides = json.dumps(parameters)
    (tmp_path / "samconfig.toml").write_text(f'[dev.global.parameters]\nstack_name = "{stack_name}"\nparameter_overrides = {overrides}\n')
    for channel, written in rules.items():
        (tmp_path / channel).mkdir()
        (tmp_path / channel / "rules.json").write_text(written if isinstance(written, str) else json.dumps(written))
    script = (
        "import sys, pathlib; sys.path.insert(0, 'local'); import preflight; folder = pathlib.Path(sys.argv[1]); "
        "preflight.CONFIG, preflight.FUNCTIONS = folder / 'samconfig.toml', folder; preflight.main('dev')"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE")) and name != "CONFIRM"}
    terminal, end = os.openpty()
    os.write(terminal, f"{answer}\n".encode())
    try:
        result = subprocess.run(
            [PYTHON, "-c", script, tmp_path],
            cwd=ROOT,
            env=clean | account | environment,
            stdin=subprocess.DEVNULL if answer is None else end,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(terminal)
        os.close(end)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("parameters", "rules"),
    [
        ([], {"a": {"mode": "enforce", "rules": [RULE]}}),
        ([STOCK], {}),
        ([ON], {}),
        ([ON], {"a": {"mode": "observe", "rules": [RULE]}, "b": {"mode": "enforce", "rules": [OFF]}, "c": {"rules": []}}),
        # `make rules`, which comes next, says so.
        ([ON], {"a": "{", "b": "[]", "c": {"mode": "enforce"}, "d": {"rules": 7}}),
    ],
)
def test_what_passes_no_rule_and_no_stock_check_is_not_asked_about(account, tmp_path, parameters, rules):
    code, said = look(tmp_path, account, parameters, rules)
    assert code == 0 and said.startswith("Stack not-there-yet in "), said


ENFORCED = {"a": {"mode": "enforce", "rules": [OFF, RULE]}, "b": {"rules": [RULE]}, "c": {"mode": "observe", "rules": [RULE]}}
SAID = "InvalidEvents=quarantine: the shop gets `success` for an event that cannot be used, and the event goes to the quarantine."


@pytest.mark.parametrize(
    ("parameters", "rules", "passed"),
    [
        ([ON], ENFORCED, "the rules of a, b do not stop it."),
        ([ON, STOCK], {}, "the stock system at erp.example is not asked."),
        ([ON, STOCK], ENFORCED, "the rules of a, b do not stop it, and the stock system at erp.example is not asked."),
    ],
)
def test_whoever_deploys_confirms_that_unusable_events_pass_rules_and_stock_check(account, tmp_path, parameters, rules, passed):
    code, said = look(tmp_path, account, parameters, rules, answer="yes")
    assert code == 0 and "Stack not-there-yet in " in said
    question = said.partition("Type yes to deploy it so: ")[0]
    assert " ".join(question.split()) == f"{SAID} Nothing looks at it first: {passed}"
    assert all(len(line) <= 100 for line in question.splitlines())


@pytest.mark.parametrize("answer", ["no", "y", "", "\x04"])
def test_without_a_yes_nothing_is_deployed(account, tmp_path, answer):
    code, said = look(tmp_path, account, [ON], ENFORCED, answer=answer)
    assert code == 1 and said.endswith("make: nothing was deployed\n") and "Stack " not in said


def test_without_a_terminal_a_variable_confirms(account, tmp_path):
    code, said = look(tmp_path, account, [ON], ENFORCED)
    assert code == 1 and said.endswith(
        "make: there is nobody to confirm that. Set CONFIRM=quarantine, or InvalidEvents=refuse in samconfig.toml\n"
    )
    for path in tmp_path.glob("?"):
        path.joinpath("rules.json").unlink()
        path.rmdir()
    code, said = look(tmp_path, account, [ON], ENFORCED, CONFIRM="quarantine")
    assert code == 0 and said.startswith("Stack not-there-yet in ")


def test_make_passes_the_confirmation_on():
    show = ["make", "--eval=show: ; @echo $$CONFIRM", "show"]
    assert run(*show, "CONFIRM=quarantine") == run(*show, CONFIRM="quarantine") == (0, "quarantine\n")


def test_what_the_stack_has_and_nobody_names_counts_too(stack, account, tmp_path):
    name = f"deployed-{uuid.uuid4().hex[:8]}"
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
    bundle = {"Parameters": {"InvalidEvents": {"Type": "String", "Default": "quarantine"}}, "Resources": {"Queue": queue}}
    parameters = [{"ParameterKey": "InvalidEvents", "ParameterValue": "quarantine"}]
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(bundle), Parameters=parameters)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    code, said = look(tmp_path, account, [STOCK], {}, stack_name=name)
    assert code == 1 and "the stock system at erp.example is not asked" in said
    assert look(tmp_path, account, [STOCK, "InvalidEvents=refuse"], {}, stack_name=name)[0] == 0


# After


@pytest.fixture
def secret(stack):
    """The secret of a stack of its own: its name, and a look at it."""
    name = f"keys-{uuid.uuid4().hex[:8]}"
    bundle = {
        "Resources": {"Keys": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": json.dumps({"hmac_secrets": "x" * 32})}}},
        "Outputs": {"WebhookKeysArn": {"Value": {"Ref": "Keys"}}},
    }
    stack.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(bundle))
    stack.client("cloudformation").get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    described = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    arn = described["Outputs"][0]["OutputValue"]
    return name, lambda: json.loads(stack.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """Two public keys of a shop, as openssl writes them."""
    folder = tmp_path_factory.mktemp("pems")
    return [public_key(folder / str(number)) for number in range(2)]


def public_key(path, bits=2048):
    subprocess.run(["openssl", "genrsa", "-out", path, str(bits)], check=True, capture_output=True)
    return subprocess.run(["openssl", "rsa", "-in", path, "-pubout"], check=True, capture_output=True, text=True).stdout


def keys(stack, path, kind="pem", **environment):
    return run(PYTHON, ROOT / "commerce" / "keys.py", stack, f"--{kind}", path, **environment)


def put(stack, name, content):
    """Puts another text into the secret."""
    described = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    store, arn = stack.client("secretsmanager"), described["Outputs"][0]["OutputValue"]
    store.put_secret_value(SecretId=arn, SecretString=content)
    return lambda: store.get_secret_value(SecretId=arn)["SecretString"]


def test_a_key_is_added_beside_those_that_are_there(secret, account, pems, tmp_path):
    name, look = secret
    pasted, again = tmp_path / "pasted.pem", tmp_path / "again.pem"
    pasted.write_text("\n  " + pems[0].replace("\n", "\r\n").strip())
    assert keys(name, pasted, **account) == (0, f"Added public_keys/0 to the secret of {name}. It is valid within ten seconds.\n")
    assert look() == {"hmac_secrets": "x" * 32, "public_keys": [pems[0]]}
    for text in (pems[0], pems[0].replace("\n", "\\n"), pems[0].replace("\n", " "), "\ufeff" + pems[0].replace("\n", "")):
        again.write_text(text)
        assert keys(name, again, **account) == (0, f"The secret of {name} holds public_keys/0 already.\nNothing was changed.\n")
    assert look()["public_keys"] == [pems[0]]


def test_every_key_of_a_file_is_added(secret, account, pems, tmp_path):
    name, look = secret
    first, both = tmp_path / "first.pem", tmp_path / "both.pem"
    first.write_text(pems[1])
    both.write_text("the old one: " + pems[0].replace("\n", " ") + " the new one: " + pems[1].replace("\n", "\\n"))
    assert keys(name, first, **account)[0] == 0
    said = f"The secret of {name} holds public_keys/0 already.\nAdded public_keys/1 to the secret of {name}. It is valid within ten seconds.\n"
    assert keys(name, both, **account) == (0, said)
    assert look()["public_keys"] == [pems[1], pems[0]], "as openssl writes them"


def test_a_shared_secret_is_added_from_a_file(secret, account, tmp_path):
    name, look = secret
    file = tmp_path / "secret.txt"
    for text, said in [
        ("a-secret-of-32-bytes-and-a-few\r\n", f"Added hmac_secrets/1 to the secret of {name}. It is valid within ten seconds.\n"),
        ("a-secret-of-32-bytes-and-a-few", f"The secret of {name} holds hmac_secrets/1 already.\nNothing was changed.\n"),
    ]:
        file.write_text(text)
        assert keys(name, file, "hmac", **account) == (0, said)
    assert look() == {"hmac_secrets": ["x" * 32, "a-secret-of-32-bytes-and-a-few"]}


def test_what_is_no_key_of_a_shop_is_not_added(secret, account, tmp_path):
    name, look = secret
    before = look()
    private, small, blank = tmp_path / "private.pem", tmp_path / "small.pem", tmp_path / "blank.txt"
    public_key(private)
    small.write_text(public_key(tmp_path / "1024", 1024))
    blank.write_text(" \n" * 20)
    for file, kind, said in [
        (private, "pem", "private.pem: is a private key; only the shop may hold it"),
        (small, "pem", "small.pem: the RSA key must have 2048 to 8192 bits"),
        (ROOT / "Makefile", "pem", 'Makefile: has no readable PEM block "PUBLIC KEY"'),
        (tmp_path / "none", "pem", "none cannot be read: No such file"),
        (PUBLIC, "hmac", "public-key.pem: the secret is a PEM text"),
        (blank, "hmac", "blank.txt: the secret is empty or white space"),
    ]:
        code, output = keys(name, file, kind, **account)
        assert code == 1 and said in output and output.count("\n") == 1, output
        assert output.startswith("keys: ") and "MII" not in output
    assert look() == before


def test_what_of_the_secret_cannot_be_used_is_named_and_stays(stack, secret, account, pems, tmp_path):
    name, look = secret
    entries = ["hush-hush", {"hush": "hush"}, pems[0].replace("A", "hush", 1)]
    put(stack, name, json.dumps({"public_keys": entries, "hmac_secrets": ["hush"]}))
    file = tmp_path / "key.pem"
    file.write_text(pems[1])
    code, output = keys(name, file, **account)
    assert code == 0 and "hush" not in output and "MII" not in output, output
    assert sorted(output.splitlines()) == [
        f"Added public_keys/3 to the secret of {name}. It is valid within ten seconds.",
        "keys: warning: hmac_secrets/0: the secret is shorter than 16 bytes",
        'keys: warning: public_keys/0: has no readable PEM block "PUBLIC KEY"',
        "keys: warning: public_keys/1: must be a string",
        'keys: warning: public_keys/2: has no readable PEM block "PUBLIC KEY"',
    ]
    assert look() == {"public_keys": [*entries, pems[1]], "hmac_secrets": ["hush"]}


@pytest.mark.parametrize("content", ["hush-hush", "[]", '"hush"', '{"public_keys": "hush'])
def test_a_secret_of_another_form_is_left_as_it_is_and_not_shown(stack, secret, account, pems, tmp_path, content):
    name, _ = secret
    look = put(stack, name, content)
    file = tmp_path / "key.pem"
    file.write_text(pems[0])
    code, output = keys(name, file, **account)
    assert code == 1 and output.startswith("keys: the secret is not a JSON object") and output.count("\n") == 1, output
    assert "hush" not in output
    assert look() == content


def test_one_kind_of_key_is_asked_for_by_name():
    for arguments in ([], ["PEM=a", "HMAC=b"]):
        code, output = run("make", "--silent", "keys", *arguments)
        assert code == 2 and output.startswith("make: which key? Add PEM=FILE"), output


def test_what_keys_lack_is_said_in_one_line(account):
    for stack, variables, said in [
        ("none-of-that-name", account, "there is no stack none-of-that-name"),
        ("any", {}, "in which region is the stack any?"),
        ("any", {"AWS_REGION": REGION}, "there are no credentials of AWS"),
    ]:
        code, output = keys(stack, PUBLIC, **variables)
        assert code == 1 and said in output and output.count("\n") == 1, output
