"""The page of `owkd plan`: what a search would do, how long it takes, how much room; or its mistakes."""

import json
import sys
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from launch.output.console import console
from owkd.config import Config, Reading
from owkd.formatting import format_bytes, format_count, format_duration, format_values
from owkd.machine import visible_gpus
from search.pilot import pilot_in_words
from search.planning.mistakes import find_mistakes
from search.planning.plan import Plan, make_plan
from search.planning.wording import objectives_in_words, race_in_words
from search.retrain.control import UNCLAIMED
from search.samplers import describe_sampler
from search.schedulers import describe_scheduler
from search.trials.budget import BASELINES, Budget
from search.trials.job import parts_of
from search.trials.view import FIXED


def print_plan(reading: Reading, runs: str, *, measure: bool, form: str) -> None:
    """Prints the plan as a page or as JSON. Raises `ConfigError` naming every mistake at once."""
    plan = make_plan(without_mistakes(reading, runs), runs, measure=measure)
    if form == "json":
        json.dump(plan.to_dict(), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    title, *parts = page(plan)
    console.print(title, soft_wrap=True)  # no path is broken in two
    for part in parts:
        console.print(part)


def without_mistakes(reading: Reading, runs: str) -> Config:
    """The configuration of a search that could start. Raises `ConfigError` naming every mistake at once."""
    problems = find_mistakes(reading, runs)
    if problems:
        raise reading.refusal(problems)
    return reading.whole()


def page(plan: Plan) -> Iterator[RenderableType]:
    """The parts of the page; readable at 80 columns."""
    yield Text(f"Plan of {plan.run}: no mistake found, nothing started", style="bold")
    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True, style="cyan")
    lines.add_column(overflow="fold")
    for label, text in (*_work_lines(plan), *_cost_lines(plan)):
        lines.add_row(label, text)
    yield lines
    yield _space_table(plan)
    yield Text("Three draws from it, as a random search would make them", style="bold")
    draws = Table.grid(padding=(0, 1))
    for number, values in enumerate(plan.draws, start=1):
        draws.add_row(str(number), format_values(values))
    yield draws
    for note in plan.notes:
        yield Text(f"Note: {note}", style="yellow")


def _work_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    config = plan.config
    data, search = config.data, config.search
    for fold in plan.folds:
        yield (
            f"data {fold.fold}",
            f"{fold.images:,} images of {fold.people} people to train on, {fold.validation_images:,} to validate with; "
            f"{data.dataset}, {data.image_size} px",
        )
    yield "teacher", f"{config.teacher.checkpoint}"
    for sentence in plan.teaching:
        yield "", sentence
    budget, parts = Budget.of(config), parts_of(config)
    which = f"{', '.join(data.folds)}; seed {', '.join(dict.fromkeys(str(part.seed) for part in parts))}"
    yield (
        "search",
        f"{budget.trials} trials x {format_count(budget.parts, 'part')} ({which}) x {budget.epochs_per_part} epochs = "
        f"{plan.costs.epochs.search:,} epochs; trials 0 and 1 are {' and '.join(FIXED)}",
    )
    yield "objective", objectives_in_words(config)
    yield "sampler", describe_sampler(search)
    yield "scheduler", describe_scheduler(search.scheduler)
    if race := race_in_words(config):
        yield "", race
    yield "final stage", _final_stage(plan, budget)
    yield "control", f"{plan.control}"
    if not plan.control.is_on:
        yield "", f"nobody will be able to say {UNCLAIMED}"
    yield "power", plan.power.in_words()
    if plan.power.pilot is not None:
        for number, line in enumerate(pilot_in_words(plan.power.pilot, config)):
            yield ("" if number else "pilot"), line


def _final_stage(plan: Plan, budget: Budget) -> str:
    retrain, folds = plan.config.retrain, len(budget.final_folds)
    each = f"{budget.candidate_epochs} epochs"
    if budget.candidate_epochs != budget.baseline_epochs:
        each += f" (of a baseline {budget.baseline_epochs})"
    rounds = ", then ".join(
        f"{each.candidates} with {format_count(each.seeds, 'fresh seed')}" for each in budget.rounds
    )
    also = ", and likewise among the control's" if plan.control.is_on else ""
    choice = f"choice among the {retrain.top_k} best trials{also}: {rounds}; " if rounds else ""
    tested = ["champion", *(["the control's best"] if plan.control.is_on else []), f"{BASELINES} baselines"]
    if budget.matched_baselines:
        tested.append(f"{budget.matched_baselines} with the champion's training")
    return (
        f"{choice}{' + '.join(tested)} with {format_count(budget.test_seeds, 'test seed')}; "
        f"{plan.final_models} models on {format_count(folds, 'fold')} x {each} = {plan.costs.epochs.retrain:,} epochs"
    )


def _cost_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    costs = plan.costs
    yield "here", costs.resources.describe() if costs.resources else f"no trial fits: {costs.why_no_trial_fits}"
    yield "", "; ".join(filter(None, (f"this machine: {costs.machine}", visible_gpus())))
    epoch = costs.epoch_time
    if epoch is None:
        yield "an epoch", "not measured (--no-measure)"
    else:
        validation = format_duration(epoch.validation_images * epoch.image_s)
        yield (
            "an epoch",
            f"{format_duration(epoch.seconds)} on {epoch.device}: {epoch.steps} steps of {1000 * epoch.step_s:.3g} ms "
            f"(median of {epoch.measured}{'' if epoch.stored else ', teacher included'}), validation {validation}; "
            "measured with nothing beside it",
        )
    name = plan.config.search.scheduler.name
    yield "time", f"search, at most: {_cost(plan, plan.costs.epochs.search)}"
    expected = plan.costs.epochs.expected
    if expected is None:
        yield "", f"what {name} saves of it is not estimated"
    elif expected < plan.costs.epochs.search:
        yield (
            "",
            f"search, with {name} about: {_cost(plan, expected)}; an estimate, for trials in random order that keep "
            "their ranks",
        )
    if plan.control.is_on:
        yield "", f"control, its random trials: {_cost(plan, plan.costs.epochs.control)}"
    yield "", f"final stage, its models: {_cost(plan, plan.costs.epochs.retrain)}"
    if plan.targets_s:
        yield "", f"before the first trial, the teacher's targets once: {format_duration(plan.targets_s)}"
    disk = plan.disk
    yield (
        "disk",
        f"at most {format_bytes(disk.run)} for the run: checkpoints {format_bytes(disk.checkpoints.search)} in the "
        f"search and {format_bytes(disk.checkpoints.retrain)} in the final stage, tables, events and pictures "
        f"{format_bytes(disk.tables)}; "
        + ("the store does not say how much is free" if disk.free is None else f"{format_bytes(disk.free)} are free"),
    )
    targets = f", teacher's targets {format_bytes(disk.targets)}" if disk.targets else ""
    yield "", f"shared by all searches on the data: decoded images {format_bytes(disk.images)}{targets}"


def _space_table(plan: Plan) -> Table:
    table = Table(title="Searched", title_justify="left", title_style="bold")
    for name in ("field", "kind", "range", "published"):
        table.add_column(name, overflow="fold", no_wrap=name == "field")
    for entry in plan.space:
        table.add_row(entry.name, entry.kind, entry.range, entry.published)
    return table


def _cost(plan: Plan, epochs: float) -> str:
    hours, spent = plan.costs.hours(epochs), plan.costs.device_hours(epochs)
    if hours is None or spent is None:
        return f"{epochs:,.0f} epochs"
    return f"{format_duration(3600 * hours)}, {spent[0]:.3g} {spent[1]} ({epochs:,.0f} epochs)"
