"""What a report is made of: the files of a run as plain rows. Files are enough, so a running search will do."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from owkd.config import Config
from search.results.listing import list_trials
from search.results.parquet import read_table
from search.results.schema import PARAM, Row
from search.results.tables import read_epochs
from search.runs.layout import RunFolder, trial_name
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.space.parameters import columns
from search.storage.address import Address
from search.tensorboard.panels import CURVES, PICTURES

EPOCH_COLUMNS = ("trial", "fold", "seed", "epoch", "step", "objective", "duration_s")
STAGE_WEIGHTS = tuple(f"stage_weight/{stage}" for stage in range(1, 5))


@dataclass(frozen=True)
class Picture:
    """How one of the best trials ranks the validation split."""

    trial: int
    curves: Mapping[str, Any]
    retrieval: str
    """PNG, base64"""


@dataclass(frozen=True)
class RunData:
    """A run as its files tell it."""

    folder: RunFolder
    config: Config
    manifest: Mapping[str, Any]
    driven: bool
    """whether a process works on it at the moment"""
    trials: Sequence[Row]
    """best first, as `owkd trials` lists them"""
    epochs: Mapping[int, Sequence[Row]]
    """by trial, in order of their steps"""
    params: tuple[str, ...]
    """names of the searched columns, simplex weights by component"""
    models: Sequence[Row]
    """of the final stage; empty before it"""
    tests: Sequence[Row]
    """the champion's leads"""
    comparison: Mapping[str, Any] | None
    """what retrain/champion/metrics.json says of it; None before the end of the final stage"""
    pictures: Sequence[Picture]

    @property
    def metric(self) -> str:
        """Name of the first objective."""
        return self.config.search.objectives[0].metric

    @property
    def complete(self) -> list[Row]:
        """Complete trials, best first."""
        return [row for row in self.trials if row["state"] == "complete"]

    @property
    def best(self) -> Row | None:
        """The best complete trial that keeps every constraint."""
        return next((row for row in self.complete if row["feasible"]), None)


def gather(run: Address | Path | str) -> RunData:
    """Reads a run. Raises `UserError` when `run` is no run."""
    folder, config, manifest = open_run(run)
    return RunData(
        folder=folder,
        config=config,
        manifest=manifest,
        driven=is_locked(folder),
        trials=list_trials(run).to_pylist(),
        epochs=_epochs(read_epochs(folder.results)),
        params=tuple(columns(config)),
        models=_rows(folder.results / "retrain" / "models.parquet"),
        tests=_rows(folder.results / "retrain" / "comparison.parquet"),
        comparison=(_json(folder.champion / "metrics.json") or {}).get("comparison"),
        pictures=_pictures(folder),
    )


def param(row: Row, name: str) -> Any:
    """The value of a searched column of a trial."""
    return row.get(f"{PARAM}{name}")


def _epochs(table: pa.Table) -> dict[int, list[Row]]:
    kept = [name for name in (*EPOCH_COLUMNS, *STAGE_WEIGHTS) if name in table.column_names]
    found: dict[int, list[Row]] = {}
    for row in table.select(kept).to_pylist():
        found.setdefault(row["trial"], []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: int(row["step"]))
    return found


def _pictures(folder: RunFolder) -> list[Picture]:
    found = []
    for place in sorted(folder.panels.glob("trial-*")) if folder.panels.is_dir() else []:
        curves, retrieval = _json(place / CURVES), place / f"{PICTURES[0]}.png"
        number = int(place.name.removeprefix(trial_name(0)[:-5]))
        if curves is not None and retrieval.is_file():
            found.append(Picture(number, curves, base64.b64encode(retrieval.read_bytes()).decode()))
    return sorted(found, key=lambda picture: -float(picture.curves["mAP"]))


def _rows(path: Path) -> list[Row]:
    return read_table(path).to_pylist() if path.is_file() else []


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def short(name: str) -> str:
    """A searched column for people: `teacher original`, `stage 3 weight`, `gce_gram`."""
    section, _, last = name.rpartition(".")
    match section:
        case "distill.teacher_weights":
            return f"teacher {last}"
        case "distill.stage_weights":
            return f"{last.replace('stage', 'stage ')} weight"
        case _:
            return last
