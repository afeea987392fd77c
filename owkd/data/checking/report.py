"""What a check of a data set found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from owkd.data.index import SplitName

Severity = Literal["fatal", "warning"]
Kind = Literal[
    "missing_split",
    "no_images",
    "wrong_layout",
    "identity_not_a_number",
    "identity_without_images",
    "identity_twice",
    "one_identity",
    "no_pairs",
    "damaged_image",
    "no_window",
    "too_few_levels",
    "blank_image",
    "mixed_depths",
    "turned_image",
    "several_pictures",
    "remark",
    "image_in_two_splits",
    "image_of_two_identities",
    "image_twice",
    "identity_in_test_and_training",
    "identity_in_train_and_validation",
    "single_image",
    "ignored_file",
    "ignored_folder",
    "no_file",
    "no_identity",
]


@dataclass(frozen=True)
class Finding:
    """Something wrong: fatal when results would be false or training would refuse, else a warning.

    Attributes:
        where: fold, or fold/split
        text: what, and what to do
        paths: files and folders concerned, relative to the data set's folder
    """

    severity: Severity
    kind: Kind
    where: str
    text: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitCount:
    """What one split of one fold holds."""

    identities: int
    images: int


@dataclass
class Report:
    """Result of a check.

    Attributes:
        counts: by fold and split
    """

    folder: Path
    counts: dict[str, dict[str, SplitCount]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """The findings that would spoil a result."""
        return tuple(finding for finding in self.findings if finding.severity == "fatal")

    def add(self, severity: Severity, kind: Kind, where: str, text: str, paths: Iterable[Path] = ()) -> None:
        """Notes a finding on files and folders of the data set."""
        relative = tuple(path.relative_to(self.folder).as_posix() for path in paths)
        self.findings.append(Finding(severity, kind, where, text, relative))


@dataclass(frozen=True)
class Item:
    """An image file of a split."""

    path: Path
    split: SplitName
    identity: int
