"""Fixtures of the training tests."""

from tests.support.small_training import root

__all__ = ["root"]
