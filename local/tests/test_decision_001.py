"""docs/decisions/001-template-compared-with-aws.md has a row for each property of template.yaml, and for nothing else."""

import re

from stack import ROOT, template

PAGE = ROOT / "docs" / "decisions" / "001-template-compared-with-aws.md"
TYPE = re.compile(r"AWS::\w+::\w+")


def used():
    """Each type of resource in the template, and each property under it. What Globals say is said of each function."""
    bundle, found = template(), set()
    for resource in bundle["Resources"].values():
        found |= {(resource["Type"], name) for name in resource.get("Properties", {})}
    return found | {("AWS::Serverless::Function", name) for name in bundle["Globals"]["Function"]}


def compared():
    """Each type that is a heading of the page, and each name in backticks in the first column below it."""
    found, kind = set(), None
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
            kind = heading if TYPE.fullmatch(heading) else None
        elif kind and line.startswith("|"):
            found |= {(kind, name) for name in re.findall(r"`([^`]+)`", line.split("|")[1])}
    return found


def listed(properties):
    return "\n".join(f"  {kind}: {name}" for kind, name in sorted(properties))


def test_the_page_has_a_row_for_each_property_of_the_template():
    missing = used() - compared()
    assert not missing, f"{PAGE.name} does not say how these compare with AWS's documentation and deployed templates:\n{listed(missing)}"


def test_the_page_has_no_row_for_a_property_that_the_template_does_not_use():
    unused = compared() - used()
    assert not unused, f"{PAGE.name} has rows that template.yaml has no property for:\n{listed(unused)}"
