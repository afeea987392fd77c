"""What a report is made of: the files of a run as plain rows. Files are enough, so a running search will do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from owkd.config import Config
from search.luck import Noise
from search.results.listing import list_trials, noise_of_run
from search.results.parquet import read_table
from search.results.schema import PARAM, Row
from search.results.tables import read_epochs
from search.runs.layout import RunFolder, trial_name
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.space.parameters import columns
from search.storage.address import Address
from search.teaching import sentences_of_run
from search.tensorboard.panels import CURVES, PICTURES

EPOCH_COLUMNS = ("trial", "fold", "seed", "epoch", "step", "objective", "duration_s")
STAGE_WEIGHTS = tuple(f"stage_weight/{stage}" for stage in range(1, 5))


@dataclass(frozen=True)
class TrialPanel:
    """How one of the best trials ranks the validation split.

    Attributes:
        retrieval_png: base64
    """

    trial: int
    curves: Mapping[str, Any]
    retrieval_png: str


@dataclass(frozen=True)
class RunData:
    """A run as its files have it.

    Attributes:
        has_driver: whether a process drives it at the moment
        trials: best first, as `owkd trials` lists them
        epochs: by trial, in order of their steps
        params: names of the searched columns, simplex weights by component
        models: of the final stage; empty before it
        claims: the champion against each baseline, in the order of the tests; of an earlier version: none
        comparison: from retrain/champion/metrics.json; None before the end of the final stage
        panels: best ranking first
        noise: of one training; None where it cannot be told
        teaching: whether the teacher has something to teach, in sentences
    """

    folder: RunFolder
    config: Config
    manifest: Mapping[str, Any]
    has_driver: bool
    trials: Sequence[Row]
    epochs: Mapping[int, Sequence[Row]]
    params: tuple[str, ...]
    models: Sequence[Row]
    claims: Sequence[Row]
    comparison: Mapping[str, Any] | None
    panels: Sequence[TrialPanel]
    noise: Noise | None = None
    teaching: Sequence[str] = ()

    @property
    def metric(self) -> str:
        """Name of the first objective."""
        return self.config.search.objectives[0].metric

    @property
    def complete(self) -> list[Row]:
        """Complete trials, best first."""
        return [row for row in self.trials if row["state"] == "complete"]

    @property
    def comparable(self) -> list[Row]:
        """Trials with a value that saw all parts, the last of them at least in part."""
        return [row for row in self.trials if row["objective"] is not None and row["parts_trained"] > row["parts"] - 1]

    @property
    def best(self) -> Row | None:
        """The best complete trial that keeps every constraint."""
        return next((row for row in self.complete if row["feasible"]), None)


def gather(run: Address | Path | str) -> RunData:
    """Reads a run. Raises `UserError` when `run` is no run."""
    folder, config, manifest = open_run(run)
    trials = list_trials(run).to_pylist()
    return RunData(
        folder=folder,
        config=config,
        manifest=manifest,
        has_driver=is_locked(folder),
        trials=trials,
        epochs=_epochs_by_trial(read_epochs(folder.results)),
        params=tuple(columns(config)),
        models=_rows(folder.results / "retrain" / "models.parquet"),
        claims=[row for row in _rows(folder.results / "retrain" / "comparison.parquet") if "kind" in row],
        comparison=(_json(folder.champion / "metrics.json") or {}).get("comparison"),
        panels=_panels(folder),
        noise=noise_of_run(trials),
        teaching=tuple(sentences_of_run(folder.results, config)),
    )


def param(row: Row, name: str) -> Any:
    """The value of a searched column of a trial."""
    return row.get(f"{PARAM}{name}")


def grouped(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Rows by their value in a column, values and rows in the order in which they come."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def _epochs_by_trial(table: pa.Table) -> dict[int, list[Row]]:
    kept = [name for name in (*EPOCH_COLUMNS, *STAGE_WEIGHTS) if name in table.column_names]
    rows = sorted(table.select(kept).to_pylist(), key=lambda row: int(row["step"]))
    return grouped(rows, "trial")


def _panels(folder: RunFolder) -> list[TrialPanel]:
    panels = []
    for trial in sorted(folder.panels.glob("trial-*")) if folder.panels.is_dir() else []:
        curves, retrieval = _json(trial / CURVES), trial / f"{PICTURES[0]}.png"
        number = int(trial.name.removeprefix(trial_name(0)[:-5]))
        if curves is not None and retrieval.is_file():
            panels.append(TrialPanel(number, curves, base64.b64encode(retrieval.read_bytes()).decode()))
    return sorted(panels, key=lambda panel: -float(panel.curves["mAP"]))


def _rows(path: Path) -> list[Row]:
    return read_table(path).to_pylist() if path.is_file() else []


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


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
