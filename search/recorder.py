"""The search's desk: proposals out, messages in; study, tables, event files and view move together.

What happens at each message can be cut off anywhere by a kill. The order makes that harmless: an epoch goes to the
tables before the study, each of them ignores what it has already, and the end of a trial counts once the study says
so; rows that lag behind are written again when the run is opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from owkd.config import Config
from owkd.errors import ConfigError
from search.progress import Progress
from search.results.schema import EPOCH_FIELDS, Row
from search.results.tables import ResultTables
from search.runs.layout import RunFolder, trial_name
from search.space.parameters import columns, describe, single
from search.study.study import Study
from search.tensorboard.summary import EndedTrial, SearchEventFile
from search.tensorboard.trials import EpochScalars, TrialEventFiles
from search.trials.job import Job, Message, Part, final_state, parts_of
from search.trials.objective import ObjectiveAccumulator, ranked, score_curve
from search.trials.states import FAILED, State
from search.trials.view import Ending, Proposal, StoppedBy, TrialView

ALIKE = 3
"""so many failures alike, and nothing else, are one cause that more trials would not cure"""

REASON_LINES = 12
"""of an error text; the last lines of a traceback say most"""


@dataclass
class _Open:
    """A trial that was handed out by this driver."""

    proposal: Proposal
    epochs: int
    """of each part"""
    parts: tuple[Part, ...]
    attempt: int = 0
    curve: dict[int, float] = field(default_factory=dict)
    crash: Message | None = None
    stopped_because: str = ""
    """why no further part is worth its time"""


class SearchRecorder:
    """Hands out the trials of a study and writes down what becomes of them."""

    def __init__(self, folder: RunFolder, config: Config, study: Study) -> None:
        self.folder = folder
        self.config = config
        self.study = study
        self.store = ResultTables(folder.results, columns(config), config.search.judged_metrics)
        self.board = TrialEventFiles(folder.tensorboard, config)
        self.progress: Progress | None = None
        self.overview: SearchEventFile | None = None
        self._open: dict[str, _Open] = {}
        self._failures: list[TrialView] = []
        self._successes = 0
        self._leaders: list[TrialView] = []
        """the best complete trials, as many as keep their checkpoints"""
        self._mend()

    def counts(self) -> dict[State, int]:
        """Trials that are over, by state."""
        return dict(Counter(view.state for view in self.study.views() if view.state != "running"))

    def best(self) -> TrialView | None:
        """The best complete trial that keeps every constraint."""
        return next(iter(self._leaders), None)

    def show_on(self, progress: Progress, slots: int) -> None:
        """The views that are told what happens from now on, of a search with room for so many trials at a time."""
        self.progress = progress
        past = [EndedTrial.of(view) for view in self.study.views() if view.state != "running"]
        mode = self.config.search.objectives[0].direction
        self.overview = SearchEventFile(self.folder.tensorboard, mode, past, slots)
        self._show_best()

    def close(self) -> None:
        """Lets go of event files, where trials that are not over get no end, and leaves few tables."""
        self.board.close()
        if self.overview:
            self.overview.close()
        self.store.finish()

    def hopeless(self) -> str | None:
        """Why no further trial is worth its time; None when there is hope."""
        alike = {(view.state, view.error_type) for view in self._failures}
        if self._successes or len(self._failures) < ALIKE or len(alike) > 1:
            return None
        lines = (self._failures[-1].error_text or self._failures[-1].state).splitlines()
        return "\n".join(lines[-REASON_LINES:])

    def next_job(self) -> Job | None:
        """The next trial as a job; a proposal that the configuration refuses ends here, as an `error`."""
        while not self.hopeless() and (proposal := self.study.next()) is not None:
            key = trial_name(proposal.number)
            trial = self._open[key] = _Open(proposal, self.study.epochs(proposal.values), parts_of(self.config))
            try:
                config = single(self.config, proposal.values)
            except ConfigError as error:
                self.job_started(key)
                self._end(key, Ending("error", error_type="ConfigError", error_text=str(error)))
                continue
            trial.parts = parts_of(config)
            directory = self.folder.where(self.folder.checkpoints / key)
            return Job(key, config.to_dict(), trial.parts, directory, self.study.view(proposal.number).gpu_share)
        return None

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        """Another attempt at a trial begins, on this share of a GPU."""
        trial = self._open[key]
        number, values = trial.proposal.number, trial.proposal.values
        self.study.started(number, gpu)
        view = self.study.view(number)
        trial.attempt = view.attempt
        trial.curve = {}
        rows = self.store.open_trial(number)
        self.board.start(number, values, self._scalars_of_rows(trial, rows))
        self.store.write_trial(view)
        if self.overview:
            self.overview.start_trial(key)
        if self.progress:
            epochs = trial.epochs * len(trial.parts)
            self.progress.started(_short(key), describe(values), epochs, view.attempt)

    def message_received(self, message: Message) -> None:
        """An epoch of a trial, or word of a failure."""
        trial = self._open[message.key]
        number = trial.proposal.number
        if message.state == "crashed":
            trial.crash = message
            if self.progress:
                self.progress.failed_once(_short(message.key), message.error_text or "")
        if message.epoch == 0:
            return
        news = self.store.add_epoch(number, message, trial.attempt)
        self.study.report(number, message.step, message.objective, message.host, message.score)
        if news:
            trial.curve[message.step] = message.objective
            self.board.add_epoch(number, self._scalars(message))
            self.store.write_trial(self.study.view(number))
        if self.progress:
            self.progress.epoch(_short(message.key), message.step, message.objective, self._worth(message), news=news)

    def stops_after_first_fold(self, key: str, step: int, objective: float) -> bool:
        """Whether a trial shall stop at this epoch because, at the end of its first part, it is clearly worse than
        the best complete trial was on that same part (`search.give_up_margin`).

        An epoch that was heard before is not judged again.
        """
        trial = self._open[key]
        margin, leader = self.config.search.give_up_margin, self.best()
        if margin is None or leader is None or len(trial.parts) == 1:
            return False
        if step != trial.epochs or step in trial.curve:
            return False
        reached = self._first_part({**trial.curve, step: objective}, step)
        bar = self._first_part(leader.curve, self.study.epochs(leader.values))
        if bar - reached < margin:
            return False
        part = trial.parts[0]
        trial.stopped_because = (
            f"{bar - reached:.4f} below {_short(trial_name(leader.number))} on {part.fold} with seed {part.seed}"
        )
        return True

    def job_stopped(self, key: str, last: Message) -> None:
        """A trial is over; one that was still running was stopped by the scheduler, or given up."""
        state = final_state(last.state)
        by: StoppedBy | None = None
        if state == "pruned":
            by = "give_up" if self._open[key].stopped_because else "scheduler"
        self._end(key, Ending(state, last.step, last.error_type, last.error_text, by))

    def job_failed(self, key: str, error_text: str) -> None:
        """A trial failed more often than it may."""
        crash = self._open[key].crash
        if crash is not None:
            self._end(key, Ending("error", error_type=crash.error_type, error_text=crash.error_text))
        else:
            self._end(key, Ending("error", error_type="WorkerDied", error_text=error_text))

    def job_interrupted(self, key: str, reason: str) -> None:
        """A trial lost its worker through no fault of its own, and will be started again."""
        if self.progress:
            self.progress.interrupted(_short(key), reason)

    def waiting(self, reason: str) -> None:
        """No worker has been at work for a while."""
        if self.progress:
            self.progress.waiting(reason)

    def _end(self, key: str, ending: Ending) -> None:
        trial = self._open.pop(key)
        view = self.study.finish(trial.proposal.number, ending)
        self.store.write_trial(view)
        self.store.close_trial(view.number)
        self.board.end(view.number, view.state)
        if self.overview:
            self.overview.end_trial(key, EndedTrial.of(view))
        if view.state not in FAILED:
            self._successes += 1
        elif not self._successes:  # what failed matters as long as nothing else is known
            self._failures.append(view)
        self._keep_if_best(view)
        if self.progress:
            self.progress.ended(_short(key), view.state, view.objective, view.error_text or trial.stopped_because)
            self._show_best()

    def keep_best_checkpoints(self) -> None:
        """Of trials that are over, keeps the best epoch of the best `retrain.top_k` and nothing else."""
        over = {trial_name(view.number): view for view in self.study.views() if view.state != "running"}
        self._leaders = ranked(self.config.search, over.values())[: self.config.retrain.top_k]
        for path in self.folder.folders(self.folder.checkpoints):
            if path.name in over:
                self._tidy_checkpoints(over[path.name].number)

    def _keep_if_best(self, view: TrialView) -> None:
        """The same when one more trial is over, without a look at all others where one objective ranks them."""
        before = self._leaders
        known = [*before, view] if len(self.config.search.objectives) == 1 else self.study.views()
        self._leaders = ranked(self.config.search, known)[: self.config.retrain.top_k]
        for number in {leader.number for leader in (*before, view)}:
            self._tidy_checkpoints(number)

    def _tidy_checkpoints(self, number: int) -> None:
        path = self.folder.checkpoints / trial_name(number)
        if number not in {leader.number for leader in self._leaders}:
            self.folder.discard(path)
            return
        for file in self.folder.stored(path):
            if file.name == "last.pt":
                self.folder.discard(file)

    def _mend(self) -> None:
        """Writes rows that a killed driver left behind the study."""
        on_disk = self.store.repair()
        for view in self.study.views():
            if on_disk.get(view.number) != view.state:
                self.store.write_trial(view)
            if view.state != "running":
                self.store.close_trial(view.number)
        self.keep_best_checkpoints()

    def _first_part(self, curve: Mapping[int, float], epochs: int) -> float:
        """What a trial was worth at the end of its first part."""
        values = [curve[step] for step in sorted(curve) if step <= epochs]
        return score_curve(self.config.search, values).values[self.config.search.leading_metric]

    def _show_best(self) -> None:
        leader = self.best()
        if self.progress and leader is not None and leader.objective is not None:
            about = ("published setting: " if leader.published else "") + describe(leader.values)
            self.progress.leader(_short(trial_name(leader.number)), leader.objective, about)

    def _worth(self, message: Message) -> float:
        return dict(message.judged).get(self.config.search.leading_metric, message.objective)

    def _scalars(self, message: Message) -> EpochScalars:
        return EpochScalars(
            message.fold,
            message.seed,
            message.epoch,
            message.step,
            message.objective,
            self._worth(message),
            dict(message.metrics),
            message.sent_at,
        )

    def _scalars_of_rows(self, trial: _Open, rows: Iterable[Row]) -> Iterator[EpochScalars]:
        judge = ObjectiveAccumulator(self.config.search)
        for row in rows:
            trial.curve[row["step"]] = row["objective"]
            metrics: dict[str, Any] = {
                name: value for name, value in row.items() if name not in EPOCH_FIELDS and value is not None
            }
            worth = judge.add((row["fold"], row["seed"]), metrics).values[self.config.search.leading_metric]
            at = row["ended_at"].timestamp()
            part = row["fold"], row["seed"]
            yield EpochScalars(*part, row["epoch"], row["step"], row["objective"], worth, metrics, at)


def _short(key: str) -> str:
    number = key.removeprefix("trial-")
    return f"trial {int(number)}"
