"""The points of a space as a model needs them: genes, which are changed one by one, and features, which measure.

| entry               | genes, each in [0, 1]                | features                                          |
|---------------------|--------------------------------------|---------------------------------------------------|
| float, int          | its place in the range (log: of log) | the same, of a whole number or a step at its middle |
| categorical         | one, cut into equal pieces           | one a choice, so that any two are equally far     |
| simplex of k        | k - 1, by breaking a stick           | the k weights as shares                           |
| one with a condition | as without                          | the same, at the middle where it is not searched, |
|                     |                                      | and one that says whether it is                   |

n: points, g: genes of one, d: features of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from owkd.config import SpaceEntry
from search.samplers.model.once import OncePerTrial
from search.space.conditions import parents_first
from search.space.entries import SimplexEntry, entries
from search.space.entry import Entry, Space, same

Array = NDArray[np.float64]

APART = math.sqrt(0.5)
"""what a feature of a choice counts: any two choices are 1 apart"""


class Points:
    """The points of a space.

    Attributes:
        params: Optuna's parameters, by name
        choices: (g,) which genes choose, so that near ones are not alike
    """

    def __init__(self, space: Space) -> None:
        known = entries(space)
        self._entries = {path: known[path] for path in parents_first(space)}
        self._known = {path: entry.coordinates() for path, entry in self._entries.items()}
        ends = np.cumsum([0, *map(len, self._known.values())])
        self._places = {path: slice(ends[i], ends[i + 1]) for i, path in enumerate(self._known)}
        self.params = {name: each for entry in known.values() for name, each in entry.distributions().items()}
        every = [each for coordinates in self._known.values() for each in coordinates.values()]
        self.choices = np.array([isinstance(each, CategoricalDistribution) for each in every], dtype=bool)
        self._seen: dict[tuple[tuple[str, Any], ...], Array] = {}
        self._of_trial = OncePerTrial(lambda trial: self.of(trial.params))
        self._middles = {
            path: self._of_entry(path, np.full((1, len(known)), 0.5)) for path, known in self._known.items()
        }
        self._columns: dict[str, slice] = {}
        self._width = 0
        for path, middle in self._middles.items():
            self._columns[path] = slice(self._width, self._width + middle.shape[1])
            self._width += middle.shape[1] + bool(self._entries[path].when)
        self._shaped = {path for path, known in self._known.items() if not _are_plain(known, self._entries[path])}
        plain = [path for path in self._known if path not in self._shaped]
        self._plain = [_indices(places[path] for path in plain) for places in (self._places, self._columns)]

    def of_trials(self, over: Sequence[FrozenTrial]) -> Array:
        """Trials that are over -> genes (n, g)."""
        return np.array(self._of_trial.of(over))

    def of(self, params: Mapping[str, Any]) -> Array:
        """Optuna's parameters -> genes (g,), in the middle where there is no parameter; kept in mind."""
        key = tuple(params.items())
        if key not in self._seen:
            self._seen[key] = self._genes(params)
        return self._seen[key]

    def _genes(self, params: Mapping[str, Any]) -> Array:
        genes = np.full(len(self.choices), 0.5)
        for path, known in self._known.items():
            entry = self._entries[path]
            if known and entry.distributions().keys() <= params.keys():
                coordinates = entry.to_coordinates(params)
                genes[self._places[path]] = [_place(each, coordinates[name]) for name, each in known.items()]
        return genes

    def to_params(self, genes: Array) -> dict[str, Any]:
        """Genes (g,) -> Optuna's parameters, of the entries that are searched there."""
        searched = self._searched(genes[None])
        params: dict[str, Any] = {}
        for path, known in self._known.items():
            if known and (path not in searched or searched[path][0]):
                params |= self._params(path, genes)
        return params

    def features(self, genes: Array) -> Array:
        """Genes (n, g) -> features (n, d)."""
        found = np.empty((len(genes), self._width))
        found[:, self._plain[1]] = genes[:, self._plain[0]]
        searched = self._searched(genes)
        for path, columns in self._columns.items():
            if path in self._shaped:
                found[:, columns] = self._of_entry(path, genes[:, self._places[path]])
            if path in searched:
                found[~searched[path], columns] = self._middles[path]
                found[:, columns.stop] = searched[path]
        return found

    def _params(self, path: str, genes: Array) -> dict[str, Any]:
        own = zip(self._known[path].items(), genes[self._places[path]], strict=True)
        return self._entries[path].from_coordinates({name: _value(known, float(gene)) for (name, known), gene in own})

    def _of_entry(self, path: str, genes: Array) -> Array:
        if isinstance(self._entries[path], SimplexEntry):
            return _shares(genes)
        columns: list[Array] = []
        for known, own in zip(self._known[path].values(), genes.T, strict=True):
            if isinstance(known, CategoricalDistribution):
                columns.append(_apart(len(known.choices))[_piece(own, len(known.choices))])
            else:
                columns.append(_snapped(known, own)[:, None])
        return columns[0] if len(columns) == 1 else np.hstack([np.empty((len(genes), 0)), *columns])

    def _searched(self, genes: Array) -> dict[str, NDArray[np.bool_]]:
        """By path of an entry with a condition, of which points (n,) it is searched."""
        found: dict[str, NDArray[np.bool_]] = {}
        for path, entry in self._entries.items():
            if entry.when:
                met = [self._has(each, wanted, genes) & found.get(each, True) for each, wanted in entry.when.items()]
                found[path] = np.logical_and.reduce(met)
        return found

    def _has(self, path: str, wanted: tuple[Any, ...], genes: Array) -> NDArray[np.bool_]:
        """Which points (n,) have one of these values of an entry."""
        entry, own = self._entries[path], genes[:, self._places[path]]
        if entry.values is not None:
            met = np.array([any(same(value, each) for each in wanted) for value in entry.values], dtype=bool)
            return met[_piece(own[:, 0], len(met)) if own.shape[1] else np.zeros(len(genes), dtype=int)]
        values = (entry.resolve(self._params(path, row)) for row in genes)
        return np.array([any(same(value, each) for each in wanted) for value in values], dtype=bool)


def _are_plain(known: Mapping[str, BaseDistribution], entry: Entry) -> bool:
    """Whether the genes of an entry are its features."""
    real = (isinstance(each, FloatDistribution) and each.step is None for each in known.values())
    return not isinstance(entry, SimplexEntry) and all(real)


def _indices(places: Iterable[slice]) -> NDArray[np.int64]:
    return np.array([index for place in places for index in range(place.start, place.stop)], dtype=np.int64)


def points_of(space: Space) -> Points:
    """The points of a space; the same object for the proposals of one search."""
    return _points(tuple((path, type(data), data.model_dump_json()) for path, data in space.items()))


@lru_cache(maxsize=4)
def _points(space: tuple[tuple[str, type[SpaceEntry], str], ...]) -> Points:
    return Points({path: kind.model_validate_json(text) for path, kind, text in space})


def _steps(known: BaseDistribution) -> int:
    """Values of a range of whole numbers or steps; 0 of one of real numbers."""
    assert isinstance(known, FloatDistribution | IntDistribution)
    return 0 if known.step is None else round((known.high - known.low) / known.step) + 1


def _bounds(known: BaseDistribution) -> tuple[float, float]:
    """The ends of a range on its scale; half a step wider for whole numbers, so that each gets its share."""
    assert isinstance(known, FloatDistribution | IntDistribution)
    half = 0.0 if known.step is None else known.step / 2
    low, high = known.low - half, known.high + half
    return (math.log(low), math.log(high)) if known.log else (low, high)


def _place(known: BaseDistribution, value: Any) -> float:
    """The gene of a value."""
    if isinstance(known, CategoricalDistribution):
        return (known.to_internal_repr(value) + 0.5) / len(known.choices)
    assert isinstance(known, FloatDistribution | IntDistribution)
    low, high = _bounds(known)
    return min(max(((math.log(value) if known.log else value) - low) / (high - low), 0.0), 1.0)


def _value(known: BaseDistribution, gene: float) -> Any:
    """The value of a gene."""
    if isinstance(known, CategoricalDistribution):
        return known.choices[min(int(gene * len(known.choices)), len(known.choices) - 1)]
    assert isinstance(known, FloatDistribution | IntDistribution)
    low, high = _bounds(known)
    place = low + gene * (high - low)
    value = math.exp(place) if known.log else place
    if steps := _steps(known):
        assert known.step is not None
        value = known.low + min(max(round((value - known.low) / known.step), 0), steps - 1) * known.step
    value = min(max(value, known.low), known.high)
    return round(value) if isinstance(known, IntDistribution) else value


def _snapped(known: BaseDistribution, genes: Array) -> Array:
    """Genes (n,) -> the genes of the values that they stand for."""
    assert isinstance(known, FloatDistribution | IntDistribution)
    steps = _steps(known)
    if not steps:
        return genes
    assert known.step is not None
    low, high = _bounds(known)
    values = low + genes * (high - low)
    values = np.exp(values) if known.log else values
    number = np.clip(np.round((values - known.low) / known.step), 0, steps - 1)
    values = np.minimum(known.low + number * known.step, known.high)
    return np.asarray(((np.log(values) if known.log else values) - low) / (high - low))


@lru_cache
def _apart(choices: int) -> Array:
    """The features (choices, choices) of each choice."""
    return np.eye(choices) * APART


def _piece(genes: Array, choices: int) -> NDArray[np.int64]:
    return np.minimum((genes * choices).astype(np.int64), choices - 1)


def _shares(genes: Array) -> Array:
    """As `search.space.simplex.join_stick`, of many."""
    shares = np.empty((len(genes), genes.shape[1] + 1))
    rest = np.ones(len(genes))
    for i, own in enumerate(genes.T):
        piece = rest * (1 - (1 - own) ** (1 / (genes.shape[1] - i)))
        shares[:, i] = piece
        rest = rest - piece
    shares[:, -1] = rest
    return shares
