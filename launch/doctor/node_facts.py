"""The facts of a machine: versions, GPUs, disk, and what is needed to compare data, teachers and storage.

Ray ships this module's source to every node, so that one with another owkd, or with none, can answer too: it imports
nothing but the standard library, and everything else only inside the functions, where a failure is an answer.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

PACKAGES = ("owkd", "torch", "ray", "numpy")
FAILED = "error: "

Storage = tuple[str, str, str]
"""folder or URI, the driver's file there, and its text (empty: any text will do)"""


Room = tuple[str, int, tuple[str, ...], str, str]
"""a folder, the bytes that it takes at most, patterns of what holds some of them already, what for, what to set"""


class Question(TypedDict):
    """Plain values: what to look at.

    Attributes:
        data: root, data set, folds, cache; None looks at neither data nor teachers
        storage_wait_s: until the driver's file is seen: a network file system may show a new file late
        gpus: whether to ask torch for GPUs, which takes seconds to import
        rooms: that a search takes on disks
    """

    data: tuple[str, str, tuple[str, ...], str | None] | None
    teachers: tuple[str, ...]
    storage: Storage | None
    storage_wait_s: float
    gpus: bool
    rooms: tuple[Room, ...]


class Facts(TypedDict):
    """Plain values: the answer. Of `files`, the value is a digest, or `error: ` and why there is none.

    Attributes:
        machine: CPUs and memory that may be used there, and by what they are limited, for people
        gpus: name and bytes of memory, as torch sees them
        disk_free: bytes, by the folder that was asked about
        too_full: disks without the room that is asked for: folders, bytes asked for, bytes free or taken for it
            already, what for, what to set
        clock: seconds since the Unix epoch, read last
    """

    host: str
    machine: str
    versions: dict[str, str]
    gpus: list[tuple[str, int]]
    gpu_error: str
    disk_free: dict[str, int]
    too_full: list[tuple[str, int, int, str, str]]
    files: dict[str, str]
    clock: float


def gather_facts(question: Question) -> Facts:
    """The facts of this machine. Raises nothing: what cannot be read is an answer too."""
    gpus, gpu_error = _gpus() if question["gpus"] else ([], "")
    files: dict[str, str] = {}
    folders = [tempfile.gettempdir()]
    if question["data"] is not None:
        root, dataset, folds, cache = question["data"]
        for fold in folds:
            for split in ("train", "validation"):
                files[f"data {fold}/{split}"] = _result_or_error(_fingerprint, root, dataset, fold, split)
        folders.append(cache or root)
    for teacher in question["teachers"]:
        files[f"teacher {teacher}"] = _result_or_error(_sha256, teacher)
    if question["storage"] is not None:
        files["storage"] = _result_or_error(_exchange_files, *question["storage"], question["storage_wait_s"])
    return {
        "host": socket.gethostname(),
        "machine": _result_or_error(_machine),
        "versions": _versions(),
        "gpus": gpus,
        "gpu_error": gpu_error,
        "disk_free": {folder: _free(folder) for folder in folders},
        "too_full": list(_too_full(question["rooms"])),
        "files": files,
        "clock": time.time(),
    }


def _versions() -> dict[str, str]:
    """Of Python and packages, without importing any; of CUDA, the one that torch was built for."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    torch = importlib.util.find_spec("torch")
    if torch is not None and torch.origin is not None:
        text = Path(torch.origin).with_name("version.py").read_text(encoding="utf-8")
        built = re.search(r"^cuda\b[^=]*= *['\"]([^'\"]+)", text, flags=re.MULTILINE)
        versions["cuda"] = built[1] if built else "none"
    return versions


def _gpus() -> tuple[list[tuple[str, int]], str]:
    try:
        import torch

        devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return [(str(device.name), int(device.total_memory)) for device in devices], ""
    except Exception as error:
        return [], _short(error)


def _machine() -> str:
    from owkd.machine import this_machine

    return str(this_machine())


def _result_or_error(read: Callable[..., str], *arguments: Any) -> str:
    try:
        return read(*arguments)
    except Exception as error:
        return FAILED + _short(error)


def _fingerprint(root: str, dataset: str, fold: str, split: Any) -> str:
    from owkd.data.index import read_split

    return read_split(Path(root), dataset, fold, split).fingerprint


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _exchange_files(place: str, driver_file: str, expected: str, wait_s: float) -> str:
    """Reads the driver's file and leaves one of this node's for it -> that file's name.

    Where any text will do, nobody reads that file: it is removed again.
    """
    from pyarrow.fs import FileSystem, FileType, LocalFileSystem

    store, root = FileSystem.from_uri(place) if "://" in place else (LocalFileSystem(), place)
    deadline = time.monotonic() + wait_s
    while store.get_file_info(f"{root}/{driver_file}").type != FileType.File and time.monotonic() < deadline:
        time.sleep(0.1)
    with store.open_input_stream(f"{root}/{driver_file}") as file:
        text = file.read().decode()
    if expected and text != expected:
        raise ValueError(f"{place}/{driver_file} holds other text than the driver wrote")
    name = f"node-{socket.gethostname()}-{time.time_ns()}"
    with store.open_output_stream(f"{root}/{name}") as file:
        file.write(text.encode())
    if not expected:
        store.delete_file(f"{root}/{name}")
    return name


def _free(folder: str) -> int:
    return shutil.disk_usage(_nearest(folder)).free


def _nearest(folder: str) -> Path:
    """The folder, or the nearest above it that is there."""
    place = Path(folder)
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _too_full(rooms: tuple[Room, ...]) -> Iterator[tuple[str, int, int, str, str]]:
    """Disk by disk: several folders may be on one."""
    disks: dict[int, list[Room]] = {}
    for room in rooms:
        disks.setdefault(_nearest(room[0]).stat().st_dev, []).append(room)
    for on_disk in disks.values():
        wanted = sum(room[1] for room in on_disk)
        patterns = {pattern for room in on_disk for pattern in room[2]}
        has = _free(on_disk[0][0]) + sum(_taken(path) for pattern in patterns for path in _matching(pattern))
        if has < wanted:
            folders, purposes, remedies = zip(*((room[0], room[3], room[4]) for room in on_disk), strict=True)
            yield _listed(folders), wanted, has, _listed(purposes), _listed(remedies)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _matching(pattern: str) -> Iterator[Path]:
    """Paths whose last part matches; above it, nothing is a pattern."""
    place = Path(pattern)
    return place.parent.glob(place.name)


def _taken(path: Path) -> int:
    """Bytes on disk of a file, or of all below a folder; what vanishes meanwhile takes none."""
    files = [path, *(Path(folder) / name for folder, _, names in os.walk(path) for name in names)]
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.stat().st_blocks * 512
    return total


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
