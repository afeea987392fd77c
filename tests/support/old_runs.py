"""Runs that owkd 0.1.0 made (`tests/old_runs/make.py`), unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVES = Path(__file__).parents[1] / "old_runs" / "0.1.0"


def unpacked(name: str, folder: Path) -> Path:
    """The run of an archive, its data beside it in `folder`."""
    with tarfile.open(ARCHIVES / f"{name}.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    run = folder / "runs" / "fake"
    for file in (run / "run.yaml", run / "study.journal"):
        file.write_text(file.read_text().replace("/FOLDER", str(folder)))
    return run
