"""Caches on the console: what is derived from data sets, listed and cleared."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from launch.output.confirmation import require_consent
from launch.output.console import console, print_prose
from launch.output.trials import print_json
from owkd.data.caches import Cache, caches_of, clear, user_caches
from owkd.errors import UserError
from owkd.formatting import format_bytes, format_count


def print_caches(dataset: Path | None, *, as_json: bool) -> None:
    """Those of a data set, or in the user's cache folder. Raises `UserError` for a folder that is none."""
    caches = _caches(dataset)
    if as_json:
        print_json([{**asdict(cache), "folder": str(cache.folder), "bytes": cache.bytes} for cache in caches])
    elif not caches:
        print_prose(_nothing(dataset))
    else:
        console.print(_table(caches))


def clear_caches(dataset: Path | None, *, sure: bool) -> None:
    """Removes them, once that was confirmed. Raises `UserError`."""
    caches = _caches(dataset)
    if not caches:
        print_prose(_nothing(dataset))
        return
    if not sure:
        console.print(_table(caches))
    require_consent("Delete them? The next training that needs them makes them anew.", sure=sure)
    for cache in caches:
        clear(cache)
        console.print(f"cleared: {cache.folder} ({format_bytes(cache.bytes)})", soft_wrap=True)


def print_remaining(caches: Sequence[Cache]) -> None:
    """What stays when a run is deleted."""
    for cache in caches:
        console.print(
            f"stays, since all runs on this data share it: {cache.folder} ({format_bytes(cache.bytes)}); "
            "owkd cache clear removes it",
            soft_wrap=True,
        )


def _caches(dataset: Path | None) -> list[Cache]:
    if dataset is None:
        return user_caches()
    if not dataset.is_dir():
        raise UserError(f"DATASET must be the folder of a data set, but {dataset} is none; give one, or leave it out")
    return caches_of(dataset)


def _nothing(dataset: Path | None) -> str:
    return f"no cache {'in your cache folder' if dataset is None else f'of {dataset}'}"


def _table(caches: Sequence[Cache]) -> Table:
    table = Table(title=format_count(len(caches), "cache"), title_justify="left")
    table.add_column("folder", overflow="fold")
    for name in ("images", "targets", "other", "in all"):
        table.add_column(name, justify="right", no_wrap=True)
    for cache in caches:
        sizes = (cache.images, cache.targets, cache.other, cache.bytes)
        table.add_row(str(cache.folder), *map(format_bytes, sizes))
    return table
