"""Commands on clusters: look at one."""

from pathlib import Path
from typing import Annotated

import typer

from launch.commands.arguments import Address
from owkd.config import load_config


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="YAML configuration whose data and teachers every node must read.")
    ] = None,
    address: Address = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds all runs, which every node must share.")] = Path("runs"),
) -> None:
    """Look at every node of a cluster, or at this machine: versions, GPUs, data, teachers, storage, disk, clock."""
    from launch.doctor import run_doctor

    run_doctor(load_config(config) if config else None, address, runs)
