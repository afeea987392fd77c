"""Teacher targets: what the losses need of the teacher for every training image, computed once and mapped from disk.

The teacher is frozen, so its outputs are a function of the image; mirrored images have a folder of their own
(`flipped-targets-...`). Of a stage's flow either the flow matrix or the two maps are kept, whichever is smaller. One
file a tensor, rows in the order of the split:

    <cache>/targets-<fold>-<image size>-<precision>-<teacher>-<data>/
      manifest.json            what is in it, for people and other programs
      flow-1.bin ...           complete, or not there
      flow-1.crc ...           beside each: CRC-32 of every image's row, compared when it is first read
      building-<tensors>/      files under construction, and a mark for every chunk that is done

Shapes: n training images, B batch, C_i channels and H_i x W_i map size of stage i (1..4), G channels of GCE-Net, K
identities. Maps are stored as (H, W, C), the networks' own memory order.
"""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from owkd.config import Config, DistillConfig, TargetPrecision
from owkd.data.index import Split, read_split
from owkd.data.reading.places import cache_places
from owkd.data.reading.survey import pixel_fingerprint, window_for
from owkd.device import send
from owkd.errors import OwkdError
from owkd.formatting import format_bytes
from owkd.losses import coefficients
from owkd.models.checkpoint import require_teacher
from owkd.models.outputs import BACKBONES, MEMBERS, Flow, TeacherTargets
from owkd.models.presets import Architecture, architecture
from owkd.training.prepare import digest_of
from owkd.training.recipe.augmentation import Augmentation

FORMAT_VERSION = 1  # part of the folder's name: raise it when what is stored changes
SUM = "<u4"  # of a checksum
STAGES = (1, 2, 3, 4)
STORED_AS: dict[TargetPrecision, tuple[torch.dtype, str]] = {
    "fp32": (torch.float32, "float32"),
    "fp16": (torch.float16, "float16"),
    "bf16": (torch.bfloat16, "uint16"),  # numpy knows no bfloat16: its bits
}


@dataclass(frozen=True)
class TargetTensor:
    """One tensor of the targets, on disk one file.

    Attributes:
        shape: of one image
    """

    name: str
    shape: tuple[int, ...]
    precision: TargetPrecision

    @property
    def bytes_per_image(self) -> int:
        return prod(self.shape) * STORED_AS[self.precision][0].itemsize

    @property
    def file(self) -> str:
        return f"{self.name}.bin"

    @property
    def sums(self) -> str:
        """The file of its rows' checksums."""
        return f"{self.name}.crc"


@dataclass(frozen=True)
class TargetsPlan:
    """The targets of one fold for one configuration: what, where, how large. Plain values; asking makes nothing.

    Attributes:
        places: folders that may hold them, the preferred one first
        name: of their folder in one of these places
        description: what they were made of, for the manifest
        flipped: they are those of the mirrored images
    """

    places: tuple[Path, ...]
    name: str
    tensors: tuple[TargetTensor, ...]
    images: int
    precision: TargetPrecision
    teacher: Path
    description: Mapping[str, str]
    flipped: bool = False

    @property
    def bytes(self) -> int:
        return self.images * sum(tensor.bytes_per_image for tensor in self.tensors)

    def describe(self) -> str:
        """For people: `12.3 MB for 360 images, fp16`."""
        mirrored = "mirrored " if self.flipped else ""
        return f"{format_bytes(self.bytes)} for {self.images:,} {mirrored}images, {self.precision}"

    def missing(self, folder: Path) -> tuple[TargetTensor, ...]:
        """Tensors that are not complete in a folder."""
        return tuple(tensor for tensor in self.tensors if not self._is_whole(tensor, folder / tensor.file))

    def find(self) -> StoredTargets | None:
        """The targets, where one of the places holds all of them."""
        for place in self.places:
            if not self.missing(place / self.name):
                return StoredTargets(self, place / self.name)
        return None

    def _is_whole(self, tensor: TargetTensor, file: Path) -> bool:
        try:
            return file.stat().st_size == self.images * tensor.bytes_per_image
        except OSError:
            return False


class StoredTargets:
    """Complete targets, mapped into memory: all processes of a machine share one copy of what they read."""

    def __init__(self, plan: TargetsPlan, folder: Path) -> None:
        self.folder = folder
        self.precision = plan.precision
        self._flipped: StoredTargets | None = None
        self._arrays = {
            tensor.name: np.memmap(
                folder / tensor.file,
                dtype=STORED_AS[tensor.precision][1],
                mode="r",
                shape=(plan.images, *tensor.shape),
            )
            for tensor in plan.tensors
        }
        self._sums = {  # targets of 0.1.0 have none
            tensor.name: np.fromfile(folder / tensor.sums, SUM)
            for tensor in plan.tensors
            if (folder / tensor.sums).is_file()
        }
        self._intact = {name: np.zeros(plan.images, bool) for name in self._sums}

    def with_flipped(self, flipped: StoredTargets) -> StoredTargets:
        """The same, which know of the mirrored images too."""
        both = copy.copy(self)
        both._flipped = flipped
        return both

    def batch(self, indices: np.ndarray, device: torch.device, flips: np.ndarray | None = None) -> TeacherTargets:
        """The targets of some images, by their positions in the split (B,), on a device; of the mirrored ones where
        `flips` (B,) is true.

        Raises `OwkdError` where they are damaged. The file is removed then, so that the next training builds it anew.
        """
        rows = {name: _on_device(self._chosen_rows(name, indices, flips), device) for name in self._arrays}
        return TeacherTargets(
            flows=tuple(flow for stage in STAGES if (flow := _flow(rows, stage)) is not None),
            layers=tuple(rows[name].movedim(3, 1) for name in ("layer-1", "layer-2", "layer-3") if name in rows),
            logits={member: rows[f"logits-{member}"] for member in MEMBERS},
            pooled=rows["pooled"],
        )

    def _chosen_rows(self, name: str, indices: np.ndarray, flips: np.ndarray | None) -> np.ndarray:
        rows = self._rows(name, indices)
        if flips is not None and flips.any():
            if self._flipped is None:
                raise ValueError("mirrored images need the targets of mirrored images; give `with_flipped` theirs")
            rows[flips] = self._flipped._rows(name, indices[flips])
        return rows

    def logits(self, indices: np.ndarray) -> dict[str, Tensor]:
        """(B, K) by member, of some images by their positions (B,), without what else is stored of them."""
        return {member: torch.from_numpy(self._rows(f"logits-{member}", indices)) for member in MEMBERS}

    def _rows(self, name: str, indices: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(self._arrays[name][indices])
        if name in self._sums and not self._intact[name][indices].all():
            for row, index in zip(rows, indices, strict=True):
                if checksum_of(row) != self._sums[name][index : index + 1].tobytes():
                    file = self.folder / f"{name}.bin"
                    file.unlink(missing_ok=True)
                    raise OwkdError(
                        f"{file} is damaged, by the checksum of image {index}; it was removed, and the next training "
                        "with this teacher builds it anew"
                    )
            self._intact[name][indices] = True
        return rows


def tensors_of(
    shape: Architecture, num_classes: int, image_size: int, distill: DistillConfig, precision: TargetPrecision
) -> tuple[TargetTensor, ...]:
    """What the terms of a configuration need of a teacher of that shape, by name. Logits and means are kept in fp32:
    they are small.
    """
    wanted = {name.split("_")[0] for name, coefficient in coefficients(distill).items() if coefficient}
    tensors = [TargetTensor(f"logits-{member}", (num_classes,), "fp32") for member in MEMBERS]
    tensors.append(TargetTensor("pooled", (2 * shape.dims[3],), "fp32"))
    if "backbone" in wanted:
        for stage, channels in zip(STAGES, shape.dims, strict=True):
            side = image_size // (shape.patch * 2 ** (stage - 1))
            if channels <= 2 * side**2:
                tensors.append(TargetTensor(f"flow-{stage}", (channels, channels), precision))
            else:
                map_ = (side, side, channels)
                tensors.extend(TargetTensor(f"map-{stage}-{member}", map_, precision) for member in BACKBONES)
    if "gce" in wanted:
        side = image_size // shape.stride
        tensors.extend(TargetTensor(f"layer-{i}", (side, side, shape.gce_channels), precision) for i in (1, 2, 3))
    return tuple(tensors)


def plans_of_targets(config: Config, fold: str, train: Split) -> tuple[TargetsPlan, ...]:
    """All that a training on this fold needs of its teacher: the targets of its images, and, where they are flipped,
    those of the mirrored ones. Raises `CheckpointError` when the teacher does not fit."""
    plan = plan_targets(config, fold, train)
    if not config.train.flip:
        return (plan,)
    return plan, replace(
        plan, name=f"flipped-{plan.name}", description={**plan.description, "images": "flipped"}, flipped=True
    )


def plan_targets(config: Config, fold: str, train: Split) -> TargetsPlan:
    """What a training needs of its teacher for the images as they are. Raises `CheckpointError` when the teacher does
    not fit."""
    path = config.teacher.checkpoint_for(fold)
    targets = config.teacher.targets
    identities = tuple(int(identity) for identity in np.unique(train.identities))
    shape = architecture(config.student.preset, config.student.depths)
    window = window_for(train, config.data)
    require_teacher(path, shape=shape, image_size=config.data.image_size, identities=identities, window=window)
    pixels = pixel_fingerprint(train, window, config.data.cache)
    description = {
        "teacher": str(digest_of(path)),
        "data": pixels,
        "image_size": str(config.data.image_size),
        "precision": targets.precision,
        "version": str(FORMAT_VERSION),
    }
    data_key = hashlib.sha256(f"{pixels} {FORMAT_VERSION}".encode()).hexdigest()[:12]
    stem = f"targets-{fold}-{config.data.image_size}-{targets.precision}-{description['teacher'][:12]}"
    return TargetsPlan(
        places=tuple(cache_places(train, targets.folder or config.data.cache)),
        name=f"{stem}-{data_key}",
        tensors=tensors_of(shape.teacher, len(identities), config.data.image_size, config.distill, targets.precision),
        images=len(train.paths),
        precision=targets.precision,
        teacher=path,
        description=description,
    )


def targets_bytes(config: Config, fold: str) -> int:
    """Room on disk for the targets of a fold, without a look at its teacher. Raises `DataError`."""
    augmentation = Augmentation.of(config.train)
    if not config.distill.enabled or config.teacher.targets.use == "live" or not augmentation.is_storable:
        return 0
    train = read_split(config.data.root, config.data.dataset, fold, "train")
    shape = architecture(config.student.preset, config.student.depths)
    tensors = tensors_of(
        shape.teacher, train.num_identities, config.data.image_size, config.distill, config.teacher.targets.precision
    )
    return (1 + augmentation.flip) * len(train.paths) * sum(tensor.bytes_per_image for tensor in tensors)


def manifest(plan: TargetsPlan, listed: Mapping[str, object]) -> str:
    """The description in the folder: the tensors that it listed before and those of the plan."""
    tensors = {tensor.name: {"shape": tensor.shape, "precision": tensor.precision} for tensor in plan.tensors}
    return json.dumps({**plan.description, "images": plan.images, "tensors": {**listed, **tensors}}, indent=2)


def checksum_of(row: np.ndarray) -> bytes:
    """CRC-32 of the targets of one image, as it is stored."""
    return np.array(zlib.crc32(row.data), SUM).tobytes()


def _on_device(rows: np.ndarray, device: torch.device) -> Tensor:
    sent = send(rows, device)
    return sent.view(torch.bfloat16) if rows.dtype == np.uint16 else sent


def _flow(rows: Mapping[str, Tensor], stage: int) -> Flow | None:
    if f"flow-{stage}" in rows:
        return rows[f"flow-{stage}"]
    maps = [rows[name].movedim(3, 1) for member in BACKBONES if (name := f"map-{stage}-{member}") in rows]
    return (maps[0], maps[1]) if maps else None
