"""The configuration itself."""

from typing import Annotated

import typer


def config(
    section: Annotated[
        str | None, typer.Argument(show_default="all", help="One section: data, teacher, search.sampler, ...")
    ] = None,
) -> None:
    """Show every field of a configuration with its default and its meaning, as YAML to start from."""
    from owkd.config.reference import reference

    print(reference(section), end="")
