"""Commands on data sets."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.output.console import console

app = typer.Typer(no_args_is_help=True, help="Make, prepare and check data sets.")

BinaryOption = Annotated[
    bool, typer.Option("--binary", help="Images are drawings or silhouettes: two grey levels are no finding.")
]


@app.command("synth")
def data_synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that gets Synthetic_thermal/Fold1, Fold2.")],
    identities: Annotated[int, typer.Option(help="People in all; half of them are tested on in each fold.")] = 60,
    images: Annotated[int, typer.Option(help="Images of each person.")] = 12,
    size: Annotated[int, typer.Option(help="Side of the square images, pixels.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Write thermal-looking pedestrians as PNG files in the published folder layout."""
    from owkd.data.synthetic import write_dataset

    written = write_dataset(folder, identities=identities, images=images, size=size, seed=seed)
    console.print(f"{identities} people x {images} images in two folds: {written}", soft_wrap=True)


@app.command("prepare")
def data_prepare(
    source: Annotated[
        Literal["sysu", "regdb", "market", "folder"],
        typer.Argument(
            metavar="sysu|regdb|market|folder",
            help="What RAW holds. sysu: SYSU-MM01, cam1 to cam6 and exp. regdb: Thermal, Visible, idx. market: files "
            "named like 0002_c1s1_000451_03.jpg, in bounding_box_train, query and bounding_box_test or in any folders. "
            "folder: one folder a person, or a table (CSV, Parquet) of path, identity, camera, split.",
        ),
    ],
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="The data set as distributed.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that gets the data set's folder.")],
    modality: Annotated[
        Literal["thermal", "visible", "both"] | None,
        typer.Option(show_default="thermal", help="sysu, regdb: which images. Visible ones have cameras of their own."),
    ] = None,
    division: Annotated[
        Literal["official", "two-fold"] | None,
        typer.Option(
            show_default="official",
            help="sysu. official: the authors' own lists, one fold. two-fold: everybody in two folds, a division that "
            "is ours.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(show_default="as RAW", help="market, folder: name of the data set's folder.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="What is ours of a division depends on it.")] = 0,
    binary: BinaryOption = False,
) -> None:
    """Bring a data set as distributed into the folder layout, by links; then check it. A second call changes nothing.

    It says what of the division into train, validation and test is published and what is ours.
    """
    from launch.output.datasets import run_preparation
    from owkd.files import require_writable

    require_writable(folder / "any", "DIR")  # before RAW is read, which may take minutes
    options = {"modality": modality, "division": division, "name": name}
    run_preparation(source, raw, folder, seed, options, binary=binary)


@app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set (it holds Fold1), or a folder of some.")],
    window: Annotated[
        str,
        typer.Option(
            metavar="auto|LOW,HIGH|per_image",
            help="data.window of the training: grey values of images of more than 8 bits that are black and white.",
        ),
    ] = "auto",
    binary: BinaryOption = False,
) -> None:
    """Count people and images per split, and find what would spoil a result: then the exit code is 2."""
    from launch.output.datasets import run_dataset_check, window_setting

    run_dataset_check(folder, window_setting(window), binary=binary)
