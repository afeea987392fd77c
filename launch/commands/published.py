"""The published command line."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Root = Annotated[Path, typer.Option("--DBpath", "--DBPath", help="Folder that holds the data set's folder.")]
Dataset = Annotated[
    Literal["DBPerson-Recog-DB1_thermal", "SYSU-MM01_thermal"], typer.Option("--inputDB", help="The data set.")
]
Folds = Annotated[str, typer.Option("--Fold", help="Folds, separated by commas.")]
Model = Annotated[
    Literal["original,attention", "student", "teacher"],
    typer.Option(
        "--modelType",
        help="What is trained and tested. original,attention: both backbones and GCE-Net of the student, as the "
        "published code names it; student: the same; teacher: WSE-Net itself, without a student.",
    ),
]
LearningRate = Annotated[float, typer.Option("--lr", help="Learning rate of the backbones.")]
WeightDecay = Annotated[float, typer.Option("--wd", help="Weight decay of the backbones.")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--trainBatchSize",
        min=1,
        show_default="8; 12 for a teacher's GCE-Net",
        help="Images a step, two of each person: 4 or more, and even.",
    ),
]
Epochs = Annotated[
    int, typer.Option("--numEpoch", min=1, help="Epochs of the student, and of each stage of a teacher.")
]
GceLearningRate = Annotated[
    float | None,
    typer.Option("--GCE_lr", show_default="1e-3; 1e-4 for a teacher", help="Learning rate of GCE-Net."),
]
GceWeightDecay = Annotated[
    float | None, typer.Option("--GCE_wd", show_default="1e-3; 1e-6 for a teacher", help="Weight decay of GCE-Net.")
]
ValidationBatchSize = Annotated[int, typer.Option("--valBatchSize", min=1, help="Validation images at a time.")]
TestBatchSize = Annotated[int, typer.Option("--testBatchSize", min=1, help="Test images at a time.")]
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR",
        help="What a student learns from: a file, {fold} standing for the fold's name, or a folder with "
        "<fold>.safetensors. Without it, the teacher of each fold is trained first, by the published recipe.",
    ),
]
Preset = Annotated[
    Literal["small", "tiny", "micro", "nano"] | None,
    typer.Option(show_default="micro; small for a teacher", help="Size of the networks. nano is for trying out."),
]
Init = Annotated[
    Literal["imagenet", "random"] | None,
    typer.Option(show_default="imagenet; random for nano", help="What the backbones start from."),
]
ImageSize = Annotated[int, typer.Option(min=1, help="Side of the network's input, pixels.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
Out = Annotated[
    Path | None, typer.Option(show_default="runs/<inputDB>-<student|teacher>", help="Folder for all results.")
]


def run_as_published(
    root: Root,
    dataset: Dataset,
    folds: Folds = "Fold1,Fold2",
    model: Model = "original,attention",
    learning_rate: LearningRate = 1e-4,
    weight_decay: WeightDecay = 1e-5,
    batch_size: BatchSize = None,
    epochs: Epochs = 30,
    gce_learning_rate: GceLearningRate = None,
    gce_weight_decay: GceWeightDecay = None,
    validation_batch_size: ValidationBatchSize = 8,
    test_batch_size: TestBatchSize = 256,
    teacher: Teacher = None,
    preset: Preset = None,
    init: Init = None,
    image_size: ImageSize = 224,
    device: Device = "auto",
    out: Out = None,
) -> None:
    """The published command line: train, validate and test on every fold; continues where it was stopped."""
    from launch.published import Request, run_published

    run_published(
        Request(
            root=root,
            folds=folds,
            dataset=dataset,
            model="teacher" if model == "teacher" else "student",
            epochs=epochs,
            validation_batch_size=validation_batch_size,
            test_batch_size=test_batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            gce_learning_rate=gce_learning_rate,
            gce_weight_decay=gce_weight_decay,
            teacher=teacher,
            preset=preset,
            init=init,
            image_size=image_size,
            device=device,
            out=out,
        )
    )
