"""A search before it starts: what it will do, how long, and how much room it takes.

Nothing is started and nothing is written but what a search would write first anyway: decoded images, and ImageNet
weights where they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from owkd.config import PUBLISHED_METRIC, Config
from owkd.formatting import format_count
from search.pilot import Pilot, find_pilot
from search.planning.checkpoint_bound import checkpoint_bound
from search.planning.costs import Costs
from search.planning.disk_use import DiskUse, disk_use
from search.planning.power import PlannedPower
from search.planning.wording import value_in_words
from search.retrain.control import ControlDecision, decide_on_control
from search.retrain.test_evaluation import missing_test_splits
from search.space.conditions import every_point
from search.space.entries import entries
from search.space.parameters import published_point, suggest
from search.storage.address import Address
from search.teaching import sentences_before
from search.trials.budget import Budget

DRAWS = 3


@dataclass(frozen=True)
class EntryLine:
    """An entry of the space, in words."""

    name: str
    kind: str
    range: str
    published: str


@dataclass(frozen=True)
class FoldSize:
    """What is learned on one fold."""

    fold: str
    images: int
    people: int
    validation_images: int


@dataclass(frozen=True)
class Plan:
    """A search that could start now.

    Attributes:
        draws: settings that the space may propose, values by dotted path
        teaching: what is known of the teacher beside a student without distillation, in sentences
    """

    config: Config
    run: Address
    folds: tuple[FoldSize, ...]
    space: tuple[EntryLine, ...]
    draws: tuple[Mapping[str, Any], ...]
    costs: Costs
    disk: DiskUse
    power: PlannedPower
    control: ControlDecision
    notes: tuple[str, ...]
    teaching: tuple[str, ...] = ()

    @property
    def targets_s(self) -> float:
        """Seconds of making the teacher's targets, once for all trials; 0 where none are stored or nothing is timed."""
        images = sum(fold.images for fold in self.folds)
        return self.costs.epoch_time.target_image_s * images if self.costs.epoch_time else 0.0

    @property
    def final_models(self) -> int:
        """Trainings of the final stage, those of a control's choice and test included."""
        budget = Budget.of(self.config)
        return budget.final_models + (budget.control_models if self.control.is_on else 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for scripts; hours and bytes as numbers."""
        costs, disk = self.costs, self.disk
        stages = {name: count for name, count in asdict(costs.epochs).items() if name != "trial"}
        return {
            "run": str(self.run),
            "trials": self.config.search.trials,
            "folds": [asdict(fold) for fold in self.folds],
            "space": [asdict(entry) for entry in self.space],
            "draws": [dict(values) for values in self.draws],
            "epochs": asdict(costs.epochs),
            "targets_s": self.targets_s,
            "at_a_time": costs.at_a_time,
            "machine": asdict(costs.machine),
            "epoch_s": costs.epoch_time.seconds if costs.epoch_time else None,
            "hours": {name: None if count is None else costs.hours(count) for name, count in stages.items()},
            "device_hours": {
                name: None if count is None else (costs.device_hours(count) or (None,))[0]
                for name, count in stages.items()
            },
            "bytes": {
                "checkpoints": disk.checkpoints.total,
                "tables": disk.tables,
                "run": disk.run,
                "images": disk.images,
                "targets": disk.targets,
                "free": disk.free,
            },
            "power": self.power.to_dict(),
            "final_models": self.final_models,
            "control": asdict(self.control),
            "teaching": list(self.teaching),
            "notes": list(self.notes),
        }


def make_plan(config: Config, runs: Path | str, *, measure: bool = True) -> Plan:
    """What a search with this configuration, which has no mistakes, would do on this machine.

    With `measure`, a few steps of a training are made, and forgotten. Raises `ConfigError` when a disk is too small.
    """
    run = Address.of(runs) / config.name
    folds = tuple(_fold_sizes(config))
    costs = Costs.of(config)
    bound = checkpoint_bound(config, identities=max(fold.people for fold in folds), at_a_time=max(1, costs.at_a_time))
    disk = disk_use(config, run, bound, sum(fold.images + fold.validation_images for fold in folds))
    disk.require_room(runs)
    pilot = find_pilot(config, runs)
    current = pilot is not None and pilot.is_of(config)
    power = PlannedPower.of(config, pilot if current else None)
    return Plan(
        config=config,
        run=run,
        folds=folds,
        space=tuple(_entries(config)),
        draws=tuple(_draws(config)),
        costs=costs.timed(config) if measure else costs,
        disk=disk,
        power=power,
        control=decide_on_control(config),
        teaching=tuple(_teaching(config, measure)),
        notes=(*power.warnings(), *_stale(None if current else pilot), *_notes(config)),
    )


def _fold_sizes(config: Config) -> Iterator[FoldSize]:
    from owkd.data.index import read_split

    data = config.data
    for fold in config.fold_names():
        train = read_split(data.root, data.dataset, fold, "train")
        validation = read_split(data.root, data.dataset, fold, "validation")
        yield FoldSize(fold, len(train.paths), train.num_identities, len(validation.paths))


def _entries(config: Config) -> Iterator[EntryLine]:
    published = published_point(config).values
    for name, entry in entries(config.search.space).items():
        # a weight of a section that is no section at the moment has its value there: stage_weights, `learned`
        value = published.get(name, published.get(name.rpartition(".")[0]))
        yield EntryLine(name, entry.kind, entry.range, value_in_words(value))


def _teaching(config: Config, measure: bool) -> Iterator[str]:
    """With `measure`, each teacher embeds the validation split of its fold."""
    from owkd.training.members import validate_members

    figures = {}
    for fold in config.data.folds if measure else ():
        scores = validate_members(
            config.teacher.checkpoint_for(fold), config.data, config.train, fold, config.train.device
        )
        figures[fold] = {member: own.metrics[PUBLISHED_METRIC] for member, own in scores.items()}
    yield from sentences_before(config, figures)


def _draws(config: Config) -> Iterator[dict[str, Any]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=config.search.sampler.seed)
    study = optuna.create_study(sampler=sampler)
    for _ in range(DRAWS):
        yield suggest(study.ask(), config.search.space)


def _stale(pilot: Pilot | None) -> Iterator[str]:
    if pilot is not None:
        yield f"The pilot {pilot.run} was of another configuration, so its spread is not used."


def _notes(config: Config) -> Iterator[str]:
    points = every_point(config.search.space)
    if points is not None and len(points) < config.search.trials:
        yield f"search.space has {format_count(len(points), 'point')}: the search ends when each of them has a trial."
    yield from _of_the_data(config)
    for place in missing_test_splits(config):
        yield f"There is no {place}: `owkd retrain` will refuse this run until there is."


def _of_the_data(config: Config) -> Iterator[str]:
    """The window of grey values, and whether batches as configured show most images; a search may have others."""
    from owkd.data.index import read_split
    from owkd.data.reading.survey import window_for
    from owkd.data.reading.window import said_of
    from owkd.data.sampler import rarely_shown

    data, train = config.data, config.train
    for fold in config.data.folds:
        split = read_split(data.root, data.dataset, fold, "train")
        rare = rarely_shown(split.labels, train.batch_size, train.images_per_identity, "train.batch_size")
        for line in (*said_of(window_for(split, data)), *rare):
            yield f"{fold}: {line}"
