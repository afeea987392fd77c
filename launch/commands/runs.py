"""Commands on a search: start it, resume it, retrain the best, look at it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.commands.arguments import Address, ConfigFile, Overrides, Quiet, Run, Runs
from launch.configuration import load_for_search, print_notes
from launch.output.console import print_step

TrialState = StrEnum(
    "TrialState", ["complete", "pruned", "running", "interrupted", "diverged", "out_of_memory", "error"]
)


def search(
    config: ConfigFile,
    name: Annotated[str | None, typer.Option(help="Name of the run; the configuration's when unset.")] = None,
    runs: Runs = "runs",
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all; the configuration's when unset.")] = None,
    address: Address = None,
    set_: Overrides = None,
    quiet: Quiet = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run of that name where there is one; for batch jobs.")
    ] = False,
) -> None:
    """Search for the best weights. Stops with Ctrl-C at any time; `owkd resume` continues."""
    print_step(f"Reading {config}")
    from launch.driver import run_search

    overrides = [*(set_ or ()), *([f"name={name}"] if name else []), *([f"search.trials={trials}"] if trials else [])]
    parsed = load_for_search(config, overrides, runs)
    print_step("Checking images and teachers, then connecting to Ray")
    run_search(parsed, runs, address, quiet=quiet, resume=resume)


def plan(
    config: ConfigFile,
    runs: Runs = "runs",
    set_: Overrides = None,
    measure: Annotated[bool, typer.Option(help="Time a few training steps here, for the estimates.")] = True,
    format: Annotated[Literal["page", "json"], typer.Option(help="How to print it.")] = "page",
    pilot: Annotated[
        bool, typer.Option("--pilot", help="First train a few models that measure how far equal settings spread.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of each setting of the pilot.")] = 4,
    address: Address = None,
) -> None:
    """Name every mistake at once, or preview the search: space, time, cost, disk, power. Starts nothing but a pilot."""
    print_step(f"Reading {config}")
    from launch.output.plan import print_plan, without_mistakes
    from search.space import read_search_config

    reading = read_search_config(config, set_ or ())
    print_notes(reading)
    print_step("Checking images and teachers" + (", then timing a few steps of a training" if measure else ""))
    if pilot:
        from launch.driver import train_pilot

        train_pilot(without_mistakes(reading, runs), runs, seeds, address)
    print_plan(reading, runs, measure=measure, form=format)


def resume(
    run: Run,
    trials: Annotated[int | None, typer.Option(min=1, help="This many trials more than were asked for.")] = None,
    address: Address = None,
    force: Annotated[
        bool, typer.Option("--force", help="Continue although versions, data, teachers or the configuration changed.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Resume a search that was stopped, or extend it beyond what was asked for."""
    print_step(f"Opening {run}")
    from launch.driver import run_resume

    run_resume(run, trials, address, force=force, quiet=quiet)


def retrain(
    run: Run,
    address: Address = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Test seeds in all; more than were tested look again, at an error of its own."),
    ] = None,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Although an earlier version of owkd opened the test split; trains anew.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """The final stage: train the best configurations in full beside two baselines, then open the test split once."""
    print_step(f"Opening {run}")
    from launch.driver import run_retrain

    run_retrain(run, address, reopen=reopen, seeds=seeds, quiet=quiet)


def trials(
    run: Run,
    format: Annotated[Literal["table", "csv", "json"], typer.Option(help="How to list them.")] = "table",
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Order by a column, such as duration_s or logit; -COLUMN the other way."),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="The first so many.")] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAMES", help="These columns alone: trial,state,logit,duration_s")
    ] = None,
    state: Annotated[list[TrialState] | None, typer.Option(help="Trials in this state; may be repeated.")] = None,
    trial: Annotated[int | None, typer.Option(min=0, help="One trial in full: its values, epochs, error.")] = None,
) -> None:
    """List every trial of a run with its state, best first. Works while the search runs."""
    from launch.output.trials import print_trials

    if trial is not None:
        from launch.output.one_trial import print_trial

        print_trial(run, trial, format)
        return
    names = [name.strip() for name in (columns or "").split(",") if name.strip()]
    print_trials(run, format, states=state or (), sort=sort, top=top, columns=names)


def report(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="File to write; report.html in the run's folder when unset.")] = None,
) -> None:
    """Write one HTML file with the results of a run. Needs no network; works while the search runs."""
    print_step(f"Reading {run}")
    from launch.output.console import console, errors
    from search.report import write_report

    file = write_report(run, out, warn=lambda note: errors.print(note, soft_wrap=True, markup=False))
    console.print(f"written: {file}", soft_wrap=True)


def monitor(
    run: Run,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 6006,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine can read it otherwise.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Open TensorBoard on a run: curves and the HParams tab, live while the search runs."""
    from launch.monitor import serve_tensorboard

    serve_tensorboard(run, host, port)
