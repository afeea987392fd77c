"""What each size of student costs, and what it is worth with and without a teacher: on drawn characters (Omniglot).

With `--keep FOLDER` every training that is over is kept there, and a stopped one goes on. The test split is opened once
for each model, at its last epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import measure
from benchmarks.trainings import (
    FOLD,
    LEVEL,
    OMNIGLOT,
    Trainings,
    folder_of,
    in_points,
    lead_in_points,
    real_images,
)
from owkd.config import NO_DISTILLATION, Config, Preset, parse_config, with_values
from owkd.models.presets import architecture
from owkd.training.cost import student_costs
from owkd.training.prepare import build_network, open_fold

COMMAND = "python -m benchmarks.bench_presets"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sizes:
    """What is trained, on what, and what its costs are measured on."""

    presets: tuple[Preset, ...] = ("small", "tiny", "micro", "pico", "femto")
    teacher: Preset = "small"
    image_size: int = 32
    drawers: int = 2
    batch: int = 8
    epochs: int = 1
    teacher_epochs: int = 2
    costs_at: int = 224
    costs_batch: int = 8
    repeats: int = 5


QUICK = Sizes(("nano",), "nano", batch=32, teacher_epochs=1, costs_at=32, costs_batch=2, repeats=1)


def configured(sizes: Sizes, root: Path, preset: Preset) -> Config:
    """A training with the published losses, at a rate for networks that start from nothing."""
    return parse_config(
        {
            "data": {"root": str(root), "dataset": OMNIGLOT, "folds": [FOLD], "image_size": sizes.image_size},
            "teacher": {
                "preset": sizes.teacher,
                "schedule": "joint",
                "backbones": {"epochs": sizes.teacher_epochs, "batch_size": sizes.batch, "learning_rate": 3e-4},
            },
            "student": {"preset": preset},
            "train": {
                "epochs": sizes.epochs,
                "batch_size": sizes.batch,
                "learning_rate": 3e-4,
                "learning_rate_decay": "cosine",
                "device": "cpu",
                "threads": 1,
            },
        }
    )


def costs(sizes: Sizes) -> dict[Preset, list[str]]:
    """Parameters, operations of an image, and the time of one image and of one of a batch, of each preset."""
    models = {
        preset: build_network(architecture(preset), 2, sizes.costs_at, "student", seed=0).eval()
        for preset in sizes.presets
    }
    one, batch = (torch.rand(count, 3, sizes.costs_at, sizes.costs_at) for count in (1, sizes.costs_batch))
    calls: dict[str, Callable[[], object]] = {}
    for preset, model in models.items():
        calls |= {f"{preset} one": partial(model.embed, one), f"{preset} batch": partial(model.embed, batch)}
    with torch.inference_mode():
        times = measure.interleaved(calls, sizes.repeats)
    rows = {}
    for preset, model in models.items():
        counted = student_costs(model, sizes.costs_at, CPU, ("parameters", "flops"))
        rows[preset] = [
            f"{counted['parameters'] / 1e6:.1f} M",
            f"{counted['flops'] / 1e9:.1f} G",
            measure.duration(times[f"{preset} one"].median),
            measure.duration(times[f"{preset} batch"].median / sizes.costs_batch),
        ]
    return rows


def report(sizes: Sizes, seeds: int, folder: Path) -> str:
    """The table, and how it was made."""
    root = real_images(folder, sizes.drawers)
    trainings = Trainings(folder)
    teacher = trainings.teacher(configured(sizes, root, sizes.teacher))
    configs: dict[Any, Config] = {}
    for preset in sizes.presets:
        distilled = with_values(configured(sizes, root, preset), {"teacher.checkpoint": str(teacher)})
        configs[preset, "no distillation"] = distilled.model_copy(update={"distill": NO_DISTILLATION})
        configs[preset, "distilled"] = distilled
    scores = trainings.all_maps(configs, seeds)
    cost = costs(sizes)
    rows = []
    for preset in sizes.presets:
        alone, taught = (scores[preset, kind] for kind in ("no distillation", "distilled"))
        first = [trainings.untrained_map(configs[preset, "distilled"], seed) for seed in range(seeds)]
        figures = [in_points(first), in_points(alone), in_points(taught), lead_in_points(taught, alone)]
        rows.append([f"`{preset}`", *cost[preset], *figures])
    columns = [
        "student",
        "parameters",
        "operations",
        "one image",
        f"an image in a batch of {sizes.costs_batch}",
        "test mAP, untrained",
        "test mAP, no distillation",
        "test mAP, distilled",
        f"lead by distillation ({LEVEL:.0%})",
    ]
    data = open_fold(configs[sizes.presets[0], "distilled"], FOLD)
    head = (
        f"Costs are those of an embedding at {sizes.costs_at} px, operations two for each multiply-add, times medians "
        f"of {sizes.repeats} in turns. Test mAP in points, {seeds} seeds, mean and standard deviation; the lead is the "
        "mean of the differences at equal seeds, with its t interval. Trained on Omniglot at "
        f"{sizes.image_size} px, {data.train.num_identities} characters by {sizes.drawers} drawers, "
        f"{sizes.epochs} epoch(s) of {len(data.train.paths)} images in batches of {sizes.batch}, by a "
        f"`{sizes.teacher}` teacher of {sizes.teacher_epochs} epoch(s), published weights of the losses."
    )
    return f"{head}\n\n{measure.table(columns, rows)}"


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default: 3)")
    parser.add_argument("--epochs", type=int, help=f"of each (default: {Sizes().epochs}, too few for most sizes)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of trainings that need not be run again")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = QUICK if arguments.quick else Sizes()
    sizes = replace(sizes, epochs=arguments.epochs or sizes.epochs)
    with folder_of(arguments.keep) as folder:
        text = report(sizes, arguments.seeds, folder)
    command = measure.command(COMMAND, arguments) + f" --seeds {arguments.seeds} --epochs {sizes.epochs}"
    measure.publish("bench_presets", text, command, arguments.threads, arguments.record)


if __name__ == "__main__":
    main()
