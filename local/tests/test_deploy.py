"""What stands before and after a deployment: the look at samconfig.toml and AWS, and the first key of the shop."""

import json
import os
import subprocess
import sys
import uuid

import pytest
from stack import CREDENTIALS, REGION, ROOT, sample_keys

PYTHON = sys.executable
PUBLIC = ROOT / "events" / "sample-keys" / "public-key.pem"


def run(*command, cwd=ROOT, **environment):
    """Exit code and output, with nothing of AWS, and of a make around it, in the environment but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
    clean |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}
    result = subprocess.run(command, cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def account(stack):
    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    return {"AWS_ENDPOINT_URL": stack.endpoint, "AWS_REGION": REGION} | {names[name]: CREDENTIALS[name] for name in names}


# Before


def test_a_deployment_says_where_it_goes(account):
    code, said = run(PYTHON, ROOT / "local" / "preflight.py", "prod", **account)
    assert code == 0, said
    assert said.startswith(f"Stack commerce-webhooks in {REGION}, account 000000000000. Building eight functions for arm64")


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
    code, output = run(PYTHON, ROOT / "local" / "preflight.py", environment, **variables)
    assert code == 1 and output.startswith(said) and output.count("\n") == 1, output


def test_a_misspelt_parameter_is_not_passed_over(tmp_path):
    for name in ("local", "template.yaml", "functions", "events"):
        (tmp_path / name).symlink_to(ROOT / name)
    config = (ROOT / "samconfig.toml").read_text().replace('"LogRetentionDays=7"', '"HookTimeout=3000"')
    (tmp_path / "samconfig.toml").write_text(config)
    script = "import sys, pathlib; sys.path.insert(0, 'local'); import preflight; preflight.CONFIG = pathlib.Path('samconfig.toml'); "
    code, said = run(PYTHON, "-c", script + "preflight.main('default')", cwd=tmp_path)
    assert (code, said) == (1, "make: template.yaml has no parameter HookTimeout, which samconfig.toml sets\n")


@pytest.mark.parametrize(("arguments", "stack"), [([], "commerce-webhooks-dev"), (["ENV=prod"], "commerce-webhooks"), (["STACK=mine"], "mine")])
def test_the_shop_is_pointed_at_the_stack_that_is_deployed(arguments, stack):
    _, said = run("make", "-n", "plan", "SHOP=https://shop.example", *arguments)
    assert f'--stack "{stack}"' in said


def test_a_region_in_either_of_the_two_variables_is_one_for_all_tools():
    show = ["make", "--eval=show: ; @echo $$AWS_DEFAULT_REGION", "show"]
    assert run(*show, AWS_REGION="eu-central-1") == (0, "eu-central-1\n")
    assert run(*show, AWS_REGION="eu-central-1", AWS_DEFAULT_REGION="eu-west-3") == (0, "eu-central-1\n")
    assert run(*show) == (0, "\n")


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


def keys(stack, pem, **environment):
    return run(PYTHON, ROOT / "commerce" / "keys.py", stack, pem, **environment)


def test_a_key_is_added_beside_those_that_are_there(secret, account, tmp_path):
    name, look = secret
    pasted = tmp_path / "pasted.pem"
    pasted.write_text("\n  " + PUBLIC.read_text().replace("\n", "\r\n").strip())
    code, said = keys(name, pasted, **account)
    assert code == 0 and said.startswith(f"Added as public_keys/0 to the secret of {name}."), said
    assert look() == {"hmac_secrets": "x" * 32, "public_keys": [PUBLIC.read_text()]}
    again = keys(name, PUBLIC, **account)
    assert again == (0, "It is there already, as public_keys/0. Nothing was changed.\n")
    assert json.loads(sample_keys())["public_keys"] == look()["public_keys"], "as the functions are tested with"


def test_what_is_no_public_key_of_a_shop_is_not_added(secret, account, tmp_path):
    name, look = secret
    before = look()
    private, small = tmp_path / "private.pem", tmp_path / "small.pem"
    subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "genrsa", "-out", tmp_path / "s", "1024"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", tmp_path / "s", "-pubout", "-out", small], check=True, capture_output=True)
    for file, said in [
        (private, "holds a private key"), (small, "2048 bits or more"), (ROOT / "README.md", "no public key"), (tmp_path / "none", "cannot be read"),
    ]:
        code, output = keys(name, file, **account)
        assert code == 1 and said in output and output.count("\n") == 1, output
        assert "MII" not in output
    assert look() == before


@pytest.mark.parametrize("content", ["hush-hush", "[]", '{"public_keys": null}', '{"public_keys": {"hush": "hush"}}', '{"public_keys": [1]}'])
def test_a_secret_of_another_form_is_left_as_it_is_and_not_shown(stack, secret, account, content):
    name, _ = secret
    described = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    store, arn = stack.client("secretsmanager"), described["Outputs"][0]["OutputValue"]
    store.put_secret_value(SecretId=arn, SecretString=content)
    code, output = keys(name, PUBLIC, **account)
    assert code == 1 and output.startswith("keys: the secret is not of the form") and output.count("\n") == 1, output
    assert "hush" not in output
    assert store.get_secret_value(SecretId=arn)["SecretString"] == content


def test_what_keys_lack_is_said_in_one_line(account):
    for stack, variables, said in [
        ("none-of-that-name", account, "there is no stack none-of-that-name"),
        ("any", {}, "in which region is the stack any?"),
        ("any", {"AWS_REGION": REGION}, "there are no credentials of AWS"),
    ]:
        code, output = keys(stack, PUBLIC, **variables)
        assert code == 1 and said in output and output.count("\n") == 1, output
