"""Runs: how one is made and opened, and what is in its run.yaml."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml

from owkd.config import Config, upgraded
from owkd.config.yaml_text import load_yaml
from owkd.errors import ConfigError, UserError
from owkd.files import make_folder, sync_folder, written_whole
from owkd.temporary import marked, unmark
from search.runs.damage import DamagedRunError, reading
from search.runs.integrity import SOURCES, versions
from search.runs.layout import RunFolder, draft_prefix, instead_of
from search.runs.lock import is_locked_here
from search.space import parse_search_config
from search.storage import lease
from search.storage.address import Address
from search.storage.mirror import CONTROL, Mirror
from search.storage.object_store import ObjectStore
from search.storage.timings import STORE_TIMINGS, StoreTimings

SCHEMA_VERSION = 1
"""of run.yaml and of the tables; counted up when an older owkd could no longer read them, or would read them wrong"""

Device = Literal["cpu", "gpu"]
DEVICE = "device"
"""key of run.yaml: what its trials train on"""
END = "end"
"""the last key of a run.yaml since there is a digest of the sources in it: what is cut short may read as a whole one,
whose fields of then are the defaults of now"""
WITHIN = "within"
"""key of the run.yaml of a run within another one: that one's name"""


def create(
    run: Address | Path | str,
    config: Config,
    fingerprints: Mapping[str, Any],
    timings: StoreTimings = STORE_TIMINGS,
    device: Device | None = None,
) -> RunFolder:
    """Makes the folder of a new run and writes its run.yaml. Raises `UserError` when the name is taken.

    device: what its trials train on

    A run in a store begins as a working copy; `lock_run` brings it there.
    """
    address = Address.of(run)
    refuse_existing(address)
    root = _cleared(address.copy("driver")) if address.remote else address.path
    draft = RunFolder(root.with_name(f"{draft_prefix(root.name)}{os.getpid()}.tmp"))
    try:
        make_folder(draft.root.parent)
        draft.root.mkdir()
    except OSError as error:
        raise UserError(
            f"a run needs a folder that can be made, but got {root} ({error.strerror}); change --runs"
        ) from error
    try:
        with marked(draft.root):
            _write_manifest(draft, {**_manifest(config, fingerprints), **({DEVICE: device} if device else {})})
            if address.remote:
                lease.remember(draft.root, lease.Lease(driver=lease.NEW))
            draft.root.rename(root)  # the folder appears with its run.yaml: whoever finds it finds a run
            sync_folder(root.parent)
            unmark(root)  # not before: a draft without a mark would stay for ever
    except BaseException as error:
        shutil.rmtree(draft.root, ignore_errors=True)
        if isinstance(error, OSError):
            refuse_existing(address)  # somebody else may have made it in the meantime
        raise
    return _at(address, "driver", timings)


def create_control(run: RunFolder, config: Config, fingerprints: Mapping[str, Any]) -> RunFolder:
    """Makes the control within a run that this process holds, or finds it there."""
    control = run.control
    if not control.manifest.is_file():
        make_folder(control.root)
        _write_manifest(control, {WITHIN: run.name, **_manifest(config, fingerprints)})
    return control


def amend(
    folder: RunFolder, manifest: Mapping[str, Any], changes: Sequence[str], **current: Mapping[str, Any] | str
) -> dict[str, Any]:
    """Writes into run.yaml that a run is resumed although it was changed -> what it holds from now on.

    `current`: the sections that say what it depends on now.
    """
    entry = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "changes": list(changes)}
    amended = {**manifest, "versions": versions(), **current, "forced": [*manifest.get("forced", []), entry]}
    _write_manifest(folder, amended)
    return amended


def refuse_existing(run: Address | Path | str) -> None:
    """Raises `UserError` when there is anything at `run`, or when it cannot be reached."""
    address = Address.of(run)
    if is_taken(address):
        raise UserError(
            f"a new run must have a name of its own, but {address} exists; give another --name, or resume it: "
            f"owkd resume {address}"
        )


def is_taken(address: Address) -> bool:
    """Whether there is anything at an address. Raises `UserError` where a store cannot be reached."""
    if not address.remote:
        return address.path.exists() or address.path.is_symlink()
    with _reached(address):
        return bool(ObjectStore.at(address).files())


def exists(run: Address | Path | str) -> bool:
    """Whether this machine knows of a run there, without asking a store."""
    return _at(Address.of(run), "driver").manifest.is_file()


def open_run(
    run: Address | Path | str,
    *,
    drive: bool = False,
    only: Sequence[str] = (),
    timings: StoreTimings = STORE_TIMINGS,
) -> tuple[RunFolder, Config, dict[str, Any]]:
    """An existing run, its configuration and its whole manifest. Raises `UserError`, `ConfigError`.

    Of a run in a store, `drive` opens the driver's working copy, for `lock_run` to bring up to date; without it, files
    are fetched for reading: all that drivers write, or the files and folders that `only` names. A control is driven by
    the run around it alone.
    """
    folder = locate_run(run, drive=drive, only=only, timings=timings)
    config, manifest = read_run(folder)
    if drive and WITHIN in manifest:
        raise UserError(
            f"a control must be driven with the run around it, but got {folder.address}; go on with owkd retrain "
            f"{folder.address.above}"
        )
    return folder, config, manifest


def locate_run(
    run: Address | Path | str,
    *,
    drive: bool = False,
    only: Sequence[str] = (),
    timings: StoreTimings = STORE_TIMINGS,
) -> RunFolder:
    """The folder of a run, as `open_run` takes it, whatever is in it. Raises `UserError` where a store is away."""
    address = Address.of(run)
    folder = _at(address, "driver", timings)
    if folder.mirror is not None:
        with _reached(address):
            if drive:
                folder.mirror.fetch(folder.manifest.name)
            else:
                folder = _for_reading(folder, address, only)
    return folder


def read_run(folder: RunFolder) -> tuple[Config, dict[str, Any]]:
    """Configuration and manifest of a run. Raises `UserError`, `ConfigError`, `DamagedRunError`."""
    manifest = _read_manifest(folder)
    _refuse_newer(manifest, folder.manifest)
    return _stored_config(manifest, folder.manifest), manifest


def restore_manifest(folder: RunFolder, config: Config) -> None:
    """Writes the run.yaml of a run that lost it: what it began with, without versions and fingerprints of then."""
    around = {WITHIN: folder.root.parent.name} if folder.root.name == CONTROL else {}
    made = _manifest(config, {})
    kept = {name: made[name] for name in ("schema_version", "seed", "config")}
    _write_manifest(folder, {**around, "restored_at": made["created_at"], **kept})


def _read_manifest(folder: RunFolder) -> dict[str, Any]:
    file = folder.manifest
    try:
        with reading(file):
            manifest, problems = load_yaml(file.read_text(encoding="utf-8"), file.name)
    except FileNotFoundError:
        if folder.journal.is_file():
            raise DamagedRunError(file, "is missing") from None
        raise UserError(
            f"a run must hold run.yaml, but {folder.address} has none; {instead_of(folder.address)}"
        ) from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
        raise DamagedRunError(file, "is empty" if manifest is None else "is damaged (it holds no configuration)")
    if problems:
        raise DamagedRunError(file, f"is damaged ({problems[0]})")
    if END not in manifest and SOURCES in manifest.get("versions", ()):
        raise DamagedRunError(file, "is damaged (its end is missing)")
    return manifest


def _refuse_newer(manifest: Mapping[str, Any], path: Path) -> None:
    recorded = manifest.get("schema_version")
    if isinstance(recorded, int) and recorded > SCHEMA_VERSION:
        raise UserError(
            f"`schema_version <= {SCHEMA_VERSION}` must hold for this owkd, {version('owkd')}, but got {recorded} in "
            f"{path}; install the owkd that made the run, {_made_by(manifest)}, or a newer one"
        )


def _stored_config(manifest: Mapping[str, Any], path: Path) -> Config:
    with reading(path):
        raw = upgraded(manifest["config"])
    try:
        return parse_search_config(raw, source=str(path))
    except ConfigError as error:
        made_by = _made_by(manifest)
        if made_by == version("owkd"):
            raise
        hint = f"the run was made by owkd {made_by}, and this is owkd {version('owkd')}; resume it with the former"
        raise ConfigError([*error.problems, hint], error.source) from error


def _made_by(manifest: Mapping[str, Any]) -> Any:
    """The version of owkd, as far as the manifest has it."""
    recorded = manifest.get("versions")
    return recorded.get("owkd") if isinstance(recorded, Mapping) else None


def _manifest(config: Config, fingerprints: Mapping[str, Any]) -> dict[str, Any]:
    """The run.yaml of a new run."""
    return {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "seed": {"train": config.train.seed, "sampler": config.search.sampler.seed},
        "fingerprints": dict(fingerprints),
        "config": config.to_dict(),
    }


def _write_manifest(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    manifest = {**{name: value for name, value in manifest.items() if name != END}, END: folder.manifest.name}
    with written_whole(folder.manifest) as temporary:
        temporary.write_text(yaml.safe_dump(dict(manifest), sort_keys=False), encoding="utf-8")


def _at(address: Address, whose: Literal["driver", "reader"], timings: StoreTimings = STORE_TIMINGS) -> RunFolder:
    if not address.remote:
        return RunFolder(address.path.absolute())  # workers run in folders of their own
    copy = address.copy(whose)
    return RunFolder(copy, Mirror(address, copy, timings))


def _for_reading(driver: RunFolder, address: Address, only: Sequence[str]) -> RunFolder:
    """The driver's working copy where it is on this machine and the newest; else what the store holds."""
    assert driver.mirror is not None
    if is_locked_here(driver):
        return driver
    current = lease.read_lease(driver.mirror.place)
    if current is not None and current.driver == lease.last_of(driver.root):
        return driver
    reader = _at(address, "reader")
    assert reader.mirror is not None
    reader.mirror.fetch(reader.manifest.name)
    reader.mirror.pull(*only)
    return reader


def _cleared(copy: Path) -> Path:
    """Makes room for a new working copy where one of a run that is gone from its store may be."""
    if is_locked_here(RunFolder(copy)):
        raise UserError(f"a run must have one driver, but another process drives {copy}; wait for it or stop it")
    shutil.rmtree(copy, ignore_errors=True)
    return copy


@contextmanager
def _reached(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"a run's address must be within reach, but {address} is not: {error}; see to bucket, endpoint and "
            "credentials"
        ) from error
