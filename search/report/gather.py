"""What a report is made of: the files of a run as plain rows. Files are enough, so a running search will do."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from owkd.config import Config
from search.luck import Noise
from search.results.equal_epochs import best_after_as_many, best_complete
from search.results.listing import list_trials, noise_of_run
from search.results.parquet import read_table
from search.results.schema import PARAM, Row, grouped
from search.results.tables import read_epochs, without_epochs
from search.runs.damage import DamagedRunError, read_json, reading
from search.runs.layout import RunFolder, trial_name
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.space.parameters import columns
from search.storage.address import Address
from search.teaching import sentences_of_run
from search.tensorboard.panels import CURVES, PICTURES

EPOCH_COLUMNS = ("trial", "fold", "seed", "epoch", "step", "objective", "duration_s")
DRAWN = ("cmc", "precision")
"""curves of a trial's pictures"""
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
        notes: what is left out, since its file is damaged or missing
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
    notes: Sequence[str] = ()

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
        return best_complete(self.trials)

    @property
    def best_then(self) -> dict[int, float]:
        """What the best trial was worth after as many epochs, by the number of each that is not complete."""
        own = () if self.best is None else self.epochs.get(self.best["trial"], ())
        return best_after_as_many(self.config.search, self.trials, own)


def gather(run: Address | Path | str) -> RunData:
    """Reads a run. Raises `UserError` when `run` is no run."""
    folder, config, manifest = open_run(run)
    trials = list_trials(run).to_pylist()
    notes: list[str] = []
    epochs: dict[int, list[Row]] = {}
    with _noted(notes):
        judged = (config.search.leading_metric, config.search.deciding_metric)
        epochs = _epochs_by_trial(read_epochs(folder.results), judged)
        if lacking := without_epochs({row["trial"]: row["last_step"] for row in trials}, epochs):
            notes.append(lacking)
    comparison = (_json(folder.champion / "metrics.json") or {}).get("comparison")
    final = {name: folder.results / "retrain" / f"{name}.parquet" for name in ("models", "comparison")}
    for file in final.values():
        if "claims" in (comparison or {}) and not file.is_file():
            raise DamagedRunError(file, "is missing")
    return RunData(
        folder=folder,
        config=config,
        manifest=manifest,
        has_driver=is_locked(folder),
        trials=trials,
        epochs=epochs,
        params=tuple(columns(config)),
        models=_rows(final["models"]),
        claims=[row for row in _rows(final["comparison"]) if "kind" in row],
        comparison=comparison,
        panels=_panels(folder, notes),
        noise=noise_of_run(trials),
        teaching=tuple(sentences_of_run(folder.results, config)),
        notes=notes,
    )


def param(row: Row, name: str) -> Any:
    """The value of a searched column of a trial."""
    return row.get(f"{PARAM}{name}")


def _epochs_by_trial(table: pa.Table, judged: Sequence[str]) -> dict[int, list[Row]]:
    wanted = dict.fromkeys((*EPOCH_COLUMNS, *STAGE_WEIGHTS, *judged))
    kept = [name for name in wanted if name in table.column_names]
    rows = sorted(table.select(kept).to_pylist(), key=lambda row: int(row["step"]))
    return grouped(rows, "trial")


def _panels(folder: RunFolder, notes: list[str]) -> list[TrialPanel]:
    panels = []
    for trial in sorted(folder.panels.glob("trial-*")):
        if (trial / CURVES).is_file():
            with _noted(notes):
                panels.append(_panel(trial))
    return sorted(panels, key=lambda panel: -panel.curves["mAP"])


def _panel(trial: Path) -> TrialPanel:
    """The pictures of one trial. Raises `DamagedRunError`."""
    retrieval = trial / f"{PICTURES[0]}.png"
    with reading(trial / CURVES):
        known = read_json(trial / CURVES)
        curves = {"mAP": float(known["mAP"]), **{name: [float(value) for value in known[name]] for name in DRAWN}}
    if not retrieval.is_file():
        raise DamagedRunError(retrieval, "is missing")
    with reading(retrieval):
        png = retrieval.read_bytes()
        Image.open(BytesIO(png)).verify()
    number = int(trial.name.removeprefix(trial_name(0)[:-5]))
    return TrialPanel(number, curves, base64.b64encode(png).decode())


@contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """What a page can do without is left out where it is damaged, and the page says so."""
    try:
        yield
    except DamagedRunError as error:
        notes.append(str(error))


def _rows(path: Path) -> list[Row]:
    return read_table(path).to_pylist() if path.is_file() else []


def _json(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.is_file() else None


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
