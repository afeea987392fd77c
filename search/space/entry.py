"""What is known of an entry of a search space, whatever its kind. The kinds are in `search.space.entries`.

A *value* is what a field of the configuration takes; a *parameter* is what Optuna draws. They differ in two cases, the
simplex and the choice that is no scalar. Only values are shown: in configurations, tables, TensorBoard, the terminal.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from owkd.config import SpaceEntry

Space = Mapping[str, SpaceEntry]
ColumnType = Literal["float", "int", "bool", "text"]


@dataclass(frozen=True)
class Entry(ABC):
    """An entry of a space: a field by its dotted path, and what may be drawn for it.

    Attributes:
        numbers: real or whole numbers that are drawn
        combines: whether what it proposes is tried together with what other entries of its section propose
    """

    path: str
    data: SpaceEntry

    numbers: ClassVar[int] = 0
    combines: ClassVar[bool] = True

    @property
    def when(self) -> Mapping[str, tuple[Any, ...]]:
        """Other entries, and the values that they must have for this one to be searched."""
        return self.data.when

    @property
    def values(self) -> tuple[Any, ...] | None:
        """The values that it names one by one; None where it names a range."""
        return None

    @property
    def log(self) -> bool:
        """Whether it is searched on a log scale."""
        return False

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends between which each of its columns stays; None where columns hold no numbers of a range."""
        return None

    @property
    def choices(self) -> tuple[Any, ...]:
        """What Optuna chooses from: scalars as they are, else JSON; empty where it draws a number."""
        return ()

    @property
    def kind(self) -> str:
        """Its kind for people: `float, log`, `int, step 2`, `categorical`, `simplex`, `fixed`."""
        return self.data.type

    @property
    def range(self) -> str:
        """What may be drawn, and on which conditions, for people."""
        conditions = (f"{parent} is {' or '.join(map(str, values))}" for parent, values in self.when.items())
        return ", if ".join((self._range(), *conditions))

    @abstractmethod
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's parameters by name."""

    def ask(self, trial: BaseTrial) -> Any:
        """Asks Optuna for every parameter that has none yet -> the value."""
        return self.resolve({name: _ask(trial, name, known) for name, known in self.distributions().items()})

    @abstractmethod
    def resolve(self, params: Mapping[str, Any]) -> Any:
        """Optuna's parameters -> the value."""

    @abstractmethod
    def nearest(self, value: Any) -> dict[str, Any]:
        """Optuna's parameters of the point nearest to a value; the middle of the range for what is no point of it."""

    @abstractmethod
    def proposed(self) -> tuple[Any, ...]:
        """Values that it may propose: all, or the ends of its range; none of a simplex, which cannot be wrong."""

    def grid(self) -> tuple[Any, ...] | None:
        """Every value that it may propose; None where there are too many to name."""
        return None

    def largest(self) -> Any:
        """The largest of the values that it may propose, which must have an order."""
        return max(self.proposed())

    def published(self, value: Any) -> Any:
        """What the published setting takes here, given the value that the field has there."""
        return value

    @abstractmethod
    def columns(self, published: Mapping[str, Any]) -> dict[str, ColumnType]:
        """Flat column names and what they hold; `published` are the values of the published setting by path."""

    def from_columns(self, row: Mapping[str, Any], types: Mapping[str, ColumnType]) -> Any:
        """The value that a table's row holds, bit for bit; None where it holds none."""
        return row[self.path]

    @abstractmethod
    def importance_distribution(self, cells: Sequence[Any]) -> BaseDistribution:
        """The range of the cells of one of its columns, those of the published setting included."""

    def coordinates(self) -> dict[str, BaseDistribution]:
        """Coordinates for samplers that measure distances: no number too many, none for a single value."""
        return {name: known for name, known in self.distributions().items() if not known.single()}

    def to_coordinates(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Optuna's parameters -> coordinates."""
        return {name: params[name] for name in self.coordinates()}

    def from_coordinates(self, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        """Coordinates -> Optuna's parameters, those of a single value left out."""
        return {name: coordinates[name] for name in self.coordinates()}

    def mistakes(self) -> Iterator[str]:
        """What is wrong with it, whatever else is in the space."""
        return iter(())

    @abstractmethod
    def _range(self) -> str: ...


def same(left: Any, right: Any) -> bool:
    """Whether two plain values are one to a configuration: a list is a tuple, but true is not 1."""
    return json.dumps(left) == json.dumps(right)


def point_key(values: Mapping[str, Any]) -> str:
    """The same text for equal points, whatever the order of their entries: 1 is 1.0 here, but not true."""
    return json.dumps(_numbers_alike(values), sort_keys=True)


def _numbers_alike(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case Mapping():
            return {name: _numbers_alike(part) for name, part in value.items()}
        case list() | tuple():
            return [_numbers_alike(part) for part in value]
    return value


def as_cell(kind: ColumnType, value: Any) -> Any:
    """A value as the column of that type holds it: in one of text, what is no text is JSON."""
    return json.dumps(value) if kind == "text" and not isinstance(value, str) else value


def _ask(trial: BaseTrial, name: str, known: BaseDistribution) -> Any:
    match known:
        case FloatDistribution():
            return trial.suggest_float(name, known.low, known.high, step=known.step, log=known.log)
        case IntDistribution():
            return trial.suggest_int(name, known.low, known.high, step=known.step, log=known.log)
        case CategoricalDistribution():
            return trial.suggest_categorical(name, known.choices)
    raise AssertionError(f"no parameter of this kind: {known}")
