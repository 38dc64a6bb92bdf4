"""`make channel` in a copy of the tree: what it writes fits the rest, and what it removes leaves nothing. Nothing is built here."""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import new_channel
import pytest
from names import channel_of, logical_id, routes_of
from stack import ROOT

# No event that a merchant could have a channel for.
MEMO = "observer.event_of_the_tests_creditmemo_save_after"
PLACE = "plugin.magento.sales.api.order_of_the_tests.place"
COUPON = "plugin.magento.quote.api.coupon_of_the_tests.set"
LONG = "plugin.magento.inventory_in_store_pickup_shipping_admin_ui.model.response_of_the_tests.get_pickup_location_data"
# Method, type, entity, queue, sample.
THREE = [
    (MEMO, "", "", "erp", {"data": {"creditmemo": {"entity_id": "7", "order_id": "12", "items": [{"sku": "A"}]}}}),
    (PLACE, "before", "order", "erp", None),
    (COUPON, "", "", "crm", {"cartId": "8s3kd0", "couponCode": "SPRING"}),
]
TWENTY = [
    *THREE,
    (MEMO, "before", "order", "crm", {"data": {"order": {"increment_id": "1"}}}),
    (PLACE, "after", "order", "erp", {"order": {"increment_id": "1"}, "result": {"increment_id": "1"}}),
    ("observer.event_of_the_tests_customer_register", "", "customer", "crm", {"data": {"customer": {"id": 5, "email": "a@b.example"}}}),
    ("observer.event_of_the_tests_update_before", "", "", "erp", None),
    (LONG, "", "", "erp", None),
    *((f"observer.event_of_the_tests_{number}", "", "", "erp", None) for number in range(12)),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the checkout as it stands."""
    folder = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in set(os.fsdecode(listed.stdout).split("\0")) - {""}:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture
def no_lock(monkeypatch):
    """Without a run of cargo for each channel."""
    monkeypatch.setattr(new_channel, "lock", lambda tree: None)


def content(tree):
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file() and path.relative_to(tree).parts[0] != "target"}


def make(tree, method, hook_type="", entity="", queue="erp", sample=None):
    arguments = {"root": tree, "event": method, "type": hook_type, "entity": entity, "queue": queue}
    if sample:
        (tree.parent / "sample.json").write_text(json.dumps(sample))
        arguments["sample"] = tree.parent / "sample.json"
    new_channel.main(["--sources-only", *(f"--{name}={value}" for name, value in arguments.items())])
    return channel_of(method, hook_type or new_channel.usual_type(method))


def remove(tree, name):
    new_channel.main(["--root", str(tree), "--remove", name])


def python(tree, program, *arguments):
    """Runs Python in the copy: what it prints."""
    environment = os.environ | {"AWS_DEFAULT_REGION": "eu-west-1", "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([sys.executable, *program, *arguments], cwd=tree, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4000:]
    return ended.stdout


def locked(tree):
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version=1", "--quiet"]
    packages = json.loads(subprocess.run(command, cwd=tree, capture_output=True, check=True).stdout)["packages"]
    return {one["name"] for one in packages}


def test_channels_fit_the_tree_and_leave_nothing_behind(tree):
    before = content(tree)
    made = [make(tree, *one) for one in THREE]
    assert set(made) <= locked(tree), "Cargo.lock knows them"
    # The tests that need neither what the build writes nor a running stack.
    python(tree, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "local/tests/test_tree.py", "-k",
                  "hook_fits or one_call or (everywhere and not schema) or limit_is_said"])  # fmt: skip
    subprocess.run(["rustfmt", "--check", "--edition", "2024", *(tree / "functions" / name / "src" / "main.rs" for name in made)], check=True)
    for name in made:
        for path in (tree / "functions" / name / "src").glob("*.rs"):
            assert max(map(len, path.read_text().splitlines())) <= 100, path
    for name in reversed(made):
        remove(tree, name)
    assert content(tree) == before


def test_twenty_channels_break_no_limit(tree, no_lock):
    before = content(tree)
    made = {make(tree, *one): one for one in TWENTY}
    program = (
        "import json, sys; sys.path.insert(0, 'local/tests'); import conftest, test_template as t; from stack import template;"
        "t.test_routes_call_aliases(); t.test_outputs_name_the_domain_if_there_is_one();"
        "[test(name) for test in (t.test_a_description_fits, t.test_a_role_may_do_what_its_function_does_and_nothing_else) for name in t.FUNCTIONS[-3:]];"
        "print(json.dumps([t.expanded(Deployment='Canary10Percent5Minutes', PreTrafficCheck='true', **t.DOMAIN), template()]))"
    )
    resources, template = json.loads(python(tree, ["-c", program]))
    # CloudFormation: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    assert len(resources) <= 500 and len(template["Outputs"]) <= 200 and len(template["Parameters"]) <= 200
    assert len(json.dumps(resources | template["Outputs"])) <= 1024 * 1024 and (tree / "template.yaml").stat().st_size <= 1024 * 1024
    assert all(len(name) <= 255 for name in (*resources, *template["Outputs"]))
    # API Gateway: 300 routes and 300 integrations of an API.
    (api,) = (one for name, one in resources.items() if one["Type"] == "AWS::ApiGatewayV2::Api" and name == "Api")
    paths = api["Properties"]["Body"]["paths"]
    assert len(paths) <= 300
    for method, hook_type, *_ in made.values():
        assert set(routes_of(method, hook_type or new_channel.usual_type(method))) <= set(paths)
    # IAM: the inline policies of a role have at most 10,240 characters. Lambda: the policy of a function at most 20 KB.
    for name, one in resources.items():
        if one["Type"] == "AWS::IAM::Role":
            assert len(json.dumps(one["Properties"].get("Policies", []))) <= 10_240, name
    # Alarms and dashboard name no channel, so they cover any number.
    for name, one in resources.items():
        if one["Type"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Logs::MetricFilter"):
            text = json.dumps(one)
            assert not [channel for channel in made if channel in text or logical_id(channel) in text], name
    # CloudWatch: a search finds at most 500 time series. The dashboard searches by channel.
    functions = [name for name, one in resources.items() if one["Type"] == "AWS::Lambda::Alias"]
    searches = re.findall(r"MetricName=(\([^)]*\)|\S+)", json.dumps(template["Resources"]["Dashboard"]))
    assert searches and max(search.count(" OR ") + 1 for search in searches) * len(functions) <= 500
    hooks = ElementTree.parse(tree / "commerce" / "webhooks.xml").getroot()
    names = [channel_of(method.get("name"), method.get("type")) for method in hooks]
    assert len(set(names)) == len(names) and set(made) <= set(names)
    for name in made:
        remove(tree, name)
    assert content(tree) == before


@pytest.mark.parametrize("break_it", ["function_yaml", "hook_xml", "samples"])
def test_a_step_that_fails_leaves_the_tree_as_it_was(tree, no_lock, monkeypatch, break_it):
    def fails(*_):
        raise new_channel.Problem("something is wrong")

    before, folders = content(tree), {path for path in tree.rglob("*") if path.is_dir()}
    monkeypatch.setattr(new_channel.files, break_it, fails)
    with pytest.raises(SystemExit, match="channel: something is wrong"):
        make(tree, "observer.event_of_the_tests_x")
    assert content(tree) == before and {path for path in tree.rglob("*") if path.is_dir()} == folders


def test_only_what_make_channel_made_is_removed(tree, no_lock):
    name = make(tree, "observer.event_of_the_tests_y")
    record = tree / "docs" / "contract" / "1" / f"{name}.json"
    record.write_text("{}")
    with pytest.raises(SystemExit, match="its messages are promised to consumers"):
        remove(tree, name)
    record.unlink()
    remove(tree, "observer.event_of_the_tests_y")
    assert not (tree / "functions" / name).exists()


def test_the_samples_of_a_channel_are_in_every_form_that_the_tests_want(tree, no_lock):
    name = make(tree, "observer.event_of_the_tests_z")
    folder = Path(tree / "events" / name)
    assert {path.name for path in folder.iterdir()} == {"default.body.json", "ideal.body.json", "wrong-event.body.json"}
    assert (folder / "default.body.json").read_text() == (
        '{"subject":[],"result":null,"eventName":"event_of_the_tests_z","data":{"data_object":{"entity_id":"1"}}}'
    )
    remove(tree, name)
