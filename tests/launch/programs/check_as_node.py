"""Calls a pickled check as a worker of Ray would, and prints what it returns.

Arguments: the file with the pickle; then packages that are to be absent, as if they were not installed.
"""

import pickle
import sys
from pathlib import Path

import ray

for name in sys.argv[2:]:
    sys.modules[name] = None  # type: ignore[assignment]  # which makes an import of it fail
ray.get_gpu_ids = list
setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.9")  # noqa: B010
print(pickle.loads(Path(sys.argv[1]).read_bytes())())
