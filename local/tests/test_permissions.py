"""The policies for whoever deploys (docs/deploy): complete by CloudFormation's own schemas, and no more."""

import fnmatch
import json
import re
from pathlib import Path

import boto3
import pytest
import yaml
from stack import ROOT, template
from test_template import DOMAIN, expanded

FOLDER = ROOT / "docs" / "deploy"
POLICIES = sorted(FOLDER.glob("policy-*.json"))
# What the create, read, update and delete handlers of each resource type are allowed to call, as its schema names it.
HANDLERS = json.loads((Path(__file__).parent / "permissions.json").read_text())["types"]
# Of these, what a handler calls for a property that the template does not use.
ONLY_FOR = {
    "ec2:DescribeNetworkInterfaces": "VpcConfig",
    "ec2:DescribeSecurityGroups": "VpcConfig",
    "ec2:DescribeSubnets": "VpcConfig",
    "ec2:DescribeVpcs": "VpcConfig",
    "elasticfilesystem:DescribeMountTargets": "FileSystemConfigs",
    "s3files:ListMountTargets": "FileSystemConfigs",
    "lambda:DeleteFunctionCodeSigningConfig": "CodeSigningConfigArn",
    "lambda:GetCodeSigningConfig": "CodeSigningConfigArn",
    "lambda:PutFunctionCodeSigningConfig": "CodeSigningConfigArn",
    "lambda:PassCapacityProvider": "CapacityProviderConfig",
    "lambda:PutFunctionRecursionConfig": "RecursiveLoop",
    "lambda:PutFunctionScalingConfig": "FunctionScalingConfig",
    "lambda:PutRuntimeManagementConfig": "RuntimeManagementConfig",
    "codedeploy:RegisterOnPremisesInstance": "OnPremisesInstanceTagFilters",
    "firehose:TagDeliveryStream": "DataProtectionPolicy",
    "logs:PutDataProtectionPolicy": "DataProtectionPolicy",
    "s3:REST.PUT.OBJECT": "DataProtectionPolicy",
    "logs:PutIndexPolicy": "FieldIndexPolicies",
    "logs:DeleteIndexPolicy": "FieldIndexPolicies",
    "logs:DeleteResourcePolicy": "ResourcePolicyDocument",
    "logs:PutBearerTokenAuthentication": "BearerTokenAuthenticationEnabled",
    "logs:PutLogGroupDeletionProtection": "DeletionProtection",
    "secretsmanager:RemoveRegionsFromReplication": "ReplicaRegions",
    "secretsmanager:ReplicateSecretToRegions": "ReplicaRegions",
}
# The template always has RetentionInDays, so nothing takes it away.
NEVER = {"logs:DeleteRetentionPolicy"}
# With everything that a parameter can add.
EVERYTHING = {
    **DOMAIN, "Deployment": "Canary10Percent5Minutes", "PreTrafficCheck": "true",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:0:key/1", "AlarmTopicArn": "arn:aws:sns:eu-west-1:0:alarms",
    "PlaceOrderReserved": 20, "PlaceOrderProvisioned": 2, "CartReserved": 20, "CartProvisioned": 2, "OthersReserved": 5,
    "AlarmQuietHours": 6, "AlarmIrregularEvents": 20, "PermissionsBoundaryArn": "arn:aws:iam::000000000000:policy/boundary",
}  # fmt: skip


def statements():
    return [one for path in POLICIES for one in json.loads(path.read_text())["Statement"]]


def listed(value):
    return value if isinstance(value, list) else [value]


def allowed():
    return {action for one in statements() for action in listed(one["Action"])}


@pytest.fixture(scope="module")
def resources():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        return expanded(**{name: value for name, value in EVERYTHING.items() if name in template()["Parameters"]})


def test_what_cloudformation_calls_is_allowed(resources):
    types = {one["Type"] for one in resources.values()}
    assert types <= set(HANDLERS), "types without an entry in permissions.json, which comes from CloudFormation's schemas"
    names = {name.lower() for name in allowed()}
    missing = {}
    for kind in types:
        used = {name for one in resources.values() if one["Type"] == kind for name in one.get("Properties", {})}
        lacks = [one for one in HANDLERS[kind] if one.lower() not in names and one not in NEVER and ONLY_FOR.get(one, "none") in used | {"none"}]
        if lacks:
            missing[kind] = lacks
    assert not missing


def test_what_make_deploy_calls_itself_is_allowed():
    names = {name.lower() for name in allowed()}
    # It needs no permission, and the permission of the other has another name.
    known = {"sts:GetCallerIdentity": None, "s3:HeadBucket": "s3:ListBucket"}
    missing, found = set(), 0
    for service in ("acm", "cloudformation", "cloudwatch", "iam", "kms", "lambda", "s3", "sns", "sts"):
        operations = boto3.client(service, region_name="eu-west-1").meta.method_to_api_mapping
        for path in (ROOT / "local" / f"{name}.py" for name in ("account", "aliases", "arns", "concurrency", "deploy", "preflight", "protect")):
            if f'client("{service}")' not in path.read_text():
                continue
            for method in re.findall(r"\b(?:[a-z]+_)+[a-z]+\b", path.read_text()):
                if method in operations:
                    found += 1
                    action = known.get(f"{service}:{operations[method]}", f"{service}:{operations[method]}")
                    missing |= {action} if action and action.lower() not in names else set()
    assert found > 10 and not missing


def test_no_more_is_allowed_than_somebody_calls():
    called = {action for actions in HANDLERS.values() for action in actions}
    # What `sam deploy`, `make deploy` and the runbook call themselves, what uploads, tags and log deliveries need, and the bucket.
    ours = {"cloudformation:*", "s3:*", "acm:DescribeCertificate", "sns:GetTopicAttributes", "kms:DescribeKey", "iam:GetPolicy",
            "iam:CreateServiceLinkedRole", "lambda:GetAccountSettings", "lambda:ListTags", "cloudwatch:DescribeAlarms",
            "apigateway:*", "logs:*LogDeliver*", "codedeploy:*", "*:TagResource", "*:UntagResource", "*:ListTag*", "iam:*Tag*"}  # fmt: skip
    beyond = [one for one in allowed() - called if not any(fnmatch.fnmatchcase(one, pattern) for pattern in ours)]
    assert not beyond


def test_a_policy_fits_and_names_each_action_and_what_it_is_for():
    sids = [one["Sid"] for one in statements()]
    assert len(set(sids)) == len(sids) and len(POLICIES) == 2
    page = (ROOT / "docs" / "permissions.md").read_text()
    assert [sid for sid in sids if f"`{sid}`" not in page] == []
    for path in POLICIES:
        written = json.loads(path.read_text())
        filled = re.sub(r"<STACK>", "x" * 25, re.sub(r"<REGION>", "ap-southeast-1", json.dumps(written, separators=(",", ":"))))
        assert len(re.sub(r"<ACCOUNT>", "0" * 12, filled)) <= 6144, "the most that IAM takes"
    for one in statements():
        assert not any("*" in action for action in listed(one["Action"])), one["Sid"]
        assert "*" not in listed(one["Resource"]) or one["Sid"] == "NoSmallerResource"


def test_each_placeholder_is_explained():
    page = (ROOT / "docs" / "permissions.md").read_text()
    for path in [*POLICIES, FOLDER / "github-trust-policy.json"]:
        for name in set(re.findall(r"<[A-Z_]+>", path.read_text())):
            assert name in page or name in ("<OWNER>", "<OWNER_ID>", "<REPOSITORY>", "<REPOSITORY_ID>"), name


def test_the_boundary_that_the_page_describes_allows_what_the_roles_do(resources):
    page = (ROOT / "docs" / "permissions.md").read_text().partition("The boundary must allow")[2]
    for name, role in resources.items():
        if role["Type"] == "AWS::IAM::Role":
            for policy in role["Properties"].get("Policies", []):
                for one in policy["PolicyDocument"]["Statement"]:
                    for action in listed(one.get("Action", [])):
                        assert f"`{action}`" in page, (name, action)


def test_the_workflow_deploys_with_a_role_and_one_at_a_time():
    workflow = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
    deploy = workflow["jobs"]["deploy"]
    assert workflow["permissions"] == {"contents": "read"} and deploy["permissions"] == {"contents": "read", "id-token": "write"}
    assert deploy["concurrency"]["cancel-in-progress"] is False and deploy["needs"] == "test" and deploy["environment"] == "prod"
    commands = [step["run"] for step in deploy["steps"] if "run" in step]
    assert commands[-2:] == ["make deploy ENV=prod YES=1", "make smoke ENV=prod"]
    targets = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in targets for target in ("deploy", "smoke", "test"))
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a@" + "0" * 40)), "an action is pinned by its commit"
    trust = json.loads((FOLDER / "github-trust-policy.json").read_text())["Statement"][0]
    claims = trust["Condition"]["StringEquals"]
    assert claims["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert claims["token.actions.githubusercontent.com:sub"].endswith(f":environment:{deploy['environment']}")
