"""Runs in a folder or a store at a glance: how far each has come, and what it found."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from owkd.errors import UserError
from search.results.equal_epochs import best_complete
from search.results.listing import list_trials
from search.results.parquet import read_table
from search.runs.layout import RunFolder, run_names
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.storage.address import Address
from search.storage.object_store import ObjectStore

RunState = Literal["running", "interrupted", "searched", "finished", "unreadable"]
"""driven at the moment; left with trials to come; all trials over; with a champion; damaged, or of another version"""


@dataclass(frozen=True)
class RunOverview:
    """A run in one row.

    Attributes:
        created_at: ISO 8601, UTC
        over: trials that ended
        trials: that there shall be, as far as the tables know
        states: trials by state
        metric: the first objective
        best: number of the best complete trial
        objective: its value
        test: the champion's mean of the primary claim's metric on the test split; None before the final stage
        bytes: of all of its files
        problem: why it cannot be read
    """

    address: str
    name: str
    state: RunState
    created_at: str | None = None
    dataset: str | None = None
    over: int = 0
    trials: int = 0
    states: dict[str, int] = field(default_factory=dict)
    metric: str | None = None
    best: int | None = None
    objective: float | None = None
    test: float | None = None
    test_metric: str | None = None
    bytes: int = 0
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def list_runs(place: Address | Path | str = "runs") -> list[RunOverview]:
    """The runs right in a folder or at an address, the newest first; none where there is no such place.

    One that cannot be read is listed with the reason. Raises `UserError` where a store cannot be used.
    """
    place = Address.of(place)
    runs = [overview(place / name) for name in run_names(place)]
    return sorted(runs, key=lambda run: run.created_at or "", reverse=True)


def overview(run: Address | Path | str) -> RunOverview:
    """One run in a row; one that cannot be read has the reason in `problem`."""
    address = Address.of(run)
    size = sum(stat.size for stat in ObjectStore.at(address).files().values())
    try:
        return _overview(address, size)
    except UserError as error:
        return RunOverview(str(address), address.name, "unreadable", bytes=size, problem=str(error))


def _overview(address: Address, size: int) -> RunOverview:
    folder, config, manifest = open_run(address, only=("results", "retrain/champion/metrics.json"))
    trials = list_trials(address).to_pylist()
    states = Counter(row["state"] for row in trials)
    over = len(trials) - states["running"] - states["interrupted"]
    planned = max(config.search.trials, len(trials))
    best = best_complete(trials)
    claim = _primary_claim(folder)
    state: RunState = "finished" if (folder.champion / "metrics.json").is_file() else "searched"
    if state == "searched" and over < planned:
        state = "interrupted"
    if is_locked(folder):
        state = "running"
    return RunOverview(
        str(address),
        address.name,
        state,
        created_at=manifest.get("created_at") or manifest.get("restored_at"),
        dataset=config.data.dataset,
        over=over,
        trials=planned,
        states=dict(states),
        metric=config.search.leading_metric,
        best=None if best is None else best["trial"],
        objective=None if best is None else best["objective"],
        test=claim.get("champion_mean"),
        test_metric=claim.get("metric"),
        bytes=size,
    )


def _primary_claim(folder: RunFolder) -> dict[str, Any]:
    file = folder.results / "retrain" / "comparison.parquet"
    rows = read_table(file).to_pylist() if file.is_file() else []
    return next((row for row in rows if row.get("primary")), {})
