"""`owkd init`: a configuration for a data set and this machine, and why it is as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

from launch.output.console import console
from launch.output.summary import print_next_commands
from owkd.errors import UserError
from owkd.files import require_writable, written_whole
from owkd.formatting import format_count
from owkd.machine import GIB, this_machine
from owkd.starting import Gpus, look_at, starting_text


def write_configuration(data: Path, out: Path) -> None:
    """Looks at data and machine and writes `out`. Raises `UserError` where it exists, `DataError` for no data set."""
    if out.exists():
        raise UserError(f"{out} exists already; remove it, or choose another --out")
    require_writable(out)
    facts, machine, gpus = look_at(data), this_machine(), _gpus()
    with written_whole(out) as temporary:
        temporary.write_text(starting_text(facts, machine, gpus), encoding="utf-8")
    console.print(
        f"data: {facts.folder}, {format_count(len(facts.folds), 'fold')}; in {facts.folds[0]}, {facts.images:,} images "
        f"of {facts.people} people to train on and {facts.validation_images:,} to validate with, {facts.side} px",
        soft_wrap=not console.is_interactive,
    )
    cards = "no GPU" if gpus is None else f"{format_count(gpus.count, 'GPU')} of {gpus.memory / GIB:.0f} GiB"
    console.print(f"machine: {machine}, {cards}", soft_wrap=not console.is_interactive)
    console.print(f"written: {out}, whose lines say why they are so", soft_wrap=True)
    file = shlex.quote(str(out))
    print_next_commands(
        {
            f"teacher train {file} --out 'teachers/{{fold}}.safetensors'": "first",
            f"plan {file}": "costs",
            f"search {file}": "start",
        }
    )


def _gpus() -> Gpus | None:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    memory = (torch.cuda.get_device_properties(number).total_memory for number in range(count))
    return Gpus(count, min(memory)) if count else None
