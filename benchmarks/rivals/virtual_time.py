"""Searches by ask and tell in virtual time: an epoch of every trial is a tick, and slots work side by side.

A trial runs the same job as on Ray (`search.execution.worker.work`), so that every searcher hears the same numbers of
the same setting. A setting that is trained once more is trained with fresh seeds, whoever asks for it.
"""

from __future__ import annotations

import heapq
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from benchmarks.landscapes import Landscape, Values
from benchmarks.landscapes.contract import MAP, SLOTS
from benchmarks.rivals.asha import RayAsha
from benchmarks.rivals.ledger import Ledger, Outcome
from owkd.config import Config
from search.execution.worker import work
from search.luck.seeds import Seeds
from search.space import point_key, single
from search.trials.job import Job, Message, parts_of

MEMORY = Path("/dev/shm")
State = Literal["complete", "stopped", "diverged", "paused"]


@dataclass(frozen=True)
class Ask:
    """What a searcher wants trained.

    Attributes:
        until: the step at which it is paused; to its end where unset
        resumes: number of the paused trial that goes on, whose `values` these are
    """

    values: Values
    until: int | None = None
    resumes: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a trial ended, or was paused.

    Attributes:
        told: what it was worth until then, by metric; of a diverged one the worst there is, and its costs
    """

    state: State
    step: int
    told: Mapping[str, float]


class Searcher(Protocol):
    """A rival by ask and tell."""

    def ask(self, number: int) -> Ask | None:
        """The trial of that number; None where there is nothing to train before another trial has ended."""
        ...

    def report(self, number: int, step: int, objective: float) -> bool:
        """Hears of an epoch -> whether the trial goes on."""
        ...

    def tell(self, number: int, ended: Ended) -> None:
        """Hears of an end."""
        ...


class Running(Protocol):
    """A trial under way."""

    def epoch(self) -> bool:
        """Tells its next epoch, or its end -> whether it goes on."""
        ...


def in_slots(begin: Callable[[], Running | None], over: Callable[[], bool], slots: int = SLOTS) -> None:
    """Runs trials side by side until the search is `over`, or nobody has anything to train."""
    turns: list[tuple[int, int, Running]] = []
    idle = list(range(slots))
    now = 0
    while not over():
        waiting, idle = idle, []
        for slot in waiting:
            trial = begin()
            if trial is None:
                idle.append(slot)
            else:
                heapq.heappush(turns, (now + 1, slot, trial))
        if not turns:
            return
        now, slot, trial = heapq.heappop(turns)
        if trial.epoch():
            heapq.heappush(turns, (now + 1, slot, trial))
        else:
            idle = sorted([*idle, slot])


def messages_of(land: Landscape, job: Job) -> list[Message]:
    """All that a worker would say of a job that nobody stops."""
    messages: list[Message] = []
    work(asdict(job), train=land.train, send=messages.append)
    return messages


@contextmanager
def scratch_folder() -> Iterator[str]:
    """In memory where the machine has a folder there."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield folder


def search(land: Landscape, make: Callable[[Landscape, Config], Searcher], *, asha: bool) -> Outcome:
    """A whole search by a rival; `asha`: whether Ray's ASHA stops its trials."""
    config = land.configuration(land.seed)
    ledger = Ledger(land, config.search)
    with scratch_folder() as folder:
        rivalry = _Rivalry(land, config, make(land, config), RayAsha(config) if asha else None, ledger, folder)
        in_slots(rivalry.begin, lambda: ledger.over)
    return ledger.outcome()


class _Rivalry:
    """The trials of one search."""

    def __init__(
        self, land: Landscape, config: Config, searcher: Searcher, asha: RayAsha | None, ledger: Ledger, folder: str
    ) -> None:
        self.land, self.config, self.searcher, self.asha, self.ledger = land, config, searcher, asha, ledger
        self.folder = folder
        self.looks: Counter[str] = Counter()
        self.trials: dict[int, _Trial] = {}

    def begin(self) -> _Trial | None:
        started = time.process_time()
        asked = self.searcher.ask(self.ledger.trials)
        self.ledger.proposing += time.process_time() - started
        if asked is None:
            return None
        if asked.resumes is not None:
            trial = self.trials[asked.resumes]
            trial.until = asked.until
            return trial
        number, self.ledger.trials = self.ledger.trials, self.ledger.trials + 1
        trial = self.trials[number] = _Trial(self, number, asked, self._messages(number, asked.values))
        return trial

    def _messages(self, number: int, values: Values) -> list[Message]:
        own = single(self.config, values)
        self.looks[point_key(values)] += 1
        look = self.looks[point_key(values)]
        fresh = Seeds.of(self.config).look(look) if look > 1 else ()
        return messages_of(self.land, Job(str(number), own.to_dict(), parts_of(own, fresh), self.folder))


class _Trial:
    def __init__(self, rivalry: _Rivalry, number: int, asked: Ask, messages: list[Message]) -> None:
        self.rivalry, self.number, self.values, self.until = rivalry, number, asked.values, asked.until
        self.messages = messages
        self.told: Mapping[str, float] = {}

    def epoch(self) -> bool:
        message = self.messages.pop(0)
        rivalry = self.rivalry
        rivalry.ledger.used += 1
        if message.state not in ("running", "complete"):
            return self._ends("diverged", message.step, {MAP: 0.0, **rivalry.land.costs(self.values)})
        self.told = dict(message.judged)
        goes_on = rivalry.searcher.report(self.number, message.step, message.objective)
        if rivalry.asha is not None:
            goes_on = rivalry.asha.goes_on(self.number, message.step, message.objective) and goes_on
        if message.state == "complete":
            rivalry.ledger.completed(self.values, self.told)
            return self._ends("complete", message.step, self.told)
        if not goes_on:
            return self._ends("stopped", message.step, self.told)
        if message.step == self.until:
            return self._ends("paused", message.step, self.told)
        return True

    def _ends(self, state: State, step: int, told: Mapping[str, float]) -> bool:
        if self.rivalry.asha is not None and state == "diverged":
            self.rivalry.asha.goes_on(self.number, step, told[MAP])
        self.rivalry.searcher.tell(self.number, Ended(state, step, told))
        return False
