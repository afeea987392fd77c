"""A run's folder: what lies where, who may write in it, and how a file appears in it whole.

run.yaml                 resolved configuration, versions, fingerprints; written first
study.journal            the Optuna study: the one truth about which trials exist
results/                 Parquet: trials, epochs, retrain
tensorboard/<trial>/     event files
checkpoints/<trial>/     of running trials, and of the best finished ones
panels/<trial>/          pictures of how the best trials rank
retrain/                 the final stage; retrain/champion is what one takes home
.ray/                    Ray's own bookkeeping, removed at the end
.lock                    held by the driver as long as it lives
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from owkd.config import Config, parse_config
from owkd.errors import ConfigError, UserError
from owkd.files import written_whole

SCHEMA_VERSION = 1
PACKAGES = ("owkd", "torch", "ray", "optuna", "numpy", "pyarrow")
TEMPORARY = ".*.tmp"
"""names that `owkd.files.written_whole` gives to what is not whole yet"""


def trial_name(number: int) -> str:
    """The name of a trial in every folder, table and view."""
    return f"trial-{number:05d}"


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run. Nothing is created by looking."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def manifest(self) -> Path:
        return self.root / "run.yaml"

    @property
    def journal(self) -> Path:
        return self.root / "study.journal"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def panels(self) -> Path:
        return self.root / "panels"

    @property
    def retrain(self) -> Path:
        return self.root / "retrain"

    @property
    def champion(self) -> Path:
        return self.retrain / "champion"

    @property
    def scratch(self) -> Path:
        return self.root / ".ray"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"


def create(root: Path, config: Config, fingerprints: Mapping[str, Any]) -> RunFolder:
    """Makes the folder of a new run and writes its run.yaml. Raises `UserError` when the name is taken."""
    refuse_existing(root)
    draft = RunFolder(root.with_name(f".{root.name}.{os.getpid()}.tmp"))
    try:
        draft.root.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"a run needs a folder that can be made, but got {root} ({error.strerror}); do change --runs"
        ) from error
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **versions()},
        "seed": {"train": config.train.seed, "sampler": config.search.sampler.seed},
        "fingerprints": dict(fingerprints),
        "config": config.to_dict(),
    }
    try:
        _write_manifest(draft, manifest)
        draft.root.rename(root)  # the folder appears with its run.yaml: whoever finds it finds a run
    except BaseException:
        shutil.rmtree(draft.root, ignore_errors=True)
        raise
    return RunFolder(root.absolute())  # workers run in folders of their own


def amend(
    folder: RunFolder, manifest: Mapping[str, Any], fingerprints: Mapping[str, Any], changes: Sequence[str]
) -> None:
    """Writes into run.yaml that a run goes on although it was changed: what it stands on now, and since when."""
    entry = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "changes": list(changes)}
    current = {"versions": {"python": platform.python_version(), **versions()}, "fingerprints": dict(fingerprints)}
    _write_manifest(folder, {**manifest, **current, "forced": [*manifest.get("forced", []), entry]})


def refuse_existing(root: Path) -> None:
    """Raises `UserError` when there is anything at `root`."""
    if root.exists() or root.is_symlink():
        raise UserError(
            f"a new run must have a name of its own, but {root} exists; do give another --name, or go on with it: "
            f"owkd resume {root}"
        )


def open_run(root: Path) -> tuple[RunFolder, Config, dict[str, Any]]:
    """An existing run, its configuration and its whole manifest. Raises `UserError`, `ConfigError`."""
    folder = RunFolder(root.absolute())
    try:
        manifest = yaml.safe_load(folder.manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"a run must hold run.yaml, but {root} has none; do give the folder of a run") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"run.yaml must be readable, but {folder.manifest} is not: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
        raise UserError(f"run.yaml must hold a configuration, but {folder.manifest} holds none; do restore it")
    return folder, _stored_config(manifest, folder.manifest), manifest


def _stored_config(manifest: Mapping[str, Any], path: Path) -> Config:
    try:
        return parse_config(manifest["config"], source=str(path))
    except ConfigError as error:
        recorded = manifest.get("versions")
        made_by = recorded.get("owkd") if isinstance(recorded, Mapping) else None
        if made_by == version("owkd"):
            raise
        hint = f"the run was made by owkd {made_by}, and this is owkd {version('owkd')}; do go on with the former"
        raise ConfigError([*error.problems, hint], error.source) from error


def _write_manifest(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    with written_whole(folder.manifest) as temporary:
        temporary.write_text(yaml.safe_dump(dict(manifest), sort_keys=False), encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers, without importing any of it."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@contextmanager
def driving(folder: RunFolder) -> Iterator[None]:
    """Holds the run for this process, so that two drivers never write to one run.

    The lock is the kernel's: it goes with the process, however that ends. What a killed driver left half-written
    is removed on entry, and Ray's scratch folder on exit.

    Raises `UserError` when another process drives this run.
    """
    handle = os.open(folder.lock, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"a run must have one driver, but another process drives {folder.root}; do wait for it or stop it"
            ) from None
        remove_leftovers(folder)
        try:
            yield
        finally:
            shutil.rmtree(folder.scratch, ignore_errors=True)
    finally:
        os.close(handle)


def is_driven(folder: RunFolder) -> bool:
    """Whether a process drives this run at the moment."""
    try:
        handle = os.open(folder.lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def remove_leftovers(folder: RunFolder) -> None:
    """Removes what an earlier driver was writing when it died; only for the holder of the run."""
    shutil.rmtree(folder.scratch, ignore_errors=True)
    # Optuna's own lock on its journal: without its holder it would cost half a minute of waiting.
    folder.journal.with_name(folder.journal.name + ".lock").unlink(missing_ok=True)
    _cut_torn_line(folder.journal)
    for partial in folder.root.rglob(TEMPORARY):
        partial.unlink(missing_ok=True)


def _cut_torn_line(journal: Path) -> None:
    """Lines are whole or they are the last one: only what follows the last line's end is removed."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 20))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                start += found + 1
                break
            end = start
        else:
            start = 0
        file.truncate(start)
