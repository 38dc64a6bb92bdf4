"""What `make deploy` looks at before it builds for many minutes: that samconfig.toml and AWS are ready for it."""

import os
import sys

import boto3
import botocore.exceptions
import tomlkit
from samcli.cli.types import CfnParameterOverridesType
from stack import ROOT, template

CONFIG = ROOT / "samconfig.toml"


def main(environment):
    config = tomlkit.parse(CONFIG.read_text()).unwrap()
    known = [name for name, sections in config.items() if isinstance(sections, dict)]
    if environment not in known:
        sys.exit(f"make: samconfig.toml knows no {environment}, but: {', '.join(known)}")
    chosen = config[environment].get("global", {}).get("parameters", {})
    parameters = CfnParameterOverridesType().convert(chosen.get("parameter_overrides", []), None, None)
    # A misspelt one would be passed over without a word.
    if strangers := sorted(set(parameters) - set(template()["Parameters"])):
        sys.exit(f"make: template.yaml has no parameter {', '.join(strangers)}, which samconfig.toml sets")
    region, account = where()
    architecture = parameters.get("Architecture") or template()["Parameters"]["Architecture"]["Default"]
    print(f"Stack {chosen['stack_name']} in {region}, account {account}. Building eight functions for {architecture} first, which takes")
    print("up to twenty minutes the first time.", flush=True)


def where():
    """Region and account, if there are a region and credentials."""
    try:
        session = boto3.Session()
        region = os.environ.get("AWS_REGION") or session.region_name
        if not region:
            sys.exit("make: no region. Set AWS_REGION, or a region in ~/.aws/config")
        return region, session.client("sts", region_name=region).get_caller_identity()["Account"]
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
        sys.exit("make: no credentials of AWS. Log in, or set AWS_PROFILE; `make build` needs none")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        sys.exit(f"make: AWS does not say who you are: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
