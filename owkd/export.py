"""A student as an ONNX file: images in, embeddings out, and proof that it computes what PyTorch does.

Shapes: B any number of images, S image size, D embedding size.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from owkd.data.reading.window import Window
from owkd.errors import CheckpointError, UserError
from owkd.files import require_writable, written_whole
from owkd.models.checkpoint import load_model
from owkd.models.wse import WseNet
from owkd.onnx_graph import replace_reduce_max

INPUT, OUTPUT = "images", "embeddings"
BATCH = "batch"
"""the name of the first axis of both"""
OPSET = 18
TOLERANCE = 1e-3
"""of the largest difference to the largest embedding entry: float32 sums in another order differ by far less"""
CHECKED_BATCHES = (1, 3)


@dataclass(frozen=True)
class OnnxExport:
    """What was written, and how near it is to PyTorch.

    Attributes:
        largest_difference: over random images, absolute
        largest_entry: of PyTorch's embeddings of the same images, absolute
        window: of grey values, which whoever uses the file applies to images of more than 8 bits
    """

    file: Path
    embedding_size: int
    image_size: int
    largest_difference: float
    largest_entry: float
    window: Window


class Embedder(nn.Module):
    """The part of an ensemble that an embedding needs."""

    def __init__(self, model: WseNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float32 in [0, 1] -> (B, D) float32."""
        return self.model.embed(images)


def export_onnx(checkpoint: Path, file: Path) -> OnnxExport:
    """Writes `file`: input `images` (B, 3, S, S) float32 RGB in [0, 1], output `embeddings` (B, D) float32.

    The file appears only when ONNX Runtime gives PyTorch's embeddings for several batch sizes. Its metadata hold the
    model's description (`owkd`, JSON), with the window of grey values that images of more than 8 bits are brought into
    before they are the network's input (`owkd.data.reading.window.as_grey`).

    Raises `CheckpointError` for a file that is no model, and when the two differ; `UserError` when the packages that
    exporting needs are not installed, or `file` cannot be written.
    """
    require_writable(file)
    model, info = load_model(checkpoint)
    embedder = Embedder(model).eval()
    with written_whole(file) as temporary:
        _write(embedder, info.image_size, json.dumps(asdict(info)), temporary)
        difference, entry, size = _compare(embedder, info.image_size, temporary)
        if not difference <= TOLERANCE * entry:
            raise CheckpointError(
                f"the exported network must compute what PyTorch does, but embeddings of {checkpoint} differ by "
                f"{difference:.2g} (largest entry {entry:.2g}); nothing was written"
            )
    return OnnxExport(file, size, info.image_size, difference, entry, info.window)


def _write(embedder: Embedder, image_size: int, description: str, file: Path) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter is built on it
    except ImportError as error:
        raise UserError(
            f"exporting to ONNX needs packages that are not installed ({error.name}); do: pip install 'owkd[onnx]'"
        ) from error
    with _quiet():
        program = torch.onnx.export(
            embedder,
            (_images(2, image_size),),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={INPUT: {0: torch.export.Dim(BATCH)}},
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    replace_reduce_max(proto.graph)
    proto = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    onnx.helper.set_model_props(proto, {"owkd": description})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses what torch's exporter reports of packages that are absent and of its own parts: none of it is ours."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compare(embedder: Embedder, image_size: int, file: Path) -> tuple[float, float, int]:
    """Largest difference, largest entry, embedding size."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    differences, entries, size = [], [], 0
    for count in CHECKED_BATCHES:
        images = _images(count, image_size)
        with torch.inference_mode():
            expected = embedder(images).numpy()
        (exported,) = session.run([OUTPUT], {INPUT: images.numpy()})
        assert exported.shape == expected.shape
        differences.append(float(np.abs(exported - expected).max()))
        entries.append(float(np.abs(expected).max()))
        size = int(expected.shape[1])
    return max(differences), max(entries), size


def _images(count: int, side: int) -> Tensor:
    """(count, 3, side, side) float32 in [0, 1), the same at each call"""
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(count))
