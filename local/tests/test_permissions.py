"""The policies for whoever deploys (docs/deploy): complete by CloudFormation's own schemas, and no more."""

import fnmatch
import json
import re
from pathlib import Path

import boto3
import pytest
import states
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


# A stack as it is deployed, with the names that CloudFormation gives, and some others beside it.
NAMES = {"<REGION>": "eu-west-1", "<ACCOUNT>": "123456789012", "<STACK>": "shop", "<DOMAIN>": "hooks.shop.example",
         "<CERTIFICATE_ARN>": "arn:aws:acm:eu-west-1:123456789012:certificate/1", "<KMS_KEY_ARN>": "arn:aws:kms:eu-west-1:123456789012:key/1",
         "<ALARM_TOPIC_ARN>": "arn:aws:sns:eu-west-1:123456789012:alarms", "<BOUNDARY_ARN>": "arn:aws:iam::123456789012:policy/boundary"}  # fmt: skip
HERE = "eu-west-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/shop-SalesOrderPlaceAfterRole-1A2B3C4D5E6F"
BUCKET = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b3c4d5e6f"
LAMBDA, CODEDEPLOY = {"iam:PassedToService": "lambda.amazonaws.com"}, {"iam:PassedToService": "codedeploy.amazonaws.com"}
MANAGED = {"iam:PolicyARN": "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"}
NEEDED = [
    ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{HERE}:stack/shop/0a1b"),
    ("cloudformation:ExecuteChangeSet", f"arn:aws:cloudformation:{HERE}:stack/shop/0a1b"),
    ("cloudformation:GetTemplateSummary", f"arn:aws:cloudformation:{HERE}:stack/shop/0a1b"),
    ("cloudformation:UpdateTerminationProtection", f"arn:aws:cloudformation:{HERE}:stack/shop/0a1b"),
    ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:eu-west-1:aws:transform/LanguageExtensions"),
    ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:eu-west-1:aws:transform/Serverless-2016-10-31"),
    ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{HERE}:stack/aws-sam-cli-managed-default/0a1b"),
    ("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{HERE}:stack/aws-sam-cli-managed-default/0a1b"),
    *((f"s3:{action}", BUCKET) for action in ("CreateBucket", "PutBucketPolicy", "PutBucketVersioning", "PutEncryptionConfiguration",
                                              "PutBucketPublicAccessBlock", "PutBucketTagging", "ListBucket")),
    *((f"s3:{action}", f"{BUCKET}/shop/0a1b") for action in ("PutObject", "GetObject")),
    *((f"iam:{action}", ROLE) for action in ("CreateRole", "PutRolePolicy", "DeleteRole", "GetRole", "TagRole", "PutRolePermissionsBoundary")),
    ("iam:PassRole", ROLE, LAMBDA), ("iam:PassRole", ROLE, CODEDEPLOY), ("iam:AttachRolePolicy", ROLE, MANAGED),
    ("iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",
     {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}),
    ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/apis"), ("apigateway:PATCH", "arn:aws:apigateway:eu-west-1::/apis/a1b2/stages/$default"),
    ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/domainnames"),
    ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/domainnames/hooks.shop.example/apimappings"),
    *((f"lambda:{action}", f"arn:aws:lambda:{HERE}:function:shop-SalesOrderPlaceAfter-1A2B3C") for action in ("CreateFunction", "UpdateFunctionCode",
      "PublishVersion", "CreateAlias", "PutFunctionConcurrency", "AddPermission")),
    ("lambda:PutProvisionedConcurrencyConfig", f"arn:aws:lambda:{HERE}:function:shop-SalesOrderPlaceAfter-1A2B3C:live"),
    ("lambda:CreateFunction", f"arn:aws:lambda:{HERE}:function:shop-PreTrafficHook-1A2B3C"),
    ("lambda:PublishLayerVersion", f"arn:aws:lambda:{HERE}:layer:shop-rules"), ("lambda:GetLayerVersion", f"arn:aws:lambda:{HERE}:layer:shop-rules:7"),
    ("sqs:CreateQueue", f"arn:aws:sqs:{HERE}:shop-erp-0a1b2c3d4e5f.fifo"), ("sqs:SetQueueAttributes", f"arn:aws:sqs:{HERE}:shop-erp-0a1b2c3d4e5f.fifo"),
    ("secretsmanager:CreateSecret", f"arn:aws:secretsmanager:{HERE}:secret:WebhookKeys-1A2B3C-x1y2z3"), ("secretsmanager:GetRandomPassword", "*"),
    ("logs:CreateLogGroup", f"arn:aws:logs:{HERE}:log-group:shop-FunctionLogs-1A2B3C"),
    ("logs:PutMetricFilter", f"arn:aws:logs:{HERE}:log-group:/aws/vendedlogs/shop-api"), ("logs:CreateLogDelivery", "*"), ("logs:PutResourcePolicy", "*"),
    ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{HERE}:alarm:shop-FailuresAlarm-1A2B3C"),
    ("cloudwatch:PutDashboard", "arn:aws:cloudwatch::123456789012:dashboard/shop-eu-west-1"),
    ("codedeploy:CreateApplication", f"arn:aws:codedeploy:{HERE}:application:shop-ServerlessDeploymentApplication-1A2B"),
    ("codedeploy:CreateDeployment", f"arn:aws:codedeploy:{HERE}:deploymentgroup:shop-ServerlessDeploymentApplication-1A2B/shop-PlaceDeploymentGroup-1A2B"),
    ("codedeploy:GetDeploymentConfig", f"arn:aws:codedeploy:{HERE}:deploymentconfig:CodeDeployDefault.LambdaCanary10Percent5Minutes"),
    ("kms:CreateGrant", NAMES["<KMS_KEY_ARN>"]), ("acm:DescribeCertificate", NAMES["<CERTIFICATE_ARN>"]), ("sns:GetTopicAttributes", NAMES["<ALARM_TOPIC_ARN>"]),
    ("iam:GetPolicy", NAMES["<BOUNDARY_ARN>"]), ("lambda:GetAccountSettings", "*"),
]  # fmt: skip
REFUSED = [
    ("iam:PassRole", ROLE), ("iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}), ("iam:AttachRolePolicy", ROLE),
    ("iam:AttachRolePolicy", ROLE, {"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    *((f"iam:{action}", "arn:aws:iam::123456789012:role/other-1A2B") for action in ("CreateRole", "PutRolePolicy", "DeleteRole", "UpdateAssumeRolePolicy")),
    ("iam:CreateUser", "*"), ("iam:CreateAccessKey", "*"), ("iam:CreatePolicyVersion", NAMES["<BOUNDARY_ARN>"]),
    ("cloudformation:DeleteStack", f"arn:aws:cloudformation:{HERE}:stack/other/0a1b"), ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{HERE}:stack/other/0a1b"),
    ("s3:PutObject", f"{BUCKET}/other/0a1b"), ("s3:DeleteObject", f"{BUCKET}/shop/0a1b"), ("s3:DeleteBucket", BUCKET), ("s3:ListBucket", "arn:aws:s3:::other"),
    ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{HERE}:function:other-1A2B"), ("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:shop-1A2B"),
    ("sqs:SetQueueAttributes", f"arn:aws:sqs:{HERE}:other-Queue"), ("sqs:ReceiveMessage", f"arn:aws:sqs:{HERE}:shop-erp-0a1b2c3d4e5f.fifo"),
    ("sqs:PurgeQueue", f"arn:aws:sqs:{HERE}:shop-erp-0a1b2c3d4e5f.fifo"),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:other-x1y2z3"),
    ("apigateway:DELETE", "arn:aws:apigateway:eu-west-1::/domainnames/other.example"), ("logs:DeleteLogGroup", f"arn:aws:logs:{HERE}:log-group:other"),
    ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{HERE}:alarm:other"), ("kms:Decrypt", f"arn:aws:kms:{HERE}:key/2"), ("kms:ScheduleKeyDeletion", NAMES["<KMS_KEY_ARN>"]),
]  # fmt: skip


def filled(text):
    for placeholder, name in NAMES.items():
        text = text.replace(placeholder, name)
    return text


def is_allowed(action, resource, context=None):
    """Whether the two policies together allow that, as IAM evaluates them."""
    for one in statements():
        fits = action.lower() in [said.lower() for said in listed(one["Action"])]
        fits &= any(fnmatch.fnmatchcase(resource, filled(said)) for said in listed(one["Resource"]))
        for operator, keys in one.get("Condition", {}).items():
            assert operator in ("StringEquals", "ArnEquals"), "an operator that this test does not understand"
            given = {"aws:ResourceAccount": "123456789012"} | (context or {})
            fits &= all(given.get(key) in [filled(value) for value in listed(values)] for key, values in keys.items())
        if fits:
            assert one["Effect"] == "Allow", one["Sid"]
            return True
    return False


@pytest.mark.parametrize("request_", NEEDED, ids=lambda one: f"{one[0]} {one[1].rpartition(':')[2]}")
def test_what_a_deployment_asks_for_is_allowed(request_):
    assert is_allowed(*request_)


@pytest.mark.parametrize("request_", REFUSED, ids=lambda one: f"{one[0]} {one[1].rpartition(':')[2]}")
def test_what_a_deployment_does_not_need_is_refused(request_):
    assert not is_allowed(*request_)


def test_what_helps_after_a_failure_is_allowed():
    """The commands that `make deploy` prints for a state of the stack."""
    stack = f"arn:aws:cloudformation:{HERE}:stack/shop/0a1b"
    for finding in states.STATES.values():
        for command in finding.commands if finding else ():
            name = command.partition(" --")[0]
            if not name.startswith("wait "):
                action = "".join(word.capitalize() for word in name.split("-"))
                assert is_allowed(f"cloudformation:{action}", stack), action


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
        assert one["Effect"] == "Allow" and set(one) <= {"Sid", "Effect", "Action", "Resource", "Condition"}, one["Sid"]
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
    assert (trust["Effect"], trust["Action"]) == ("Allow", "sts:AssumeRoleWithWebIdentity")
    assert trust["Principal"] == {"Federated": "arn:aws:iam::<ACCOUNT>:oidc-provider/token.actions.githubusercontent.com"}
    claims = trust["Condition"]["StringEquals"]
    assert claims["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert claims["token.actions.githubusercontent.com:sub"].endswith(f":environment:{deploy['environment']}")
