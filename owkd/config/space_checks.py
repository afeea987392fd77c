"""What a search space must hold: everything that it can propose is a right configuration, or it is refused at once."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from owkd.config.mistakes import describe_errors
from owkd.config.paths import field_paths, set_dotted
from owkd.config.search import Choice, Fixed, FloatRange, IntRange, Simplex, SpaceEntry
from owkd.config.tree import Config, StageWeights, TeacherWeights

SIMPLEXES: dict[str, tuple[str, ...]] = {
    "distill.teacher_weights": tuple(TeacherWeights.model_fields),
    "distill.stage_weights": tuple(StageWeights.model_fields),
}
Space = Mapping[str, SpaceEntry]

ENUMERATED = 64
"""whole numbers of a range that are all tried; of a longer one its ends"""
COMBINED = 512
"""combinations within a section that are all tried; of more, one entry at a time"""


def space_checks(config: Config) -> list[str]:
    """All that is wrong with `search.space`."""
    space = config.search.space
    wrong = {name: [*_entry_checks(name, space), *_condition_checks(name, space)] for name in space}
    right = [name for name in space if not wrong[name]]
    sound = {
        name: space[name] for name in right if not any(_leads_to(space, bad, [name]) for bad in wrong if wrong[bad])
    }
    return [problem for found in wrong.values() for problem in found] + _proposal_checks(config, sound)


def space_checks_alone(raw: Mapping[str, Any]) -> list[str]:
    """Unknown names in the space, of entries that have other mistakes too."""
    search = raw.get("search")
    space = search.get("space") if isinstance(search, dict) else None
    return [problem for name in space for problem in name_check(str(name))] if isinstance(space, dict) else []


def name_check(name: str) -> list[str]:
    """Whether an entry names a field."""
    known = field_paths()
    if name in known:
        return []
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "name a field by its dotted path, such as distill.gram"
    return [f"search.space.{name}: names no field of the configuration; {hint}"]


def parents_first(space: Space) -> list[str]:
    """Names in an order in which every entry follows those that it depends on; the given order otherwise."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        for parent in space[name].when:
            add(parent)
        order[name] = None

    for name in space:
        add(name)
    return list(order)


def holds(entry: SpaceEntry, values: Mapping[str, Any]) -> bool:
    """Whether an entry is searched, given the values of those that it depends on; one without a value is none."""
    return all(
        parent in values and any(same(values[parent], value) for value in wanted)
        for parent, wanted in entry.when.items()
    )


def same(left: Any, right: Any) -> bool:
    """Whether two plain values are one to a configuration: a list is a tuple, but true is not 1."""
    return json.dumps(left) == json.dumps(right)


def combinations(space: Space, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Everything that the named entries, and those that they depend on, propose together."""
    needed = [name for name in parents_first(space) if name in names or _leads_to(space, name, names)]

    def extend(values: dict[str, Any], ahead: list[str]) -> Iterator[dict[str, Any]]:
        if not ahead:
            yield values
            return
        name, *rest = ahead
        if not holds(space[name], values):
            yield from extend(values, rest)
            return
        for value in proposed(space[name]):
            yield from extend({**values, name: value}, rest)

    return extend({}, needed)


def proposed(entry: SpaceEntry) -> tuple[Any, ...]:
    """Values of an entry: all of them, or the ends of its range; none of a simplex, which cannot be wrong."""
    match entry:
        case Choice():
            return entry.choices
        case Fixed():
            return (entry.value,)
        case IntRange():
            found = range(entry.low, entry.high + 1, entry.step or 1)
            return tuple(found) if len(found) <= ENUMERATED else (found[0], found[1], found[-1])
        case FloatRange():
            return (entry.low, entry.high)
        case Simplex():
            return ()


def _entry_checks(name: str, space: Space) -> list[str]:
    entry = space[name]
    problems = name_check(name)
    where = f"search.space.{name}"
    if isinstance(entry, Simplex) and name not in SIMPLEXES and not problems:
        problems.append(f"{where}: a simplex fits {' and '.join(SIMPLEXES)} only")
    if isinstance(entry, FloatRange | IntRange) and entry.step is not None and entry.step > entry.high - entry.low:
        problems.append(
            f"{where}: step must be at most high - low, but got {entry.step} for {entry.low} to {entry.high}; "
            "fix the value instead"
        )
    if isinstance(entry, Choice | Fixed):
        problems.extend(f"{where}: {problem}" for problem in _choice_checks(proposed(entry)))
    for other in space:
        if name.startswith(f"{other}."):
            problems.append(f"{where}: must not be searched beside {other}, which it is a part of; drop one of them")
    return problems


def _choice_checks(choices: Sequence[Any]) -> Iterator[str]:
    seen: list[Any] = []
    for choice in choices:
        try:
            json.dumps(choice, allow_nan=False)
        except (TypeError, ValueError):
            yield f"must hold plain finite values, but got {choice!r}; quote it if it is text"
            continue
        if any(same(choice, other) for other in seen):
            yield f"must name each choice once, but {choice!r} stands there twice"
        seen.append(choice)


def _condition_checks(name: str, space: Space) -> list[str]:
    problems = []
    for parent, wanted in space[name].when.items():
        where = f"search.space.{name}.when.{parent}"
        other = space.get(parent)
        if other is None:
            problems.append(f"{where}: must name another entry of the space; add {parent} to it")
            continue
        if not isinstance(other, Choice | Fixed):
            problems.append(f"{where}: must name a categorical or fixed entry, but {parent} is {other.type}")
            continue
        choices = proposed(other)
        problems.extend(
            f"{where}: must be a value of {parent} ({', '.join(map(repr, choices))}), but got {value!r}"
            for value in wanted
            if not any(_same_or_odd(value, choice) for choice in choices)
        )
    if _leads_to(space, name, [name]):
        problems.append(f"search.space.{name}.when: must not lead back to {name}; break the circle")
    return problems


def _same_or_odd(left: Any, right: Any) -> bool:
    """As `same`; of values that are not plain, which are refused elsewhere, only equality can be told."""
    try:
        return same(left, right)
    except TypeError:
        return bool(left == right)


def _leads_to(space: Space, name: str, names: Sequence[str]) -> bool:
    """Whether one of `names` depends on an entry."""
    seen: set[str] = set()
    ahead = [parent for child in names if child in space for parent in space[child].when]
    while ahead:
        parent = ahead.pop()
        if parent == name:
            return True
        if parent in space and parent not in seen:
            seen.add(parent)
            ahead.extend(space[parent].when)
    return False


def _proposal_checks(config: Config, space: Space) -> list[str]:
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for group in _groups(space):
        tried = [(values, list(_refusals(config, values))) for values in islice(combinations(space, group), COMBINED)]
        for values, refusals in tried:
            for where, problem in refusals:
                names = _to_blame(where, values, [(others, bool(refused)) for others, refused in tried])
                proposal = " with ".join(f"{name}: would propose {values[name]!r}" for name in names)
                found.setdefault((*names, where), {}).setdefault(proposal, problem)
    return [_told(problems) for problems in found.values()]


def _to_blame(where: str, values: Mapping[str, Any], tried: Sequence[tuple[Mapping[str, Any], bool]]) -> list[str]:
    """Entries that a refusal comes from: the one at that place, one whose value is always refused, or all."""
    at_the_place = [name for name in values if where == name or where.startswith(f"{name}.")]
    if at_the_place:
        return at_the_place
    for name, value in values.items():
        if all(refused for others, refused in tried if name in others and same(others[name], value)):
            return [name]
    return list(values)


def _groups(space: Space) -> Iterator[list[str]]:
    """Entries that are tried together: those of a section, where their combinations are few; a real number alone."""
    for section in dict.fromkeys(name.partition(".")[0] for name in space):
        members = [name for name in space if name.partition(".")[0] == section]
        joint = [name for name in members if not isinstance(space[name], FloatRange | Simplex)]
        if joint and math.prod(len(proposed(space[name])) for name in joint) <= COMBINED:
            yield joint
        else:
            yield from ([name] for name in joint)
        yield from ([name] for name in members if isinstance(space[name], FloatRange))


def _refusals(config: Config, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where and why a proposal is refused."""
    raw = config.to_dict()
    raw["search"] = {}
    for name, value in values.items():
        set_dotted(raw, name, value)
    try:
        Config.model_validate(raw)
    except ValidationError as error:
        places = (".".join(str(part) for part in details["loc"]) for details in error.errors())
        yield from zip(places, describe_errors(error), strict=True)


def _told(problems: Mapping[str, str]) -> str:
    proposal, problem = next(iter(problems.items()))
    more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
    return f"search.space.{proposal}{more}, but {problem}"
