"""What a configuration must hold beyond the type of each field, and every mistake in words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from owkd.config.paths import field_paths, set_dotted, walk
from owkd.config.search import MAXIMISED, Choice, Fixed, FloatRange, IntRange, SearchConfig, Simplex, SpaceEntry
from owkd.config.tree import FOLD_PLACEHOLDER, Config, StageWeights, TeacherWeights

SIMPLEXES: dict[str, tuple[str, ...]] = {
    "distill.teacher_weights": tuple(TeacherWeights.model_fields),
    "distill.stage_weights": tuple(StageWeights.model_fields),
}


def cross_checks(config: Config) -> list[str]:
    problems = []
    for name, entry in config.search.space.items():
        problems.extend(_name_check(name) or _entry_check(config, name, entry))
    problems.extend(_condition_checks(config.search.space))
    problems.extend(_objective_checks(config.search))
    scheduler = config.search.scheduler
    if config.search.space and scheduler.name != "none" and scheduler.grace_epochs > config.train.epochs:
        problems.append(
            f"search.scheduler.grace_epochs must be at most train.epochs, but got {scheduler.grace_epochs} and "
            f"{config.train.epochs}"
        )
    checkpoint = config.teacher.checkpoint
    if checkpoint and FOLD_PLACEHOLDER not in checkpoint and len(config.fold_names()) > 1:
        problems.append(
            f"teacher.checkpoint must hold {FOLD_PLACEHOLDER} when several folds are used, because a teacher knows the "
            f"identities of one fold only, but got {checkpoint!r} for {', '.join(config.fold_names())}"
        )
    return problems


def _condition_checks(space: Mapping[str, SpaceEntry]) -> list[str]:
    problems = []
    for name, entry in space.items():
        for parent, wanted in entry.when.items():
            where = f"search.space.{name}.when.{parent}"
            other = space.get(parent)
            if other is None:
                problems.append(f"{where}: must name another entry of the space; do add {parent} to it")
                continue
            if not isinstance(other, Choice | Fixed):
                problems.append(f"{where}: must name a categorical or fixed entry, but {parent} is {other.type}")
                continue
            choices = other.choices if isinstance(other, Choice) else (other.value,)
            problems.extend(
                f"{where}: must be a value of {parent} ({', '.join(map(repr, choices))}), but got {value!r}"
                for value in wanted
                if value not in choices
            )
        if _depends_on_itself(space, name):
            problems.append(f"search.space.{name}.when: must not lead back to {name}; do break the circle")
    return problems


def _depends_on_itself(space: Mapping[str, SpaceEntry], name: str) -> bool:
    seen: set[str] = set()
    ahead = list(space[name].when)
    while ahead:
        parent = ahead.pop()
        if parent == name:
            return True
        if parent in space and parent not in seen:
            seen.add(parent)
            ahead.extend(space[parent].when)
    return False


def _objective_checks(search: SearchConfig) -> list[str]:
    problems = []
    metrics = [objective.metric for objective in search.objectives]
    repeated = sorted({metric for metric in metrics if metrics.count(metric) > 1})
    if repeated:
        problems.append(f"search.objectives must name each metric once, but {', '.join(repeated)} stands there twice")
    if search.leading_metric not in MAXIMISED:
        problems.append(
            f"search.objectives must begin with a metric of what the student learned ({', '.join(MAXIMISED)}), but "
            f"begins with {search.leading_metric}; do put one of them first"
        )
    reductions = {objective.reduction for objective in search.objectives if objective.metric in MAXIMISED}
    if len(reductions) > 1:
        problems.append(
            f"search.objectives must have one reduction, because a trial is judged by one model, but got "
            f"{', '.join(sorted(reductions))}"
        )
    if search.scheduler.name != "none" and search.scheduler.metric not in (None, *MAXIMISED):
        problems.append(
            f"search.scheduler.metric must be one that changes from epoch to epoch ({', '.join(MAXIMISED)}), but got "
            f"{search.scheduler.metric}; do name one"
        )
    return problems + _sampler_checks(search)


def _sampler_checks(search: SearchConfig) -> list[str]:
    problems = []
    sampler = search.sampler.name
    if sampler == "cmaes":
        if len(search.objectives) > 1:
            problems.append(
                "search.sampler.name must be tpe, gp, nsga2 or random for several objectives, but got cmaes"
            )
        if search.constraints:
            problems.append("search.sampler.name must be tpe, gp, nsga2 or random with constraints, but got cmaes")
        numbers = sum(_numbers(name, entry) for name, entry in search.space.items() if not entry.when)
        if search.space and numbers < 2:
            problems.append(
                f"search.sampler.name must be tpe, gp, nsga2 or random where fewer than two numbers are searched in "
                f"every trial, but got cmaes for {numbers}"
            )
    if sampler == "random" and search.warm_start is not None:
        problems.append(
            "search.sampler.name must be one that learns (tpe, gp, cmaes, nsga2) for search.warm_start, but got random"
        )
    return problems


def _numbers(name: str, entry: SpaceEntry) -> int:
    """Real or whole numbers that an entry draws."""
    if isinstance(entry, Simplex):
        return len(SIMPLEXES.get(name, ()))
    return isinstance(entry, FloatRange | IntRange)


def describe_errors(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        where = ".".join(location)
        if problem["type"] == "extra_forbidden":
            siblings = children(location[:-1])
            near = difflib.get_close_matches(location[-1], siblings, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(siblings)}"
            lines.append(f"{where}: unknown key; {hint}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: is required")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            value = problem.get("input")
            shown = "" if isinstance(value, dict | BaseModel) else f", but got {value!r}"
            lines.append(f"{where}: {message}{shown}")
    return lines


def space_checks_alone(raw: Mapping[str, Any]) -> list[str]:
    """Unknown names in the space, of entries that have other mistakes too."""
    search = raw.get("search")
    space = search.get("space") if isinstance(search, dict) else None
    return [problem for name in space for problem in _name_check(str(name))] if isinstance(space, dict) else []


def _name_check(name: str) -> list[str]:
    known = field_paths()
    if name in known:
        return []
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "do name a field by its dotted path, such as distill.gram"
    return [f"search.space.{name}: names no field of the configuration; {hint}"]


def _entry_check(config: Config, name: str, entry: SpaceEntry) -> list[str]:
    if isinstance(entry, Simplex):
        if name in SIMPLEXES:
            return []
        return [f"search.space.{name}: a simplex fits {' and '.join(SIMPLEXES)} only"]
    match entry:
        case Choice():
            values = entry.choices
        case Fixed():
            values = (entry.value,)
        case _:
            values = (entry.low, entry.high)
    problems = []
    for value in values:
        raw = config.to_dict()
        raw["search"] = {}
        set_dotted(raw, name, value)
        try:
            Config.model_validate(raw)
        except ValidationError as error:
            problems.append(f"search.space.{name}: would propose {value!r}, but {'; '.join(describe_errors(error))}")
    return problems


def children(location: Sequence[str]) -> list[str]:
    """Names of the fields in a section."""
    prefix = ".".join(location)
    depth = len(location)
    names = [path for path in walk(Config) if path.startswith(f"{prefix}." if prefix else "")]
    return sorted({path.split(".")[depth] for path in names if path.count(".") == depth})
