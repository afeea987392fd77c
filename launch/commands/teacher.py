"""Commands on teachers."""

from pathlib import Path
from typing import Annotated

import typer

from launch.commands.arguments import ConfigFile, Overrides
from launch.configuration import load_checked

app = typer.Typer(no_args_is_help=True, help="Train or import the ensemble that teaches.")


@app.command("train")
def teacher_train(
    config: ConfigFile,
    out: Annotated[str, typer.Option(help="File to write (safetensors); {fold} stands for the fold's name.")],
    set_: Overrides = None,
    against_student: Annotated[
        bool,
        typer.Option(
            "--against-student",
            help="Then train a student without distillation for as many epochs as the teacher's longest phase, and say "
            "how far the teacher is ahead.",
        ),
    ] = False,
) -> None:
    """Train the teacher of every fold that the configuration uses; continues where it was stopped."""
    from launch.train import train_teachers

    train_teachers(load_checked(config, set_ or ()), out, against_student=against_student)


@app.command("import")
def teacher_import(
    original: Annotated[Path, typer.Option(help="Published .pth file of the plain backbone.")],
    attention: Annotated[Path, typer.Option(help="Published .pth file of the backbone with attention.")],
    gce: Annotated[Path, typer.Option(help="Published .pth file of GCE-Net.")],
    out: Annotated[Path, typer.Option(help="File to write (safetensors); must be new.")],
    image_size: Annotated[int, typer.Option(help="Side of the images that it was trained on, pixels.")] = 224,
    identities: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            help="Who is behind each class: the train folder that it was trained on (DATASET/Fold1/train), whose "
            "identities the published code numbers in the order of their folders' names; or a text file of identity "
            "numbers in the order of the classes.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH|per_image",
            help="Grey values that were black and white when images of more than 8 bits were made the 8-bit ones that "
            "it was trained on.",
        ),
    ] = None,
) -> None:
    """Import a teacher from the three files of the published code. Nothing in them is run."""
    from launch.published import import_teacher_files

    import_teacher_files(
        {"original": original, "attention": attention, "gce": gce}, out, image_size, identities, window
    )
