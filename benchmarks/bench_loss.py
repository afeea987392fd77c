"""The distillation loss alone, forward and backward, at published shapes, against the plain formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks import measure, reference
from owkd.config import DistillConfig
from owkd.losses import distillation_terms, flow_matrix, gram_mse, spectrum_mse, weigh
from owkd.losses.flow import gram_mse_to, spectrum_mse_to
from owkd.models.outputs import BackboneOutput, EnsembleOutput, GceOutput, TeacherTargets

Answer = tuple[Tensor, tuple[Tensor, ...]]
"""the seven terms, and the gradients of `leaves`"""
Candidate = Callable[[], Answer]

COMMAND = "python -m benchmarks.bench_loss"


@dataclass(frozen=True)
class Shapes:
    """Maps of a student and a teacher."""

    stages: tuple[tuple[int, int], ...]
    """channels and map size"""
    gce: tuple[int, int]
    batch: int = 4
    identities: int = 206


PUBLISHED = Shapes(stages=((96, 56), (192, 28), (384, 14), (768, 7)), gce=(1793, 7))
SMALL = Shapes(stages=((8, 32), (16, 16), (32, 8), (64, 4)), gce=(321, 4))


def outputs(shapes: Shapes, seed: int, memory_format: torch.memory_format) -> EnsembleOutput:
    """Random maps and logits of an ensemble; every tensor is a leaf that takes a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        drawn = torch.randn(shapes.batch, *shape, generator=generator)
        return (drawn.contiguous(memory_format=memory_format) if len(shape) == 3 else drawn).requires_grad_()

    def map_(channels: int, size: int) -> Tensor:
        return draw(channels, size, size)

    def backbone() -> BackboneOutput:
        features = tuple(map_(*stage) for stage in shapes.stages)
        return BackboneOutput(draw(shapes.identities), draw(shapes.stages[3][0]), features, features[3], None, None)

    gce = GceOutput(
        map_(*shapes.gce), (map_(*shapes.gce), map_(*shapes.gce), map_(*shapes.gce)), draw(1), draw(shapes.identities)
    )
    return EnsembleOutput(backbone(), backbone(), gce)


def leaves(output: EnsembleOutput) -> list[Tensor]:
    """What the distillation loss gives a gradient to."""
    features = [*output.original.stage_features, *output.attention.stage_features]
    logits = [member.logits for member in (output.original, output.attention, output.gce)]
    return [*features, output.gce.input, *output.gce.layers, *logits]


def stored(teacher: EnsembleOutput, shapes: Shapes) -> TeacherTargets:
    """The teacher as its targets on disk give it: flow matrices where they are smaller than the maps."""
    live = TeacherTargets.of(teacher)
    flows = tuple(
        flow_matrix(*flow) if isinstance(flow, tuple) and kept_as_matrix(channels, size) else flow
        for flow, (channels, size) in zip(live.flows, shapes.stages, strict=True)
    )
    return TeacherTargets(flows, live.layers, live.logits, live.pooled)


def candidates(shapes: Shapes) -> dict[str, Candidate]:
    """Each way of computing the loss and its gradients."""
    weights = torch.ones(4, shapes.batch)
    config = DistillConfig()
    plain, plain_teacher = (outputs(shapes, seed, torch.contiguous_format) for seed in (1, 2))
    ours, teacher = (outputs(shapes, seed, torch.channels_last) for seed in (1, 2))

    def published() -> Answer:
        flows = reference.feature_terms(plain, plain_teacher, weights)
        terms = flows | reference.logit_terms(plain, plain_teacher)
        total = reference.weigh(terms)
        return torch.stack(list(terms.values())), torch.autograd.grad(total, leaves(plain))

    def distilled(theirs: TeacherTargets) -> Answer:
        terms = distillation_terms(ours, theirs, config, weights)
        return torch.stack(list(terms.values())), torch.autograd.grad(weigh(terms, config), leaves(ours))

    return {
        "reference": published,
        "ours, live teacher": partial(distilled, TeacherTargets.of(teacher)),
        "ours, stored targets": partial(distilled, stored(teacher, shapes)),
    }


def parts(shapes: Shapes) -> dict[str, Callable[[], object]]:
    """Every flow of the loss on its own, gram and spectrum, forward and backward, as with stored targets."""
    found: dict[str, Callable[[], object]] = {}
    for channels, size in dict.fromkeys((*shapes.stages, shapes.gce)):
        drawn = torch.randn(4, shapes.batch, channels, size, size)
        xs, ys, xt, yt = (map_.contiguous(memory_format=torch.channels_last) for map_ in drawn)
        maps = [xs.requires_grad_(), ys.requires_grad_()]
        theirs = (flow_matrix(xt, yt),) if kept_as_matrix(channels, size) else (xt, yt)
        for kind, distance, to in (("gram", gram_mse, gram_mse_to), ("spectrum", spectrum_mse, spectrum_mse_to)):
            taken: Callable[..., Tensor] = distance if len(theirs) == 2 else to
            found[f"{kind}, {channels} channels, {size} x {size}"] = partial(_gradient, taken, maps, theirs)
    return found


def _gradient(distance: Callable[..., Tensor], maps: list[Tensor], theirs: tuple[Tensor, ...]) -> object:
    return torch.autograd.grad(distance(*maps, *theirs).sum(), maps)


def kept_as_matrix(channels: int, size: int) -> bool:
    """Whether a teacher's flow matrix is smaller than the two maps that make it."""
    return channels <= 2 * size**2


def disagreement(answer: Answer, exact: Answer) -> tuple[float, float]:
    """Largest relative error of a term, and of a gradient as a vector."""
    terms = ((answer[0] - exact[0]) / exact[0]).abs().max()
    gradients = [float((a - b).norm() / b.norm()) for a, b in zip(answer[1], exact[1], strict=True)]
    return float(terms.detach()), max(gradients)


def peak(name: str, shapes: Shapes, threads: int) -> None:
    """Runs one candidate; for a process of its own, whose memory is then looked at."""
    torch.set_num_threads(threads)
    candidates(shapes)[name]()


def inputs_only(shapes: Shapes, threads: int) -> None:
    """What is there before any loss: libraries and maps."""
    torch.set_num_threads(threads)
    candidates(shapes)


def report(shapes: Shapes, repeats: int, threads: int) -> str:
    """The section: times, errors and memory of the whole loss, then times of its parts."""
    torch.set_num_threads(threads)
    runs = candidates(shapes)
    exact = runs["reference"]()
    errors = {name: disagreement(run(), exact) for name, run in runs.items()}
    timings = measure.interleaved(runs, repeats)
    idle = measure.in_new_process(inputs_only, shapes, threads)[1]
    memory = {name: measure.in_new_process(peak, name, shapes, threads)[1] - idle for name in runs}
    slow = timings["reference"]
    rows = [
        [
            name,
            measure.duration(timing.median),
            f"{slow.median / timing.median:.1f} x",
            f"{memory[name] / measure.MIB:.0f} MiB",
            f"{errors[name][0]:.0e}",
            f"{errors[name][1]:.0e}",
        ]
        for name, timing in timings.items()
    ]
    columns = ["whole loss", "forward + backward", "speed", "memory above the maps", "error of a term", "of a gradient"]
    shares = measure.interleaved(parts(shapes), repeats)
    below = [[name, measure.duration(timing.median)] for name, timing in shares.items()]
    intro = f"Batch {shapes.batch}, stages {shapes.stages}, GCE-Net {shapes.gce}. {measure.CLOCK}"
    return "\n\n".join([intro, measure.table(columns, rows), measure.table(["part, stored targets", "time"], below)])


def main() -> None:
    """Command line."""
    arguments = measure.parser(__doc__ or "").parse_args()
    shapes, repeats = (SMALL, 5) if arguments.quick else (PUBLISHED, 3)
    text = report(shapes, repeats, arguments.threads)
    measure.publish("bench_loss", text, measure.command(COMMAND, arguments), arguments.threads, arguments.record)


if __name__ == "__main__":
    main()
