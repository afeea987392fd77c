"""A stage of a run's life, such as its search or the final stage: the same steps, in one order.

| step     | an existing run                    | a run that the stage makes                       |
|----------|------------------------------------|--------------------------------------------------|
| 1        | open and lock the run              | check                                            |
| 2        | check                              | connect to Ray, prepare                          |
| 3        | connect and prepare, if it has work | make and lock the run                           |
| 4        | run, if it has work                | run                                              |
| 5        | conclude                           | conclude                                         |

A stage that makes its run does so last, so that a mistake leaves nothing behind; a stage of a run that is done needs
no Ray. One that is added is a subclass of `Stage` and a command that calls `carry_out`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console

from owkd.config import Config, with_values
from search.execution.gpu_packing import measured_share
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources, resources_on_cluster
from search.execution.retries import RETRY_TIMINGS, RetryTimings
from search.execution.teacher_targets import build_targets
from search.runs.layout import RunFolder
from search.runs.lock import lock_run
from search.storage.timings import STORE_TIMINGS, StoreTimings

Connect = Callable[[], AbstractContextManager[NodeAdmission | None]]
"""Opens a connection to Ray for as long as it is entered: a local one, or to a cluster, with what looks at nodes that
join later"""

Prepare = Callable[[Config, Console], tuple[Config, TrialResources]]
"""Ray is connected; the configuration comes back as all trials use it"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timings:
    """How long a stage waits for what may come back."""

    retries: RetryTimings = RETRY_TIMINGS
    store: StoreTimings = STORE_TIMINGS


TIMINGS = Timings()


class Stage(ABC, Generic[Result]):
    """One command's work on a run."""

    makes_run = False
    """whether `open` makes the run"""

    def carry_out(self, connect: Connect) -> Result:
        """All steps. Raises what they raise, and `UserError` when another process drives the run."""
        if self.makes_run:
            self.check()
            with connect() as admission:
                resources = self.prepare()
                with lock_run(self.open()):
                    self.run(resources, admission)
                    return self.conclude()
        with lock_run(self.open()):
            self.check()
            if self.has_work():
                with connect() as admission:
                    self.run(self.prepare(), admission)
            return self.conclude()

    @abstractmethod
    def open(self) -> RunFolder:
        """Opens the run, or makes it."""

    @abstractmethod
    def check(self) -> None:
        """Raises `UserError` where the stage cannot begin."""

    def has_work(self) -> bool:
        """Whether anything is left that needs Ray."""
        return True

    @abstractmethod
    def prepare(self) -> TrialResources:
        """What is done once before the first job. Ray is connected."""

    @abstractmethod
    def run(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        """The jobs, and what follows them on the cluster. Ray is connected, the run locked."""

    @abstractmethod
    def conclude(self) -> Result:
        """What the stage has come to, written where it belongs. The run is locked."""


def prepare(config: Config, console: Console) -> tuple[Config, TrialResources]:
    """Teacher targets, then the slots: a trial that need not hold its teacher takes less of a GPU.

    Raises `ConfigError` where a trial fits no node, `DataError` where stored targets are wished for and find no room.
    """
    resources = resources_on_cluster(config)  # refuses before anything is built
    config = build_targets(config, console)
    if config.search.resources.gpu != "auto" or not resources.gpu:
        return config, resources
    gpu = measured_share(config, console)
    return config, resources_on_cluster(with_values(config, {"search.resources.gpu": gpu}))


def slots_alone(config: Config, console: Console) -> tuple[Config, TrialResources]:
    """For trainings that have no teacher."""
    return config, resources_on_cluster(config)
