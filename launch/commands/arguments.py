"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration; see the README.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/demo.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one field, such as train.epochs=5; may be repeated."),
]
Address = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Ray cluster to use (auto, HOST:PORT, ray://...); else this machine.")
]
