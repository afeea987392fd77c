"""Embeddings of any folder of images, as a table.

Shapes: n images, S image size, D embedding size.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch

from owkd.data.index import IMAGE_SUFFIXES, Split, identity_number
from owkd.data.readable import Say, read_images, say_nothing
from owkd.device import pick_device
from owkd.errors import DataError
from owkd.evaluation.embed import embed_images
from owkd.files import require_writable, written_whole
from owkd.models.checkpoint import load_model
from owkd.unfinished import unfinished_folder

if TYPE_CHECKING:
    import pyarrow as pa


def embed_folder(
    checkpoint: Path, folder: Path, out: Path, *, skip_unreadable: bool = False, say: Say = say_nothing
) -> tuple[int, int]:
    """Embeds every image under `folder` and writes `out` -> how many images, and the size of an embedding.

    One row an image, in the order of the paths. Needs pyarrow, as `query_table.py` does.

    Columns: `path` relative to `folder` with forward slashes; `identity`, the number that the image's folder is named
    by, or null; `embedding`. The file appears whole. Decoded images are stored beside it meanwhile, (n, S, S, 3) bytes.
    The model's own window of grey values is applied. Images that cannot be read are an error, or have no row with
    `skip_unreadable`. `say` gets a line on what should be known of the images.
    Raises `DataError` for a folder without images or with damaged ones, `CheckpointError`, and `UserError` where `out`
    cannot be written.
    """
    require_writable(out)
    paths = find_images(folder)
    model, info = load_model(checkpoint)
    device = pick_device("auto")
    split = Split(folder, paths, np.zeros(len(paths), dtype=np.int64))
    with unfinished_folder(out) as cache:
        read = read_images(split, info.image_size, cache, info.window, skip_unreadable=skip_unreadable, say=say)
        embeddings = embed_images(model.to(device).embed, read.pixels, device)
        paths = read.split.paths
        del read  # it holds the decoded images open
    import pyarrow.parquet as pq

    with written_whole(out) as temporary:
        pq.write_table(_table(folder, paths, embeddings), temporary, write_page_checksum=True)
    return len(paths), int(embeddings.shape[1])


def find_images(folder: Path) -> tuple[str, ...]:
    """Paths of all images under `folder`, relative to it, sorted; hidden files and folders are passed over.

    Raises `DataError` when there is none.
    """
    if not folder.is_dir():
        raise DataError(f"FOLDER must be a folder of images, but got {folder}; give one that exists")
    below = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    shown = (path for path in below if not any(part.startswith(".") for part in path.parts))
    paths = tuple(sorted(path.as_posix() for path in shown if (folder / path).is_file()))
    if not paths:
        raise DataError(f"a folder must hold images ({', '.join(sorted(IMAGE_SUFFIXES))}), but {folder} has none")
    return paths


def _table(folder: Path, paths: tuple[str, ...], embeddings: torch.Tensor) -> pa.Table:
    """embeddings (n, D)"""
    import pyarrow as pa

    schema = pa.schema([("path", pa.string()), ("identity", pa.int64()), ("embedding", pa.list_(pa.float32()))])
    home = PurePosixPath(folder.resolve().as_posix())
    columns = [
        # A name may hold bytes that are no UTF-8; a table cannot.
        pa.array([os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths], pa.string()),
        pa.array([identity_number((home / path).parent.name) for path in paths], pa.int64()),
        pa.array(list(embeddings.cpu().numpy()), pa.list_(pa.float32())),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
