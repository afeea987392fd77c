"""What must be true of a search in the end, however often it was killed: each violation in words."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import optuna
from optuna.trial import FrozenTrial, TrialState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from owkd.config import AshaSettings, Config
from search.results.tables import read_epochs, read_trials
from search.runs.layout import RunFolder, trial_name
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.space.parameters import single
from search.study.study import Study
from tests.chaos.driver import run_of
from tests.chaos.training import alone

OPTUNA_STATE = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "out_of_memory": TrialState.FAIL,
    "error": TrialState.FAIL,
}
STATE_OF_FATE = {
    "diverge": "diverged",
    "out of memory": "out_of_memory",
    "refuse": "error",
    "crash always": "error",
    "bad": "pruned",
}
Row = dict[str, Any]


def violations(folder: Path, *, trials: int, interrupted: set[int]) -> list[str]:
    """Everything that is wrong with the finished search of a prepared folder; `interrupted`: trials seen cut off."""
    run = run_of(folder)
    _, config, _ = open_run(run)
    rows = read_trials(run / "results").to_pylist()
    epochs = read_epochs(run / "results").to_pylist()
    told = study_trials(run)
    found = [*_counts(rows, told, trials), *_tables(run, epochs), *_remains(folder), *_trained_twice(folder)]
    if found:
        return found
    fates = json.loads((config.data.root / "plan.json").read_text())
    for row, frozen, view in zip(rows, told, Study(run / "study.journal", run.name, config).views(), strict=True):
        number = row["trial"]
        own = [epoch for epoch in epochs if epoch["trial"] == number]
        of_trial = [
            *_state(row, frozen, own, config, fates.get(trial_name(number), "")),
            *_numbers(number, own, alone_for(config, view.values, number, folder / "alone")),
            *_events(run, number, own),
        ]
        if number in interrupted and row["attempt"] < 2:
            of_trial.append(f"was interrupted, but has attempt {row['attempt']}")
        found += [f"trial {number} ({row['state']}): {text}" for text in of_trial]
    return found


def study_trials(run: Path) -> list[FrozenTrial]:
    """The study as Optuna itself reads it."""
    backend = optuna.storages.journal.JournalFileBackend(str(run / "study.journal"))
    return optuna.load_study(study_name=run.name, storage=optuna.storages.JournalStorage(backend)).trials


def alone_for(config: Config, values: dict[str, Any], number: int, directory: Path) -> list[dict[str, float]]:
    """The same trial, trained alone and without a break."""
    return alone(single(config, values), trial_name(number), fold=config.data.folds[0], directory=directory)


def _counts(rows: list[Row], told: list[FrozenTrial], trials: int) -> Iterator[str]:
    if [row["trial"] for row in rows] != list(range(trials)):
        yield f"{trials} trials were asked for, but the table has {[row['trial'] for row in rows]}"
    if [trial.number for trial in told] != list(range(trials)):
        yield f"{trials} trials were asked for, but the study has {[trial.number for trial in told]}"
    for trial in told:
        if not trial.state.is_finished():
            yield f"trial {trial.number} is {trial.state.name} in the study"


def _tables(run: Path, epochs: list[Row]) -> Iterator[str]:
    """The files as a stranger's SQL reads them: no epoch twice, and no other than we read ourselves."""
    files = f"{run}/results/epochs/**/*.parquet"
    twice = _rows(
        f"select trial, fold, seed, epoch, count(*) from read_parquet('{files}', union_by_name=true) "
        "group by all having count(*) > 1"
    )
    if twice:
        yield f"epochs stand twice in Parquet: {twice}"
    stranger = _rows(
        f"select trial, step, objective from read_parquet('{files}', union_by_name=true) order by trial, step"
    )
    ours = [(row["trial"], row["step"], row["objective"]) for row in epochs]
    if stranger != ours:
        yield f"DuckDB reads {len(stranger)} epochs and read_epochs {len(ours)}, or other ones"


def _rows(query: str) -> list[tuple[Any, ...]]:
    table = duckdb.sql(query)
    assert table is not None  # what a select gives
    return table.fetchall()


def _remains(folder: Path) -> Iterator[str]:
    run = RunFolder(run_of(folder))
    temporary = [path for path in (folder / "runs").rglob("*") if path.name.endswith((".tmp", ".lock"))]
    left = [path for path in temporary if path != run.lock and not _unmarked(path)]
    if left:
        yield f"left behind: {[str(path.relative_to(folder)) for path in left]}"
    if run.scratch.exists():
        yield "Ray's scratch folder is still there"
    if is_locked(run):
        yield "the run is still locked"
    beside = sorted(path.name for path in (folder / "runs").iterdir() if path != run.root and not _unmarked(path))
    if beside or not run.root.exists():
        yield f"beside the run lie {beside}"


def _unmarked(path: Path) -> bool:
    """An empty folder, cut off before it had a mark: it stays, as it might be anybody's."""
    return path.is_dir() and not any(path.iterdir())


def _trained_twice(folder: Path) -> Iterator[str]:
    """No epoch that was in a checkpoint is trained again."""
    for line, times in Counter((folder / "data" / "trained.log").read_text().splitlines()).items():
        if times > 1:
            yield f"{line}: trained {times} times"


def _state(row: Row, frozen: FrozenTrial, own: list[Row], config: Config, fate: str) -> Iterator[str]:
    state = row["state"]
    if frozen.state != OPTUNA_STATE.get(state):
        yield f"the study says {frozen.state.name}"
    if fate in STATE_OF_FATE and state != STATE_OF_FATE[fate] and not (fate == "bad" and state == "complete"):
        yield f"its fate was {fate}"
    reported = {step: value for step, value in frozen.intermediate_values.items() if not math.isnan(value)}
    if reported != {epoch["step"]: epoch["objective"] for epoch in own}:
        yield f"steps {sorted(reported)} in the study, {[epoch['step'] for epoch in own]} in Parquet, or other values"
    if (state == "diverged") != any(math.isnan(value) for value in frozen.intermediate_values.values()):
        yield "NaN stands in the study of a diverged trial, and of no other"
    if state == "complete" and frozen.value != max(reported.values()):
        yield f"its value is {frozen.value}, its best epoch {max(reported.values())}"
    if state == "pruned" and len(own) not in rungs(config):
        yield f"stopped after {len(own)} epochs, which is no rung of {rungs(config)}"


def rungs(config: Config) -> list[int]:
    """Where ASHA decides."""
    chosen = config.search.scheduler
    assert isinstance(chosen, AshaSettings)
    found = [chosen.grace_epochs]
    while found[-1] * chosen.reduction_factor < config.train.epochs:
        found.append(found[-1] * chosen.reduction_factor)
    return found


def _numbers(number: int, own: list[Row], reference: list[dict[str, float]]) -> Iterator[str]:
    if [row["epoch"] for row in own] != list(range(1, len(own) + 1)):
        yield f"epochs {[row['epoch'] for row in own]}"
        return
    state_allows_fewer = len(own) <= len(reference)
    if not state_allows_fewer:
        yield f"{len(own)} epochs, but only {len(reference)} when trained alone"
    for row, metrics in zip(own, reference, strict=False):
        for name, value in metrics.items():
            if row[name] != value:
                yield f"epoch {row['epoch']}: {name} is {row[name]}, {value} when trained alone"


def _events(run: Path, number: int, own: list[Row]) -> Iterator[str]:
    """The board shows each epoch once."""
    if not own:
        return
    events = EventAccumulator(str(run / "tensorboard" / trial_name(number))).Reload()
    steps = [event.step for event in events.Scalars("val/mAP")]
    if steps != [row["step"] for row in own]:
        yield f"TensorBoard shows steps {steps}, Parquet {[row['step'] for row in own]}"
