"""What a user does before `owkd cluster up`: edits the template, builds the wheel, copies data and teacher around."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from owkd.data.synthetic import write_dataset
from owkd.training.teacher import train_teacher
from tests.cluster.hosts import ENVIRONMENT, Network
from tests.cluster.store import CREDENTIALS, Results, Store
from tests.support.small_training import small_config

ROOT = Path(__file__).parents[2]
OWKD = f"PYTHONPATH=/mnt/code {ENVIRONMENT}/bin/python -c 'from launch.cli import main; main()'"
EPOCHS = 60
TRIALS = 8


class Cluster:
    """Head, two workers, one more that is off at first; the machine that it is all started from; an object store."""

    def __init__(self, network: Network) -> None:
        self.laptop, self.head, self.first, self.second, self.late, store = (
            network.host(name, number)
            for name, number in (
                ("laptop", 10),
                ("head", 11),
                ("first", 12),
                ("second", 13),
                ("late", 14),
                ("store", 20),
            )
        )
        self.workers = (self.first, self.second, self.late)
        self.store = Store(store)

    def owkd(self, words: str, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """An owkd command on the laptop."""
        return self.laptop.run(f"{OWKD} {words}", timeout=timeout)

    def submit(self, words: str, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return self.owkd(f"cluster submit cluster.yaml -- {words}", timeout=timeout)

    def follow(self) -> Path:
        """Attaches to the newest job in a terminal of its own -> what is shown there."""
        self.laptop.serve(f"env {OWKD} cluster status --follow", "follow.log")
        return self.laptop.home / "follow.log"

    def alive(self) -> int:
        """Nodes, as `owkd cluster status` counts them."""
        words = self.owkd("cluster status").stdout.split()
        return int(words[words.index("nodes") - 1]) if "nodes" in words else 0

    def results(self, name: str) -> Results:
        return Results(self.store.run(name))


def prepare(cluster: Cluster, folder: Path) -> None:
    """Everything that must lie somewhere before the cluster comes up."""
    (cluster.laptop.home / "cluster.yaml").write_text(edited_template(cluster))
    shutil.copy(ROOT / "constraints.txt", cluster.laptop.home)
    build_wheel(folder, cluster.laptop.home / "dist")
    (cluster.laptop.home / ".aws").mkdir()
    (cluster.laptop.home / ".aws" / "credentials").write_text(CREDENTIALS)
    data = folder / "data"
    write_dataset(data, identities=16, images=4, size=32, seed=0)
    config = small_config(data)
    train_teacher(config, lambda epoch: None, fold="Fold1", out=config.teacher.checkpoint_for("Fold1"))
    for host in (cluster.head, *cluster.workers):
        shutil.copytree(data, host.root / "data", dirs_exist_ok=True)
    (cluster.laptop.home / "search.yaml").write_text(yaml.safe_dump(search_config()))


def edited_template(cluster: Cluster) -> str:
    """Every marked line with a value of these hosts; runs in an object store, so that there is no folder to mount."""
    text = (ROOT / "launch" / "templates" / "local.yaml").read_text()
    workers = ", ".join(host.address for host in cluster.workers)
    joins = "ray start --address=$RAY_HEAD_IP:6379"
    [mount] = [line for line in text.splitlines() if "sudo mount" in line]
    for theirs, ours in (
        ("192.0.2.10 # EDIT", f"{cluster.head.address} # mine"),
        ("[192.0.2.11, 192.0.2.12] # EDIT", f"[{workers}] # mine"),
        ("ubuntu # EDIT", "root # mine"),
        ("~/.ssh/id_ed25519 # EDIT", "~/.ssh/id_ed25519 # mine"),
        (f"{mount}\n", ""),
        ("# ~/.aws/credentials: ~/.aws/credentials    where", "~/.aws/credentials: ~/.aws/credentials # where"),
        (joins, f"{joins} --num-cpus=1"),  # the hosts share this machine's CPUs; Ray would count all
    ):
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    return text


def search_config() -> dict[str, Any]:
    """One trial a host at a time, each long enough to lose its host in the middle."""
    raw: dict[str, Any] = small_config(Path("/mnt/data")).to_dict()
    raw["train"]["epochs"] = EPOCHS
    raw["search"] = {
        "trials": TRIALS,
        "max_failures": 2,
        "scheduler": {"name": "none"},
        "resources": {"cpu": 1, "gpu": 0},
        "space": {"distill.logit": {"type": "float", "low": 0.01, "high": 1.0, "log": True}},
    }
    raw["retrain"] = {"top_k": 1, "seeds": 1, "epochs": 2}
    return raw


def build_wheel(folder: Path, out: Path) -> None:
    """From the files under version control, beside them: a build leaves things in its folder."""
    source = folder / "source"
    archive = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in filter(None, archive.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", out, source], check=True)


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(1)
