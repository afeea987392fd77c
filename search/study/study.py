"""The Optuna study on disk: the one truth about which trials exist and how each ended.

| our state       | Optuna                                                                        |
|-----------------|-------------------------------------------------------------------------------|
| `running`       | RUNNING: under way, or interrupted and handed out again first when reopened   |
| `complete`      | COMPLETE, with a value for each objective (`search.objectives`)               |
| `pruned`        | PRUNED, with every intermediate value, the last report's included             |
| `diverged`      | PRUNED with NaN at that step, and infeasible: for TPE worse than all others   |
| `out_of_memory` | FAIL                                                                          |
| `error`         | FAIL, with the error's type and text as user attributes                       |

The first trials are fixed (`search.trials.view.FIXED`): the published weights and no distillation.

Only the driver opens it. Why a diverged trial is infeasible as well: TPE ranks pruned trials by how far they came,
so that NaN at a late step would count for more than a sound trial that was stopped early. With several objectives
every pruned trial is infeasible by a hair: TPE has no other order for them there (it asks for a single direction and
raises), and so they come after all complete trials and before those that break a constraint.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from owkd.config import PUBLISHED_METRIC, Config
from owkd.files import sync_folder
from search.runs.damage import reading
from search.samplers.history import HIDDEN, SampledStudy, earlier_trials, is_outside
from search.samplers.model import PART_EPOCHS
from search.samplers.selection import make_sampler
from search.samplers.unseen import VALUES
from search.space.conditions import every_point
from search.space.parameters import (
    Point,
    columns,
    distributions,
    no_distillation_point,
    published_point,
    simplex_weights,
    suggest,
)
from search.study.journal import open_journal
from search.study.looks import is_used_up, look_at
from search.trials.budget import Budget
from search.trials.job import parts_of
from search.trials.objective import Score, plain, score_curve, violations
from search.trials.states import State
from search.trials.view import FIXED, NO_DISTILLATION_NAME, PUBLISHED, Ending, Fixed, Proposal, TrialView

BY_A_HAIR = 1e-6
"""how far a pruned trial misses feasibility where there are several objectives, over its last step"""


NUM_TRIALS = "target"
"""the user attribute, under the name that it has in every study there is"""
FIXED_TRIALS = "fixed"
"""the user attribute: names of the first trials; a study of 0.1.0 has none, and the published weights alone"""


class Study:
    """Ask/tell on a journal that survives its driver."""

    def __init__(
        self,
        journal: Path,
        name: str,
        config: Config,
        earlier: Sequence[Mapping[str, Any]] = (),
        *,
        fixed_trials: bool = True,
        recorded: Collection[int] = (),
    ) -> None:
        """`fixed_trials`: whether a new study begins with them; `recorded`: numbers of trials that left results.

        Raises `DamagedRunError` for a damaged journal, and for one that does not know all of the `recorded` trials: a
        search that began again would mix its trials with theirs. Nothing is written before.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.config = config
        self._earlier: list[FrozenTrial] = []
        self._storage = open_journal(journal, recorded)
        # A journal holds one study. A run whose folder was renamed since goes on with it instead of beginning another.
        name = next(iter(optuna.get_all_study_names(self._storage)), name)
        study = optuna.create_study(
            storage=self._storage,
            study_name=name,
            directions=["maximize" if goal.direction == "max" else "minimize" for goal in config.search.objectives],
            sampler=self._sampler(0),
            load_if_exists=True,
        )
        sync_folder(journal.parent)  # Optuna syncs what is in its journal, not that there is one
        outside = [trial for trial in study.get_trials(deepcopy=False) if self._is_outside(trial)]
        self._study = SampledStudy(study, left_out=[trial.number for trial in outside])
        self.left_out = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in outside)
        """trials that are over and do not fit the space or the constraints of now: the sampler does not see them"""
        self._id = self._storage.get_study_id_from_name(name)
        self._settings: dict[Fixed, Point] = {
            PUBLISHED: published_point(config),
            NO_DISTILLATION_NAME: no_distillation_point(config),
        }
        self._points = every_point(config.search.space)
        self._columns = columns(config)
        self._parts = len(parts_of(config))
        begun = len(self._frozen())
        if not begun:
            self._study.set_user_attr(NUM_TRIALS, config.search.trials)
            self.remember(config)
            if earlier:
                self._study.set_user_attr("earlier", list(earlier))
            self._study.set_user_attr(FIXED_TRIALS, list(FIXED if fixed_trials else ()))
        for fixed in self.fixed[begun:]:  # of a new study all; also of one that was cut off here
            self._enqueue(fixed)
        with reading(journal):
            self._earlier = earlier_trials(self._study.user_attrs.get("earlier", ()), config.search)
            for view in self.views():  # a record that no trial can be made of is found here
                assert view.number >= 0
        self._interrupted = [trial.number for trial in self._frozen() if trial.state == TrialState.RUNNING]

    @property
    def began_with(self) -> Mapping[str, Any] | None:
        """The configuration that the trials until now were made of; None in a study of an earlier version."""
        config: Mapping[str, Any] | None = self._study.user_attrs.get("config")
        return config

    def remember(self, config: Config) -> None:
        """Takes a configuration as the one that trials are made of from now on."""
        self._study.set_user_attr("config", config.to_dict())

    def clashes(self) -> list[str]:
        """What cannot stay in this study under the configuration of now, each with the reason: its objectives, and
        parameters of another kind or scale, or with other choices."""
        wanted = distributions(self.config.search.space)
        clashes: dict[str, str] = {}
        before, now = self._objectives_before(), [goal.metric for goal in self.config.search.objectives]
        if before != now:
            clashes[""] = f"search.objectives: {', '.join(before)} -> {', '.join(now)}"
        for trial in self._frozen():
            for name in trial.distributions.keys() & wanted.keys():
                try:
                    check_distribution_compatibility(trial.distributions[name], wanted[name])
                except ValueError:
                    clashes[name] = f"{name}: {trial.distributions[name]} -> {wanted[name]}"
        return [clashes[name] for name in sorted(clashes)]

    @property
    def fixed(self) -> tuple[Fixed, ...]:
        """What its first trials are, whatever the sampler proposes; every one of them trains to its end."""
        return tuple(self._attributes.get(FIXED_TRIALS, (PUBLISHED,)))

    @property
    def num_trials(self) -> int:
        """How many trials there shall be, the fixed ones included."""
        return int(self._attributes.get(NUM_TRIALS, self.config.search.trials))

    def add_trials(self, more: int) -> None:
        """Asks for `more` trials than were planned until now."""
        self._study.set_user_attr(NUM_TRIALS, self.num_trials + more)

    def has_work(self) -> bool:
        """Whether `next` would give a trial."""
        return bool(self._interrupted) or (self._asked() < self.num_trials and not self.used_up)

    @property
    def used_up(self) -> int:
        """How many points the space has, once each of them has a trial: no further trial is worth its time. Else 0."""
        return len(self._points or ()) if is_used_up(self._points, self._frozen()) else 0

    def next(self) -> Proposal | None:
        """The next trial to run: interrupted ones first, under their own numbers; None when there are enough,
        or when the space is used up."""
        with self._storage.file.together():
            return self._next()

    def _next(self) -> Proposal | None:
        if self._interrupted:
            number = self._interrupted.pop(0)
            self._study.sampler = self._sampler(number)
            trial = Trial(self._study, self._trial_id(number))
        else:
            asked = self._asked()
            if asked >= self.num_trials or self.used_up:
                return None
            # A sampler of its own for each number: proposals depend on the history alone, not on how often the
            # search was resumed.
            self._study.sampler = self._sampler(asked)
            trial = self._study.ask()
        self._name_metrics()
        fixed, values = self._values(trial)
        look = trial.user_attrs.get("look") or look_at(values, trial.number, self._frozen())
        trial.set_user_attr(VALUES, values)
        for name, weight in simplex_weights(self._columns, values).items():
            trial.set_user_attr(name, weight)
        trial.set_user_attr("look", look)
        trial.set_user_attr(PART_EPOCHS, self.epochs(values))
        trial.set_user_attr("state", "running")
        return Proposal(trial.number, values, fixed, look)

    def _name_metrics(self) -> None:
        """Tells whoever shows the study what its objectives are; of a study of an earlier version, once it goes on."""
        if self._study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names([goal.metric for goal in self.config.search.objectives])

    def _objectives_before(self) -> list[str]:
        """Metrics of the objectives that its trials are told with."""
        search = (self.began_with or {}).get("search", {})
        stored = search.get("objectives") or [{"metric": PUBLISHED_METRIC}]
        return [goal["metric"] for goal in stored]

    def _is_outside(self, trial: FrozenTrial) -> bool:
        if trial.state == TrialState.WAITING or trial.user_attrs.get(HIDDEN):
            return False
        unknown = trial.state == TrialState.COMPLETE and not {*self.config.search.constraints} <= {*trial.constraints}
        return unknown or is_outside(trial, self.config.search.space)

    def _enqueue(self, fixed: Fixed) -> None:
        """Makes a fixed setting the next trial.

        Samplers learn from the published weights at the nearest point of the space. There is no such point of training
        without distillation: at the low end of a range a term may count for much. Unless the space can switch every
        term off, that trial has no parameters, and is hidden from samplers.
        """
        point = self._settings[fixed]
        if point.exact or fixed == PUBLISHED:
            self._study.enqueue_trial(point.params)
        else:
            self._study.enqueue_trial({}, user_attrs={HIDDEN: True})

    def _values(self, trial: Trial) -> tuple[Fixed | None, dict[str, Any]]:
        """What a trial is to train with, parameters that Optuna has not drawn yet drawn."""
        values: dict[str, Any] = {}
        if not trial.user_attrs.get(HIDDEN):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                values = suggest(trial, self.config.search.space)
        if trial.number >= len(self.fixed):
            return None, values
        fixed = self.fixed[trial.number]
        point = self._settings[fixed]
        trial.set_user_attr("fixed", fixed)
        trial.set_user_attr("nearest", not (point.exact or trial.user_attrs.get(HIDDEN)))
        return fixed, point.values

    def started(self, number: int, gpu: float = 0.0) -> None:
        """Counts another attempt at a trial, on this share of a GPU."""
        view = self.view(number)
        with self._storage.file.together():
            self._set(number, "attempt", view.attempt + 1)
            if gpu != view.gpu_share:
                self._set(number, "gpu_share", gpu)
            if view.started_at is None:
                self._set(number, "started_at", _now())

    def report(
        self, number: int, step: int, objective: float, host: str | None = None, score: Score | None = None
    ) -> bool:
        """Records one step -> whether it is new: an epoch that is reported again changes nothing.

        `objective` is what the scheduler compares. Where it is all that is known, the trial is judged by it too.
        """
        trial = self._frozen_trial(number)
        if host and trial.user_attrs.get("host") != host:
            self._set(number, "host", host)
        if step in trial.intermediate_values:
            return False
        if score is None:
            curve = {**trial.intermediate_values, step: objective}
            part_epochs = trial.user_attrs.get(PART_EPOCHS)
            score = score_curve(self.config.search, [curve[at] for at in sorted(curve)], part_epochs)
        judged = {"step": score.step, "values": plain(score.values), "parts": list(score.parts)}
        with self._storage.file.together():
            self._set(number, "judged", judged)
            self._storage.set_trial_intermediate_value(self._trial_id(number), step, objective)
        return True

    def finish(self, number: int, ending: Ending) -> TrialView:
        """Records how a trial ended, once and for all."""
        view = self.view(number)
        with self._storage.file.together(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # CMA-ES does not care for what a diverged trial breaks
            for key in ("error_type", "error_text", "stopped_by"):
                value = getattr(ending, key)
                if value is not None:
                    self._set(number, key, value)
            self._set(number, "ended_at", _now())
            self._set(number, "state", ending.state)
            self._tell(view, ending)
        return self.view(number)

    def view(self, number: int) -> TrialView:
        """One trial."""
        return self._view(self._frozen_trial(number))

    def views(self) -> Iterator[TrialView]:
        """All trials that were handed out, by number."""
        return (self._view(trial) for trial in self._frozen() if trial.state != TrialState.WAITING)

    def epochs(self, values: Mapping[str, Any]) -> int:
        """Epochs of a trial on one part."""
        return Budget.of(self.config).epochs(values)

    def _view(self, trial: FrozenTrial) -> TrialView:
        attrs = trial.user_attrs
        values = attrs.get("values", {})
        curve = {step: value for step, value in trial.intermediate_values.items() if not math.isnan(value)}
        judged = attrs.get("judged", {"step": None, "values": {}})
        state: State = attrs.get("state", "error") if trial.state.is_finished() else "running"
        missed = violations(self.config.search, judged["values"], at_the_end=state == "complete")
        part_epochs = attrs.get(PART_EPOCHS) or self.epochs(values)
        return TrialView(
            number=trial.number,
            state=state,
            attempt=attrs.get("attempt", 0),
            fixed=attrs.get("fixed", PUBLISHED if attrs.get("published") else None),
            nearest=attrs.get("nearest", False),
            values=values,
            curve=curve,
            objective=judged["values"].get(self.config.search.leading_metric),
            best_step=judged["step"],
            started_at=_time(attrs.get("started_at")),
            ended_at=_time(attrs.get("ended_at")) if trial.state.is_finished() else None,
            host=attrs.get("host"),
            stopped_by=attrs.get("stopped_by"),
            gpu_share=attrs.get("gpu_share"),
            error_type=attrs.get("error_type"),
            error_text=attrs.get("error_text"),
            objectives=judged["values"],
            feasible=all(value <= 0 for value in missed.values()),
            parts=self._parts,
            part_epochs=part_epochs,
            part_values=tuple(judged.get("parts") or self._part_values(curve, part_epochs)),
            look=attrs.get("look", 1),
        )

    def _part_values(self, curve: Mapping[int, float], part_epochs: int) -> tuple[float, ...]:
        """Of a trial of an earlier version, which recorded none; none either where another metric decided."""
        search = self.config.search
        if not curve or search.deciding_metric != search.leading_metric:
            return ()
        return score_curve(search, [curve[step] for step in sorted(curve)], part_epochs).parts

    def _tell(self, view: TrialView, ending: Ending) -> None:
        number = view.number
        broken = violations(self.config.search, view.objectives, at_the_end=ending.state == "complete")
        match ending.state:
            case "complete":
                self._constrain(number, broken)
                self._study.tell(number, [view.objectives[goal.metric] for goal in self.config.search.objectives])
            case "pruned":
                if len(self.config.search.objectives) > 1:
                    broken |= {"not stopped": BY_A_HAIR / max(1, view.last_step)}
                self._constrain(number, broken)
                self._study.tell(number, state=TrialState.PRUNED)
            case "diverged":
                self._mark_diverged(number, max(ending.step, view.last_step + 1))
                self._study.tell(number, state=TrialState.PRUNED)
            case "out_of_memory" | "error":
                self._study.tell(number, state=TrialState.FAIL)
            case "running":
                raise AssertionError("a trial that runs has not ended")

    def _constrain(self, number: int, missed: Mapping[str, float]) -> None:
        """Records by how much each constraint is missed; once, also after a kill in between."""
        known = self._frozen_trial(number).constraints
        trial = Trial(self._study, self._trial_id(number))
        for name, value in missed.items():
            if name not in known:
                trial.set_constraint(name, value)

    def _mark_diverged(self, number: int, step: int) -> None:
        if not any(math.isnan(value) for value in self._frozen_trial(number).intermediate_values.values()):
            self._storage.set_trial_intermediate_value(self._trial_id(number), step, math.nan)
        self._constrain(number, {"finite": 1.0})

    def _set(self, number: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._trial_id(number), key, value)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _frozen_trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def _sampler(self, number: int) -> BaseSampler:
        return make_sampler(self.config.search, number, self._earlier)

    @property
    def _attributes(self) -> Mapping[str, Any]:
        """Of the study, to read; Optuna's study copies them, and the configuration in them, each time."""
        return self._storage.get_study_user_attrs(self._id)

    def _asked(self) -> int:
        return sum(trial.state != TrialState.WAITING for trial in self._frozen())

    def _frozen(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._id, deepcopy=False)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
