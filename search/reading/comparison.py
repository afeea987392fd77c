"""Runs beside each other: what they were given, where that differs, and what they found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owkd.errors import UserError
from search.reading.overview import RunOverview, overview
from search.runs.manifest import open_run
from search.storage.address import Address

UNTOLD = ("name",)
"""fields that distinguish runs and not what they do"""


@dataclass(frozen=True)
class RunsComparison:
    """Several runs.

    Attributes:
        runs: one row each, in the order that was asked for
        settings: by dotted path of the configuration, a value for each run, where they differ; None: not set there
        caveats: why figures of these runs must not be compared, in sentences
    """

    runs: tuple[RunOverview, ...]
    settings: Mapping[str, tuple[Any, ...]]
    caveats: tuple[str, ...] = ()


def compare_runs(runs: Sequence[Address | Path | str]) -> RunsComparison:
    """What distinguishes two runs or more. Raises `UserError` where one is none, or cannot be read."""
    if len(runs) < 2:
        raise UserError(f"at least two runs must be compared, but got {len(runs)}; name another one")
    opened = [open_run(run, only=("run.yaml",))[1:] for run in runs]
    flat = [dict(_flat(config.to_dict())) for config, _ in opened]
    paths = dict.fromkeys(path for settings in flat for path in settings if path not in UNTOLD)
    values = {path: tuple(settings.get(path) for settings in flat) for path in paths}
    differing = {path: own for path, own in values.items() if any(value != own[0] for value in own)}
    return RunsComparison(tuple(map(overview, runs)), differing, tuple(_caveats(opened)))


def _caveats(opened: Sequence[tuple[Any, Mapping[str, Any]]]) -> Iterator[str]:
    configs, prints = zip(*((config, manifest.get("fingerprints", {})) for config, manifest in opened), strict=True)
    if any(known.get("data") != prints[0].get("data") for known in prints):
        yield "The images differ: figures of one run say nothing of another."
    elif any(known.get("teacher") != prints[0].get("teacher") for known in prints):
        yield "The teachers differ."
    if len({config.search.leading_metric for config in configs}) > 1:
        yield "The objectives differ: their figures are not of one kind."
    if len({(config.train.epochs, config.data.folds, config.search.seeds) for config in configs}) > 1:
        yield "Epochs, folds or seeds differ: so do the figures by which trials were judged, whatever the weights are."


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree by dotted path; entries of the search space are leaves."""
    if isinstance(tree, Mapping) and tree and not path.startswith("search.space."):
        for name, below in tree.items():
            yield from _flat(below, f"{path}.{name}" if path else str(name))
    else:
        yield path, tree
