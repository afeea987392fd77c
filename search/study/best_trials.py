"""The best trials so far, and the checkpoints that are kept: of them, and of no distillation."""

from __future__ import annotations

from owkd.config import Config
from search.runs.layout import RunFolder, trial_name
from search.storage import fence
from search.study.study import Study
from search.trials.listener import ActiveTrial, JobListener
from search.trials.objective import ranked
from search.trials.view import NO_DISTILLATION_NAME, Ending, TrialView


class BestTrials(JobListener[ActiveTrial]):
    """Of trials that are over, keeps the models of the best `retrain.top_k` and nothing else.

    That of no distillation stays as well: at the end of the search the teacher is compared with it.
    """

    def __init__(self, folder: RunFolder, config: Config, study: Study) -> None:
        self._folder = folder
        self._config = config
        self._study = study
        self._leaders: list[TrialView] = []
        """the best complete trials, as many as keep their checkpoints"""

    @property
    def best(self) -> TrialView | None:
        """The best complete trial that keeps every constraint."""
        return next(iter(self._leaders), None)

    @property
    def leaders(self) -> tuple[TrialView, ...]:
        """The best complete trials, as many as `retrain.top_k`."""
        return tuple(self._leaders)

    def keep_checkpoints(self) -> None:
        """Ranks all trials anew, and removes every checkpoint that is not kept."""
        over = {trial_name(view.number): view for view in self._study.views() if view.state != "running"}
        self._leaders = ranked(self._config.search, over.values())[: self._config.retrain.top_k]
        for path in self._folder.folders(self._folder.checkpoints):
            if path.name in over:
                self._tidy(over[path.name].number)

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        """The same for one more trial, without a look at all others where one objective ranks them."""
        before = self._leaders
        known = [*before, job.view] if len(self._config.search.objectives) == 1 else self._study.views()
        self._leaders = ranked(self._config.search, known)[: self._config.retrain.top_k]
        for number in {leader.number for leader in (*before, job.view)}:
            self._tidy(number)

    def _tidy(self, number: int) -> None:
        path = self._folder.checkpoints / trial_name(number)
        if number not in {leader.number for leader in self._leaders} and not self._is_compared(number):
            self._folder.discard(path)
            return
        for file in self._folder.stored(path):
            if file.name in ("last.pt", fence.NAME):
                self._folder.discard(file)

    def _is_compared(self, number: int) -> bool:
        view = self._study.view(number)
        return view.fixed == NO_DISTILLATION_NAME and view.state == "complete"
