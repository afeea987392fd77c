"""Parameters by dotted configuration path <-> Optuna's parameters, of a whole space: its entries, conditions heeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial
from pydantic import ValidationError

from owkd.config import NO_DISTILLATION, Config, DistillConfig, StudentConfig, TrainConfig, with_values
from owkd.training.reduction import in_words
from search.space.conditions import combinations, is_searched, parents_first
from search.space.entries import SIMPLEXES, entries, entry_of
from search.space.entry import ColumnType, Entry, Space, as_cell


@dataclass(frozen=True)
class Point:
    """One setting of everything that is searched.

    Attributes:
        values: by dotted path, as `owkd.config.with_values` takes them
        params: the same point as Optuna records it, or the nearest that it can express
        exact: whether `params` are `values`
    """

    values: dict[str, Any]
    params: dict[str, Any]
    exact: bool


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna's parameters of a space, by name."""
    return {name: known for entry in entries(space).values() for name, known in entry.distributions().items()}


def suggest(trial: BaseTrial, space: Space) -> dict[str, Any]:
    """Asks Optuna for every parameter that has none yet -> values by path.

    An entry whose condition does not hold is not asked for, and has no value.
    """
    return _values(space, lambda entry: entry.ask(trial))


def resolve(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's parameters -> values by path, of the entries whose conditions hold."""
    return _values(space, lambda entry: entry.resolve(params))


def _values(space: Space, value_of: Callable[[Entry], Any]) -> dict[str, Any]:
    """The value of each entry whose condition holds, asked for in an order in which it follows its parents."""
    values: dict[str, Any] = {}
    for path in parents_first(space):
        if is_searched(space[path], values):
            values[path] = value_of(entry_of(path, space[path]))
    return {path: values[path] for path in space if path in values}


def published_point(config: Config) -> Point:
    """The published setting: what is searched under `distill` takes its published default, all else stays as it is.

    An entry whose condition does not hold in it has no value there either.
    """
    published = config.model_copy(update={"distill": DistillConfig()}).to_dict()
    own = config.to_dict()

    def look(path: str) -> tuple[str, Any]:
        return _look_up(published if path.startswith("distill.") else own, path)

    return _point(config.search.space, look)


def no_distillation_point(config: Config) -> Point:
    """The same without distillation: all of `distill` is as in `NO_DISTILLATION`, whether it is searched or not.

    It is exact where the space can switch every term off. A nearest point would be another setting, which teaches.
    """
    without = config.model_copy(update={"distill": NO_DISTILLATION}).to_dict()
    point = _point(config.search.space, lambda path: _look_up(without, path))
    expressed = resolve(config.search.space, point.params)
    others = {path: value for path, value in point.values.items() if path.partition(".")[0] != "distill"}
    taught = {path: value for path, value in expressed.items() if path.partition(".")[0] == "distill"}
    exact = not single(config, taught).distill.enabled and all(
        path in expressed and _equal(expressed[path], value) for path, value in others.items()
    )
    values = others | {f"distill.{name}": value for name, value in without["distill"].items()}
    return Point(values, point.params, exact)


def nearest_point(config: Config, values: Mapping[str, Any], base: Config) -> Point:
    """A trial of another run in this space: `values` were searched there, all else was as in its `base`."""
    tree = with_values(base, {**values, "search": {}}).to_dict()
    return _point(config.search.space, lambda path: _look_up(tree, path))


def _point(space: Space, look: Callable[[str], tuple[str, Any]]) -> Point:
    values: dict[str, Any] = {}
    params: dict[str, Any] = {}
    expressed: dict[str, Any] = {}
    for path in parents_first(space):
        entry = entry_of(path, space[path])
        where, value = look(path)
        if is_searched(entry, values):
            values[where] = entry.published(value)
        if is_searched(entry, expressed):
            nearest = entry.nearest(value if where == path else None)
            params |= nearest
            expressed[path] = entry.resolve(nearest)
    exact = all(path in expressed and _equal(expressed[path], value) for path, value in values.items())
    return Point(values, params, exact)


def single(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration of one training: the values set, and neither a space nor a scheduler left that could object.

    Raises `ConfigError` when the values do not go together.
    """
    judged_by = {"name": "none", "metric": config.search.scheduler.metric}
    return with_values(config, {**values, "search.space": {}, "search.scheduler": judged_by})


def students(config: Config) -> dict[str, StudentConfig]:
    """Every student that a trial may train, the configuration's own included, by what proposes it."""
    space = config.search.space
    names = [name for name in space if name.startswith("student.")]
    proposals = {"student": config.student}
    for values in combinations(space, names):
        student = single(config, values).student
        if student not in proposals.values():
            searched = (f"{name} {values[name]!r}" for name in names if name in values)
            proposals[f"search.space would propose {', '.join(searched)}"] = student
    return proposals


def epochs_of(config: Config, values: Mapping[str, Any]) -> int:
    """Epochs of a training with these values of fields, by dotted path; the configuration's where none sets them.

    Raises `pydantic.ValidationError` for a value that is no number of epochs.
    """
    section = values.get("train", {"epochs": values.get("train.epochs", config.train.epochs)})
    return TrainConfig.model_validate(section).epochs


def most_epochs(config: Config) -> int:
    """The most epochs that the search may train one part of a trial for; values that are mistakes do not count."""
    return max(_epochs_proposed(config), default=config.train.epochs)


def reduction_in_words(config: Config) -> str:
    """How the epochs of a training become one number, and which model is kept, for trainings of this search."""
    epochs = _epochs_proposed(config) or {config.train.epochs}
    return in_words(config.search.reduction, min(epochs), max(epochs))


def _epochs_proposed(config: Config) -> set[int]:
    """Numbers of epochs between which every training of a part lies."""
    space = config.search.space
    searched = {name: space[name] for name in ("train", "train.epochs") if name in space}
    always = any(not entry.when for entry in searched.values())
    epochs = set() if always else {config.train.epochs}
    for name, entry in searched.items():
        for value in entry_of(name, entry).proposed():
            with suppress(ValidationError):
                epochs.add(epochs_of(config, {name: value}))
    return epochs


def columns(config: Config) -> dict[str, ColumnType]:
    """Flat column names (a simplex has one for each component) and what they hold."""
    published = published_point(config).values
    every = entries(config.search.space).values()
    return {name: kind for entry in every for name, kind in entry.columns(published).items()}


def simplex_weights(columns: Mapping[str, ColumnType], values: Mapping[str, Any]) -> dict[str, float]:
    """Weights of simplices by column. Optuna's own programs can plot them; its parameters are the draws behind them."""
    flat = flatten(columns, values)
    return {name: value for name, value in flat.items() if name.rpartition(".")[0] in SIMPLEXES and value is not None}


def flatten(types: Mapping[str, ColumnType], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path -> one scalar for each column; None where a value has no number, such as learned weights."""
    flat: dict[str, Any] = {}
    for column, kind in types.items():
        section, _, part = column.rpartition(".")
        weights = values.get(section)
        value = weights.get(part) if isinstance(weights, Mapping) else values.get(column)
        flat[column] = as_cell(kind, value) if column in values else value
    return flat


def from_columns(config: Config, row: Mapping[str, Any]) -> dict[str, Any]:
    """One scalar for each column -> values by path, floats bit for bit, of the entries that have one in this row."""
    types = columns(config)
    values = {path: entry.from_columns(row, types) for path, entry in entries(config.search.space).items()}
    return {path: value for path, value in values.items() if value is not None}


def describe(values: Mapping[str, Any]) -> str:
    """Values on one line, for people: `gram 1.2e-04, teacher_weights 1.10/0.72/1.18`."""
    return ", ".join(f"{path.rsplit('.', 1)[-1]} {_short(value)}" for path, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "/".join(f"{part:.2f}" for part in value.values())
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def _look_up(tree: Mapping[str, Any], path: str) -> tuple[str, Any]:
    """The value at a path, or at the section above it that is no section at the moment (`stage_weights: learned`)."""
    node: Any = tree
    walked: list[str] = []
    for part in path.split("."):
        if not isinstance(node, Mapping):
            break
        node = node[part]
        walked.append(part)
    return ".".join(walked), node


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)
