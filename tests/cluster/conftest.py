"""Makes the hosts importable for the tests beside them; `make test-cluster` refuses where they would be skipped."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hosts import missing


def pytest_runtest_setup(item: pytest.Item) -> None:
    if lacking := missing():
        pytest.skip(lacking)
