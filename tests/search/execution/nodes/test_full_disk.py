"""Two real nodes of Ray, one with a full disk from the middle of a search on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from search.results.tables import read_epochs, read_trials

TRIALS = 16
PROGRAM = Path(__file__).parents[2] / "programs" / "one_full_disk.py"


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_a_node_whose_disk_is_full_is_left_out_by_name_and_costs_no_trial(tmp_path: Path) -> None:
    """No failure is allowed (`max_failures` 0), and none is counted."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), "FAKE_EPOCH_S": "0.4"}
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(TRIALS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "runs" / "fake" / "results"
    rows = read_trials(results).to_pylist()
    assert [row["state"] for row in rows] == ["complete"] * TRIALS, done.stdout
    assert sum(row["attempt"] for row in rows) == TRIALS + 2  # the two errors in a row that tell
    epochs = [(row["trial"], row["step"]) for row in read_epochs(results).to_pylist()]
    assert sorted(epochs) == [(trial, step) for trial in range(TRIALS) for step in range(1, 5)]
    [left_out] = [line for line in done.stdout.splitlines() if "left out" in line]
    assert "OSError: [Errno 28] No space left on device" in left_out
    assert re.search(r"started again: \S+ \([\d.]+\): OSError", left_out)  # host and address
