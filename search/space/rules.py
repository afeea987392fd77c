"""What a search must hold: all that its space can propose is a right configuration, and its parts go together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from owkd.config import (
    EPOCH_METRICS,
    LEADING_METRICS,
    Config,
    SearchConfig,
    StoppingSettings,
    describe_errors,
    field_paths,
    set_dotted,
)
from search.space.conditions import combinations, leads_to
from search.space.entries import entries, entry_of
from search.space.entry import Space, same
from search.space.parameters import most_epochs

COMBINED = 512
"""combinations within a section that are all tried; of more, one entry at a time"""


def search_rules(config: Config) -> list[str]:
    """All that is wrong with the section `search`, beyond the type of each field and the names in its space."""
    return [
        *_space_rules(config),
        *_objective_rules(config.search),
        *_sampler_rules(config.search),
        *_grace_rules(config),
    ]


def _space_rules(config: Config) -> list[str]:
    space, known = config.search.space, field_paths()
    wrong = {name: [*_entry_rules(name, space), *_condition_rules(name, space)] for name in space}
    right = [name for name in space if not wrong[name] and name in known]
    spoilt = [name for name in space if name not in right]
    sound = {name: space[name] for name in right if not any(leads_to(space, bad, [name]) for bad in spoilt)}
    return [problem for problems in wrong.values() for problem in problems] + _proposal_rules(config, sound)


def _entry_rules(name: str, space: Space) -> Iterator[str]:
    where = f"search.space.{name}"
    yield from (f"{where}: {problem}" for problem in entry_of(name, space[name]).mistakes())
    for other in space:
        if name.startswith(f"{other}."):
            yield f"{where}: must not be searched beside {other}, which it is a part of; drop one of them"


def _condition_rules(name: str, space: Space) -> list[str]:
    problems = []
    for parent, wanted in space[name].when.items():
        where = f"search.space.{name}.when.{parent}"
        other = space.get(parent)
        if other is None:
            problems.append(f"{where}: must name another entry of the space; add {parent} to it")
            continue
        choices = entry_of(parent, other).values
        if choices is None:
            problems.append(f"{where}: must name a categorical or fixed entry, but {parent} is {other.type}")
            continue
        problems.extend(
            f"{where}: must be a value of {parent} ({', '.join(map(repr, choices))}), but got {value!r}"
            for value in wanted
            if not any(_same_or_odd(value, choice) for choice in choices)
        )
    if leads_to(space, name, [name]):
        problems.append(f"search.space.{name}.when: must not lead back to {name}; break the circle")
    return problems


def _same_or_odd(left: Any, right: Any) -> bool:
    """As `same`; of values that are not plain, which are refused elsewhere, only equality is known."""
    try:
        return same(left, right)
    except TypeError:
        return bool(left == right)


def _proposal_rules(config: Config, space: Space) -> list[str]:
    refused_at: dict[tuple[str, ...], dict[str, str]] = {}
    for group in _groups(space):
        tried = [(values, list(_refusals(config, values))) for values in islice(combinations(space, group), COMBINED)]
        for values, refusals in tried:
            for where, problem in refusals:
                names = _to_blame(where, values, [(others, bool(refused)) for others, refused in tried])
                proposal = " with ".join(f"{name}: would propose {values[name]!r}" for name in names)
                refused_at.setdefault((*names, where), {}).setdefault(proposal, problem)
    return [_in_words(problems) for problems in refused_at.values()]


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
    known = {name: entry for name, entry in entries(space).items() if entry.proposed()}
    for section in dict.fromkeys(name.partition(".")[0] for name in known):
        members = [name for name in known if name.partition(".")[0] == section]
        joint = [name for name in members if known[name].combines]
        if joint and math.prod(len(known[name].proposed()) for name in joint) <= COMBINED:
            yield joint
        else:
            yield from ([name] for name in joint)
        yield from ([name] for name in members if not known[name].combines)


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


def _in_words(problems: Mapping[str, str]) -> str:
    proposal, problem = next(iter(problems.items()))
    more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
    return f"search.space.{proposal}{more}, but {problem}"


def _objective_rules(search: SearchConfig) -> list[str]:
    problems = []
    metrics = [objective.metric for objective in search.objectives]
    repeated = sorted({metric for metric in metrics if metrics.count(metric) > 1})
    if repeated:
        problems.append(f"search.objectives must name each metric once, but {', '.join(repeated)} stands there twice")
    if search.leading_metric not in LEADING_METRICS:
        problems.append(
            f"search.objectives must begin with a metric of what the student learned ({', '.join(LEADING_METRICS)}), "
            f"but begins with {search.leading_metric}; put one of them first"
        )
    reductions = {objective.reduction for objective in search.objectives if objective.metric in EPOCH_METRICS}
    if len(reductions) > 1:
        problems.append(
            f"search.objectives must have one reduction, because a trial is evaluated by one model, but got "
            f"{', '.join(sorted(reductions))}"
        )
    if search.scheduler.name != "none" and search.scheduler.metric not in (None, *LEADING_METRICS):
        problems.append(
            f"search.scheduler.metric must be one that changes from epoch to epoch ({', '.join(LEADING_METRICS)}), but "
            f"got {search.scheduler.metric}; name one"
        )
    return problems


def _sampler_rules(search: SearchConfig) -> list[str]:
    problems = []
    sampler = search.sampler.name
    if sampler == "cmaes":
        if len(search.objectives) > 1:
            problems.append(
                "search.sampler.name must be tpe, gp, nsga2 or random for several objectives, but got cmaes"
            )
        if search.constraints:
            problems.append("search.sampler.name must be tpe, gp, nsga2 or random with constraints, but got cmaes")
        numbers = sum(entry.numbers for entry in entries(search.space).values() if not entry.when)
        if search.space and numbers < 2:
            problems.append(
                f"search.sampler.name must be tpe, gp, nsga2 or random where fewer than two numbers are searched in "
                f"every trial, but got cmaes for {numbers}"
            )
    if sampler in ("random", "nsga2") and search.warm_start is not None:
        problems.append(
            "search.sampler.name must be one that can learn from another run (tpe, gp, cmaes) for "
            f"search.warm_start, but got {sampler}"
        )
    return problems


def _grace_rules(config: Config) -> list[str]:
    scheduler, longest = config.search.scheduler, most_epochs(config)
    if config.search.space and isinstance(scheduler, StoppingSettings) and scheduler.grace_epochs > longest:
        return [
            f"search.scheduler.grace_epochs must be at most train.epochs, but got {scheduler.grace_epochs} and at "
            f"most {longest} in search.space; lower it"
            if "train.epochs" in config.search.space
            else f"search.scheduler.grace_epochs must be at most train.epochs, but got {scheduler.grace_epochs} and "
            f"{longest}; lower it"
        ]
    return []
