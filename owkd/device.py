"""Where tensors live, and how images get there.

Shapes: B batch, S image size, n images of a split.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from owkd.config import Precision
from owkd.errors import ConfigError
from owkd.machine import this_machine

DeviceName = Literal["auto", "cpu", "cuda"]

# Of a GPU: well below the head-room that a measured share leaves, so that images do not cost a neighbour its place.
RESIDENT_PART = 0.05


def pick_device(name: DeviceName) -> torch.device:
    """The configured device; `auto` takes a GPU where there is one. Raises `ConfigError` for a missing GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(["train.device must be cpu or auto where no GPU is visible, but got cuda"])
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16: a GPU, or a CPU with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return True
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public way to ask
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Networks compute in bfloat16 where that is asked for and the device can; elsewhere nothing changes."""
    if precision == "bf16" and computes_bf16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def use_threads(count: int | None) -> None:
    """Sets how many CPU threads torch computes with, in the whole process; None leaves torch's choice, but no more than
    there are CPUs to use: torch knows nothing of control groups."""
    torch.set_num_threads(count or min(torch.get_num_threads(), this_machine().cpus))


def count_gpus() -> int:
    """GPUs that this process may use: CUDA_VISIBLE_DEVICES, where it is set, hides the others."""
    return torch.cuda.device_count()


def send(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on the device, of the same shape and dtype. A GPU's queue continues meanwhile."""
    tensor = torch.from_numpy(np.require(array, requirements=("C", "W")))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def resident(images: np.ndarray, device: torch.device) -> Tensor | None:
    """uint8 images (n, S, S, 3) on the GPU, where all of them take a small part of what this process may take of it.

    None elsewhere: they stay mapped into memory, and are sent batch by batch.
    """
    if device.type != "cuda":
        return None
    _, total = torch.cuda.mem_get_info(device)
    allowed = torch.cuda.get_per_process_memory_fraction(device) * total
    return send(np.array(images), device) if images.nbytes <= RESIDENT_PART * allowed else None


def to_images(pixels: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """uint8 (B, S, S, 3) -> float32 (B, 3, S, S) in [0, 1]; the memory order is channels_last already."""
    tensor = pixels if isinstance(pixels, Tensor) else send(pixels, device)
    return tensor.permute(0, 3, 1, 2).to(torch.float32).div_(255)
