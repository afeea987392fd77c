"""The room that a run takes at its fullest: what keeps its checkpoints bounded, as a figure.

A training keeps two files: the weights of its best epoch, and its whole state (weights, and Adam's two moments of
each). While a file is replaced, the old and the new one stand side by side. Of a trial that is over, the state goes;
of all but the best `retrain.top_k` and the one without distillation, the weights go too. A model of the final stage
keeps its weights. The trials of a control are as those of the search, which are over by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from owkd.config import Config, with_values
from owkd.errors import ConfigError
from search.retrain.control import decide_on_control
from search.space.entries import entries
from search.trials.budget import Budget

if TYPE_CHECKING:
    from torch import nn

TENSOR_OVERHEAD = 512
"""bytes of name, shape and padding that a tensor costs beside its numbers, at most, in either file"""
EPOCH_BYTES = 1024
"""of an epoch's metrics in the state file"""
FILE_BYTES = 8192
"""of either file without a tensor"""


@dataclass(frozen=True)
class CheckpointBound:
    """Most bytes that a run's checkpoints take at any moment, on all disks or in the object store together.

    Attributes:
        weights: of one student's file, the largest in the space
        state: of one training's whole state
        search: running trials, and the best finished ones
        retrain: what the final stage adds: its models, those in training, the champion, and a control's best trials
    """

    weights: int
    state: int
    search: int
    retrain: int

    @property
    def total(self) -> int:
        """The search's best checkpoints stay while the final stage runs."""
        return self.search + self.retrain


def checkpoint_bound(config: Config, *, identities: int, at_a_time: int) -> CheckpointBound:
    """The bound for a run whose largest fold trains on `identities` people, `at_a_time` trainings side by side.

    Networks are sized, not built: a moment, and no memory. Raises `ConfigError` for a student of no possible size.
    """
    budget = Budget.of(config)
    sizes = [_sizes(student, identities, budget.longest_training) for student in _students(config)]
    weights, state = max(size[0] for size in sizes), max(size[1] for size in sizes)
    replaced = max(weights, state)
    best, models = config.retrain.top_k * budget.parts * weights, budget.final_models
    of_control = 0
    if decide_on_control(config).is_on:
        of_control, models = best, models + budget.control_models
    running = at_a_time * (budget.parts * (weights + state) + replaced)
    return CheckpointBound(
        weights,
        state,
        search=running + best + budget.parts * weights,
        retrain=models * weights + at_a_time * (state + replaced) + weights + of_control,
    )


def _students(config: Config) -> Iterator[Config]:
    """The configuration with every student that the space may propose."""
    sized = {
        name: entry.values
        for name, entry in entries(config.search.space).items()
        if name.startswith("student.") and entry.values is not None
    }
    possible = 0
    for values in product(*sized.values()):
        try:
            student = with_values(config, dict(zip(sized, values, strict=True)))
        except ConfigError:  # two choices that exclude each other: no trial gets them together
            continue
        possible += 1
        yield student
    if not possible:
        raise ConfigError(["search.space must propose a student that can be built, but its choices exclude each other"])


def _sizes(config: Config, identities: int, epochs: int) -> tuple[int, int]:
    """Bytes of one student's weights file and of its state file."""
    import torch

    from owkd.losses import StageWeightHead
    from owkd.models.presets import architecture
    from owkd.models.wse import WseNet

    shape = architecture(config.student.preset, config.student.depths)
    with torch.device("meta"):
        modules = [WseNet(shape, identities, config.data.image_size, "student"), StageWeightHead(shape.teacher.dims[3])]
    weights = FILE_BYTES + sum(_bytes(module) for module in modules)
    moments = 2 * sum(
        parameter.numel() * parameter.itemsize + TENSOR_OVERHEAD
        for module in modules
        for parameter in module.parameters()
    )
    return weights, weights + moments + epochs * EPOCH_BYTES


def _bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.itemsize + TENSOR_OVERHEAD for tensor in module.state_dict().values())
