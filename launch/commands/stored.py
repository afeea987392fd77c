"""Commands on what is stored: runs, and what they share."""

from pathlib import Path
from typing import Annotated

import typer

from launch.commands.arguments import Run

runs = typer.Typer(no_args_is_help=True, help="List, show, compare and delete runs, in a folder or a store.")
cache = typer.Typer(
    no_args_is_help=True, help="Decoded images and teacher's targets, which all runs on a data set share."
)

Place = Annotated[
    str, typer.Argument(metavar="[PLACE]", help="Folder that holds runs, or an address: s3://bucket/runs.")
]
Dataset = Annotated[
    Path | None,
    typer.Argument(metavar="[DATASET]", show_default="those in your cache folder", help="A data set's folder."),
]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@runs.command("list")
def list_(
    place: Place = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Addresses alone, one a line.")] = False,
) -> None:
    """Every run with its state, its best trial and its size, the newest first."""
    from launch.output.runs import print_runs

    print_runs(place, form="json" if json else "quiet" if quiet else "table")


@runs.command()
def show(run: Run, json: Json = False) -> None:
    """One run: how far it is, what it found, where its files are."""
    from launch.output.runs import print_run

    print_run(run, as_json=json)


@runs.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two runs or more.")], json: Json = False
) -> None:
    """Runs beside each other: what they found, and every setting in which they differ."""
    from launch.output.runs import print_comparison

    print_comparison(runs, as_json=json)


@runs.command()
def delete(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: folders, or addresses.")], yes: Yes = False
) -> None:
    """Delete runs for good; asks before. Refuses one that is driven, and names shared caches, which stay."""
    from launch.output.runs import delete_runs

    delete_runs(runs, sure=yes)


@cache.command("list")
def list_caches(
    dataset: Dataset = None,
    json: Json = False,
) -> None:
    """What is derived from a data set, where it lies and how large it is."""
    from launch.output.caches import print_caches

    print_caches(dataset, as_json=json)


@cache.command()
def clear(
    dataset: Dataset = None,
    yes: Yes = False,
) -> None:
    """Delete what `owkd cache list` shows; asks before. The next training that needs it makes it anew."""
    from launch.output.caches import clear_caches

    clear_caches(dataset, sure=yes)
