"""Starts a Ray of its own, lets a second driver join and leave it, and checks that nothing is left behind.

Arguments: the program of the second driver.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import ray

from launch.connection import local_ray
from launch.connection.processes import descendants
from tests.support.listeners import listening


@ray.remote
def worker() -> int:
    return os.getpid()


home = Path.home()
others = Path("/tmp/owkd-ray-1-somebody")
others.mkdir(exist_ok=True)
with local_ray(cpus=1, dashboard="--dashboard" in sys.argv):
    assert ray.cluster_resources()["CPU"] == 1
    assert ray.get(worker.remote()) != os.getpid()
    started = {pid for pid, _ in descendants()}
    sockets = listening({os.getpid(), *started})
    assert len(sockets) >= 5, sockets
    assert {address for address, _ in sockets} == {"127.0.0.1"}, sockets
    assert os.environ["RAY_AUTH_MODE"] == "token"
    (folder,) = Path("/tmp").glob(f"owkd-ray-{os.getpid()}-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    address = ray.get_runtime_context().gcs_address
    second = subprocess.run([sys.executable, sys.argv[1], address], capture_output=True, text=True, check=False)
    assert second.stdout.split()[-1:] == ["1.0"], second.stderr
    assert ray.cluster_resources()["CPU"] == 1  # the second driver left and took nothing along
assert not descendants()
assert not folder.exists()
assert others.is_dir()
others.rmdir()
assert not (home / ".ray").exists()
print("clean")
