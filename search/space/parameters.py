"""Parameters by dotted configuration path <-> Optuna's parameters.

A *value* is what a field of the configuration takes; a *parameter* is what Optuna draws. They differ in two cases:
a simplex is drawn as independent u_k, uniform in (0, 1], whose exponentials -log(u_k), normalised, are uniform on
the simplex (Dirichlet(1, ..., 1)); and a choice that is no scalar is drawn as its JSON text. Only values are shown:
in configurations, tables, TensorBoard and the terminal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from owkd.config import (
    SIMPLEXES,
    Choice,
    Config,
    DistillConfig,
    Fixed,
    FloatRange,
    IntRange,
    Simplex,
    SpaceEntry,
    StudentConfig,
    combinations,
    holds,
    parents_first,
    with_values,
)

Space = Mapping[str, SpaceEntry]
ColumnType = Literal["float", "int", "bool", "text"]

SMALLEST_U = 1e-12
"""-log of it is 27.6: beyond what a draw of an exponential ever reaches in practice, and finite"""


@dataclass(frozen=True)
class Point:
    """One setting of everything that is searched."""

    values: dict[str, Any]
    """by dotted path, as `owkd.config.with_values` takes them"""
    params: dict[str, Any]
    """the same point as Optuna records it, or the nearest that it can express"""
    exact: bool
    """whether `params` are `values`"""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna's parameters of a space, by name."""
    return {name: found for path, entry in space.items() for name, found in _distributions(path, entry).items()}


def suggest(trial: BaseTrial, space: Space) -> dict[str, Any]:
    """Asks Optuna for every parameter that has none yet -> values by path.

    An entry whose condition does not hold is not asked for, and has no value.
    """
    values: dict[str, Any] = {}
    for path in parents_first(space):
        if holds(space[path], values):
            params = {name: _ask(trial, name, found) for name, found in _distributions(path, space[path]).items()}
            values[path] = _resolve(path, space[path], params)
    return {path: values[path] for path in space if path in values}


def resolve(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's parameters -> values by path, of the entries whose conditions hold."""
    values: dict[str, Any] = {}
    for path in parents_first(space):
        if holds(space[path], values):
            values[path] = _resolve(path, space[path], params)
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


def nearest_point(config: Config, values: Mapping[str, Any], base: Config) -> Point:
    """A trial of another run in this space: `values` were searched there, all else was as in its `base`."""
    tree = with_values(base, {**values, "search": {}}).to_dict()
    return _point(config.search.space, lambda path: _look_up(tree, path))


def nearest(path: str, entry: SpaceEntry, value: Any) -> dict[str, Any]:
    """Optuna's parameters of the point nearest to a value; the middle of the space for what is no point of it."""
    match entry:
        case Simplex():
            weights = value if isinstance(value, Mapping) else dict.fromkeys(SIMPLEXES[path], 1.0)
            # -log(u) = w: already normalised, since the weights sum to their number
            return {_u_name(path, part): max(SMALLEST_U, math.exp(-weights[part])) for part in SIMPLEXES[path]}
        case Choice():
            texts = [_choice_text(choice) for choice in entry.choices]
            return {path: _choice_text(value) if _choice_text(value) in texts else texts[0]}
        case Fixed():
            return {}
        case FloatRange() | IntRange():
            found = _distributions(path, entry)[path]
            assert isinstance(found, FloatDistribution | IntDistribution)
            if not isinstance(value, int | float):
                value = math.sqrt(found.low * found.high) if found.log else (found.low + found.high) / 2
            clipped = min(max(value, found.low), found.high)
            if found.step is not None:
                clipped = found.low + round((clipped - found.low) / found.step) * found.step
            return {path: round(clipped) if isinstance(found, IntDistribution) else clipped}


def _point(space: Space, look: Callable[[str], tuple[str, Any]]) -> Point:
    values: dict[str, Any] = {}
    params: dict[str, Any] = {}
    expressed: dict[str, Any] = {}
    for path in parents_first(space):
        entry = space[path]
        where, value = look(path)
        if holds(entry, values):
            values[where] = entry.value if isinstance(entry, Fixed) else value
        if holds(entry, expressed):
            found = nearest(path, entry, value if where == path else None)
            params |= found
            expressed[path] = _resolve(path, entry, found)
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
    found = {"student": config.student}
    for values in combinations(space, names):
        student = single(config, values).student
        if student not in found.values():
            searched = (f"{name} {values[name]!r}" for name in names if name in values)
            found[f"search.space would propose {', '.join(searched)}"] = student
    return found


def columns(config: Config) -> dict[str, ColumnType]:
    """Flat column names (a simplex has one for each component) and what they hold."""
    found: dict[str, ColumnType] = {}
    published = published_point(config).values
    for path, entry in config.search.space.items():
        match entry:
            case Simplex():
                found |= {f"{path}.{part}": "float" for part in SIMPLEXES[path]}
            case FloatRange():
                found[path] = "float"
            case IntRange():
                found[path] = "int"
            case Choice():
                found[path] = _common_type((*entry.choices, published.get(path, entry.choices[0])))
            case Fixed():
                found[path] = _common_type((entry.value,))
    return found


def flatten(types: Mapping[str, ColumnType], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path -> one scalar for each column; None where a value has no number, such as learned weights."""
    flat: dict[str, Any] = {}
    for column, kind in types.items():
        section, _, part = column.rpartition(".")
        weights = values.get(section)
        value = weights.get(part) if isinstance(weights, Mapping) else values.get(column)
        if kind == "text" and column in values and not isinstance(value, str):
            value = json.dumps(value)
        flat[column] = value
    return flat


def describe(values: Mapping[str, Any]) -> str:
    """Values on one line, for people: `gram 1.2e-04, teacher_weights 1.10/0.72/1.18`."""
    return ", ".join(f"{path.rsplit('.', 1)[-1]} {_short(value)}" for path, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "/".join(f"{part:.2f}" for part in value.values())
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def _distributions(path: str, entry: SpaceEntry) -> dict[str, BaseDistribution]:
    match entry:
        case FloatRange():
            high = entry.high
            if entry.step is not None:  # Optuna would move the end of the range to the grid too, but with a warning
                low, top, step = (Decimal(str(number)) for number in (entry.low, entry.high, entry.step))
                high = float(low + (top - low) // step * step)
            return {path: FloatDistribution(entry.low, high, log=entry.log, step=entry.step)}
        case IntRange():
            stride = entry.step or 1
            last = entry.high - (entry.high - entry.low) % stride
            return {path: IntDistribution(entry.low, last, entry.log, stride)}
        case Choice():
            return {path: CategoricalDistribution([_choice_text(choice) for choice in entry.choices])}
        case Fixed():
            return {}
        case Simplex():
            return {_u_name(path, part): FloatDistribution(SMALLEST_U, 1.0) for part in SIMPLEXES[path]}


def _ask(trial: BaseTrial, name: str, found: BaseDistribution) -> Any:
    match found:
        case FloatDistribution():
            return trial.suggest_float(name, found.low, found.high, step=found.step, log=found.log)
        case IntDistribution():
            return trial.suggest_int(name, found.low, found.high, step=found.step, log=found.log)
        case CategoricalDistribution():
            return trial.suggest_categorical(name, found.choices)
    raise AssertionError(f"no parameter of this kind: {found}")


def _resolve(path: str, entry: SpaceEntry, params: Mapping[str, Any]) -> Any:
    if isinstance(entry, Simplex):
        parts = SIMPLEXES[path]
        exponentials = {part: -math.log(params[_u_name(path, part)]) for part in parts}
        total = math.fsum(exponentials.values())
        if total == 0:  # every u is 1: no direction is left, so the middle
            return dict.fromkeys(parts, 1.0)
        return {part: len(parts) * value / total for part, value in exponentials.items()}
    if isinstance(entry, Fixed):
        return entry.value
    if isinstance(entry, Choice):
        return {_choice_text(choice): choice for choice in entry.choices}[params[path]]
    return params[path]


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


def _u_name(path: str, part: str) -> str:
    return f"{path}.u_{part}"


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
