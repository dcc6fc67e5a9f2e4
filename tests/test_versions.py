"""The two sets of versions, and what is said of them."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent


def pins(file: str) -> dict[str, Version]:
    found = re.findall(r"^([\w-]+)==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
    return {name: Version(version) for name, version in found}


def test_the_lowest_set_is_the_lower_bounds() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = {each.name: next(iter(each.specifier)) for each in map(Requirement, told)}
    assert {bound.operator for bound in bounds.values()} == {">="}
    assert pins("tests/lowest.txt") == {n: Version(each.version) for n, each in bounds.items()}


def test_the_page_names_what_the_newest_set_holds() -> None:
    page = (ROOT / "docs/versions.md").read_text()
    part = page.partition("## The newest set\n")[2].partition("\n## ")[0]
    table = "".join(line for line in part.splitlines() if line.startswith("|"))
    said = re.findall(r"([\w-]+) (\d[\w.]*)(?=,| \|)", table)
    assert {name: Version(version) for name, version in said} == pins("constraints.txt")
