"""A search's queue: hands out the study's trials, and passes what happens to them to listeners, in this order.

| listener         | a trial starts                | an epoch              | a trial is over                          |
|------------------|-------------------------------|-----------------------|------------------------------------------|
| EpochTable       | reads the epochs it has       | writes its row        |                                          |
| StudyListener    | counts the attempt            | records it            | finishes it: from here on it is over     |
| TrialTable       | writes its row                | writes its row        | writes its row                           |
| TrialEventFiles  | opens its file anew           | writes it             | ends its file                            |
| CommonFailure    |                               |                       | counts failures that are alike           |
| BestTrials       |                               |                       | keeps or removes checkpoints             |
| SearchEventFile  | counts it as running          |                       | counts it, and the best so far           |
| Progress         | shows it                      | shows it              | shows it                                 |
| LeaderView       |                               |                       | shows the best trial so far              |

Each event can be cut off anywhere by a kill. The order makes that harmless: an epoch goes to the tables before the
study, each of them ignores what it has already, and a trial is over once the study says so; rows that lag behind are
written again when the run is opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from owkd.config import Config, StoppingSettings, parse_constraint
from owkd.errors import ConfigError
from search.luck.forecast import Rises
from search.luck.noise import Noise, noise_of
from search.luck.race import standing
from search.luck.seeds import Seeds
from search.progress import Progress
from search.results.listener import EpochTable, TrialTable
from search.results.tables import ResultTables
from search.runs.layout import RunFolder, trial_name
from search.space.entry import point_key
from search.space.parameters import columns, single
from search.study.best_trials import BestTrials
from search.study.common_failure import CommonFailure
from search.study.listener import StudyListener
from search.study.study import Study
from search.tensorboard.summary import EndedTrial, SearchEventFile
from search.tensorboard.trials import TrialEventFiles
from search.trials.job import Job, Message, final_state, parts_of
from search.trials.listener import ActiveTrial, EpochRecord, JobListener, Listeners
from search.trials.objective import leads, score_steps, violations
from search.trials.states import State
from search.trials.view import Ending, Proposal, StoppedBy, TrialView


class SearchRecorder:
    """Hands out the trials of a study and records what becomes of them: a `JobQueue`."""

    def __init__(self, folder: RunFolder, config: Config, study: Study) -> None:
        self.folder = folder
        self.config = config
        self.study = study
        tables = ResultTables(folder.results, columns(config), config.search.judged_metrics, len(parts_of(config)))
        trial_table = TrialTable(tables)
        self.event_files = TrialEventFiles(folder.tensorboard, config)
        self.failures = CommonFailure()
        self.best_trials = BestTrials(folder, config, study)
        self.listeners: Listeners[ActiveTrial] = Listeners(
            EpochTable(tables, config.search),
            StudyListener(study),
            trial_table,
            self.event_files,
            self.failures,
            self.best_trials,
        )
        self._active: dict[str, ActiveTrial] = {}
        self._rises = Rises()
        trial_table.repair(study.views())
        for view in study.views():
            if view.state == "complete":
                self._learn_rise(view.curve, view.part_epochs)
        self.best_trials.keep_checkpoints()

    def counts(self) -> dict[State, int]:
        """Trials that are over, by state."""
        return dict(Counter(view.state for view in self.study.views() if view.state != "running"))

    def best(self) -> TrialView | None:
        """The best complete trial that keeps every constraint."""
        return self.best_trials.best

    def show_on(self, progress: Progress, slots: int) -> None:
        """Adds what people watch: `progress`, and the summary of a search with room for so many trials at a time."""
        past = [EndedTrial.of(view) for view in self.study.views() if view.state != "running"]
        mode = self.config.search.objectives[0].direction
        leader = LeaderView(progress, self.best_trials)
        self.listeners.append(SearchEventFile(self.folder.tensorboard, mode, past, slots), progress, leader)
        leader.show()

    def close(self) -> None:
        """Closes all files; trials that are not over get no end."""
        self.listeners.close()

    def next_job(self) -> Job | None:
        """The next trial as a job; a proposal that the configuration refuses ends here, as an `error`."""
        while not self.failures.reason() and (proposal := self.study.next()) is not None:
            try:
                config = single(self.config, proposal.values)
            except ConfigError as error:
                key = self._take(proposal, self.config).key
                self.job_started(key)
                self._end(key, Ending("error", error_type="ConfigError", error_text=str(error)))
                continue
            trial = self._take(proposal, config)
            directory = self.folder.where(self.folder.checkpoints / trial.key)
            return Job(trial.key, config.to_dict(), trial.parts, directory, trial.view.gpu_share)
        return None

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        """Another attempt at a trial begins, on this share of a GPU."""
        trial = self._active[key]
        trial.gpu = gpu
        self.listeners.job_started(trial)

    def message_received(self, message: Message) -> None:
        """An epoch of a trial, or word of a failure."""
        trial = self._active[message.key]
        if message.state == "crashed":
            trial.crash = message
            self.listeners.job_crashed(trial, message)
        elif message.state == "node_fault":
            trial.crash = message
        if message.epoch == 0:
            return
        best = dict(message.judged).get(self.config.search.leading_metric, message.objective)
        epoch = EpochRecord.of(message, best, is_new=not trial.has_recorded(message))
        self.listeners.epoch_recorded(trial, epoch)
        trial.add(epoch)

    def job_stopped(self, key: str, last: Message) -> None:
        """A trial is over; one that was still running was stopped by the scheduler, or given up."""
        state = final_state(last.state)
        by: StoppedBy | None = None
        if state == "pruned":
            by = self._active[key].stopped_by or "scheduler"
        self._end(key, Ending(state, last.step, last.error_type, last.error_text, by))

    def job_failed(self, key: str, error_text: str) -> None:
        """A trial failed more often than it may."""
        crash = self._active[key].crash
        if crash is not None:
            self._end(key, Ending("error", error_type=crash.error_type, error_text=crash.error_text))
        else:
            self._end(key, Ending("error", error_type="WorkerDied", error_text=error_text))

    def job_interrupted(self, key: str, reason: str) -> None:
        """A trial lost its worker through no fault of its own, and will be started again."""
        self._active[key].crash = None
        self.listeners.job_interrupted(self._active[key], reason)

    def waiting(self, reason: str) -> None:
        """No worker has been at work for a while."""
        self.listeners.waiting(reason)

    def noise(self) -> Noise | None:
        """The luck of one training, from the trials that are complete; None where it cannot be told."""
        return _noise(view for view in self.study.views() if view.state == "complete")

    def gives_up(self, message: Message) -> bool:
        """Whether a trial shall stop whatever its scheduler says: because it misses a constraint by a cost, which no
        further epoch changes, or at the end of a part because luck does not explain how far it is behind the best one.

        An epoch that was recorded before is not compared again.
        """
        trial = self._active[message.key]
        if message.step in trial.curve:
            return False
        if self._misses_constraint(trial, message):
            return True
        racing = self.config.search.race and len(self.config.search.objectives) == 1
        return racing and (self._loses_race(trial, message) or self._falls_short(trial, message))

    def spares(self, message: Message) -> bool:
        """Whether a trial shall go on although its scheduler, which knows one metric, would stop it: with several
        objectives, while it is on the front of what came to this step."""
        search = self.config.search
        if len(search.objectives) == 1:
            return False
        return leads(search, message.step, message.objective, dict(message.judged), self.study.views())

    def _misses_constraint(self, trial: ActiveTrial, message: Message) -> bool:
        judged = dict(message.judged)
        for text, missed in violations(self.config.search, judged, at_the_end=False).items():
            if missed > 0:
                metric = parse_constraint(text)[0]
                trial.stopped_by = "constraint"
                trial.stop_reason = f"{text} must hold, but {metric} is {judged[metric]:.4g}"
                return True
        return False

    def _loses_race(self, trial: ActiveTrial, message: Message) -> bool:
        """At the end of a part, by the objective, whatever the scheduler compares (`search.luck.race`)."""
        leader = self.best()
        if leader is None or message.step % trial.part_epochs:
            return False
        complete = [view for view in self.study.views() if view.state == "complete"]
        rows = [view.part_values for view in complete]
        stands = standing(rows, leader.part_values, message.part_values, _noise(complete))
        if stands is None or not stands.is_hopeless:
            return False
        seen = " and ".join(f"{part.fold} with seed {part.seed}" for part in trial.parts[: len(message.part_values)])
        trial.stopped_by = "race"
        trial.stop_reason = (
            f"{stands.disadvantage:.4f} behind {_name(leader.number)} on {seen}, where luck explains {stands.reach:.4f}"
        )
        return True

    def _falls_short(self, trial: ActiveTrial, message: Message) -> bool:
        """Amid a part: whether complete trials say that it can hardly come to the best any more
        (`search.luck.forecast`). Only where the scheduler stops trials, and after its grace."""
        scheduler, leader = self.config.search.scheduler, self.best()
        if not isinstance(scheduler, StoppingSettings) or message.step < scheduler.grace_epochs or leader is None:
            return False
        worth = dict(message.judged)[self.config.search.leading_metric]
        highest = self._rises.highest(worth, message.step, trial.epochs)
        if highest is None or leader.objective is None or highest >= leader.objective:
            return False
        trial.stopped_by = "race"
        reached = f"{_name(leader.number)} has {leader.objective:.4f}"
        trial.stop_reason = f"it would hardly come to more than {highest:.4f}, and {reached}"
        return True

    def _take(self, proposal: Proposal, config: Config) -> ActiveTrial:
        """A proposal as a trial that is out, under the configuration that it makes."""
        key = trial_name(proposal.number)
        fresh = Seeds.of(self.config).look(proposal.look) if proposal.look > 1 else ()
        parts, epochs = parts_of(config, fresh), self.study.epochs(proposal.values)
        self._active[key] = ActiveTrial(
            key,
            _name(proposal.number),
            proposal.in_words(),
            epochs * len(parts),
            proposal=proposal,
            parts=parts,
            part_epochs=epochs,
            view=self.study.view(proposal.number),
        )
        return self._active[key]

    def _end(self, key: str, ending: Ending) -> None:
        trial = self._active.pop(key)
        self.listeners.job_ended(trial, ending)
        if ending.state == "complete":
            self._learn_rise(trial.curve, trial.part_epochs)

    def _learn_rise(self, curve: Mapping[int, float], part_epochs: int) -> None:
        """Of a complete trial; nothing is learned where the scheduler compares something else than the objective."""
        search = self.config.search
        if curve and search.deciding_metric == search.leading_metric:
            scores = score_steps(search, [curve[step] for step in sorted(curve)], part_epochs)
            self._rises.add([score.values[search.leading_metric] for score in scores])


class LeaderView(JobListener[ActiveTrial]):
    """Shows the best trial, after the line that says how a trial ended."""

    def __init__(self, progress: Progress, best_trials: BestTrials) -> None:
        self._progress = progress
        self._best_trials = best_trials

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        self.show()

    def show(self) -> None:
        leader = self._best_trials.best
        if leader is not None and leader.objective is not None:
            self._progress.leader(_name(leader.number), leader.objective, leader.in_words())


def _noise(complete: Iterable[TrialView]) -> Noise | None:
    views = list(complete)
    return noise_of([view.part_values for view in views], [point_key(view.values) for view in views])


def _name(number: int) -> str:
    return f"trial {number}"
