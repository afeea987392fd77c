"""Making teacher targets: in chunks that survive a kill, by one process or by many, and whole before anyone reads them.

Whoever builds holds a lock on the folder; others wait, and then find the targets there. Files are given their room
before the first chunk, so that a full disk is an error at once. A chunk is marked when its rows are on the disk; the
files get their names when all chunks are marked.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from owkd.device import to_images
from owkd.errors import DataError, OwkdError
from owkd.files import make_folder, sync_folder, written_whole
from owkd.formatting import format_bytes
from owkd.losses import flow_matrix
from owkd.models.checkpoint import load_model
from owkd.models.outputs import BACKBONES, TeacherTargets
from owkd.models.wse import WseNet
from owkd.training.targets import (
    STORED_AS,
    SUM,
    StoredTargets,
    TargetsPlan,
    TargetTensor,
    checksum_of,
    manifest,
)

BATCH = 32  # images that the teacher sees at a time: fixed, so that the numbers depend on nothing else
LOCK = ".lock"
CHUNK_BYTES = 64e6
SUM_BYTES = np.dtype(SUM).itemsize
LARGEST_SHARE = 0.95  # of a disk's free room that targets may take

Use = Literal["auto", "stored", "live"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class TargetBuild:
    """Targets under construction. Plain values, so that other processes can be sent to work on them.

    Attributes:
        tensors: those that the folder lacks
        token: stored in the folder: a process on another machine compares it, to see whether it is on the same disk
        chunk: images of a chunk
    """

    plan: TargetsPlan
    folder: Path
    tensors: tuple[TargetTensor, ...]
    token: str
    chunk: int

    @property
    def building(self) -> Path:
        names = hashlib.sha256(" ".join(tensor.sums for tensor in self.tensors).encode()).hexdigest()[:8]
        return self.folder / f"building-{names}"

    @property
    def is_visible_here(self) -> bool:
        """Whether this machine sees the folder that the build was opened in."""
        try:
            return (self.building / "token").read_text(encoding="utf-8") == self.token
        except OSError:
            return False

    def remaining_chunks(self) -> list[range]:
        """Chunks of images that are not done, in order."""
        starts = range(0, self.plan.images, self.chunk)
        chunks = [range(start, min(start + self.chunk, self.plan.images)) for start in starts]
        return [chunk for chunk in chunks if not self._mark(chunk).exists()]

    def prepare(self) -> None:
        """Makes the files at their full size. Raises `OSError` where there is no room."""
        make_folder(self.building)
        for tensor in self.tensors:
            for name, size in ((tensor.file, tensor.bytes_per_image), (tensor.sums, SUM_BYTES)):
                with (self.building / name).open("ab") as file:
                    os.posix_fallocate(file.fileno(), 0, self.plan.images * size)
        (self.building / "token").write_text(self.token, encoding="utf-8")

    def build(self, chunks: Sequence[range], images: np.ndarray, device: torch.device) -> None:
        """Computes and writes some chunks of the split's images (n, S, S, 3)."""
        if not chunks:
            return
        teacher = load_model(self.plan.teacher, role="teacher")[0].requires_grad_(False).to(device)
        with ExitStack() as stack:
            files, sums = (
                [stack.enter_context((self.building / name).open("r+b")) for name in names]
                for names in zip(*((tensor.file, tensor.sums) for tensor in self.tensors), strict=True)
            )
            for chunk in chunks:
                for start in range(chunk.start, chunk.stop, BATCH):
                    pixels = np.asarray(images[start : min(start + BATCH, chunk.stop)])
                    if self.plan.flipped:
                        pixels = np.ascontiguousarray(pixels[:, :, ::-1])
                    targets = _outputs(teacher, pixels, device)
                    for tensor, file, sum_file in zip(self.tensors, files, sums, strict=True):
                        rows = _on_disk(targets, tensor, self.plan.teacher)
                        file.seek(start * tensor.bytes_per_image)
                        file.write(rows.data)
                        sum_file.seek(start * SUM_BYTES)
                        sum_file.write(b"".join(map(checksum_of, rows)))
                for file in (*files, *sums):
                    file.flush()
                    os.fdatasync(file.fileno())
                self._mark(chunk).touch()

    def finish(self) -> StoredTargets:
        """Gives the files their names, and removes what targets of changed data have left."""
        with written_whole(self.folder / "manifest.json") as temporary:
            temporary.write_text(manifest(self.plan, self._listed_before()), encoding="utf-8")
        for tensor in self.tensors:
            for name in (tensor.sums, tensor.file):
                (self.building / name).replace(self.folder / name)
        sync_folder(self.folder)
        for rest in self.folder.glob("building-*"):
            shutil.rmtree(rest, ignore_errors=True)
        stem = self.folder.name.rpartition("-")[0]
        for outdated in self.folder.parent.glob(f"{glob.escape(stem)}-*"):
            if outdated != self.folder and (outdated / LOCK).is_file():  # which whoever builds has made there
                shutil.rmtree(outdated, ignore_errors=True)
        return StoredTargets(self.plan, self.folder)

    def _listed_before(self) -> dict[str, object]:
        with suppress(OSError, ValueError, KeyError):
            return dict(json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))["tensors"])
        return {}

    def _mark(self, chunk: range) -> Path:
        return self.building / f"done-{chunk.start}-{chunk.stop}"


def targets_for(
    plan: TargetsPlan, images: np.ndarray, device: torch.device, use: Use, say: Say
) -> StoredTargets | None:
    """The targets of a training, built now where they are not there yet; None where the teacher has to run live.

    images (n, S, S, 3) uint8: the whole split. Raises `DataError` where `use` is stored and there is no room,
    `OwkdError` where the teacher's numbers do not fit the precision.
    """
    if use == "live":
        return None
    if (stored := plan.find()) is not None:
        return stored
    with opened(plan, use, say) as build:
        if build is None or isinstance(build, StoredTargets):
            return build
        begun = time.perf_counter()
        build.build(build.remaining_chunks(), images, device)
        built = build.finish()
    say(f"teacher targets: built in {time.perf_counter() - begun:.1f} s")
    return built


@contextmanager
def opened(plan: TargetsPlan, use: Use, say: Say) -> Iterator[TargetBuild | StoredTargets | None]:
    """A build with its lock held; the targets, where another process built them meanwhile; None where there is no room.

    `say` gets a line with the size, or why the teacher has to run live. Raises `DataError`
    instead where `use` is stored.
    """
    refusals = []
    with ExitStack() as stack:
        for place in plan.places:
            try:
                build = stack.enter_context(_locked_build(plan, place / plan.name))
            except OSError as error:
                refusals.append(f"{place}: {error.strerror or error}")
                continue
            if isinstance(build, TargetBuild):
                say(f"teacher targets: {plan.describe()}, in {build.folder}")
            yield build
            return
    reasons = "; ".join(refusals)
    if use == "stored":
        raise DataError(
            f"teacher targets must have room for {format_bytes(plan.bytes)}, but {reasons}; set "
            "teacher.targets.folder to another disk, or teacher.targets.use to live"
        )
    say(f"teacher targets: no room for {plan.describe()} ({reasons}); the teacher runs in every step")
    yield None


@contextmanager
def _locked_build(plan: TargetsPlan, folder: Path) -> Iterator[TargetBuild | StoredTargets]:
    """Raises `OSError` where the targets cannot be stored in this folder."""
    make_folder(folder)
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        missing = plan.missing(folder)
        if missing:
            chunk = max(1, int(CHUNK_BYTES / sum(tensor.bytes_per_image for tensor in missing) / BATCH)) * BATCH
            build = TargetBuild(plan, folder, missing, uuid4().hex, chunk)
            try:
                _require_room(build)
                build.prepare()
                yield build
            except BaseException:  # whatever ends a build, nobody can go on with its files: they carry its token
                shutil.rmtree(build.building, ignore_errors=True)
                raise
        else:
            yield StoredTargets(plan, folder)
    finally:
        os.close(handle)


def has_room(plan: TargetsPlan) -> bool:
    """Whether the preferred place has room for all of them, by what is free there now."""
    place = next(folder for folder in (plan.places[0], *plan.places[0].absolute().parents) if folder.is_dir())
    return plan.bytes <= LARGEST_SHARE * shutil.disk_usage(place).free


def _require_room(build: TargetBuild) -> None:
    """Raises `OSError` where the files would fill the disk; what a killed process has taken already counts as there."""
    wanted = sum(build.plan.images * tensor.bytes_per_image for tensor in build.tensors)
    taken = sum(file.stat().st_blocks * 512 for file in build.folder.glob("building-*/*.bin"))
    free = shutil.disk_usage(build.folder).free + taken
    if wanted > LARGEST_SHARE * free:
        raise OSError(f"{format_bytes(free)} are free")


@torch.inference_mode()
def _outputs(teacher: WseNet, pixels: np.ndarray, device: torch.device) -> TeacherTargets:
    return TeacherTargets.of(teacher(to_images(pixels, device)))


def _on_disk(targets: TeacherTargets, tensor: TargetTensor, teacher: Path) -> np.ndarray:
    """(B, ...) as it is stored. Raises `OwkdError` where a number is not finite in the precision of the file."""
    dtype, stored = STORED_AS[tensor.precision]
    values = _values(targets, tensor.name).to(dtype)
    if not torch.isfinite(values).all():
        raise OwkdError(
            f"{tensor.name} of {teacher} must be finite in {tensor.precision}, but is not; set "
            "teacher.targets.precision to fp32, or train the teacher anew if it is that already"
        )
    values = values.cpu().contiguous()
    return (values.view(torch.uint16) if stored == "uint16" else values).numpy()


def _values(targets: TeacherTargets, name: str) -> Tensor:
    kind, *where = name.split("-")
    if kind == "pooled":
        return targets.pooled
    if kind == "logits":
        return targets.logits[where[0]]
    index = int(where[0]) - 1
    if kind == "layer":
        return targets.layers[index].movedim(1, 3)
    maps = targets.flows[index]
    if kind == "flow":
        return flow_matrix(*maps)
    return maps[BACKBONES.index(where[1])].movedim(1, 3)
