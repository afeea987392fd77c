"""The loop that teacher and student share: epochs, validation, checkpoints, exact resume.

Shapes: B batch, S image size, n images of a split.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from owkd.device import resident, send, to_images
from owkd.errors import CheckpointError, DivergedError
from owkd.models.outputs import TeacherTargets
from owkd.models.state_dicts import differences, not_finite, several
from owkd.training.recipe.augmentation import UNCHANGED, Augmentation, Changes, changed
from owkd.training.recipe.rates import RateFactor, constant_rate
from owkd.training.state import load_training_state, save_training_state

if TYPE_CHECKING:
    from owkd.training.targets import StoredTargets

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured.

    Attributes:
        epoch: 1-based
        metrics: `loss/<term>`, `val/<metric>`, `stage_weight/<1..4>`, learning_rate, images_per_second, duration_s, ...
        replayed: True when it was read from a checkpoint instead of trained now
        note: what people must know of it, such as why its training started anew
    """

    fold: str
    seed: int
    epoch: int
    metrics: dict[str, float]
    replayed: bool = False
    note: str = ""


Report = Callable[[Epoch], None]


class Batch(NamedTuple):
    """What a step works on.

    Attributes:
        images: (B, 3, S, S) float32 in [0, 1], channels_last
        labels: (B,) int64
        targets: of these images; None where there is no teacher, or it runs in the step
    """

    images: Tensor
    labels: Tensor
    targets: TeacherTargets | None = None


@dataclass(frozen=True)
class TrainingSet:
    """A split in memory-mapped form.

    Attributes:
        images: (n, S, S, 3) uint8, mapped into memory
        labels: (n,) int64, contiguous from 0
        targets: the teacher's outputs for each image
        resident: the images on the GPU
    """

    images: np.ndarray
    labels: np.ndarray
    targets: StoredTargets | None = None
    resident: Tensor | None = None

    def on(self, device: torch.device) -> TrainingSet:
        """The same, its images on the device too where it is a GPU with room for them."""
        return replace(self, resident=resident(self.images, device))

    def batch(self, indices: np.ndarray, device: torch.device, changes: Changes | None = None) -> Batch:
        """Images by their positions (B,), on the device, after `changes`; stored targets know of flips alone."""
        here = self.resident
        images = to_images(self.images[indices] if here is None else here[send(indices, device)], device)
        return Batch(
            images if changes is None else changed(images, changes),
            send(self.labels[indices], device),
            None
            if self.targets is None
            else self.targets.batch(indices, device, None if changes is None else changes.flips),
        )


class Task(Protocol):
    """What `fit` trains.

    Attributes:
        modules: everything that learns, or keeps statistics
    """

    modules: nn.ModuleDict
    optimizer: torch.optim.Optimizer

    def loss_terms(self, images: Tensor, labels: Tensor, targets: TeacherTargets | None = None) -> Terms:
        """Named scalars of a batch; `total` is minimised."""
        ...

    def validate(self) -> dict[str, float]:
        """Metrics on the validation split, by name."""
        ...

    def keep_if_best(self, epoch: Epoch, history: Sequence[Epoch]) -> None:
        """Stores the model when this epoch is better than all of the history."""
        ...

    def require_kept(self) -> None:
        """Raises `CheckpointError` where what `keep_if_best` stored is gone or damaged."""
        ...


@dataclass(frozen=True)
class FitPlan:
    """What `fit` needs besides the task.

    Attributes:
        learning_rate: the first one, which is reported times its factor
        rate_factor: what every learning rate is multiplied by, after so many epochs
        augmentation: of the images of every batch
        signature: digest of everything that the numbers depend on; a state with another one is not resumed from
        constants: metrics that no epoch changes, given the epochs that there are already
    """

    fold: str
    seed: int
    epochs: int
    batches: Callable[[np.random.Generator], list[np.ndarray]]
    state_file: Path
    signature: str
    data: TrainingSet
    device: torch.device
    learning_rate: float
    rate_factor: RateFactor = constant_rate
    augmentation: Augmentation = UNCHANGED
    report: Report = field(default=lambda epoch: None)
    constants: Callable[[Sequence[Epoch]], Mapping[str, float]] = field(default=lambda history: {})


def fit(task: Task, plan: FitPlan) -> tuple[Epoch, ...]:
    """Trains up to `plan.epochs`, resuming from `plan.state_file` where it exists: bit-equal to never having stopped.

    The whole state is on disk before an epoch is reported, so that a reported epoch is never lost. Where the file, or
    the model that was kept beside it, is damaged or belongs to another configuration, training starts anew, and the
    first epoch's `note` says so. Raises `DivergedError` when a loss, or a weight after an epoch, is not finite.
    """
    rates = [float(group["lr"]) for group in task.optimizer.param_groups]
    history, note = _resume(task, plan)
    for epoch in history:
        plan.report(epoch)
    constants = plan.constants(history) if len(history) < plan.epochs else {}
    data = plan.data.on(plan.device)
    for number in range(len(history) + 1, plan.epochs + 1):
        measured = _one_epoch(task, plan, data, number, rates)
        measured.metrics.update(constants)
        measured, note = replace(measured, note=note), ""
        task.keep_if_best(measured, history)
        history = (*history, measured)
        save_training_state(plan.state_file, _state(task, plan, history))
        plan.report(measured)
    return history


def train_step(task: Task, batch: Batch) -> Terms:
    """One step of the optimizer; the batch's terms, from before it."""
    terms = task.loss_terms(*batch)
    task.optimizer.zero_grad(set_to_none=True)
    terms["total"].backward()
    task.optimizer.step()
    return terms


def _one_epoch(task: Task, plan: FitPlan, data: TrainingSet, number: int, rates: Sequence[float]) -> Epoch:
    start = time.perf_counter()
    generator, drawing = (np.random.default_rng([plan.seed, number, *apart]) for apart in ([], [1]))
    task.modules.train()
    sums: Terms = {}
    images_seen = 0
    batches = plan.batches(generator)
    for position, indices in enumerate(batches):
        factor = plan.rate_factor(number - 1 + position / len(batches))
        for group, rate in zip(task.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        changes = plan.augmentation.draw(drawing, len(indices), data.images.shape[1])
        terms = train_step(task, data.batch(indices, plan.device, changes))
        images_seen += len(indices)
        # Sums stay on the device: reading one here would make the GPU wait in every step.
        for name, value in terms.items():
            sums[name] = sums[name] + value.detach() if name in sums else value.detach()
    means = _read_means(sums, len(batches))
    train_seconds = time.perf_counter() - start
    if not math.isfinite(means["total"]):
        broken = ", ".join(name for name, value in means.items() if not math.isfinite(value))
        raise DivergedError(f"loss is not finite in epoch {number}: {broken}")
    if wrong := not_finite(task.modules.state_dict()):  # the last step's weights are in no loss
        raise DivergedError(f"weights are not finite after epoch {number}: {several(wrong)}")
    task.modules.eval()
    metrics = {name if "/" in name else f"loss/{name}": value for name, value in means.items()}
    metrics.update(task.validate())
    metrics["learning_rate"] = plan.learning_rate * plan.rate_factor(number - 1)
    metrics["images_per_second"] = images_seen / train_seconds
    metrics["duration_s"] = time.perf_counter() - start
    metrics["gpu_memory_peak_bytes"] = _gpu_memory_peak(plan.device)
    return Epoch(plan.fold, plan.seed, number, metrics)


def _read_means(sums: Mapping[str, Tensor], count: int) -> dict[str, float]:
    values = torch.stack([value.to(torch.float32) for value in sums.values()]).cpu().tolist()
    return {name: value / count for name, value in zip(sums, values, strict=True)}


def _gpu_memory_peak(device: torch.device) -> float:
    return float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0.0


def _state(task: Task, plan: FitPlan, history: Sequence[Epoch]) -> dict[str, Any]:
    return {
        "signature": plan.signature,
        "modules": task.modules.state_dict(),
        "optimizer": task.optimizer.state_dict(),
        "history": [{"epoch": epoch.epoch, "metrics": epoch.metrics} for epoch in history],
    }


def _resume(task: Task, plan: FitPlan) -> tuple[tuple[Epoch, ...], str]:
    """The epochs that are behind, or none and why it starts anew, if there was something to resume from."""
    try:
        state = load_training_state(plan.state_file)
        if state is None:
            return (), ""
        task.require_kept()
        return _restore(task, plan, state), ""
    except CheckpointError as error:
        return (), f"started anew: {error}"


def _restore(task: Task, plan: FitPlan, state: Mapping[str, Any]) -> tuple[Epoch, ...]:
    """Raises `CheckpointError` before anything is taken over of a state that does not fit."""
    if state.get("signature") != plan.signature:
        raise CheckpointError(f"{plan.state_file} comes from another configuration")
    if problems := differences(task.modules.state_dict(), state["modules"]):
        raise CheckpointError(f"{plan.state_file} comes from other networks: {several(problems)}")
    task.modules.load_state_dict(state["modules"])
    task.optimizer.load_state_dict(state["optimizer"])
    history = (Epoch(plan.fold, plan.seed, row["epoch"], row["metrics"]) for row in state["history"])
    return tuple(replace(epoch, replayed=True) for epoch in history)
