"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration; see the README.")]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run: its folder, such as runs/demo, or an address: s3://bucket/runs/demo."),
]
Runs = Annotated[str, typer.Option(metavar="DIR", help="Folder that holds all runs, or an address: s3://bucket/runs.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one field, such as train.epochs=5; may be repeated."),
]
Address = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Ray cluster to use (auto, or HOST:PORT); else this machine.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress: the outcome alone, and what went wrong.")]
