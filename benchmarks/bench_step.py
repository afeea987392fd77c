"""One training step of published size (small teacher, micro student, 224 px, batch 4) against the published form.

Every candidate runs in a process of its own, so that each has a memory peak of its own; the reference runs between two
runs of ours. Weights are random, the same for all; the first step's loss shows that all compute the same.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import measure, reference
from benchmarks.bench_loss import Shapes, stored
from owkd.config import DistillConfig, Preset
from owkd.losses import StageWeightHead, distillation_terms, supervised_terms, weigh
from owkd.models.outputs import TeacherTargets
from owkd.models.presets import architecture
from owkd.models.wse import Role, WseNet
from owkd.training.prepare import build_network

COMMAND = "python -m benchmarks.bench_step"
PASSES = 4  # of a student's backbones: two networks, a plain and a saliency pass each


@dataclass(frozen=True)
class Sizes:
    """What is trained, on what, how often."""

    teacher: Preset = "small"
    student: Preset = "micro"
    image_size: int = 224
    batch: int = 4
    identities: int = 206
    steps: int = 4
    """timed steps of ours in each process; of them, `threads` and `device` below"""
    reference_steps: int = 1
    threads: int = 1
    device: str = "cpu"


QUICK = Sizes(teacher="nano", student="nano", image_size=64, identities=5, reference_steps=2)


@dataclass
class Steps:
    """What a process measured."""

    losses: list[float] = field(default_factory=list)
    """total of each step, before its update"""
    parts: list[dict[str, float]] = field(default_factory=list)
    """seconds of each step, by part"""

    @property
    def seconds(self) -> list[float]:
        """Of the whole of each step."""
        return [sum(step.values()) for step in self.parts]

    def part(self, name: str) -> float:
        """Median seconds of one part."""
        return statistics.median(step.get(name, 0.0) for step in self.parts)


class _Watch:
    """Seconds since the last look, by part; waits for a GPU before it looks."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.parts: dict[str, float] = {}
        self.last = self._now()

    def mark(self, name: str) -> None:
        now = self._now()
        self.parts[name] = now - self.last
        self.last = now

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return measure.clock()


def network(preset: Preset, sizes: Sizes, role: Role, seed: int) -> WseNet:
    """Random weights that hang on the seed alone."""
    return build_network(architecture(preset), sizes.identities, sizes.image_size, role, seed).to(sizes.device)


def batch(sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Random images (B, 3, S, S), channels_last, and labels with two images an identity."""
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(sizes.batch, 3, sizes.image_size, sizes.image_size, generator=generator)
    labels = torch.arange(sizes.batch) // 2 % sizes.identities
    return images.contiguous(memory_format=torch.channels_last).to(sizes.device), labels.to(sizes.device)


def head(sizes: Sizes) -> StageWeightHead:
    """The learned stage weights."""
    torch.manual_seed(2)
    return StageWeightHead(architecture(sizes.student).dims[3]).to(sizes.device)


def published(sizes: Sizes) -> Steps:
    """Steps in the plain published form: teacher and student both run, and both keep their graphs."""
    torch.set_num_threads(sizes.threads)
    teacher = reference.contiguous(network(sizes.teacher, sizes, "teacher", 0)).eval()
    student = reference.contiguous(network(sizes.student, sizes, "student", 1)).train()
    weights = head(sizes)
    optimizer = torch.optim.Adam([*student.parameters(), *weights.parameters()], lr=1e-4)
    images, labels = batch(sizes)
    done = Steps()
    for _ in range(sizes.reference_steps):
        watch = _Watch(sizes.device)
        theirs = reference.ensemble(teacher, images, saliency=False)
        watch.mark("teacher")
        ours = reference.ensemble(student, images, saliency=True)
        watch.mark("student, forward")
        stage_weights = reference.stage_weights(weights.linear, theirs)
        terms = reference.feature_terms(ours, theirs, stage_weights) | reference.logit_terms(ours, theirs)
        total = reference.supervised(ours, labels) + reference.weigh(terms)
        watch.mark("losses, forward")
        optimizer.zero_grad()
        total.backward()
        watch.mark("backward")
        optimizer.step()
        watch.mark("optimizer")
        done.losses.append(total.item())
        done.parts.append(watch.parts)
    return done


def store_targets(sizes: Sizes, file: Path) -> None:
    """Writes what is kept of the teacher for the batch, so that the student's process never sees the teacher."""
    torch.set_num_threads(sizes.threads)
    images, _ = batch(sizes)
    with torch.no_grad():
        kept = stored(network(sizes.teacher, sizes, "teacher", 0).eval()(images), _shapes(sizes))
    torch.save(vars(kept), file)


def ours(sizes: Sizes, file: Path | None, bf16: bool = False) -> Steps:
    """Steps as `owkd.training.run` makes them, with targets from a file, or without: then the teacher runs."""
    torch.set_num_threads(sizes.threads)
    kept = None if file is None else TeacherTargets(**torch.load(file, map_location=sizes.device, weights_only=True))
    frozen = network(sizes.teacher, sizes, "teacher", 0).eval() if kept is None else None
    student = network(sizes.student, sizes, "student", 1).train()
    weights = head(sizes)
    optimizer = torch.optim.Adam([*student.parameters(), *weights.parameters()], lr=1e-4, fused=True)
    images, labels = batch(sizes)
    config = DistillConfig()

    def context() -> AbstractContextManager[object]:
        return torch.autocast(sizes.device, dtype=torch.bfloat16) if bf16 else nullcontext()

    done = Steps()
    for _ in range(sizes.steps):
        watch = _Watch(sizes.device)
        with context():
            theirs = kept
            if theirs is None:
                assert frozen is not None
                with torch.no_grad():
                    theirs = TeacherTargets.of(frozen(images))
                watch.mark("teacher")
            output = student(images, saliency=True)
            watch.mark("student, forward")
            terms = supervised_terms(output, labels, reference.MARGIN)
            terms |= distillation_terms(output, theirs, config, weights(theirs.pooled))
            total = weigh(terms, config)
            watch.mark("losses, forward")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        watch.mark("backward")
        optimizer.step()
        watch.mark("optimizer")
        done.losses.append(total.item())
        done.parts.append(watch.parts)
    return done


def plain_convnext(sizes: Sizes) -> Steps:
    """The practical limit: forward and backward of one plain student backbone, a classifier's loss, nothing else."""
    torch.set_num_threads(sizes.threads)
    backbone = network(sizes.student, sizes, "student", 1).train().original
    images, labels = batch(sizes)
    done = Steps()
    for _ in range(sizes.steps):
        watch = _Watch(sizes.device)
        loss = F.cross_entropy(backbone(images).logits, labels)
        loss.backward()
        watch.mark("forward and backward")
        done.losses.append(loss.item())
        done.parts.append(watch.parts)
    return done


def linear_layers(sizes: Sizes, bf16: bool = False) -> Steps:
    """The floor: the matrix products of the blocks' linear layers in a step's four passes, and nothing else.

    A block has two such layers; each takes one product forward and two backward, of the same three shapes.
    """
    torch.set_num_threads(sizes.threads)
    blocks = [
        (torch.rand(sizes.batch * side**2, channels), torch.rand(channels, 4 * channels), depth)
        for (channels, side), depth in zip(_shapes(sizes).stages, architecture(sizes.student).depths, strict=True)
    ]
    dtype = torch.bfloat16 if bf16 else torch.float32
    done = Steps()
    for _ in range(sizes.steps):
        watch = _Watch(sizes.device)
        for narrow, weight, depth in blocks:
            x, w = (tensor.to(sizes.device, dtype) for tensor in (narrow, weight))
            for _ in range(PASSES * 2 * depth):
                y = x @ w
                x.T @ y, y @ w.T
        watch.mark("products")
        done.parts.append(watch.parts)
    return done


def _shapes(sizes: Sizes) -> Shapes:
    shape = architecture(sizes.student)
    sides = (sizes.image_size // (shape.patch * 2**stage) for stage in range(4))
    stages = tuple(zip(shape.dims, sides, strict=True))
    return Shapes(stages, (shape.gce_channels, stages[3][1]), sizes.batch, sizes.identities)


def measured(sizes: Sizes, file: Path) -> dict[str, tuple[Steps, int]]:
    """Every candidate's steps and memory peak in bytes; ours with stored targets runs before and after the rest."""
    measure.in_new_process(store_targets, sizes, file)
    runs: dict[str, tuple[Callable[..., Steps], tuple[object, ...]]] = {
        "ours, stored targets": (ours, (sizes, file)),
        "reference": (published, (sizes,)),
        "ours, live teacher": (ours, (sizes, None)),
        "plain ConvNeXt": (plain_convnext, (sizes,)),
        "products": (linear_layers, (sizes,)),
    }
    if sizes.device == "cuda" or measure.has_fast_bfloat16():
        runs["ours, stored targets, bf16"] = (ours, (sizes, file, True))
        runs["products, bf16"] = (linear_layers, (sizes, True))
    done = {name: measure.in_new_process(run, *arguments) for name, (run, arguments) in runs.items()}
    again, peak = measure.in_new_process(ours, sizes, file)
    first, first_peak = done["ours, stored targets"]
    both = Steps(first.losses, [*first.parts[1:], *again.parts[1:]])
    done["ours, stored targets"] = (both, max(peak, first_peak))
    return done


def report(sizes: Sizes) -> str:
    """The section: whole steps against the reference, then where the time of one step goes."""
    with tempfile.TemporaryDirectory() as folder:
        results = measured(sizes, Path(folder) / "targets.pt")
    slow, slow_peak = results["reference"]
    limits: dict[str, float] = {
        name: statistics.median(results.pop(name)[0].seconds[1:])
        for name in ("plain ConvNeXt", "products", "products, bf16")
        if name in results
    }
    rows = []
    for name, (steps, peak) in results.items():
        seconds = statistics.median(steps.seconds if name == "reference" else steps.seconds[1:])
        ratio = statistics.median(slow.seconds) / seconds
        memory = [f"{peak / measure.MIB:.0f} MiB", f"{peak / slow_peak:.2f}"]
        rows.append([name, measure.duration(seconds), f"{ratio:.1f} x", *memory, f"{steps.losses[0]:.6f}"])
    columns = ["one step", "time", "speed", "memory peak", "of the reference's", "loss of the first step"]
    names = list(slow.parts[0])
    shares = [
        [name, *(measure.duration(steps.part(name)) if steps.part(name) else "" for steps, _ in results.values())]
        for name in names
    ]
    fast = statistics.median(results["ours, stored targets"][0].seconds)
    practical = _limits(sizes, limits, fast, statistics.median(slow.seconds))
    notes = [_intro(sizes), measure.table(columns, rows), practical, measure.table(["part", *results], shares)]
    if "ours, stored targets, bf16" not in results:
        notes.append("bf16: not measured, this processor has no instructions for it (neither AMX nor AVX-512 BF16).")
    if sizes.device != "cuda":
        notes.append("GPU: not run, there is none here; `--device cuda` is the command.")
    return "\n\n".join(notes)


def _limits(sizes: Sizes, limits: dict[str, float], fast: float, slow: float) -> str:
    """What bounds a step, in words: seconds by name, then of our step and of the reference's."""
    plain, products = limits["plain ConvNeXt"], limits["products"]
    text = (
        f"Forward and backward of one plain ConvNeXt ({sizes.student}, same batch) take {measure.duration(plain)}. A "
        f"student makes {PASSES} such passes, two networks twice: {PASSES * plain / fast:.0%} of our step's time. The "
        f"matrix products of their linear layers alone take {measure.duration(products)}, {products / fast:.0%} of it: "
        f"no step in float32 could be more than {slow / products:.1f} times as fast as the reference"
    )
    half = limits.get("products, bf16")
    return text + ("." if half is None else f". In bfloat16 they take {measure.duration(half)}.")


def _intro(sizes: Sizes) -> str:
    return (
        f"Teacher {sizes.teacher}, student {sizes.student}, {sizes.image_size} px, batch {sizes.batch}, "
        f"{sizes.device}. {measure.CLOCK} Memory is the whole process', libraries and weights included."
    )


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    base = QUICK if arguments.quick else Sizes()
    sizes = replace(base, threads=arguments.threads, device=arguments.device)
    command = measure.command(COMMAND, arguments) + (" --device cuda" if arguments.device == "cuda" else "")
    name = "bench_step, one thread" if arguments.threads == 1 else "bench_step"
    measure.publish(name, report(sizes), command, arguments.threads, arguments.record)


if __name__ == "__main__":
    main()
