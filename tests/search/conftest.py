"""One small Ray for all tests of the search, whose workers find the stand-in for training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def _ray() -> Iterator[None]:
    from launch.connection import local_ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([before] if before else [])])
    try:
        with local_ray(cpus=2):
            yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@pytest.fixture
def connect(_ray: None):
    """How a search reaches the Ray that runs already."""
    return nullcontext
