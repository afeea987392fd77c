"""Starts a Ray of its own, lets a second driver join and leave it, and checks that nothing is left behind.

Arguments: the program of the second driver.
"""

import os
import subprocess
import sys
from pathlib import Path

import ray

from launch.local_ray import _descendants, _lock, local_ray

killed, alive = Path("/tmp/owkd-1-killed_1"), Path("/tmp/owkd-2-alive__2")
for path in (killed, alive):
    path.mkdir(exist_ok=True)
handle = _lock(alive)
with local_ray(cpus=1):
    assert ray.cluster_resources()["CPU"] == 1
    assert len(_descendants()) > 1
    assert os.environ["RAY_AUTH_MODE"] == "token"
    (folder,) = Path("/tmp").glob(f"owkd-{os.getpid()}-*")
    address = ray.get_runtime_context().gcs_address
    second = subprocess.run([sys.executable, sys.argv[1], address], capture_output=True, text=True, check=False)
    assert second.stdout.split()[-1:] == ["1.0"], second.stderr
    assert ray.cluster_resources()["CPU"] == 1  # the second driver left and took nothing along
assert not _descendants()
assert not folder.exists()
assert not killed.exists()
assert alive.exists()
alive.rmdir()
os.close(handle)
print("clean")
