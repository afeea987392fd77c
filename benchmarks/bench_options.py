"""What the training options of re-identification are worth to a small student, each on its own: on and off.

On drawn characters (Omniglot) and on synthetic people. With `--keep FOLDER` every training that is over is kept there,
and a stopped one goes on. The test split is opened once for each model, at its last epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    synthetic_images,
)
from owkd.config import NO_DISTILLATION, Config, parse_config, with_values
from owkd.data.synthetic import DATASET as SYNTHETIC

COMMAND = "python -m benchmarks.bench_options"
OFF = "all off"
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "flip": {"train.flip": True},
    "crop_padding: 2": {"train.crop_padding": 2},
    "random_erasing: 0.5": {"train.random_erasing": 0.5},
    "label_smoothing: 0.1": {"train.label_smoothing": 0.1},
    "gradient_clip: 1": {"train.gradient_clip": 1.0},
    "weight_average: 0.9": {"train.weight_average": 0.9},
    "warmup_epochs: 1": {"train.warmup_epochs": 1.0},
    "learning_rate_decay: cosine": {"train.learning_rate_decay": "cosine"},
}
"""what is switched on, field by field"""


@dataclass(frozen=True)
class Sizes:
    """What is trained, and on what."""

    image_size: int = 32
    drawers: int = 4
    people: int = 120
    images: int = 6
    epochs: int = 8


QUICK = Sizes(drawers=2, people=16, images=4, epochs=1)


def configured(sizes: Sizes, root: Path, dataset: str) -> Config:
    """The smallest student without a teacher, by the recipe of `make demo` but for its cosine."""
    return parse_config(
        {
            "data": {"root": str(root), "dataset": dataset, "folds": [FOLD], "image_size": sizes.image_size},
            "student": {"preset": "nano"},
            "train": {
                "epochs": sizes.epochs,
                "batch_size": 8 if sizes is QUICK else 32,
                "images_per_identity": 2 if sizes is QUICK else 4,
                "learning_rate": 1e-3,
                "gce_learning_rate": 3e-3,
                "device": "cpu",
                "threads": 1,
            },
            "distill": NO_DISTILLATION.model_dump(mode="json"),
        }
    )


def report(sizes: Sizes, seeds: int, folder: Path) -> str:
    """The table, and how it was made."""
    real_images(folder, sizes.drawers)
    root = synthetic_images(folder, sizes.people, sizes.images, sizes.image_size)
    configs: dict[Any, Config] = {}
    for dataset in (OMNIGLOT, SYNTHETIC):
        base = configured(sizes, root, dataset)
        configs[dataset, OFF] = base
        configs |= {(dataset, name): with_values(base, dict(values)) for name, values in OPTIONS.items()}
    scores = Trainings(folder).all_maps(configs, seeds)
    rows = []
    for name in (OFF, *OPTIONS):
        cells = []
        for dataset in (OMNIGLOT, SYNTHETIC):
            own, off = scores[dataset, name], scores[dataset, OFF]
            cells += [in_points(own), "" if name == OFF else lead_in_points(own, off)]
        rows.append([name if name == OFF else f"`{name}`", *cells])
    kinds = ("Omniglot", "synthetic people")
    columns = ["`train.`", *(f"{kind}, {what}" for kind in kinds for what in ("test mAP", f"lead ({LEVEL:.0%})"))]
    head = (
        f"Students of preset `nano` without a teacher, {sizes.image_size} px, {sizes.epochs} epochs; Omniglot's "
        f"characters by {sizes.drawers} drawers, {sizes.people} synthetic people with {sizes.images} images each, half "
        f"of whom are tested. Test mAP in points, {seeds} seeds, mean and standard deviation; a lead is the mean of "
        "the differences to all off at equal seeds, with its t interval, not corrected for the number of rows."
    )
    return f"{head}\n\n{measure.table(columns, rows)}"


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default: 3)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of trainings that need not be run again")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with folder_of(arguments.keep) as folder:
        text = report(QUICK if arguments.quick else Sizes(), arguments.seeds, folder)
    command = measure.command(COMMAND, arguments) + f" --seeds {arguments.seeds}"
    measure.publish("bench_options", text, command, arguments.threads, arguments.record)


if __name__ == "__main__":
    main()
