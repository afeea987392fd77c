"""The pilot of a search: trained like models of the final stage, in a run of its own beside the search's.

    <runs>/<name>-pilot/run.yaml       the configuration, as a run has it
    retrain/, tensorboard/retrain-*/   its models, as in a final stage; checkpoints go once all are done
    results/retrain/models.parquet     one row a model
    pilot.json                         what was measured (`search.pilot.findings`)

The test split stays closed. Called again it resumes, and with more seeds it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from owkd.config import Config
from owkd.errors import OwkdError, UserError
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.execution.stage import TIMINGS, Connect, Prepare, Stage, Timings, prepare
from search.execution.worker import Train, train_student
from search.pilot.findings import METRIC, Pilot, pilot_address
from search.pilot.models import PilotModels, pilot_digests, pilot_settings
from search.retrain.models.records import Records
from search.retrain.models.training import train_models
from search.retrain.tables import model_row, write_models
from search.runs.inputs import anchored, check_inputs
from search.runs.layout import RunFolder
from search.runs.manifest import create, open_run, refuse_existing
from search.storage.address import Address


@dataclass(frozen=True)
class PilotWork:
    """What a pilot calls of owkd."""

    train: Train = train_student
    check: Callable[[Config], dict[str, Any]] = check_inputs
    prepare: Prepare = prepare
    timings: Timings = TIMINGS


def run_pilot(
    config: Config,
    runs: Address | Path | str,
    number: int,
    *,
    connect: Connect,
    console: Console,
    work: PilotWork | None = None,
) -> Pilot:
    """Trains the published setting and no distillation with `number` seeds each, or with those that are missing.

    Raises `ConfigError`, `UserError` before anything is trained, also where a pilot of another configuration lies
    there; `OwkdError` when too few models can be trained; `KeyboardInterrupt` after Ctrl-C: called again, it resumes.
    """
    if number < 2:
        raise UserError(f"a pilot must have 2 seeds or more, but got {number}; a spread takes two of them")
    return PilotStage(config, runs, number, console, work or PilotWork()).carry_out(connect)


class PilotStage(Stage[Pilot]):
    """Makes its run, or takes it up."""

    folder: RunFolder
    fingerprints: dict[str, Any]

    def __init__(
        self, config: Config, runs: Address | Path | str, number: int, console: Console, work: PilotWork
    ) -> None:
        self.address = pilot_address(config, runs)
        self.config = anchored(config, self.address.name)
        self.number = number
        self.console = console
        self.work = work
        self.makes_run = _nothing_at(self.address)

    def check(self) -> None:
        self.fingerprints = self.work.check(self.config)
        if not self.makes_run:
            _, began_with, manifest = open_run(self.address, drive=True)
            same = pilot_digests(began_with) == pilot_digests(self.config)
            if not same or manifest.get("fingerprints") != self.fingerprints:
                raise UserError(
                    f"a pilot must be of the configuration and the data that it began with, but {self.address} is of "
                    "others; remove it, or give the search another name: --set name=NAME"
                )

    def open(self) -> RunFolder:
        if self.makes_run:
            self.folder = create(self.address, self.config, self.fingerprints, self.work.timings.store)
        else:
            self.folder, _, _ = open_run(self.address, drive=True, timings=self.work.timings.store)
        return self.folder

    @cached_property
    def source(self) -> PilotModels:
        """The models that take part: also those of an earlier pilot that had more seeds. The run is locked."""
        earlier = Pilot.read(self.folder.root)
        most = max((len(own) for own in earlier.figures.values()), default=0) if earlier else 0
        return PilotModels(self.config, max(self.number, most), Records(self.folder, METRIC))

    def has_work(self) -> bool:
        """Whether a model has no record."""
        return not self.source.records.are_over(self.source.models())

    def prepare(self) -> TrialResources:
        published, _ = pilot_settings(self.config)
        _, resources = self.work.prepare(published.config, self.console)
        return resources

    def run(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        models = self.source.models()
        words = f"pilot at {self.address}: {len(models)} models on {self.source.fold}, {resources.describe()}"
        self.console.print(words, soft_wrap=True)
        train_models(
            self.source,
            self.folder,
            f"pilot {self.folder.name}",
            len(models),
            train=self.work.train,
            console=self.console,
            resources=resources,
            admission=admission,
            max_failures=self.config.search.max_failures,
            timings=self.work.timings.retries,
        )

    def conclude(self) -> Pilot:
        """Writes what was measured, and removes the checkpoints: nothing will be made of these students."""
        models, over = self.source.models(), list(self.source.records.over())
        figures = {
            own.name: {
                str(model.seed): record.validation[METRIC]
                for model, record in over
                if model.candidate is own and record.state == "complete"
            }
            for own in self.source.settings
        }
        ended_at = datetime.now(UTC).isoformat(timespec="seconds")
        pilot = Pilot(str(self.address), self.source.fold, ended_at, figures, pilot_digests(self.config))
        rows = [model_row(model, record, champion=False, checkpoint=None) for model, record in over]
        write_models(self.folder.results, rows)
        if pilot.degrees < 1:
            texts = (record.error_text for _, record in over if record.error_text)
            raise OwkdError(f"a pilot needs two models of a setting, but too few could be trained: {next(texts, '')}")
        pilot.write(self.folder.root)
        for model in models:
            self.folder.discard(model.folder(self.folder.retrain) / "best.safetensors")
        return pilot


def _nothing_at(address: Address) -> bool:
    try:
        refuse_existing(address)
    except UserError:  # also a store out of reach, which opening the run says better
        return False
    return True
