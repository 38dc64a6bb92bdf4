"""Whether what the parameters name by ARN is there, in the right region, and fit for what the stack does with it."""

import botocore.exceptions
from account import ABSENT, INVALID, code_of, looked_at
from finding import Finding, note


def findings(account, wanted):
    """What is wrong with the parameters that name a resource of somebody else."""
    given = {name: wanted.get(name, "") for name in (*LOOKS, "DomainName")}
    if bool(given["DomainName"]) != bool(given["DomainCertificateArn"]):
        yield Finding("DomainName and DomainCertificateArn belong together: set both, or neither.")
    for name, look in LOOKS.items():
        if given[name]:
            yield from looked_at(f"{name}, whether it can be used", findings_of(account, name, given, look))


def moved(deployed, wanted):
    """An address to which the shop may still post, and which would go at once. Both must answer meanwhile: docs/domain.md."""
    before, after = deployed.get("DomainName", ""), wanted.get("DomainName", "")
    if before == after:
        return
    if before and deployed.get("DefaultEndpoint") != "always":
        yield Finding(
            f"The shop still posts to {before}, which this deployment would take away. First deploy with DefaultEndpoint=always, and let "
            "the shop move to the API's own address: docs/domain.md."
        )
    elif after and wanted.get("DefaultEndpoint") != "always":
        yield Finding(
            "The shop still posts to the API's own address, which this deployment would switch off. Deploy with DefaultEndpoint=always, "
            "and with DefaultEndpoint=without-domain when the shop has moved: docs/domain.md."
        )
    elif before:
        yield note(f"{before} goes away with this deployment. `make doctor` says whether a hook of the shop still has it.")


def findings_of(account, name, given, look):
    arn = given[name]
    region = (arn.split(":") + [""] * 6)[3]
    if region not in ("", account.region):
        yield Finding(f"{name} is in {region}, and the stack in {account.region}. It must be one of the same region: {arn}")
        return
    try:
        reasons = list(look(account, arn, given))
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ABSENT:
            reasons = ["does not exist"]
        elif code_of(error) in INVALID:
            reasons = ["is no ARN of that kind"]
        else:
            raise
    for reason in reasons:
        yield Finding(f"{name} {reason}: {arn}")


# What is wrong with each of them, as the end of a sentence that begins with its name.


def topic(account, arn, _):
    attributes = account.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    if attributes.get("KmsMasterKeyId", "").endswith("alias/aws/sns"):
        yield (
            "is encrypted with alias/aws/sns, which CloudWatch cannot use, so nobody would be told of an alarm. Encrypt it with a key of "
            "yours that lets cloudwatch.amazonaws.com use it, or with none"
        )


def key(account, arn, _):
    said = account.client("kms").describe_key(KeyId=arn)["KeyMetadata"]
    if said["KeyState"] != "Enabled":
        yield f"is not enabled but {said['KeyState']}"
    if (spec := said.get("KeySpec", "SYMMETRIC_DEFAULT")) != "SYMMETRIC_DEFAULT" or said["KeyUsage"] != "ENCRYPT_DECRYPT":
        yield f"must be a symmetric key to encrypt and decrypt, not {spec} for {said['KeyUsage']}"


def certificate(account, arn, given):
    said = account.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    if said["Status"] != "ISSUED":
        yield f"is not issued but {said['Status']}"
    names = {said["DomainName"], *said.get("SubjectAlternativeNames", [])}
    if given["DomainName"] and not any(covers(one, given["DomainName"]) for one in names):
        yield f"is for {', '.join(sorted(names))}, not for {given['DomainName']}"


def covers(pattern, name):
    """A wildcard stands for one label, the first."""
    pattern, name = pattern.lower(), name.lower()
    return pattern == name or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])


def boundary(account, arn, _):
    owner = (arn.split(":") + [""] * 6)[4]
    if owner not in (account.number, "aws"):
        yield f"is a policy of account {owner}, and the roles are made in {account.number}"
        return
    account.client("iam").get_policy(PolicyArn=arn)


LOOKS = {"AlarmTopicArn": topic, "KmsKeyArn": key, "DomainCertificateArn": certificate, "PermissionsBoundaryArn": boundary}
