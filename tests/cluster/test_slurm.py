"""The batch script for Slurm, run whole, with stand-ins for `srun` and `scontrol`: all nodes are this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from launch.cluster.file import template
from owkd.data.index import read_split
from owkd.data.synthetic import write_dataset
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from search.results.tables import read_trials
from tests.support.fake_training import fake_config

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]

SRUN = """#!/bin/bash
# Slurm's: runs a command once a task. Here every node is this machine.
tasks=1
while [[ $1 == --* ]]; do
    [[ $1 == --ntasks=* ]] && tasks=${1#*=}
    shift
done
trap 'kill $(jobs -p) 2> /dev/null' TERM EXIT
for _ in $(seq "$tasks"); do "$@" & done
wait
"""
SCONTROL = """#!/bin/bash
echo "$@" >> "$SCRATCH/requeued"
"""
OWKD = """#!{python}
import sys
from launch import cli
import search.run_search
from search.run_search import Work
from tests.support.fake_training import fake_check, fake_run
search.run_search.OWKD = Work(fake_run, fake_check)
sys.argv[0] = "owkd"
cli.main()
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder in which the script can be run as Slurm would."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "owkd": OWKD.format(python=sys.executable)}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "activate").touch()
    write_dataset(tmp_path / "data", identities=16, images=2, size=32, seed=0, dataset="toy")
    shape = {"preset": "nano", "depths": [1, 1, 1, 1]}
    config = fake_config(tmp_path, trials=6, max_concurrent=2)
    config["data"]["image_size"], config["student"] = 32, shape
    config["teacher"] |= shape
    people = read_split(tmp_path / "data", "toy", "Fold1", "train").num_identities
    save_model(
        WseNet(architecture("nano", (1, 1, 1, 1)), people, 32, "teacher"), tmp_path / "teacher-Fold1.safetensors"
    )
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(config))
    script = template("slurm")
    for given, ours in {
        "/shared/search.yaml": str(tmp_path / "search.yaml"),
        "/shared/runs": str(tmp_path / "runs"),
        "/shared/venv/bin/activate": str(tmp_path / "activate"),
    }.items():
        assert given in script
        script = script.replace(given, ours)
    (tmp_path / "slurm.sh").write_text(script)
    return tmp_path


def start(job: Path, number: int, epoch_s: float) -> subprocess.Popen[str]:
    """The script as Slurm starts it, on the first of two nodes."""
    environment = {
        **os.environ,
        "PATH": f"{job / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SCRATCH": str(job),
        "FAKE_EPOCH_S": str(epoch_s),
        "SLURM_JOB_ID": str(number),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURMD_NODENAME": "here",
    }
    output = (job / f"{number}.log").open("w")
    return subprocess.Popen(
        ["bash", str(job / "slurm.sh")], env=environment, cwd=job, stdout=output, stderr=output, text=True
    )


def log(job: Path, number: int) -> str:
    return (job / f"{number}.log").read_text()


def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(job: Path) -> None:
    first = start(job, 71, epoch_s=1)
    while "epoch" not in log(job, 71) and "complete" not in log(job, 71):
        assert first.poll() is None, log(job, 71)
        time.sleep(0.2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 143, log(job, 71)
    assert (job / "requeued").read_text() == "requeue 71\n"

    second = start(job, 72, epoch_s=0)
    assert second.wait(300) == 0, log(job, 72)
    assert (job / "requeued").read_text() == "requeue 71\n"
    rows = read_trials(job / "runs" / "fake" / "results").to_pylist()
    assert [row["state"] for row in rows] == ["complete"] * 6
    assert max(row["attempt"] for row in rows) == 2
    assert "2 at a time" in log(job, 72)
    time.sleep(2)
    left = subprocess.run(["pgrep", "-f", f":{20000 + 72}"], capture_output=True, text=True, check=False).stdout
    assert not left.split()
