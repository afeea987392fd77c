"""Commands on single models: train, evaluate, export, embed."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.commands.arguments import Overrides
from launch.configuration import load_checked
from launch.output.console import console, print_note
from owkd.config.protocols import Protocol, QueryExpansion, Refinement, Reranking
from owkd.errors import UserError

SkipUnreadable = Annotated[
    bool,
    typer.Option("--skip-unreadable", help="Name images that cannot be read, leave them out, and go on."),
]
TRIAL = re.compile(r"(.+)#(\d+)")


def distill(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="YAML configuration; or RUN#12 for trial 12 of a run again."),
    ],
    set_: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoints; runs/<name>-distill, or reruns/<run>/<trial>, when unset."),
    ] = None,
) -> None:
    """Train one student per fold with the configured weights; continues where it was stopped.

    RUN#12 trains trial 12 of a run again, apart from the run, and reports whether its numbers are the same bit for bit.
    """
    from launch.train import rerun_trial, train_students

    trial = TRIAL.fullmatch(config)
    if trial is None or Path(config).is_file():
        parsed = load_checked(config, set_ or ())
        train_students(parsed, out or Path("runs") / f"{parsed.name}-distill")
        return
    if set_:
        raise UserError(f"a trial must be rerun as it was, but got --set {set_[0]}; give a configuration instead")
    rerun_trial(trial[1], int(trial[2]), out)


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Model file (safetensors), or the folder of a champion.")],
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set: DATASET/Fold1/test/allcam/...")],
    fold: Annotated[str, typer.Option(help="Fold to read.")] = "Fold1",
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Part of the fold.")] = "test",
    protocol: Annotated[
        Protocol, typer.Option(help="Which images are queries, and what is in their galleries: see docs/data.md.")
    ] = "standard",
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Parquet file to write, one row a query: identity, camera, average precision, rank of the first match."
        ),
    ] = None,
    skip_unreadable: SkipUnreadable = False,
    rerank: Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking (Zhong et al. 2017).")] = False,
    rerank_k1: Annotated[int, typer.Option(help="Neighbours that are looked at in both directions.")] = 20,
    rerank_k2: Annotated[int, typer.Option(help="Images that a neighbourhood is averaged over.")] = 6,
    rerank_weight: Annotated[float, typer.Option(help="Weight of the original distance, 0 to 1.")] = 0.3,
    query_expansion: Annotated[
        int | None, typer.Option(help="Expand each query by its so many nearest gallery images (Chum et al. 2007).")
    ] = None,
) -> None:
    """Evaluate a checkpoint on one split of a data set: mAP, CMC and mINP."""
    from launch.output.evaluation import print_evaluation

    if rerank and query_expansion is not None:
        raise UserError("lists must be changed in one way, but got --rerank and --query-expansion; give one of them")
    refinement: Refinement | None = Reranking(rerank_k1, rerank_k2, rerank_weight) if rerank else None
    if query_expansion is not None:
        refinement = QueryExpansion(query_expansion)
    print_evaluation(
        checkpoint,
        dataset,
        fold,
        split,
        protocol,
        queries,
        skip_unreadable=skip_unreadable,
        refinement=refinement,
    )


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Model file (safetensors).")],
    out: Annotated[Path, typer.Option(help="onnx: the file to write. published: folder that gets original.pth, ...")],
    format: Annotated[
        Literal["onnx", "published"] | None,
        typer.Option(
            show_default="onnx for a file called .onnx, else published",
            help="onnx: images in, embeddings out, any batch. published: files of the published code.",
        ),
    ] = None,
) -> None:
    """Write a checkpoint for use elsewhere: as ONNX, checked against PyTorch, or as the published code loads it."""
    from launch.published import export_as_onnx, export_published_files

    if format == "onnx" or (format is None and out.suffix.lower() == ".onnx"):
        export_as_onnx(checkpoint, out)
    else:
        export_published_files(checkpoint, out)


def embed(
    checkpoint: Annotated[Path, typer.Argument(help="Model file (safetensors).")],
    folder: Annotated[Path, typer.Argument(help="Folder of images, searched with all folders in it.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write: path, identity, embedding.")],
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Write the embedding of every image in a folder, one row an image."""
    from owkd.evaluation.embedding_table import embed_folder

    images, size = embed_folder(checkpoint, folder, out, skip_unreadable=skip_unreadable, say=print_note)
    console.print(f"{images} embeddings of {size} numbers: {out}", soft_wrap=True)
