"""The kinds of entries of a search space: one class each, and the only place that asks which kind an entry is.

| kind        | drawn by Optuna as                    | value of the field   | columns of tables |
|-------------|---------------------------------------|----------------------|-------------------|
| float, int  | one number                            | that number          | one               |
| categorical | one choice, as JSON if it is no scalar | that choice          | one               |
| fixed       | nothing                               | its one value        | one               |
| simplex     | k numbers u in (0, 1]                 | k weights of sum k   | one a weight      |

The exponentials -log(u) of a simplex, normalised, are uniform on it (Dirichlet(1, ..., 1)).
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from owkd.config import (
    Choice,
    Fixed,
    FloatRange,
    IntRange,
    Simplex,
    SpaceEntry,
    StageWeights,
    TeacherWeights,
    field_paths,
)
from search.space.entry import ColumnType, Entry, Space, as_cell, same
from search.space.simplex import break_stick, join_stick

SIMPLEXES: dict[str, tuple[str, ...]] = {
    "distill.teacher_weights": tuple(TeacherWeights.model_fields),
    "distill.stage_weights": tuple(StageWeights.model_fields),
}
"""fields that a simplex fits, and the names of their weights"""
SMALLEST_U = 1e-12
"""-log of it is 27.6: beyond what a draw of an exponential ever reaches in practice, and finite"""
SMALLEST_STEP = 1e-6
"""of the ends of a range; of much smaller ones, floating point does not know which it stands on"""
ENUMERATED = 64
"""whole numbers of a range that are all tried; of a longer one its ends"""
GRID = 4096
"""numbers of a range that are named one by one, where a space may be searched to its end"""


class _RangeEntry(Entry):
    """A number between two ends."""

    data: FloatRange | IntRange
    numbers = 1

    @property
    def log(self) -> bool:
        return self.data.log

    @property
    def interval(self) -> tuple[float, float]:
        known = self._distribution()
        return known.low, known.high

    @property
    def kind(self) -> str:
        data = self.data
        return data.type + (", log" if data.log else "") + (f", step {data.step:g}" if data.step else "")

    def distributions(self) -> dict[str, BaseDistribution]:
        return {self.path: self._distribution()}

    def resolve(self, params: Mapping[str, Any]) -> Any:
        return params[self.path]

    def nearest(self, value: Any) -> dict[str, Any]:
        known = self._distribution()
        if not isinstance(value, int | float):
            value = math.sqrt(known.low * known.high) if known.log else (known.low + known.high) / 2
        clipped = min(max(value, known.low), known.high)
        if known.step is not None:
            clipped = min(known.low + round((clipped - known.low) / known.step) * known.step, known.high)
        return {self.path: self._number(clipped)}

    def coordinates(self) -> dict[str, BaseDistribution]:
        """A range of more steps than can be named is measured without them: a sampler that names each would hold
        them all in memory."""
        known = self._distribution()
        if known.step is None or (known.high - known.low) / known.step <= GRID:
            return super().coordinates()
        return {self.path: FloatDistribution(known.low, known.high, log=known.log)}

    def from_coordinates(self, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        return self.nearest(coordinates[self.path]) if self.coordinates() else {}

    def mistakes(self) -> Iterator[str]:
        low, high, step = self.data.low, self.data.high, self.data.step
        if step is not None and step > high - low:
            yield f"step must be at most high - low, but got {step} for {low} to {high}; fix the value instead"
        if step is not None and step < SMALLEST_STEP * max(abs(low), abs(high)):
            yield f"step must be a millionth of the ends at least, but got {step} for {low} to {high}; leave it out"

    def _range(self) -> str:
        return f"{self.data.low:g} to {self.data.high:g}"

    @abstractmethod
    def _distribution(self) -> FloatDistribution | IntDistribution: ...

    @abstractmethod
    def _number(self, value: float) -> float: ...


class FloatEntry(_RangeEntry):
    """A real number in [low, high]."""

    data: FloatRange
    combines = False

    def proposed(self) -> tuple[float, ...]:
        return self.data.low, self.data.high

    def grid(self) -> tuple[float, ...] | None:
        known = self._distribution()
        if known.step is None or (known.high - known.low) / known.step > GRID:
            return None
        steps = round((known.high - known.low) / known.step)
        return tuple(min(number * known.step + known.low, known.high) for number in range(steps + 1))

    def columns(self, published: Mapping[str, Any]) -> dict[str, ColumnType]:
        return {self.path: "float"}

    def importance_distribution(self, cells: Sequence[Any]) -> FloatDistribution:
        return FloatDistribution(min(self.data.low, *cells), max(self.data.high, *cells), log=self.data.log)

    def _distribution(self) -> FloatDistribution:
        low, high, step = self.data.low, self.data.high, self.data.step
        if step is not None:  # Optuna would move the end of the range to the grid too, but with a warning
            first, last, stride = (Decimal(str(number)) for number in (low, high, step))
            high = float(first + (last - first) // stride * stride)
        return FloatDistribution(low, high, log=self.data.log, step=step)

    def _number(self, value: float) -> float:
        return value


class IntEntry(_RangeEntry):
    """A whole number in [low, high]."""

    data: IntRange

    def proposed(self) -> tuple[int, ...]:
        numbers = range(self.data.low, self.data.high + 1, self.data.step or 1)
        return tuple(numbers) if len(numbers) <= ENUMERATED else (numbers[0], numbers[1], numbers[-1])

    def grid(self) -> tuple[int, ...] | None:
        numbers = range(self.data.low, self.data.high + 1, self.data.step or 1)
        return tuple(numbers) if len(numbers) <= GRID else None

    def columns(self, published: Mapping[str, Any]) -> dict[str, ColumnType]:
        return {self.path: "int"}

    def importance_distribution(self, cells: Sequence[Any]) -> IntDistribution:
        return IntDistribution(min(self.data.low, *cells), max(self.data.high, *cells), log=self.data.log)

    def _distribution(self) -> IntDistribution:
        low, high, stride = self.data.low, self.data.high, self.data.step or 1
        return IntDistribution(low, high - (high - low) % stride, self.data.log, stride)

    def _number(self, value: float) -> int:
        return round(value)


class _NamedEntry(Entry):
    """Values that are named one by one."""

    data: Choice | Fixed

    @property
    @abstractmethod
    def values(self) -> tuple[Any, ...]: ...

    def proposed(self) -> tuple[Any, ...]:
        return self.values

    def grid(self) -> tuple[Any, ...]:
        return self.values

    def from_columns(self, row: Mapping[str, Any], types: Mapping[str, ColumnType]) -> Any:
        cell = row[self.path]
        alike = [value for value in self.values if as_cell(types[self.path], value) == cell]
        return alike[0] if alike and cell is not None else None

    def importance_distribution(self, cells: Sequence[Any]) -> CategoricalDistribution:
        return CategoricalDistribution(sorted({str(cell) for cell in cells}))

    def mistakes(self) -> Iterator[str]:
        seen: list[Any] = []
        for value in self.values:
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                yield f"must hold plain finite values, but got {value!r}; quote it if it is text"
                continue
            if any(same(value, other) for other in seen):
                yield f"must name each choice once, but {value!r} stands there twice"
            seen.append(value)

    def _range(self) -> str:
        return " | ".join(str(value) for value in self.values)


class ChoiceEntry(_NamedEntry):
    """One of some values."""

    data: Choice

    @property
    def values(self) -> tuple[Any, ...]:
        return self.data.choices

    @property
    def choices(self) -> tuple[Any, ...]:
        return tuple(_choice_text(value) for value in self.values)

    def distributions(self) -> dict[str, BaseDistribution]:
        return {self.path: CategoricalDistribution(self.choices)}

    def resolve(self, params: Mapping[str, Any]) -> Any:
        return dict(zip(self.choices, self.values, strict=True))[params[self.path]]

    def nearest(self, value: Any) -> dict[str, Any]:
        text = _choice_text(value)
        return {self.path: text if text in self.choices else self.choices[0]}

    def columns(self, published: Mapping[str, Any]) -> dict[str, ColumnType]:
        return {self.path: _common_type((*self.values, published.get(self.path, self.values[0])))}


class FixedEntry(_NamedEntry):
    """One value for every trial."""

    data: Fixed

    @property
    def values(self) -> tuple[Any, ...]:
        return (self.data.value,)

    def distributions(self) -> dict[str, BaseDistribution]:
        return {}

    def resolve(self, params: Mapping[str, Any]) -> Any:
        return self.data.value

    def nearest(self, value: Any) -> dict[str, Any]:
        return {}

    def published(self, value: Any) -> Any:
        return self.data.value

    def columns(self, published: Mapping[str, Any]) -> dict[str, ColumnType]:
        return {self.path: _common_type(self.values)}


class SimplexEntry(Entry):
    """Weights with a fixed sum, which is their number k."""

    data: Simplex
    combines = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the weights; none where a simplex does not fit."""
        return SIMPLEXES.get(self.path, ())

    @property
    def numbers(self) -> int:  # type: ignore[override]  # as many as the field has weights
        return len(self.parts)

    @property
    def interval(self) -> tuple[float, float]:
        return 0.0, float(len(self.parts))

    def distributions(self) -> dict[str, BaseDistribution]:
        return {self._u_name(part): FloatDistribution(SMALLEST_U, 1.0) for part in self.parts}

    def resolve(self, params: Mapping[str, Any]) -> dict[str, float]:
        exponentials = {part: -math.log(params[self._u_name(part)]) for part in self.parts}
        total = math.fsum(exponentials.values())
        if total == 0:  # every u is 1: no direction is left, so the middle
            return dict.fromkeys(self.parts, 1.0)
        return {part: len(self.parts) * value / total for part, value in exponentials.items()}

    def nearest(self, value: Any) -> dict[str, Any]:
        weights = value if isinstance(value, Mapping) else dict.fromkeys(self.parts, 1.0)
        # -log(u) = w: already normalised, since the weights sum to their number
        return {self._u_name(part): max(SMALLEST_U, math.exp(-weights[part])) for part in self.parts}

    def proposed(self) -> tuple[Any, ...]:
        return ()

    def columns(self, published: Mapping[str, Any]) -> dict[str, ColumnType]:
        return {f"{self.path}.{part}": "float" for part in self.parts}

    def from_columns(self, row: Mapping[str, Any], types: Mapping[str, ColumnType]) -> Any:
        weights = {part: row[f"{self.path}.{part}"] for part in self.parts}
        return None if None in weights.values() else weights

    def importance_distribution(self, cells: Sequence[Any]) -> FloatDistribution:
        return FloatDistribution(*self.interval)

    def coordinates(self) -> dict[str, BaseDistribution]:
        return {f"{self.path}.{part}": FloatDistribution(0.0, 1.0) for part in self.parts[:-1]}

    def to_coordinates(self, params: Mapping[str, Any]) -> dict[str, Any]:
        weights = list(self.resolve(params).values())
        return dict(zip(self.coordinates(), break_stick(weights), strict=True))

    def from_coordinates(self, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        shares = join_stick([coordinates[name] for name in self.coordinates()])
        return self.nearest(dict(zip(self.parts, (len(self.parts) * share for share in shares), strict=True)))

    def mistakes(self) -> Iterator[str]:
        if not self.parts and self.path in field_paths():
            yield f"a simplex fits {' and '.join(SIMPLEXES)} only"

    def _range(self) -> str:
        return f"{len(self.parts)} weights, sum {len(self.parts)}"

    def _u_name(self, part: str) -> str:
        return f"{self.path}.u_{part}"


def entry_of(path: str, data: SpaceEntry) -> Entry:
    """The entry of a field."""
    match data:
        case FloatRange():
            return FloatEntry(path, data)
        case IntRange():
            return IntEntry(path, data)
        case Choice():
            return ChoiceEntry(path, data)
        case Fixed():
            return FixedEntry(path, data)
        case Simplex():
            return SimplexEntry(path, data)


def entries(space: Space) -> dict[str, Entry]:
    """The entries of a space by path, in its order."""
    return {path: entry_of(path, data) for path, data in space.items()}


def entry_of_column(space: Space, column: str) -> Entry | None:
    """The entry that a column of a table belongs to: of that path, or the simplex that it is a weight of."""
    for path in (column, column.rpartition(".")[0]):
        if path in space:
            entry = entry_of(path, space[path])
            if column in entry.columns({}):
                return entry
    return None


def _choice_text(choice: Any) -> Any:
    """A choice as Optuna stores it: scalars as they are, lists and mappings as JSON."""
    if choice is None or isinstance(choice, bool | int | float | str):
        return choice
    return json.dumps(choice)


def _common_type(values: Iterable[Any]) -> ColumnType:
    kinds = {type(value) for value in values}
    if kinds <= {bool}:
        return "bool"
    if kinds <= {int}:
        return "int"
    if kinds <= {int, float}:
        return "float"
    return "text"
