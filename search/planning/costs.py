"""The time that a search takes: its epochs, what one of them takes here, and how many trainings fit side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from owkd.config import Config
from owkd.errors import ConfigError
from owkd.machine import Machine, this_machine
from search.execution.resources import TrialResources, memory_for_trials, resources_on_nodes
from search.retrain.control import decide_on_control
from search.schedulers.asha_savings import expected_epochs
from search.trials.budget import Budget
from search.trials.view import FIXED

if TYPE_CHECKING:
    from owkd.training.timing import EpochTime


@dataclass(frozen=True)
class Epochs:
    """Epochs of training, all trials and parts together.

    Attributes:
        trial: of one whole trial
        search: when no trial is stopped
        expected: with the scheduler, an estimate; None where there is none
        retrain: of the final stage's models
        control: of the final stage's random trials, expected or at most; 0 where there is no control
    """

    trial: int
    search: int
    expected: float | None
    retrain: int
    control: float

    @classmethod
    def of(cls, config: Config) -> Epochs:
        """The most that the configuration asks for, and what its scheduler leaves of it."""
        budget = Budget.of(config)
        expected = expected_epochs(config.search.scheduler, budget.trials, budget.trial_steps, fixed=len(FIXED))
        control = decide_on_control(config)
        return cls(
            budget.trial_steps,
            budget.search_steps,
            expected,
            retrain=budget.final_epochs + (budget.control_epochs if control.is_on else 0),
            control=control.epochs if control.is_on else 0.0,
        )


@dataclass(frozen=True)
class Costs:
    """Time on this machine.

    Attributes:
        resources: of a trial; None where not one fits on this machine
        epoch_time: None when it was not measured
    """

    epochs: Epochs
    resources: TrialResources | None
    why_no_trial_fits: str
    epoch_time: EpochTime | None
    machine: Machine

    @classmethod
    def of(cls, config: Config) -> Costs:
        """What a search would cost here, as far as is known without a training."""
        machine = this_machine()
        resources, why = _resources_here(config, machine)
        return cls(Epochs.of(config), resources, why, None, machine)

    def timed(self, config: Config) -> Costs:
        """The same with an epoch's time, for which a few steps of a training are made, and forgotten."""
        return replace(self, epoch_time=_time_epoch(config))

    @property
    def at_a_time(self) -> int:
        """Trainings side by side."""
        return self.resources.at_a_time if self.resources else 0

    def hours(self, epochs: float) -> float | None:
        """Of so many epochs, with as many trainings at a time as fit here."""
        if self.epoch_time is None or self.resources is None:
            return None
        return epochs * self.epoch_time.seconds / self.resources.at_a_time / 3600

    def device_hours(self, epochs: float) -> tuple[float, str] | None:
        """GPU-hours where trials have a share of a GPU, CPU-hours elsewhere."""
        if self.epoch_time is None or self.resources is None:
            return None
        of_a_gpu = self.resources.gpu > 0
        devices, unit = (self.resources.gpu, "GPU-hours") if of_a_gpu else (self.resources.cpu, "CPU-hours")
        return epochs * self.epoch_time.seconds * devices / 3600, unit


def _resources_here(config: Config, machine: Machine) -> tuple[TrialResources | None, str]:
    from owkd.device import count_gpus

    node = {"CPU": float(machine.cpus), "GPU": float(count_gpus())}
    if machine.memory is not None:
        node["memory"] = float(memory_for_trials(machine.memory))
    try:
        return resources_on_nodes(config, [node]), ""
    except ConfigError as error:
        return None, "; ".join(error.problems).replace("the cluster has 1 node, the largest with", "this machine has")


def _time_epoch(config: Config) -> EpochTime:
    import torch

    from owkd.training.timing import time_epoch

    torch.set_num_threads(max(1, int(config.search.resources.cpu)))  # as a trial
    return time_epoch(config, config.data.folds[0])
