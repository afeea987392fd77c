"""Fixtures of the command-line tests."""

from small_training import root

__all__ = ["root"]
