"""The configuration itself."""

from pathlib import Path
from typing import Annotated

import typer

from launch.output.console import print_step


def init(
    data: Annotated[
        Path, typer.Argument(metavar="[DATA]", help="A data set: it holds Fold1 with train, validation and test.")
    ] = Path(),
    out: Annotated[Path, typer.Option(help="File to write; must be new.")] = Path("owkd.yaml"),
) -> None:
    """Write a commented configuration that fits a data set and this machine, and say why. Asks nothing."""
    print_step(f"Looking at {data}")
    from launch.init import write_configuration

    write_configuration(data, out)


def config(
    section: Annotated[
        str | None, typer.Argument(show_default="all", help="One section: data, teacher, search.sampler, ...")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="As a JSON schema, for editors.")] = False,
) -> None:
    """Show every field of a configuration with its default and its meaning, as YAML to start from."""
    if schema:
        import json

        from owkd.config.schema import json_schema

        print(json.dumps(json_schema(), indent=1))
        return
    from owkd.config.reference import reference

    print(reference(section), end="")
