"""OpenMP's threads do not spin while they wait, wherever torch is loaded by way of us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENTRANCES = ("owkd.training.run", "owkd.inference", "search.execution.worker, owkd.device", "launch.train")


def policy(code: str, **environment: str) -> str:
    """What OpenMP says that it does, when torch loads it."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "TRUE", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = {line.strip() for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line}
    return line.partition("=")[2].strip(" '")


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_they_wait_in_patience(entrance: str) -> None:
    assert policy(f"import {entrance}") == "PASSIVE"


def test_whoever_sets_it_otherwise_is_obeyed() -> None:
    assert policy("import owkd.inference", OMP_WAIT_POLICY="active") == "ACTIVE"
