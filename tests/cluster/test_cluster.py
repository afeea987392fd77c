"""A cluster of several hosts on this machine, through `ray up`: a search on it, refusals, a lost host, a late one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hosts import ENVIRONMENT, Network, missing
from small_training import small_config

from owkd.data.synthetic import write_dataset
from owkd.training.teacher import train_teacher

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
    """Up, with two of its three workers; down again at the end, whatever happened."""
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


def search_config() -> dict[str, object]:
    """One trial a host at a time, each long enough to lose its host in the middle."""
    raw = small_config(Path("/mnt/data")).to_dict()
    raw["train"]["epochs"] = 25
    raw["search"] = {
        "trials": 6,
        "max_failures": 2,
        "scheduler": {"name": "none"},
        "resources": {"cpu": 2, "gpu": 0},
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
