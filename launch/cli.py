"""The command line: what can be asked for, in words; the work is done elsewhere.

Exit codes: 0 done; 1 the work failed; 2 the input was refused; 130 interrupted (and resumable).
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from typer.models import CommandInfo

from launch.console import console, errors
from owkd.config import load_config
from owkd.errors import OwkdError, UserError

app = typer.Typer(
    name="owkd",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Distil person re-identification ensembles into light students, and search for the weights that do it best.",
    epilog="Start with: owkd demo",
)
data_app = typer.Typer(no_args_is_help=True, help="Make, prepare and check data sets.")
teacher_app = typer.Typer(no_args_is_help=True, help="Train or import the ensemble that teaches.")
app.add_typer(data_app, name="data")
app.add_typer(teacher_app, name="teacher")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration; see the README.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/demo.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one field, such as train.epochs=5; may be repeated."),
]
Address = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Ray cluster to use (auto, HOST:PORT, ray://...); else this machine.")
]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, teacher and run; must be new.")] = Path("demo"),
) -> None:
    """The whole story on a small synthetic data set: data, teacher, search, retrain, report of results."""
    from launch.demo import run_demo

    run_demo(out)


@data_app.command("synth")
def data_synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that gets Synthetic_thermal/Fold1, Fold2.")],
    identities: Annotated[int, typer.Option(help="People in all; half of them are tested on in each fold.")] = 60,
    images: Annotated[int, typer.Option(help="Images of each person.")] = 12,
    size: Annotated[int, typer.Option(help="Side of the square images, pixels.")] = 64,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Write thermal-looking pedestrians as PNG files in the published folder layout."""
    from owkd.data.synthetic import write_dataset

    written = write_dataset(folder, identities=identities, images=images, size=size, seed=seed)
    console.print(f"{identities} people x {images} images in two folds: {written}", soft_wrap=True)


@data_app.command("prepare")
def data_prepare(
    source: Annotated[Literal["sysu"], typer.Argument(metavar="sysu", help="What RAW holds: SYSU-MM01.")],
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="The data set as distributed: cam1 to cam6, and exp.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that gets SYSU-MM01_thermal/Fold1, Fold2.")],
    seed: Annotated[int, typer.Option(help="Which people are in which fold hangs on it.")] = 0,
) -> None:
    """Bring SYSU-MM01's infrared images into two folds. The authors' own split is not published: this one is ours."""
    from launch.datasets import prepare

    prepare(raw, folder, seed)


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set (it holds Fold1), or a folder of some.")],
) -> None:
    """Count people and images per split, and find what would spoil a result: then the exit code is 2."""
    from launch.datasets import check

    check(folder)


@teacher_app.command("train")
def teacher_train(
    config: ConfigFile,
    out: Annotated[str, typer.Option(help="File to write (safetensors); {fold} stands for the fold's name.")],
    set_: Overrides = None,
) -> None:
    """Train the teacher of every fold that the configuration uses; goes on where it was stopped."""
    from launch.train import teachers

    teachers(load_config(config, set_ or ()), out)


@teacher_app.command("import")
def teacher_import(
    original: Annotated[Path, typer.Option(help="Published .pth file of the plain backbone.")],
    attention: Annotated[Path, typer.Option(help="Published .pth file of the backbone with attention.")],
    gce: Annotated[Path, typer.Option(help="Published .pth file of GCE-Net.")],
    out: Annotated[Path, typer.Option(help="File to write (safetensors); must be new.")],
    image_size: Annotated[int, typer.Option(help="Side of the images that it was trained on, pixels.")] = 224,
) -> None:
    """Take over a teacher from the three files of the published code. Nothing in them is run."""
    from launch.checkpoints import import_files

    import_files({"original": original, "attention": attention, "gce": gce}, out, image_size)


@app.command()
def distill(
    config: ConfigFile,
    set_: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder for checkpoints; runs/<name>-distill when unset.")] = None,
) -> None:
    """Train one student per fold with the configured weights; goes on where it was stopped."""
    from launch.train import students

    parsed = load_config(config, set_ or ())
    students(parsed, out or Path("runs") / f"{parsed.name}-distill")


@app.command("run")
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


@app.command()
def search(
    config: ConfigFile,
    name: Annotated[str | None, typer.Option(help="Name of the run; the configuration's when unset.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds all runs.")] = Path("runs"),
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all; the configuration's when unset.")] = None,
    address: Address = None,
    set_: Overrides = None,
) -> None:
    """Search for the best weights. Stops with Ctrl-C at any time; `owkd resume` goes on."""
    from launch.local import run_search

    overrides = [*(set_ or ()), *([f"name={name}"] if name else []), *([f"search.trials={trials}"] if trials else [])]
    run_search(load_config(config, overrides), runs, address)


@app.command()
def resume(
    run: RunFolder,
    trials: Annotated[int | None, typer.Option(min=1, help="This many trials more than were asked for.")] = None,
    address: Address = None,
) -> None:
    """Go on with a search that was stopped, or go further than was asked for."""
    from launch.local import run_resume

    run_resume(run, trials, address)


@app.command()
def retrain(run: RunFolder, address: Address = None) -> None:
    """The final stage: train the best configurations in full beside two baselines, then open the test split once."""
    from launch.local import run_retrain

    run_retrain(run, address)


@app.command()
def trials(
    run: RunFolder,
    format: Annotated[Literal["table", "csv", "json"], typer.Option(help="How to list them.")] = "table",
) -> None:
    """List every trial of a run with its state, best first. Works while the search runs."""
    from launch.tables import print_trials

    print_trials(run, format)


@app.command()
def monitor(
    run: RunFolder,
    port: Annotated[int, typer.Option(help="Port of the page.")] = 6006,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine can read it otherwise.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Open TensorBoard on a run: curves and the HParams tab, live while the search runs."""
    from launch.monitor import serve_tensorboard

    serve_tensorboard(run, host, port)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Model file (safetensors).")],
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set: DATASET/Fold1/test/allcam/...")],
    fold: Annotated[str, typer.Option(help="Fold to read.")] = "Fold1",
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Part of the fold.")] = "test",
    protocol: Annotated[
        Literal["standard", "merged", "center", "camera"], typer.Option(help="How embeddings are judged.")
    ] = "standard",
) -> None:
    """Judge a checkpoint on one split of a data set: mAP, CMC and mINP."""
    from launch.tables import print_evaluation

    print_evaluation(checkpoint, dataset, fold, split, protocol)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Model file (safetensors).")],
    out: Annotated[Path, typer.Option(help="Folder that gets original.pth, attention.pth, gce.pth, ...")],
    format: Annotated[Literal["published"], typer.Option(help="Names and files of the published code.")] = "published",
) -> None:
    """Write a checkpoint in the form that the published code loads."""
    from launch.checkpoints import export_files

    export_files(checkpoint, out)


@app.command()
def embed(
    checkpoint: Annotated[Path, typer.Argument(help="Model file (safetensors).")],
    folder: Annotated[Path, typer.Argument(help="Folder of images, searched with all folders in it.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write: path, identity, embedding.")],
) -> None:
    """Write the embedding of every image in a folder, one row an image."""
    from launch.embedding import embed_folder

    embed_folder(checkpoint, folder, out)


def main() -> None:
    """Entry point of the `owkd` command: errors become one message and an exit code."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    try:
        code = app(args=arguments, prog_name="owkd", standalone_mode=False)
    except typer.TyperException as refused:
        if text := _escaped(refused):
            errors.print(f"[bold red]owkd:[/] {text}", soft_wrap=True)
            errors.print(f"{' '.join(['owkd', *_command(arguments), '--help'])} tells what is taken.", soft_wrap=True)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        errors.print("Interrupted.")
        return 130
    except UserError as error:
        errors.print(f"[bold red]owkd:[/] {_escaped(error)}", soft_wrap=True)
        return 2
    except OwkdError as error:
        errors.print(f"[bold red]owkd failed:[/] {_escaped(error)}", soft_wrap=True)
        return 1
    return code if isinstance(code, int) else 0


def _command(arguments: list[str]) -> list[str]:
    """The part of a command line that names the command, such as `data synth`."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    level, found = app, []
    for word in arguments:
        names = {command.name or _name(command) for command in level.registered_commands} | set(groups)
        if word not in names:
            break
        found.append(word)
        level = groups.get(word) or level
    return found


def _name(command: CommandInfo) -> str:
    return command.callback.__name__ if command.callback else ""


def _escaped(error: Exception) -> str:
    text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    return escape(text)
