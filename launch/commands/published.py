"""The published command line."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def run_as_published(
    root: Annotated[Path, typer.Option("--DBpath", "--DBPath", help="Folder that holds the data set's folder.")],
    dataset: Annotated[
        Literal["DBPerson-Recog-DB1_thermal", "SYSU-MM01_thermal"], typer.Option("--inputDB", help="The data set.")
    ],
    folds: Annotated[str, typer.Option("--Fold", help="Folds, separated by commas.")] = "Fold1,Fold2",
    model: Annotated[
        Literal["original,attention", "student", "teacher"],
        typer.Option(
            "--modelType",
            help="What is trained and tested. original,attention: both backbones and GCE-Net of the student, as the "
            "published code names it; student: the same; teacher: WSE-Net itself, without a student.",
        ),
    ] = "original,attention",
    learning_rate: Annotated[float, typer.Option("--lr", help="Learning rate of the backbones.")] = 1e-4,
    weight_decay: Annotated[float, typer.Option("--wd", help="Weight decay of the backbones.")] = 1e-5,
    batch_size: Annotated[
        int | None,
        typer.Option("--trainBatchSize", min=2, show_default="8; 12 for a teacher's GCE-Net", help="Images a step."),
    ] = None,
    epochs: Annotated[
        int, typer.Option("--numEpoch", min=1, help="Epochs of the student, and of each stage of a teacher.")
    ] = 30,
    gce_learning_rate: Annotated[
        float | None,
        typer.Option("--GCE_lr", show_default="1e-3; 1e-4 for a teacher", help="Learning rate of GCE-Net."),
    ] = None,
    gce_weight_decay: Annotated[
        float | None, typer.Option("--GCE_wd", show_default="1e-3; 1e-6 for a teacher", help="Weight decay of GCE-Net.")
    ] = None,
    validation_batch_size: Annotated[
        int, typer.Option("--valBatchSize", min=1, help="Validation images at a time.")
    ] = 8,
    test_batch_size: Annotated[int, typer.Option("--testBatchSize", min=1, help="Test images at a time.")] = 256,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR",
            help="What a student learns from: a file, {fold} standing for the fold's name, or a folder with "
            "<fold>.safetensors. Without it, the teacher of each fold is trained first, by the published recipe.",
        ),
    ] = None,
    preset: Annotated[
        Literal["small", "tiny", "micro", "nano"] | None,
        typer.Option(show_default="micro; small for a teacher", help="Size of the networks. nano is for trying out."),
    ] = None,
    init: Annotated[
        Literal["imagenet", "random"] | None,
        typer.Option(show_default="imagenet; random for nano", help="What the backbones start from."),
    ] = None,
    image_size: Annotated[int, typer.Option(min=1, help="Side of the network's input, pixels.")] = 224,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(show_default="runs/<inputDB>-<student|teacher>", help="Folder for all results.")
    ] = None,
) -> None:
    """The published command line: train, validate and test on every fold; goes on where it was stopped."""
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
