"""Gets SIGTERM while Ray connects, when its handler that aborts is in place, and prints what comes of it."""

import os
import signal
from pathlib import Path
from typing import Any

from ray._private import worker

from launch.connection import local_ray
from launch.connection.processes import descendants
from owkd.interruption import Terminated, heeded

connect = worker.connect


def connect_and_signal(*given: Any, **named: Any) -> Any:
    result = connect(*given, **named)
    os.kill(os.getpid(), signal.SIGTERM)
    return result


worker.connect = connect_and_signal
with heeded() as asked_for:
    try:
        with local_ray(cpus=1):
            print("started")
    except Terminated:
        print("terminated", asked_for())
assert not descendants()
assert not list(Path("/tmp").glob(f"owkd-ray-{os.getpid()}-*"))
print("clean")
