"""The states of a trial, by the names that tables, TensorBoard and people see."""

from typing import Literal, get_args

State = Literal["running", "complete", "pruned", "diverged", "out_of_memory", "error"]
STATES: tuple[State, ...] = get_args(State)
FAILED: tuple[State, ...] = ("out_of_memory", "error")
"""Optuna learns nothing from these"""
