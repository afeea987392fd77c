"""Checkpoints of the published code, imported and exported, and what a user should know about them."""

from collections.abc import Mapping
from pathlib import Path

from launch.output.console import console
from launch.output.datasets import window_of
from owkd.data.identity_list import class_order
from owkd.data.reading.window import window_in_words
from owkd.errors import UserError
from owkd.formatting import format_bytes
from owkd.models.published_files import export_published, import_teacher


def import_teacher_files(
    files: Mapping[str, Path], out: Path, image_size: int, identities: Path | None = None, window: str | None = None
) -> None:
    """Imports a teacher and prints what it holds and what was ignored.

    `identities`: a train folder, or a list of numbers; `window`: `per_image` or LOW,HIGH. Raises as `import_teacher`,
    `DataError` for what is no such folder or list, and `UserError` for what is no window.
    """
    order = None if identities is None else class_order(identities)
    imported = import_teacher(files, out, image_size, order, None if window is None else window_of(window))
    for network, names in imported.ignored.items():
        if names:
            console.print(f"{network}: ignored {', '.join(names)}", soft_wrap=True)
    info = imported.info
    depths = ", ".join(map(str, info.shape.depths))
    console.print(
        f"teacher of {info.num_classes} identities, preset {imported.preset or 'none'} (depths {depths})",
        soft_wrap=True,
    )
    if identities is None:
        console.print(
            "who is behind each class is not known: training takes ascending numbers and refuses the file where it "
            "recognises nobody by them; --identities says it",
            soft_wrap=True,
        )
    console.print(f"written: {out}", soft_wrap=True)


def export_published_files(checkpoint: Path, out: Path) -> None:
    """Exports a checkpoint and names the files. Raises as `export_published`."""
    exported = export_published(checkpoint, out)
    for file in exported.files:
        console.print(f"written: {file}", soft_wrap=True)
    if exported.head_initialised:
        console.print(
            "the checkpoint holds no stage-weight head (fixed weights): optimal_weights.pth is all zeros, which weighs "
            "the stages equally",
            soft_wrap=True,
        )


def export_as_onnx(checkpoint: Path, out: Path) -> None:
    """Exports a checkpoint and prints how close it is to PyTorch. Raises as `export_onnx`."""
    from owkd.export import export_onnx

    if out.is_dir():
        raise UserError(f"--out must name a file for --format onnx, but {out} is a folder; give {out / 'student.onnx'}")
    exported = export_onnx(checkpoint, out)
    side = exported.image_size
    console.print(f"written: {out} ({format_bytes(out.stat().st_size)})", soft_wrap=True)
    console.print(f"input   images (batch, 3, {side}, {side}) float32, RGB in [0, 1]", soft_wrap=True)
    if exported.window is not None:
        console.print(
            f"window  images of more than 8 bits: {window_in_words(exported.window)} is black to white, in 256 steps "
            '(also in the file\'s metadata: key "owkd", entry "window")',
            soft_wrap=True,
        )
    console.print(
        f"output  embeddings (batch, {exported.embedding_size}) float32; compare them by L2 distance", soft_wrap=True
    )
    console.print(
        f"checked with ONNX Runtime: largest difference to PyTorch {exported.largest_difference:.1e}, where the "
        f"largest entry is {exported.largest_entry:.2g}",
        soft_wrap=True,
    )
