"""The rivals of bench_searcher: one search each, in virtual time or on real Ray Tune.

In virtual time an epoch of every trial takes one tick, and slots work side by side; what proposes and what stops is the
same code as on Ray Tune, called in the same order as Tune's controller calls it (a test holds both to the same trials).
A search then takes a second, and the same numbers come out on every machine.
"""

from __future__ import annotations

import heapq
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from benchmarks.landscapes.contract import FACTOR, GRACE, SLOTS
from benchmarks.landscapes.distillation import Distillation

MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Sizes:
    """How much is searched."""

    seeds: int = 20
    budget: int = 270
    """epochs in all: 15 full trainings"""
    slots: int = SLOTS


@dataclass(frozen=True)
class Outcome:
    """One search."""

    worth: float
    """true value of what it hands on"""
    found: float
    """the highest true value among its trials"""
    epochs: int
    trials: int
    seconds: float


class Running(Protocol):
    """A trial under way."""

    def epoch(self) -> bool:
        """Tells its next epoch, or its end -> whether it goes on."""
        ...


def in_virtual_time(begin: Callable[[], Running | None], slots: int) -> None:
    """Runs trials side by side until `begin` has no more."""
    turns: list[tuple[int, int, Running]] = []

    def fill(now: int, slot: int) -> None:
        if (trial := begin()) is not None:
            heapq.heappush(turns, (now + 1, slot, trial))

    for slot in range(slots):
        fill(0, slot)
    while turns:
        now, slot, trial = heapq.heappop(turns)
        if trial.epoch():
            heapq.heappush(turns, (now + 1, slot, trial))
        else:
            fill(now, slot)


def ours(seed: int, sizes: Sizes, *, sampler: str = "auto") -> Outcome:
    """Our study, and Ray's scheduler as we lead it; no trial begins once the budget is used."""
    from search.execution.worker import work
    from search.schedulers import make_scheduler
    from search.space.parameters import single
    from search.study.study import Study
    from search.trials.job import Job, Message, final_state, parts_of
    from search.trials.objective import ranked
    from search.trials.view import NO_DISTILLATION_NAME, Ending

    config = Distillation.configuration(seed, sampler)
    scheduler = make_scheduler(config, [])
    used = [0]

    class Trial:
        def __init__(self, number: int, values: Mapping[str, Any]) -> None:
            self.number = number
            self.ray = SimpleNamespace(config={"key": str(number)}, trial_id=str(number))
            own = single(config, values)
            job = Job(str(number), own.to_dict(), parts_of(own), scratch)
            self.messages: list[Message] = []
            work(asdict(job), train=Distillation.drawn(seed).train, send=self.messages.append)
            scheduler.on_trial_add(None, self.ray)
            study.started(number)

        def epoch(self) -> bool:
            message = self.messages.pop(0)
            used[0] += 1
            stops = scheduler.on_trial_result(None, self.ray, asdict(message)) == "STOP"
            if message.epoch:
                study.report(self.number, message.step, message.objective, None, message.score)
            if not stops and self.messages:
                return True
            study.finish(self.number, Ending(final_state(message.state), message.step))
            return False

    def begin() -> Trial | None:
        proposal = study.next() if used[0] < sizes.budget else None
        if proposal is not None and proposal.fixed == NO_DISTILLATION_NAME:
            # no searcher learns from it, and Ray's has none
            study.finish(proposal.number, Ending("error"))
            proposal = study.next()
        return None if proposal is None else Trial(proposal.number, proposal.values)

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        study = Study(Path(scratch) / "study.journal", "bench", config)
        in_virtual_time(begin, sizes.slots)
        views = list(study.views())
    best = next(iter(ranked(config.search, views)), None)
    return outcome(
        seed,
        sizes,
        best.values if best else None,
        [view.values for view in views if view.fixed != NO_DISTILLATION_NAME],
        used[0],
        time.perf_counter() - begun,
    )


def rays(seed: int, sizes: Sizes, *, nan_as: float, gaussian: bool = False) -> Outcome:
    """`ray.tune.search.optuna.OptunaSearch` and Ray's ASHA; a training that diverges reports `nan_as` and ends."""
    used = [0]
    searcher, scheduler = rays_own(seed, sizes, gaussian)
    tried: list[dict[str, Any]] = []
    last: list[float] = []

    class Trial:
        def __init__(self, number: int, params: Mapping[str, float]) -> None:
            self.number = number
            self.id = str(number)
            self.told = 0
            self.result: dict[str, Any] = {}
            self.curve = curve_for_ray(params, seed, nan_as)
            self.ray: Any = SimpleNamespace(trial_id=self.id)
            scheduler.on_trial_add(None, self.ray)

        def epoch(self) -> bool:
            """As `TuneController._process_trial_result` and `stop_trial`."""
            self.told += 1
            used[0] += 1
            last[self.number] = self.curve[self.told - 1]
            self.result = {"val_mAP": last[self.number], "training_iteration": self.told}
            goes_on = self._decide()
            if goes_on and self.told < len(self.curve):
                return True
            if goes_on:  # a function that returns has its last report told again
                self._decide()
            scheduler.on_trial_complete(None, self.ray, self.result)
            searcher.on_trial_complete(self.id, self.result)
            return False

        def _decide(self) -> bool:
            if scheduler.on_trial_result(None, self.ray, self.result) == "STOP":
                return False
            searcher.on_trial_result(self.id, self.result)
            return True

    def begin() -> Trial | None:
        if used[0] >= sizes.budget:
            return None
        params = searcher.suggest(str(len(tried)))
        assert params is not None
        tried.append(params)
        last.append(-math.inf)
        return Trial(len(tried) - 1, params)

    begun = time.perf_counter()
    in_virtual_time(begin, sizes.slots)
    seconds = time.perf_counter() - begun
    # as `ResultGrid.get_best_result`: the best last report
    best = max(range(len(last)), key=lambda number: -math.inf if math.isnan(last[number]) else last[number])
    values = [values_of(params) for params in tried]
    return outcome(seed, sizes, values[best], values, used[0], seconds)


def rays_own(seed: int, sizes: Sizes, gaussian: bool = False) -> tuple[Any, Any]:
    """Ray's searcher and scheduler as its documentation has them, with our space and first trial.

    `gaussian`: with Optuna's Gaussian process in place of its default, which is TPE.
    """
    from optuna.samplers import GPSampler
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from search.space.parameters import distributions, published_point

    config = Distillation.configuration(seed)
    searcher = OptunaSearch(
        space=distributions(config.search.space),
        points_to_evaluate=[published_point(config).params],
        metric="val_mAP",
        mode="max",
        **({"sampler": GPSampler(seed=seed)} if gaussian else {"seed": seed}),
    )
    scheduler = ASHAScheduler(
        metric="val_mAP", mode="max", max_t=Distillation.epochs, grace_period=GRACE, reduction_factor=FACTOR
    )
    return searcher, scheduler


def curve_for_ray(params: Mapping[str, float], seed: int, nan_as: float) -> list[float]:
    """What a training reports, by Optuna's parameters."""
    told = Distillation.drawn(seed).curve(values_of(params))
    return [nan_as if math.isnan(value) else value for value in told]


def values_of(params: Mapping[str, float]) -> dict[str, Any]:
    """Optuna's parameters -> values by path."""
    from search.space.parameters import resolve

    return resolve(Distillation.configuration(0).search.space, params)


def outcome(
    seed: int,
    sizes: Sizes,
    best: Mapping[str, Any] | None,
    tried: Sequence[Mapping[str, Any]],
    epochs: int,
    seconds: float,
) -> Outcome:
    """Weighs a search by the truth."""
    land = Distillation.drawn(seed)
    worth = land.worth(best) if best else 0.0
    return Outcome(worth, max(land.worth(values) for values in tried), epochs, len(tried), seconds)
