"""The Optuna study on disk: the one truth about which trials exist and how each ended.

| our state       | Optuna                                                                        |
|-----------------|-------------------------------------------------------------------------------|
| `running`       | RUNNING: under way, or interrupted and handed out again first when reopened   |
| `complete`      | COMPLETE, value = the best validation epoch                                   |
| `pruned`        | PRUNED, with every intermediate value, the last report's included             |
| `diverged`      | PRUNED with NaN at that step, and infeasible: for TPE worse than all others   |
| `out_of_memory` | FAIL                                                                          |
| `error`         | FAIL, with the error's type and text as user attributes                       |

Only the driver opens it. Why a diverged trial is infeasible as well: TPE ranks pruned trials by how far they came,
so that NaN at a late step would count for more than a sound trial that was stopped early.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from owkd.config import Config
from search.space import distributions, published_point, suggest
from search.states import State

StoppedBy = Literal["scheduler", "give_up"]
"""what ended a trial that was pruned; `give_up`: its first fold and seed were clearly worse than the best trial's"""


@dataclass(frozen=True)
class Proposal:
    """A trial to run: a new one, or one that was interrupted."""

    number: int
    values: dict[str, Any]
    """by dotted configuration path"""
    published: bool


@dataclass(frozen=True)
class Ending:
    """How a trial ended."""

    state: State
    step: int = 0
    """the step that diverged; only then"""
    error_type: str | None = None
    error_text: str | None = None
    stopped_by: StoppedBy | None = None


@dataclass(frozen=True)
class TrialView:
    """A trial as the study knows it."""

    number: int
    state: State
    attempt: int
    """how often it was started; 0: handed out, but not started yet"""
    published: bool
    nearest: bool
    """Optuna's parameters are only the nearest that it can express; `values` are what ran"""
    values: dict[str, Any]
    curve: dict[int, float]
    """objective by step"""
    objective: float | None
    best_step: int | None
    started_at: datetime | None
    ended_at: datetime | None
    host: str | None
    error_type: str | None
    error_text: str | None
    stopped_by: StoppedBy | None = None
    gpu_share: float | None = None
    """of the last attempt; 0 on a CPU, None before the first"""

    @property
    def last_step(self) -> int:
        return max(self.curve, default=0)


class Study:
    """Ask/tell on a journal that survives its driver."""

    def __init__(self, journal: Path, name: str, config: Config) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.config = config
        self._storage = JournalStorage(JournalFileBackend(str(journal)))
        # A journal holds one study. A run whose folder was renamed since goes on with it instead of beginning another.
        name = next(iter(optuna.get_all_study_names(self._storage)), name)
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=name,
            direction="maximize",
            sampler=_sampler(config, 0),
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(name)
        self._published = published_point(config)
        if not self._study.get_trials(deepcopy=False):
            self._study.set_user_attr("target", config.search.trials)
            self.remember(config)
            self._study.enqueue_trial(self._published.params)
        self._interrupted = [trial.number for trial in self._frozen() if trial.state == TrialState.RUNNING]

    @property
    def began_with(self) -> Mapping[str, Any] | None:
        """The configuration that the trials until now were made of; None in a study of an earlier version."""
        found: Mapping[str, Any] | None = self._study.user_attrs.get("config")
        return found

    def remember(self, config: Config) -> None:
        """Takes a configuration as the one that trials are made of from now on."""
        self._study.set_user_attr("config", config.to_dict())

    def clashes(self) -> list[str]:
        """Parameters that cannot stay in this study under the space of now, each with the reason."""
        wanted = distributions(self.config.search.space)
        found: dict[str, str] = {}
        for trial in self._frozen():
            for name in trial.distributions.keys() & wanted.keys():
                try:
                    check_distribution_compatibility(trial.distributions[name], wanted[name])
                except ValueError:
                    found[name] = f"{name}: {trial.distributions[name]} -> {wanted[name]}"
        return [found[name] for name in sorted(found)]

    @property
    def target(self) -> int:
        """How many trials there shall be, the published setting included."""
        return int(self._study.user_attrs.get("target", self.config.search.trials))

    def raise_target(self, more: int) -> None:
        """Asks for `more` trials than were planned until now."""
        self._study.set_user_attr("target", self.target + more)

    def has_work(self) -> bool:
        """Whether `next` would give a trial."""
        return bool(self._interrupted) or self._asked() < self.target

    def next(self) -> Proposal | None:
        """The next trial to run: interrupted ones first, under their own numbers; None when there are enough."""
        if self._interrupted:
            number = self._interrupted.pop(0)
            self._study.sampler = _sampler(self.config, number)
            trial = Trial(self._study, self._trial_id(number))
        else:
            asked = self._asked()
            if asked >= self.target:
                return None
            # A sampler of its own for each number: proposals hang on the history alone, not on how often the
            # search was resumed.
            self._study.sampler = _sampler(self.config, asked)
            trial = self._study.ask()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            values = suggest(trial, self.config.search.space)
        published = trial.number == 0
        if published:
            values = self._published.values
            trial.set_user_attr("published", True)
            trial.set_user_attr("nearest", not self._published.exact)
        trial.set_user_attr("values", values)
        trial.set_user_attr("state", "running")
        return Proposal(trial.number, values, published)

    def started(self, number: int, gpu: float = 0.0) -> None:
        """Counts another attempt at a trial, on this share of a GPU."""
        view = self.view(number)
        self._set(number, "attempt", view.attempt + 1)
        if gpu != view.gpu_share:
            self._set(number, "gpu_share", gpu)
        if view.started_at is None:
            self._set(number, "started_at", _now())

    def report(self, number: int, step: int, objective: float, host: str | None = None) -> bool:
        """Records one step -> whether it is news: an epoch that is told again changes nothing."""
        trial = self._frozen_trial(number)
        if host and trial.user_attrs.get("host") != host:
            self._set(number, "host", host)
        if step in trial.intermediate_values:
            return False
        self._storage.set_trial_intermediate_value(self._trial_id(number), step, objective)
        return True

    def finish(self, number: int, ending: Ending) -> TrialView:
        """Tells Optuna how a trial ended, once and for all."""
        view = self.view(number)
        for key in ("error_type", "error_text", "stopped_by"):
            value = getattr(ending, key)
            if value is not None:
                self._set(number, key, value)
        self._set(number, "ended_at", _now())
        self._set(number, "state", ending.state)
        match ending.state:
            case "complete":
                self._study.tell(number, view.objective)
            case "pruned":
                self._study.tell(number, state=TrialState.PRUNED)
            case "diverged":
                self._mark_diverged(number, max(ending.step, view.last_step + 1))
                self._study.tell(number, state=TrialState.PRUNED)
            case "out_of_memory" | "error":
                self._study.tell(number, state=TrialState.FAIL)
            case "running":
                raise AssertionError("a trial that runs has not ended")
        return self.view(number)

    def view(self, number: int) -> TrialView:
        """One trial."""
        return self._view(self._frozen_trial(number))

    def views(self) -> Iterator[TrialView]:
        """All trials that were handed out, by number."""
        return (self._view(trial) for trial in self._frozen() if trial.state != TrialState.WAITING)

    def epochs(self, values: Mapping[str, Any]) -> int:
        """Epochs of a trial on one part."""
        return int(values.get("train.epochs", self.config.train.epochs))

    def _view(self, trial: FrozenTrial) -> TrialView:
        attrs = trial.user_attrs
        values = attrs.get("values", {})
        curve = {step: value for step, value in trial.intermediate_values.items() if not math.isnan(value)}
        best_step, objective = best(curve, self.epochs(values)) or (None, None)
        return TrialView(
            number=trial.number,
            state=attrs.get("state", "error") if trial.state.is_finished() else "running",
            attempt=attrs.get("attempt", 0),
            published=attrs.get("published", False),
            nearest=attrs.get("nearest", False),
            values=values,
            curve=curve,
            objective=objective,
            best_step=best_step,
            started_at=_time(attrs.get("started_at")),
            ended_at=_time(attrs.get("ended_at")) if trial.state.is_finished() else None,
            host=attrs.get("host"),
            stopped_by=attrs.get("stopped_by"),
            gpu_share=attrs.get("gpu_share"),
            error_type=attrs.get("error_type"),
            error_text=attrs.get("error_text"),
        )

    def _mark_diverged(self, number: int, step: int) -> None:
        if not any(math.isnan(value) for value in self._frozen_trial(number).intermediate_values.values()):
            self._storage.set_trial_intermediate_value(self._trial_id(number), step, math.nan)
        trial = Trial(self._study, self._trial_id(number))
        if not self._frozen_trial(number).constraints:
            trial.set_constraint("finite", 1.0)

    def _set(self, number: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._trial_id(number), key, value)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _frozen_trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def _asked(self) -> int:
        return sum(trial.state != TrialState.WAITING for trial in self._frozen())

    def _frozen(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def best(curve: Mapping[int, float], epochs: int) -> tuple[int, float] | None:
    """The step and value that a trial is judged by: its best epoch on the last part that it reached.

    Steps count on from part to part, and the objective at a step already averages the best of the parts before it:
    a high value on the first part alone is no rival of a mean over two. The earliest of equals wins.
    """
    if not curve:
        return None
    first = (max(curve) - 1) // epochs * epochs
    step = min((step for step in curve if step > first), key=lambda step: (-curve[step], step))
    return step, curve[step]


def _sampler(config: Config, number: int) -> BaseSampler:
    """A fresh sampler for the trial of that number. What Optuna could change by default is pinned."""
    chosen = config.search.sampler
    seed = int(np.random.SeedSequence([chosen.seed, number]).generate_state(1)[0])
    if chosen.name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(
        n_startup_trials=chosen.startup_trials, n_ei_candidates=24, multivariate=True, constant_liar=True, seed=seed
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
