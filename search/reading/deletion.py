"""Deleting a run, wherever it lies; what searches share stays, and is named."""

from __future__ import annotations

import shutil
from pathlib import Path

from owkd.data.caches import Cache, caches_of
from owkd.errors import ConfigError, UserError
from owkd.files import sync_folder
from search.runs.layout import RunFolder, instead_of
from search.runs.lock import is_locked, lock_run
from search.runs.manifest import WITHIN, locate_run, read_run
from search.storage.address import Address
from search.storage.object_store import ObjectStore

MANIFEST = "run.yaml"


def require_deletable(run: Address | Path | str) -> RunFolder:
    """The folder of a run that may be deleted, also of a damaged one.

    Raises `UserError` where there is no run, for the control of another one, and while a process drives it.
    """
    address = Address.of(run)
    store = ObjectStore.at(address)
    if not store.has(MANIFEST) and not store.has("study.journal"):
        raise UserError(f"a run must hold {MANIFEST}, but {address} has none; {instead_of(address)}")
    folder = locate_run(address, drive=True)
    if is_locked(folder):
        raise UserError(f"a run must not be driven while it is deleted, but {address} is; stop its driver first")
    try:
        within = WITHIN in read_run(folder)[1]
    except UserError:  # damaged, or of another version: it goes all the same
        within = False
    if within:
        raise UserError(f"a control must go with the run around it, but got {address}; delete {address.above}")
    return folder


def shared_caches(folder: RunFolder) -> list[Cache]:
    """What the run's data set has beside it, which other runs use too; none where that is not known any more."""
    try:
        config, _ = read_run(folder)
    except (UserError, ConfigError):
        return []
    folders = {config.data.cache, config.teacher.targets.folder}
    caches = [cache for own in folders for cache in caches_of(config.data.root / config.data.dataset, own)]
    return list({cache.folder: cache for cache in caches}.values())


def delete_run(run: Address | Path | str) -> list[Cache]:
    """Deletes a run and its working copies on this machine -> shared caches that remain.

    run.yaml goes last, so that what a kill leaves is still listed and can be deleted again. On this machine the run is
    held meanwhile; a store is only asked before whether a driver is alive. Raises as `require_deletable`.
    """
    folder = require_deletable(run)
    caches = shared_caches(folder)
    address = Address.of(run)
    if address.remote:
        store = ObjectStore.at(address)
        for name in sorted(store.files(), key=lambda name: name == MANIFEST):
            store.remove(name)
        store.remove("")
        for whose in ("driver", "reader"):
            shutil.rmtree(address.copy(whose), ignore_errors=True)
        return caches
    with lock_run(folder):
        for path in folder.root.iterdir():
            if path.name not in (MANIFEST, folder.lock.name):
                _remove(path)
        folder.manifest.unlink(missing_ok=True)
        shutil.rmtree(folder.root)
        sync_folder(folder.root.parent)
    return caches


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
