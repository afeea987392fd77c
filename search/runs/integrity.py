"""What a run must not change between its drivers: code, device, data, teachers, and what its trials are made of.

run.yaml holds what the run began with. A copy of its configuration is in the study, where no editor reaches it, so
that an edited run.yaml is noticed.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from owkd.config import Config, upgraded
from owkd.errors import UserError

PACKAGES = ("owkd", "torch", "ray", "optuna", "numpy", "pyarrow")
SOURCES = "sources"
"""the name of a digest among versions: of the code itself, which a checkout may change under one version"""
DECIDING = ("python", SOURCES, "owkd", "torch", "ray", "optuna", "numpy")
"""what of the versions decides a trial's numbers, which trial comes next, or which one is stopped"""

FREE = (
    "data.root",
    "data.cache",
    "retrain",
    "search.max_concurrent",
    "search.max_failures",
    "search.resources",
    "teacher.checkpoint",
    "teacher.targets.folder",
    "teacher.targets.use",
    "train.device",
    "train.threads",
    "train.validation_batch_size",
)
"""fields that may be edited in run.yaml: where things are and run, not what comes out; data and teachers have
fingerprints"""

ABSENT = object()
SHOWN = 120
"""characters of a value in a message"""


@dataclass(frozen=True)
class Change:
    """One value that is not what it was.

    Attributes:
        where: dotted path
    """

    where: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.where}: {_shown(self.before)} -> {_shown(self.now)}"


def compare(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[Change]:
    """Where two trees of plain values differ, sections opened, in alphabetical order."""
    changes = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, ABSENT), now.get(key, ABSENT)
        where = f"{path}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes.extend(compare(old, new, f"{where}."))
        elif old != new:
            changes.append(Change(where, old, new))
    return changes


def changes_since(
    manifest: Mapping[str, Any],
    began_with: Mapping[str, Any] | None,
    config: Config,
    versions: Mapping[str, str],
    fingerprints: Mapping[str, Any],
) -> list[Change]:
    """Everything that decides a run's numbers and is not as it was.

    `manifest` is run.yaml, `began_with` the configuration that the study remembers (None: it remembers none), `config`
    the one in run.yaml; `versions` and `fingerprints` are of now. A run of a version that recorded no digest of the
    sources is taken to have had these.
    """
    recorded = _section(manifest, "versions")
    deciding = [name for name in DECIDING if name in versions and (name in recorded or name != SOURCES)]
    changes = compare(
        {name: _public(recorded[name]) for name in deciding if name in recorded},
        {name: _public(versions[name]) for name in deciding},
        "versions.",
    )
    changes += compare(_section(manifest, "fingerprints"), fingerprints, "fingerprints.")
    return changes + edits_since(began_with, config)


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers, without importing any of it; of our own code a digest too."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = "not installed"
    return {**installed, SOURCES: sources_digest(Path(__file__).parents[2])}


@cache
def sources_digest(root: Path) -> str:
    """Of the modules of this project below `root`, their names included."""
    digest = hashlib.sha256()
    for package in ("owkd", "search", "launch"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def edits_since(began_with: Mapping[str, Any] | None, config: Config) -> list[Change]:
    """What of the configuration decides a run's numbers and is not as it was; the arguments as in `changes_since`."""
    edited = [] if began_with is None else compare(upgraded(began_with), config.to_dict(), "config.")
    return [change for change in edited if not _is_free(change.where.removeprefix("config."))]


def refuse(changes: Sequence[Change]) -> None:
    """Raises `UserError` naming every change with its old and its new value; nothing when there is none."""
    if changes:
        lines = "\n".join(f"  - {change}" for change in changes)
        raise UserError(
            "a run must be resumed with the code, the data, the teachers and the configuration that it began with, but "
            f"these are not what they were (then -> now):\n{lines}\n"
            "restore them, start a new run, or insist with --force"
        )


def _section(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = manifest.get(name)
    return section if isinstance(section, Mapping) else {}


def _is_free(where: str) -> bool:
    return any(where == name or where.startswith(f"{name}.") for name in FREE)


def _public(version: Any) -> str:
    """`2.9.0+cu128` -> `2.9.0`: the driver's build is not the workers'."""
    return str(version).partition("+")[0]


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
