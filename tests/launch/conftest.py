"""Fixtures of the command-line tests."""

from tests.support.small_training import root

__all__ = ["root"]
