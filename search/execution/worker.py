"""One job on one worker: a student trained part after part (a fold and a seed), every epoch reported to the driver.

A trial of the search and a model of the final stage are both jobs. What a job may do wrong is distinguished here,
where it happens: a loss that is not finite, a GPU without memory, a machine that fails and input that does not fit end
the job with a state of their own; anything else is reported too and then raised, so that Ray starts the job again from
its last checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from owkd.config import Config, parse_config
from owkd.errors import DivergedError, UserError
from owkd.files import written_only_if
from owkd.stalled import watched
from search.execution.nodes import fault_in_words, is_node_fault
from search.execution.resources import hide_unassigned_gpus
from search.storage.fence import SupersededError
from search.storage.worker_scratch import workplace
from search.trials.job import Job, Message, Part, ReportState
from search.trials.objective import ObjectiveAccumulator, epoch_rule

if TYPE_CHECKING:
    from owkd.training.run import Epoch, Run

GIB = 2**30
ERROR_TEXT_LIMIT = 4000
"""characters; the end of a traceback says most"""


class Train(Protocol):
    """Trains one student on one fold, as `owkd.training.run.run` does, and as the search section says."""

    def __call__(
        self,
        config: Config,
        report: Callable[[Epoch], None] | None = None,
        *,
        fold: str,
        directory: Path,
        seed: int | None = None,
    ) -> Run: ...


def train_student(
    config: Config,
    report: Callable[[Epoch], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
) -> Run:
    """`owkd.training.run.run` as the search section says: CPU threads, the epoch that is kept, costs to measure."""
    import torch

    from owkd.training.run import run
    from search.execution.gpu_packing import hold_to_share

    search = config.search
    torch.set_num_threads(max(1, int(search.resources.cpu)))
    if config.train.device != "cpu":
        hold_to_share()
    keep = epoch_rule(search)
    return run(config, report, fold=fold, directory=directory, seed=seed, keep=keep, costs=search.costs)


def work(payload: Mapping[str, Any], *, train: Train, send: Callable[[Message], None]) -> None:
    """Does one job (`Job` as a mapping) and sends a message after every epoch."""
    job = Job(**{**payload, "parts": tuple(Part(*part) for part in payload["parts"])})
    teller = _EpochReporter(job, parse_config(job.config), send)
    try:
        for part in job.parts:
            teller.enter(part)
            with workplace(job.directory, part.folder(Path())) as place, written_only_if(job.fence.require):
                report = teller.after(job.fence.require, place.save)
                train(teller.config, report, fold=part.fold, directory=place.folder, seed=part.seed)
            teller.leave()
    except SupersededError:
        return  # nobody listens to this attempt
    except DivergedError as error:
        teller.failed("diverged", str(error), error)
    except Exception as error:
        if _is_out_of_memory(error):
            teller.failed("out_of_memory", _text(error) + _gpu_memory(), error)
        elif is_node_fault(error):
            teller.failed("node_fault", fault_in_words(error), error)
        elif isinstance(error, UserError):  # the same input would be refused again
            teller.failed("error", str(error), error)
        else:
            teller.failed("crashed", _text(error), error)
            raise


def work_for_ray(payload: Mapping[str, Any], train: Train) -> None:
    """`work` inside a Ray Tune trial, with the job as JSON text in `payload["job"]`."""
    from ray import tune

    hide_unassigned_gpus()
    job = json.loads(payload["job"])
    # Where its files stall for too long the worker ends, and the job goes out again.
    with watched([Path(job["config"]["data"]["root"])], _tell_log):
        work(job, train=train, send=lambda message: tune.report(asdict(message)))


def _tell_log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _EpochReporter:
    """Counts epochs over parts and turns them into messages."""

    def __init__(self, job: Job, config: Config, send: Callable[[Message], None]) -> None:
        self.job = job
        self.config = config
        self.judge = ObjectiveAccumulator(config.search)
        self.total = len(job.parts) * config.train.epochs
        self.part = job.parts[0]
        self.before = 0
        self.step = 0
        self.host = socket.gethostname()
        self.device = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self.send = send

    def enter(self, part: Part) -> None:
        self.part = part

    def after(self, permitted: Callable[[], None], save: Callable[[], None]) -> Callable[[Epoch], None]:
        """Reports an epoch once `save` has put it where any machine finds it; what `permitted` raises prevents it."""

        def report(epoch: Epoch) -> None:
            permitted()
            save()
            self.epoch(epoch)

        return report

    def leave(self) -> None:
        self.before += self.config.train.epochs

    def epoch(self, epoch: Epoch) -> None:
        broken = [name for name in self.judge.names if not math.isfinite(epoch.metrics[name])]
        if broken:  # Optuna takes no such number, and a scheduler would let the trial go on for ever
            raise DivergedError(f"{', '.join(broken)} must be finite, but is not in epoch {epoch.epoch}")
        score = self.judge.add(self.part, epoch.metrics)
        self.step = self.before + epoch.epoch
        self.send(
            Message(
                key=self.job.key,
                state="complete" if self.step == self.total else "running",
                step=self.step,
                objective=score.scheduler_value,
                fold=epoch.fold,
                seed=epoch.seed,
                epoch=epoch.epoch,
                metrics=tuple((name, float(number)) for name, number in epoch.metrics.items()),
                replayed=epoch.replayed,
                sent_at=time.time(),
                host=self.host,
                judged=tuple(score.values.items()),
                best_step=score.step,
                part_values=score.parts,
                note=epoch.note,
                device=self.device,
            )
        )

    def failed(self, state: ReportState, text: str, error: Exception) -> None:
        self.send(
            Message(
                key=self.job.key,
                state=state,
                step=self.step + 1,
                objective=math.nan,
                fold=self.part.fold,
                seed=self.part.seed,
                epoch=0,
                metrics=(),
                replayed=False,
                sent_at=time.time(),
                host=self.host,
                error_type=type(error).__name__,
                error_text=text[-ERROR_TEXT_LIMIT:],
                device=self.device,
            )
        )


def _text(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _gpu_memory() -> str:
    """The last line of an out-of-memory text: what this process took of its GPU, and what it may take."""
    import torch

    if not torch.cuda.is_available():
        return ""
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    fraction = torch.cuda.get_per_process_memory_fraction()
    peak = torch.cuda.max_memory_allocated()
    return (
        f"\nGPU memory exhausted: peak {peak / GIB:.2f} GiB, limit {fraction * total / GIB:.2f} GiB "
        f"({fraction:.0%} of {total / GIB:.2f} GiB)"
    )
