"""A cluster of several hosts on this machine, through `ray up`: a search on it, refusals, a lost host, a late one.

Runs lie in an object store on a host of its own: driver, workers and readers reach it over the network alone.
"""

from __future__ import annotations

import json
import subprocess
import time
import tomllib
from collections.abc import Iterator

import pytest

from tests.cluster.bringing_up import EPOCHS, ROOT, TRIALS, Cluster, prepare, until
from tests.cluster.hosts import ENVIRONMENT, PREFIX, Network
from tests.cluster.store import KEYS
from tests.support.s3_server import objects

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Up, with two of its three workers; every host is gone at the end, whatever happened."""
    folder = tmp_path_factory.mktemp("hosts")
    with pytest.MonkeyPatch.context() as patch, Network(folder / "net", ROOT) as network:
        for name, value in {**KEYS, "XDG_CACHE_HOME": str(folder / "reader")}.items():
            patch.setenv(name, value)  # this process reads the store too, into a copy of its own
        made = Cluster(network)
        prepare(made, folder)
        made.store.start()
        for host in (made.laptop, made.head, made.first, made.second):
            host.start()
        token = made.laptop.run(f"{ENVIRONMENT}/bin/ray get-auth-token --generate > /dev/null")
        assert token.returncode == 0, token.stderr
        up = made.owkd("cluster up", timeout=700)
        assert up.returncode == 0, up.stdout + up.stderr
        until(lambda: made.alive() == 3, 180, "head and two workers")
        yield made
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert PREFIX not in spaces


def test_every_node_is_sound(cluster: Cluster) -> None:
    done = cluster.submit(f"doctor --config search.yaml --runs '{cluster.store.runs}'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 nodes can serve" in done.stdout
    for host in (cluster.head, cluster.first, cluster.second):
        assert f"{host.name} ({host.address})" in done.stdout
    assert objects(cluster.store.runs) == {}, "the look left something in the store"


def refused(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """The search, which must not begin."""
    done = cluster.submit(f"search search.yaml --runs '{cluster.store.runs}' --name refused")
    assert done.returncode == 2, done.stdout + done.stderr
    assert objects(cluster.store.runs) == {}
    return done


def test_a_search_is_refused_where_a_node_has_no_data(cluster: Cluster) -> None:
    cluster.first.run("mv /mnt/data/Synthetic_thermal /mnt/data/elsewhere")
    try:
        done = refused(cluster)
    finally:
        cluster.first.run("mv /mnt/data/elsewhere /mnt/data/Synthetic_thermal")
    assert f"first ({cluster.first.address}): data Fold1/train must be readable" in done.stdout
    assert "put it under the same path there" in done.stdout
    assert f"second ({cluster.second.address}):" not in done.stdout


def test_a_search_is_refused_where_a_node_has_another_owkd(cluster: Cluster) -> None:
    metadata = "~/owkd/venv/lib/python3*/site-packages/owkd-*.dist-info/METADATA"
    cluster.second.run(f"cp {metadata} ~/kept; sed -i 's/^Version: .*/Version: 0.0.9/' {metadata}")
    try:
        done = refused(cluster)
    finally:
        cluster.second.run(f"cp ~/kept {metadata}")
    here = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"second ({cluster.second.address}): owkd must be {here} as on the driver, but got 0.0.9" in done.stdout
    assert "owkd cluster up" in done.stdout


def test_a_search_is_refused_where_a_node_does_not_reach_the_store(cluster: Cluster) -> None:
    cluster.first.run(f"ip route add unreachable {cluster.store.host.address}/32")
    try:
        done = refused(cluster)
    finally:
        cluster.first.run(f"ip route delete unreachable {cluster.store.host.address}/32")
    assert f"first ({cluster.first.address}): the place of runs must be one that every node" in done.stdout
    assert "credentials" in done.stdout
    assert f"second ({cluster.second.address}):" not in done.stdout


def test_a_search_is_refused_without_a_token(cluster: Cluster) -> None:
    cluster.laptop.run("mv ~/.ray/auth_token ~/.ray/away")
    try:
        done = refused(cluster)
    finally:
        cluster.laptop.run("mv ~/.ray/away ~/.ray/auth_token")
    assert "this machine (laptop) must have the cluster's token" in done.stderr
    assert "copy ~/.ray/auth_token from" in done.stderr


def test_a_search_outlives_a_lost_host_and_uses_a_late_one(cluster: Cluster) -> None:
    """The late host comes without data at first: it gets no trial before that is mended."""
    search = f"search search.yaml --runs '{cluster.store.runs}' --name search"
    done = cluster.owkd(f"cluster submit --detach cluster.yaml -- {search}")
    assert done.returncode == 0, done.stdout + done.stderr
    results = cluster.results("search")
    until(lambda: min(results.hosts()["first"], results.hosts()["second"]) >= 5, 180, "epochs on both")

    cluster.first.cut_off()
    cut = time.time()
    interrupted = results.newest_trial("first")
    time.sleep(5)  # it trains on for a while, but nobody hears of it
    cluster.first.kill()
    before = results.epochs_of(interrupted)
    data = cluster.late.root / "data" / "Synthetic_thermal"
    data.rename(data.with_name("elsewhere"))
    cluster.late.start()
    shown = cluster.follow()
    until(lambda: "left out" in shown.read_text(), 240, "a look at the late host")
    assert f"late ({cluster.late.address}): data Fold1/train must be readable" in shown.read_text()
    assert results.hosts()["late"] == 0
    data.with_name("elsewhere").rename(data)
    cluster.late.run("~/owkd/venv/bin/ray stop")

    ended = cluster.owkd("cluster status --follow", timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "INFO" not in ended.stdout + ended.stderr
    trials = results.trials()
    assert [row["state"] for row in trials] == ["complete"] * TRIALS
    after = [row for row in results.epochs_of(interrupted) if row["attempt"] > 1]
    assert after, "the interrupted trial went on"
    assert {row["host"] for row in after} <= {"second", "late"}
    for row in trials:
        assert [epoch["step"] for epoch in results.epochs_of(row["trial"])] == list(range(1, EPOCHS + 1))
    assert results.hosts()["late"] > 0
    print(
        f"last epoch reported {before[-1]['step']}, first of attempt 2 {after[0]['step']}, "
        f"{after[0]['ended_at'].timestamp() - cut:.0f} s after the cut; "
        f"late host at work {results.first_time('late') - cut:.0f} s after the cut"
    )


def test_a_run_is_resumed_retrained_and_read_where_it_is_stored(cluster: Cluster) -> None:
    run = cluster.store.run("search")
    for command in ("resume", "retrain"):
        done = cluster.submit(f"{command} '{run}'", timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = cluster.owkd(f"trials '{run}' --format json")
    assert [row["state"] for row in json.loads(listed.stdout)] == ["complete"] * TRIALS, listed.stderr
    written = cluster.owkd(f"report '{run}'")
    assert written.returncode == 0, written.stdout + written.stderr
    stored = objects(run)
    assert {"run.yaml", "study.journal", "report.html", "retrain/champion/student.safetensors"} <= set(stored)
    assert not any(path.endswith("last.pt") for path in stored)


def test_what_a_run_leaves_came_over_the_network(cluster: Cluster) -> None:
    """By the store's own log: who wrote what."""
    wrote = {(who, path) for who, method, path in cluster.store.traffic() if method in ("PUT", "POST")}
    head, workers = cluster.head.address, {host.address for host in cluster.workers}
    by = {"study.journal": {head}, "results/": {head}, "tensorboard/": {head}, "last.pt": workers}
    for part, writers in by.items():
        assert {who for who, path in wrote if path.startswith("search/") and part in path} == writers, part


def test_down_leaves_nothing_though_a_host_is_dead(cluster: Cluster) -> None:
    cluster.first.kill()
    kept = objects(cluster.store.run("search"))
    done = cluster.owkd("cluster down --yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cluster.first.address} could not be reached" in done.stdout + done.stderr
    for host in (cluster.laptop, cluster.head, cluster.second, cluster.late):
        if host.process is not None:  # Ray keeps an SSH connection open for ten seconds after its last use
            until(lambda host=host: host.processes() == [], 30, f"the end of every process of {host.name}")  # type: ignore[misc]
    assert not list(cluster.head.home.glob("ray_bootstrap*"))
    assert objects(cluster.store.run("search")) == kept
