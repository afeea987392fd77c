"""A job, what it trains, and what its worker reports: plain values, so that any Ray can carry them.

A trial of the search and a model of the final stage are both jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from owkd.config import Config
from search.storage.address import Address
from search.storage.fence import Fence
from search.trials.objective import Score
from search.trials.states import State

ReportState = Literal["running", "complete", "diverged", "out_of_memory", "error", "crashed", "unfit", "node_fault"]
"""`crashed` is not the end: the job is started again as often as `search.max_failures` allows; neither is `unfit`: its
node cannot serve (`search.execution.node_admission`); nor `node_fault`: its machine failed
(`search.execution.nodes`)"""


class Part(NamedTuple):
    """One training of a job."""

    fold: str
    seed: int

    def folder(self, root: Path) -> Path:
        """Where its checkpoints are, below its job's directory."""
        return root / f"seed-{self.seed}" / self.fold


@dataclass(frozen=True)
class Job:
    """What a worker is told to do: plain values, so that any Ray can carry it.

    Attributes:
        key: unique within a run; what the driver knows the job by
        parts: trained one after the other; the objective is their mean
        directory: path, or URI where the run lies in a store
        gpu: the share of a GPU that this job needs where the usual one was too small
        attempt: of those at this job, by `search.storage.fence`; 0 where nobody counts
    """

    key: str
    config: dict[str, Any]
    parts: tuple[Part, ...]
    directory: str
    gpu: float | None = None
    attempt: int = 0

    @property
    def fence(self) -> Fence:
        """What keeps attempts at this job apart: beside the checkpoints of its first part."""
        return Fence(str(Address.of(self.directory) / self.parts[0].folder(Path())), self.attempt)


def parts_of(config: Config, seeds: Sequence[int] = ()) -> tuple[Part, ...]:
    """What one trial trains: every fold with the first seed, then every fold with the next; with other `seeds` where
    they are given."""
    seeds = seeds or config.search.seeds or (config.train.seed,)
    return tuple(Part(fold, seed) for seed in seeds for fold in config.data.folds)


def final_state(state: ReportState) -> State:
    """The state of a job that is over, by its last message: one that still ran was stopped by the scheduler."""
    match state:
        case "running":
            return "pruned"
        case "crashed" | "unfit" | "node_fault":
            return "error"
        case _:
            return state


@dataclass(frozen=True)
class Message:
    """What the driver hears: one epoch, or how the job came to an end.

    Attributes:
        step: epochs since the start of the job, over all parts; of a failure: the epoch that failed
        objective: what the scheduler compares: the mean of the parts behind it and this epoch of the current part; NaN
            for a failure
        epoch: 1-based, within this part; 0 for a failure
        metrics: pairs, because Ray keeps statistics of every number at the top level for every trial
        sent_at: seconds since the Unix epoch, on the worker
        judged: what the job is worth if it ends here, by metric
        part_values: the leading metric on each part seen
        best_step: of the epoch that it is judged by
        note: what people must know of the epoch, such as why its training started anew
        device: GPUs that the worker was given, as CUDA counts them on its node; empty for none
    """

    key: str
    state: ReportState
    step: int
    objective: float
    fold: str
    seed: int
    epoch: int
    metrics: tuple[tuple[str, float], ...]
    replayed: bool
    sent_at: float
    host: str
    judged: tuple[tuple[str, float], ...] = ()
    best_step: int = 0
    part_values: tuple[float, ...] = ()
    note: str = ""
    error_type: str | None = None
    error_text: str | None = None
    device: str = ""

    @property
    def score(self) -> Score | None:
        """None for a failure."""
        if not self.judged:
            return None
        return Score(self.objective, dict(self.judged), self.best_step, tuple(self.part_values))

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Message:
        """Takes a message out of what Ray added to it."""
        return cls(**{name: result[name] for name in cls.__dataclass_fields__ if name in result})
