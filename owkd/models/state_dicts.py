"""State dicts, looked at name by name: what does not fit, what is not finite, and a checksum."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def differences(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """A line for each name that is missing, unexpected, or of another shape."""
    lines = [f"{name} {_size(expected[name])} is missing" for name in expected if name not in given]
    lines += [f"{name} {_size(given[name])} is unexpected" for name in given if name not in expected]
    lines += [
        f"{name} must be {_size(tensor)}, but is {_size(given[name])}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    return lines


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold a NaN or an infinity."""
    return [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]


def checksum(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, in whichever order and memory format they are."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu()
        digest.update(f"{name} {tensor.dtype} {_size(tensor)}".encode())
        # A clone, because one element may keep a stride that a view as bytes refuses.
        digest.update(tensor.flatten().clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def several(lines: list[str]) -> str:
    """The first of some lines, and how many more there are."""
    return lines[0] if len(lines) == 1 else f"{lines[0]}, and {len(lines) - 1} more"


def listed(lines: list[str], most: int = 20) -> str:
    """The first of some lines, one below the other, and how many more there are."""
    rest = len(lines) - most
    return "\n".join(f"  - {line}" for line in [*lines[:most], *([f"and {rest} more"] if rest > 0 else [])])


def _size(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
