"""Skips what this machine cannot run, and says why; `make test-cluster` refuses instead."""

import pytest

from tests.cluster.hosts import missing


def pytest_runtest_setup(item: pytest.Item) -> None:
    if lacking := missing():
        pytest.skip(lacking)
