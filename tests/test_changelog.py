"""The version that is built is the newest of CHANGELOG.md."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$", re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_newest_entry_is_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [version for version, _ in HEADING.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))]
    assert versions[0] == project["version"]
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def test_entries_have_the_headings_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert len(HEADING.findall(text)) == len(re.findall(r"^## ", text, re.MULTILINE))
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= KINDS
    assert [date for _, date in HEADING.findall(text)].count("unreleased") <= 1
