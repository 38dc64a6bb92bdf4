"""The account that is deployed to, and what is asked of it. Nothing is changed.

Whoever deploys need not be allowed to look at everything here. What cannot be looked at is named, and the deployment goes on.
"""

import os
import sys

import boto3
import botocore.exceptions
import botocore.parsers
from botocore.config import Config
from finding import Finding, cloudformation, first_line, note

# The last is an answer that is not AWS's, as of a proxy on the way.
AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, botocore.parsers.ResponseParserError)
PATIENCE = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=20)
ABSENT = {"NotFound", "NotFoundException", "ResourceNotFoundException", "NoSuchEntity", "404"}
INVALID = {"InvalidParameter", "InvalidParameterException", "InvalidArnException", "ValidationException", "InvalidInput"}
MANAGED = "aws-sam-cli-managed-default"


class Account:
    def __init__(self, settings):
        """With the region and the profile that `sam deploy` will use. Ends with what is missing."""
        try:
            self.session = boto3.Session(profile_name=settings.get("profile"))
            self.region = settings.get("region") or os.environ.get("AWS_REGION") or self.session.region_name
            if not self.region:
                sys.exit("make: no region. Set AWS_REGION, or a region in ~/.aws/config")
            self.number = self.client("sts").get_caller_identity()["Account"]
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
            sys.exit("make: no credentials of AWS. Log in, or set AWS_PROFILE; `make build` needs none")
        except AWS_ERRORS as error:
            sys.exit(f"make: AWS does not say who you are: {first_line(error)}")

    def client(self, service):
        return self.session.client(service, region_name=self.region, config=PATIENCE)

    def described(self, name):
        """The stack as CloudFormation describes it; None if there is none."""
        try:
            return self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except botocore.exceptions.ClientError as error:
            if code_of(error) == "ValidationError":
                return None
            raise
        except (LookupError, TypeError) as error:
            raise botocore.parsers.ResponseParserError(f"the answer cannot be read ({type(error).__name__})") from None

    def stack(self, name):
        """The same of the stack that is deployed. Ends if AWS does not show it."""
        try:
            return self.described(name)
        except AWS_ERRORS as error:
            sys.exit(f"make: AWS does not show the stack {name}: {first_line(error)}")

    def resources(self, stack):
        """What the stack consists of: logical id -> type, physical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        listed = [one for page in pages for one in page["StackResourceSummaries"]]
        return {one["LogicalResourceId"]: (one["ResourceType"], one.get("PhysicalResourceId", "")) for one in listed}


def code_of(error):
    return error.response["Error"]["Code"] if isinstance(error, botocore.exceptions.ClientError) else type(error).__name__


def looked_at(what, findings):
    """The findings of a look at something; if AWS does not let it be looked at, that."""
    try:
        yield from findings
    except AWS_ERRORS as error:
        yield note(f"not checked: {what} ({code_of(error)}).")


def managed_bucket(account):
    """`sam deploy` with resolve_s3 puts everything into the bucket of a stack of its own, which it makes, but does not repair."""
    stack = account.described(MANAGED)
    if stack is None:
        return
    bucket = next((one["OutputValue"] for one in stack.get("Outputs", []) if one["OutputKey"] == "SourceBucket"), None)
    if bucket:
        try:
            account.client("s3").head_bucket(Bucket=bucket)
            return
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in ABSENT | {"NoSuchBucket"}:
                raise
    if stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
        text, actions = "is being changed by somebody else. Wait, and deploy again:", ('describe-stacks --query "Stacks[0].StackStatus"',)
    else:
        what = f"lost its bucket {bucket}" if bucket else "no bucket"
        text, actions = f"has {what}. Delete it, and deploy again: SAM creates it again.", ("delete-stack", "wait stack-delete-complete")
    commands = tuple(cloudformation(action, MANAGED, account.region) for action in actions)
    yield Finding(f"The stack {MANAGED}, with which SAM keeps its bucket, {text}", commands)
