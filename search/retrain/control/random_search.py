"""A control's trials: random ones under the search's own scheduler, until they took as many epochs as the search's.

They have the search's space, folds and seeds, and nothing that was known before it: neither the trials that no sampler
proposed, nor those of an earlier run. They are kept in `control/`, a run like any other that this run's driver drives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.random import SeedSequence
from rich.console import Console

from owkd.config import Config, with_values
from owkd.errors import UserError
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.recorder import SearchRecorder
from search.results.tables import recorded_trials
from search.run_search import Work, run_trials
from search.runs.integrity import edits_since
from search.runs.layout import RunFolder
from search.runs.manifest import create_control
from search.study.study import Study
from search.trials.budget import Budget
from search.trials.job import Job
from search.trials.view import TrialView


def control_config(config: Config) -> Config:
    """The search's configuration with a random sampler, whose seed is derived from that of the search's sampler.

    Trials are added one by one, so that it asks for one.
    """
    own = config.search.sampler.seed
    derived = int(SeedSequence(own, spawn_key=(0,)).generate_state(1)[0])
    sampler = {"name": "random", "seed": derived if derived != own else derived + 1}
    return with_values(config, {"search.sampler": sampler, "search.warm_start": None, "search.trials": 1})


def epochs_spent(trials: Iterable[TrialView]) -> int:
    """Epochs that trials took. One that failed before the end of its first counts as one."""
    return sum(max(1, view.last_step) for view in trials)


@dataclass
class ControlSearch:
    """The random trials beside a search.

    Attributes:
        run: the run that they are compared with, and within which they are
        config: of that run
        fingerprints: of what it stands on
        allowance: epochs that its sampler's trials took
    """

    run: RunFolder
    config: Config
    fingerprints: Mapping[str, Any]
    allowance: int

    @classmethod
    def beside(cls, run: RunFolder, config: Config, fingerprints: Mapping[str, Any], study: Study) -> ControlSearch:
        """Beside a search, whose study this is."""
        proposed = (view for view in study.views() if view.fixed is None)
        return cls(run, config, fingerprints, epochs_spent(proposed))

    def trials(self) -> list[TrialView]:
        """Those that were handed out until now."""
        began = self.run.control.journal.is_file() or self._recorded
        return list(self._study.views()) if began else []

    def has_work(self) -> bool:
        """Whether a trial is not over, or another one is to be handed out."""
        trials = self.trials()
        return epochs_spent(trials) < self.allowance or any(view.state == "running" for view in trials)

    def carry_out(
        self, resources: TrialResources, admission: NodeAdmission | None, *, console: Console, work: Work
    ) -> None:
        """Runs what is left. Ray is connected, the run around it locked.

        Raises `OwkdError` when no trial can succeed, `UserError` when it was begun with another configuration, and
        `KeyboardInterrupt` after Ctrl-C.
        """
        config = control_config(self.config)
        folder = create_control(self.run, config, self.fingerprints)
        console.print(
            f"control of {self.run.address}: random trials for {self.allowance} epochs, as many as the search's took",
            soft_wrap=True,
        )
        recorder = ControlRecorder(folder, config, self._study, self.allowance)
        run_trials(recorder, resources, admission, title="the control", console=console, work=work)

    @cached_property
    def _recorded(self) -> set[int]:
        """Trials that left results before this driver."""
        return recorded_trials(self.run.control)

    @cached_property
    def _study(self) -> Study:
        folder = self.run.control
        study = Study(
            folder.journal, folder.name, control_config(self.config), fixed_trials=False, recorded=self._recorded
        )
        if changes := edits_since(study.began_with, study.config):
            lines = "\n".join(f"  - {change}" for change in changes)
            raise UserError(
                f"a control must be searched like its run, but {folder.address} began with other values (then -> now):"
                f"\n{lines}\nrestore them, or remove that folder to begin the control anew"
            )
        return study


class ControlRecorder(SearchRecorder):
    """Hands out random trials until they took so many epochs, or as many more as the last of them takes."""

    def __init__(self, folder: RunFolder, config: Config, study: Study, allowance: int) -> None:
        super().__init__(folder, config, study)
        self.allowance = allowance

    def next_job(self) -> Job | None:
        """The next trial as a job; None also while those that are out may use up all that is left."""
        job = super().next_job()
        while job is None and not self.failures.reason() and self._most_epochs() < self.allowance:
            self.study.add_trials(1)
            job = super().next_job()
        return job

    def _most_epochs(self) -> int:
        """Epochs that the trials until now took, if those that run run to their end."""
        trials = list(self.study.views())
        parts = Budget.of(self.config).parts
        running = [view for view in trials if view.state == "running"]
        over = (view for view in trials if view.state != "running")
        return epochs_spent(over) + sum(self.study.epochs(view.values) * parts for view in running)
