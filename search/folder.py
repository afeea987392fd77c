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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import yaml

from owkd.config import Config, parse_config
from owkd.errors import ConfigError, UserError
from owkd.files import written_whole
from search.storage import lease
from search.storage.address import Address
from search.storage.mirror import Mirror
from search.storage.place import Place

SCHEMA_VERSION = 1
PACKAGES = ("owkd", "torch", "ray", "optuna", "numpy", "pyarrow")
TEMPORARY = ".*.tmp"
"""names that `owkd.files.written_whole` gives to what is not whole yet"""


def trial_name(number: int) -> str:
    """The name of a trial in every folder, table and view."""
    return f"trial-{number:05d}"


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run, and the files that its workers write. Nothing is created by looking."""

    root: Path
    """the run itself, or the working copy of one that lies in a store"""
    mirror: Mirror | None = None
    """what keeps a working copy and its store alike"""

    @property
    def address(self) -> Address:
        """Where the run lies, for people and for commands."""
        return Address(str(self.root)) if self.mirror is None else self.mirror.address

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

    def where(self, path: Path) -> str:
        """What a worker is told instead of a path below `root`: that path, or its URI."""
        return str(self.address / path.relative_to(self.root))

    def stored(self, below: Path) -> list[Path]:
        """Files that workers wrote below a folder, as paths below `root`, wherever they lie."""
        return [self.root / path for path in self._place().files(self._relative(below))]

    def folders(self, below: Path) -> list[Path]:
        """Folders of workers right below a folder, as paths below `root`, wherever they lie."""
        return [self.root / path for path in self._place().folders(self._relative(below))]

    def holds(self, path: Path) -> bool:
        """Whether there is such a file of a worker's."""
        return self._place().has(self._relative(path))

    def take(self, path: Path, to: Path) -> None:
        """Copies a worker's file, whole. Raises `FileNotFoundError`."""
        self._place().download(self._relative(path), to)

    def discard(self, path: Path) -> None:
        """Removes a worker's file or folder: from a store, once what the driver wrote until now is in it."""
        if self.mirror is not None:
            self.mirror.remove_later(self._relative(path))
        else:
            self._place().remove(self._relative(path))

    def publish(self, path: Path) -> None:
        """Sends a file that a reader made below `root` to where the run lies."""
        if self.mirror is not None:
            with path.open("rb") as file:
                self._place().upload(file, self._relative(path), path.stat().st_size)

    def kept(self, desk: Any) -> Any:
        """The desk itself; where the run lies in a store, one whose words are in it before anybody relies on them."""
        return desk if self.mirror is None else self.mirror.keeping(desk)

    def _place(self) -> Place:
        return Place.at(self.address)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def create(run: Address | Path | str, config: Config, fingerprints: Mapping[str, Any]) -> RunFolder:
    """Makes the folder of a new run and writes its run.yaml. Raises `UserError` when the name is taken.

    A run in a store begins as a working copy; `driving` brings it there.
    """
    address = Address.of(run)
    refuse_existing(address)
    root = _cleared(address.copy("driver")) if address.remote else address.path
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
        if address.remote:
            lease.remember(draft.root, lease.Lease(driver=lease.NEW))
        draft.root.rename(root)  # the folder appears with its run.yaml: whoever finds it finds a run
    except BaseException as error:
        shutil.rmtree(draft.root, ignore_errors=True)
        if isinstance(error, OSError):
            refuse_existing(address)  # somebody else may have made it in the meantime
        raise
    return _at(address, "driver")


def amend(
    folder: RunFolder, manifest: Mapping[str, Any], fingerprints: Mapping[str, Any], changes: Sequence[str]
) -> None:
    """Writes into run.yaml that a run goes on although it was changed: what it stands on now, and since when."""
    entry = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "changes": list(changes)}
    current = {"versions": {"python": platform.python_version(), **versions()}, "fingerprints": dict(fingerprints)}
    _write_manifest(folder, {**manifest, **current, "forced": [*manifest.get("forced", []), entry]})


def refuse_existing(run: Address | Path | str) -> None:
    """Raises `UserError` when there is anything at `run`, or when it cannot be reached."""
    address = Address.of(run)
    if not address.remote:
        taken = address.path.exists() or address.path.is_symlink()
    else:
        with _reached(address):
            taken = bool(Place.at(address).files())
    if taken:
        raise UserError(
            f"a new run must have a name of its own, but {address} exists; do give another --name, or go on with it: "
            f"owkd resume {address}"
        )


def exists(run: Address | Path | str) -> bool:
    """Whether this machine knows of a run there, without asking a store."""
    return _at(Address.of(run), "driver").manifest.is_file()


def open_run(
    run: Address | Path | str, *, drive: bool = False, only: Sequence[str] = ()
) -> tuple[RunFolder, Config, dict[str, Any]]:
    """An existing run, its configuration and its whole manifest. Raises `UserError`, `ConfigError`.

    Of a run in a store, `drive` opens the driver's working copy, for `driving` to bring up to date; without it, files
    are fetched for reading: all that drivers write, or what lies in the folders that `only` names.
    """
    address = Address.of(run)
    folder = _at(address, "driver")
    if folder.mirror is not None:
        with _reached(address):
            if drive:
                folder.mirror.fetch(folder.manifest.name)
            else:
                folder = _for_reading(folder, address, only)
    try:
        manifest = yaml.safe_load(folder.manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"a run must hold run.yaml, but {address} has none; do give the folder of a run") from None
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

    The lock is the kernel's: it goes with the process, however that ends. In a store a lease stands beside it, and
    what is written goes there. What a killed driver left half-written is removed on entry, and Ray's scratch folder on
    exit.

    Raises `UserError` when another process drives this run.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.lock, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"a run must have one driver, but another process drives {folder.address}; do wait for it or stop it"
            ) from None
        with folder.mirror.driven() if folder.mirror is not None else nullcontext():
            remove_leftovers(folder)
            try:
                yield
            finally:
                shutil.rmtree(folder.scratch, ignore_errors=True)
    finally:
        os.close(handle)


def is_driven(folder: RunFolder) -> bool:
    """Whether a process drives this run at the moment, as far as this machine or the run's store can tell."""
    if _is_locked(folder):
        return True
    found = lease.read_lease(folder.mirror.place) if folder.mirror is not None else None
    return found is not None and found.alive


def _is_locked(folder: RunFolder) -> bool:
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


def _at(address: Address, whose: Literal["driver", "reader"]) -> RunFolder:
    if not address.remote:
        return RunFolder(address.path.absolute())  # workers run in folders of their own
    copy = address.copy(whose)
    return RunFolder(copy, Mirror(address, copy))


def _for_reading(driver: RunFolder, address: Address, only: Sequence[str]) -> RunFolder:
    """The driver's working copy where it is on this machine and the newest; else what the store holds."""
    assert driver.mirror is not None
    if _is_locked(driver):
        return driver
    found = lease.read_lease(driver.mirror.place)
    if found is not None and found.driver == lease.last_of(driver.root):
        return driver
    reader = _at(address, "reader")
    assert reader.mirror is not None
    reader.mirror.fetch(reader.manifest.name)
    reader.mirror.pull(*only)
    return reader


def _cleared(copy: Path) -> Path:
    """Makes room for a new working copy where one of a run that is gone from its store may lie."""
    if _is_locked(RunFolder(copy)):
        raise UserError(f"a run must have one driver, but another process drives {copy}; do wait for it or stop it")
    shutil.rmtree(copy, ignore_errors=True)
    return copy


@contextmanager
def _reached(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"a run's address must be within reach, but {address} is not: {error}; do see to bucket, endpoint and "
            "credentials"
        ) from error


def remove_leftovers(folder: RunFolder) -> None:
    """Removes what an earlier driver was writing when it died; only for the holder of the run."""
    shutil.rmtree(folder.scratch, ignore_errors=True)
    for draft in folder.root.parent.glob(".*.tmp"):  # of a driver that died while it made this run
        if draft.stem.rpartition(".")[0] == f".{folder.root.name}":
            shutil.rmtree(draft, ignore_errors=True)
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
