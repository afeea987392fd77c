"""Fixtures of the training tests."""

from small_training import root

__all__ = ["root"]
