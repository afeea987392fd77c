"""What a configuration must hold beyond the type of each field."""

from __future__ import annotations

import re

from owkd.config.epochs import most_epochs
from owkd.config.metrics import EPOCH_METRICS, LEADING_METRICS
from owkd.config.paths import local_paths
from owkd.config.search import FloatRange, IntRange, SearchConfig, Simplex, SpaceEntry
from owkd.config.space_checks import SIMPLEXES, space_checks
from owkd.config.tree import FOLD_PLACEHOLDER, Config

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""of two letters at least: `C:/` is a drive; a path keeps one of two slashes"""


def cross_checks(config: Config) -> list[str]:
    problems = [*space_checks(config), *_objective_checks(config.search)]
    scheduler, longest = config.search.scheduler, most_epochs(config)
    if config.search.space and scheduler.name != "none" and scheduler.grace_epochs > longest:
        problems.append(
            f"search.scheduler.grace_epochs must be at most train.epochs, but got {scheduler.grace_epochs} and at "
            f"most {longest} in search.space; lower it"
            if "train.epochs" in config.search.space
            else f"search.scheduler.grace_epochs must be at most train.epochs, but got {scheduler.grace_epochs} and "
            f"{longest}; lower it"
        )
    problems.extend(_local_checks(config))
    checkpoint = config.teacher.checkpoint
    if checkpoint and FOLD_PLACEHOLDER not in checkpoint and len(config.fold_names()) > 1:
        problems.append(
            f"teacher.checkpoint must hold {FOLD_PLACEHOLDER} when several folds are used, because a teacher knows the "
            f"identities of one fold only, but got {checkpoint!r} for {', '.join(config.fold_names())}"
        )
    return problems


def _local_checks(config: Config) -> list[str]:
    """A run may lie in an object store; what it is made of is read as files."""
    return [
        f"{name} must be a path on each machine, but got the address {path}; copy or mount it there"
        for name, path in local_paths(config).items()
        if path is not None and URI.match(path)
    ]


def _objective_checks(search: SearchConfig) -> list[str]:
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
            f"search.objectives must have one reduction, because a trial is judged by one model, but got "
            f"{', '.join(sorted(reductions))}"
        )
    if search.scheduler.name != "none" and search.scheduler.metric not in (None, *LEADING_METRICS):
        problems.append(
            f"search.scheduler.metric must be one that changes from epoch to epoch ({', '.join(LEADING_METRICS)}), but "
            f"got {search.scheduler.metric}; name one"
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
    if sampler in ("random", "nsga2") and search.warm_start is not None:
        problems.append(
            "search.sampler.name must be one that can learn from another run (tpe, gp, cmaes) for "
            f"search.warm_start, but got {sampler}"
        )
    return problems


def _numbers(name: str, entry: SpaceEntry) -> int:
    """Real or whole numbers that an entry draws."""
    if isinstance(entry, Simplex):
        return len(SIMPLEXES.get(name, ()))
    return isinstance(entry, FloatRange | IntRange)
