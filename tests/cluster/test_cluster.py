"""A cluster of several hosts on this machine, through `ray up`: a search on it, refusals, a lost host, a late one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hosts import ENVIRONMENT, PREFIX, Host, Network, missing
from small_training import small_config

from owkd.data.synthetic import write_dataset
from owkd.training.teacher import train_teacher
from search.store import read_epochs, read_trials

ROOT = Path(__file__).parents[2]
OWKD = f"PYTHONPATH=/mnt/code {ENVIRONMENT}/bin/python -c 'from launch.cli import main; main()'"
REASON = missing()
RUNS = "/mnt/owkd/runs"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(REASON), reason=f"needs hosts of its own, but {REASON}"),
]


class Cluster:
    """Head, two workers, one more that is off at first, and the machine that it is all started from."""

    def __init__(self, network: Network) -> None:
        self.laptop, self.head, self.first, self.second, self.late = (
            network.host(name, number)
            for name, number in (("laptop", 10), ("head", 11), ("first", 12), ("second", 13), ("late", 14))
        )
        self.workers = (self.first, self.second, self.late)
        self.runs = network.root / "shared" / "runs"

    def owkd(self, words: str, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """An owkd command on the laptop."""
        return self.laptop.run(f"{OWKD} {words}", timeout=timeout)

    def submit(self, words: str, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return self.owkd(f"cluster submit cluster.yaml -- {words}", timeout=timeout)

    def alive(self) -> int:
        """Nodes, as `owkd cluster status` counts them."""
        words = self.owkd("cluster status").stdout.split()
        return int(words[words.index("nodes") - 1]) if "nodes" in words else 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Up, with two of its three workers; every host is gone at the end, whatever happened."""
    folder = tmp_path_factory.mktemp("hosts")
    with Network(folder / "net", ROOT) as network:
        made = Cluster(network)
        prepare(made, folder)
        for host in (made.laptop, made.head, made.first, made.second):
            host.start()
        token = made.laptop.run(f"{ENVIRONMENT}/bin/ray get-auth-token --generate > /dev/null")
        assert token.returncode == 0, token.stderr
        up = made.owkd("cluster up")
        assert up.returncode == 0, up.stdout + up.stderr
        until(lambda: made.alive() == 3, 180, "head and two workers")
        yield made
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert PREFIX not in spaces


def prepare(cluster: Cluster, folder: Path) -> None:
    """What a user does: edit the template, build the wheel, copy data and teacher to every machine."""
    text = (ROOT / "launch" / "templates" / "local.yaml").read_text()
    workers = ", ".join(host.address for host in cluster.workers)
    for theirs, ours in (
        ("192.0.2.10 # EDIT", f"{cluster.head.address} # mine"),
        ("[192.0.2.11, 192.0.2.12] # EDIT", f"[{workers}] # mine"),
        ("ubuntu # EDIT", "root # mine"),
        ("~/.ssh/id_ed25519 # EDIT", "~/.ssh/id_ed25519 # mine"),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    [mount] = [line for line in text.splitlines() if "# EDIT" in line]
    text = text.replace(mount, "  - mountpoint -q /mnt/owkd")
    joins = "ray start --address=$RAY_HEAD_IP:6379"
    assert text.count(joins) == 1
    text = text.replace(joins, f"{joins} --num-cpus=1")  # the hosts share this machine's CPUs; Ray would count all
    (cluster.laptop.home / "cluster.yaml").write_text(text)
    shutil.copy(ROOT / "constraints.txt", cluster.laptop.home)
    build_wheel(folder, cluster.laptop.home / "dist")
    data = folder / "data"
    write_dataset(data, identities=16, images=4, size=32, seed=0)
    config = small_config(data)
    train_teacher(config, lambda epoch: None, fold="Fold1", out=config.teacher.checkpoint_for("Fold1"))
    for host in (cluster.head, *cluster.workers):
        shutil.copytree(data, host.root / "data", dirs_exist_ok=True)
    (cluster.laptop.home / "search.yaml").write_text(yaml.safe_dump(search_config()))


def search_config() -> dict[str, Any]:
    """One trial a host at a time, each long enough to lose its host in the middle."""
    raw: dict[str, Any] = small_config(Path("/mnt/data")).to_dict()
    raw["train"]["epochs"] = 60
    raw["search"] = {
        "trials": 8,
        "max_failures": 2,
        "scheduler": {"name": "none"},
        "resources": {"cpu": 1, "gpu": 0},
        "space": {"distill.logit": {"type": "float", "low": 0.01, "high": 1.0, "log": True}},
    }
    raw["retrain"] = {}
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


def test_every_node_is_sound(cluster: Cluster) -> None:
    done = cluster.submit("doctor --config search.yaml --runs /mnt/owkd")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 nodes can serve" in done.stdout
    for host in (cluster.head, cluster.first, cluster.second):
        assert f"{host.name} ({host.address})" in done.stdout


SEARCH = f"search search.yaml --runs {RUNS} --name refused"


def test_a_search_is_refused_where_a_node_has_no_data(cluster: Cluster) -> None:
    cluster.first.run("mv /mnt/data/Synthetic_thermal /mnt/data/elsewhere")
    try:
        done = cluster.submit(SEARCH)
    finally:
        cluster.first.run("mv /mnt/data/elsewhere /mnt/data/Synthetic_thermal")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"first ({cluster.first.address}): data Fold1/train must be readable" in done.stdout
    assert "do put it under the same path there" in done.stdout
    assert f"second ({cluster.second.address}):" not in done.stdout
    assert not (cluster.runs / "refused").exists()


def test_a_search_is_refused_where_a_node_has_another_owkd(cluster: Cluster) -> None:
    metadata = "~/owkd/venv/lib/python3*/site-packages/owkd-*.dist-info/METADATA"
    cluster.second.run(f"cp {metadata} ~/kept; sed -i 's/^Version: .*/Version: 0.0.9/' {metadata}")
    try:
        done = cluster.submit(SEARCH)
    finally:
        cluster.second.run(f"cp ~/kept {metadata}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"second ({cluster.second.address}): owkd must be 0.1.0 as on the driver, but got 0.0.9" in done.stdout
    assert "owkd cluster up" in done.stdout
    assert not (cluster.runs / "refused").exists()


def test_a_search_is_refused_without_a_token(cluster: Cluster) -> None:
    cluster.laptop.run("mv ~/.ray/auth_token ~/.ray/away")
    try:
        done = cluster.submit(SEARCH)
    finally:
        cluster.laptop.run("mv ~/.ray/away ~/.ray/auth_token")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "this machine (laptop) must have the cluster's token" in done.stderr
    assert "do copy ~/.ray/auth_token from" in done.stderr


def test_a_search_outlives_a_lost_host_and_uses_a_late_one(cluster: Cluster) -> None:
    """The folder of runs is a bind mount of one local folder: what a network file system does is not tried here."""
    done = cluster.owkd(f"cluster submit --detach cluster.yaml -- search search.yaml --runs {RUNS} --name search")
    assert done.returncode == 0, done.stdout + done.stderr
    results = cluster.runs / "search" / "results"
    until(lambda: min(epochs_on(results, host) for host in (cluster.first, cluster.second)) >= 5, 120, "epochs on both")

    interrupted = newest_trial(results, cluster.first)
    cluster.first.cut_off()
    cut = time.time()
    time.sleep(5)  # it trains on for a while, but nobody hears of it
    cluster.first.kill()
    before = [row for row in rows_of(results, interrupted) if row["host"] == "first"]
    cluster.late.start()

    ended = cluster.owkd("cluster status --follow", timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trials = read_trials(results).to_pylist()
    assert [row["state"] for row in trials] == ["complete"] * 8
    assert {row["trial"]: row["attempt"] for row in trials if row["attempt"] > 1} == {interrupted: 2}
    after = [row for row in rows_of(results, interrupted) if row["attempt"] == 2]
    assert {row["host"] for row in after} <= {"second", "late"}
    assert [row["step"] for row in rows_of(results, interrupted)] == list(range(1, 61))
    assert epochs_on(results, cluster.late) > 0
    print(
        f"last epoch heard {before[-1]['step']}, first of attempt 2 {after[0]['step']}, "
        f"{after[0]['ended_at'].timestamp() - cut:.0f} s after the cut; "
        f"late host at work {first_time(results, cluster.late) - cut:.0f} s after the cut"
    )


def test_down_leaves_nothing_though_a_host_is_dead(cluster: Cluster) -> None:
    cluster.first.kill()
    (cluster.runs.parent / "kept").touch()
    done = cluster.owkd("cluster down --yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cluster.first.address} could not be reached" in done.stdout + done.stderr
    for host in (cluster.laptop, cluster.head, cluster.second, cluster.late):
        if host.process is not None:  # Ray keeps an SSH connection open for ten seconds after its last use
            until(lambda host=host: host.processes() == [], 30, f"the end of every process of {host.name}")  # type: ignore[misc]
    assert not list(cluster.head.home.glob("ray_bootstrap*"))
    assert (cluster.runs.parent / "kept").is_file()


def rows_of(results: Path, trial: int) -> list[dict[str, Any]]:
    """Epochs of a trial in their order."""
    rows = [row for row in read_epochs(results).to_pylist() if row["trial"] == trial]
    return sorted(rows, key=lambda row: row["step"])


def epochs_on(results: Path, host: Host) -> int:
    """0 also before the search has begun."""
    names: list[str] = read_epochs(results)["host"].to_pylist()
    return names.count(host.name)


def newest_trial(results: Path, host: Host) -> int:
    return max(int(row["trial"]) for row in read_epochs(results).to_pylist() if row["host"] == host.name)


def first_time(results: Path, host: Host) -> float:
    return min(
        float(row["ended_at"].timestamp()) for row in read_epochs(results).to_pylist() if row["host"] == host.name
    )
