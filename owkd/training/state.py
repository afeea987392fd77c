"""State of a training in progress: everything that it needs to resume, written whole."""

from pathlib import Path
from typing import Any

import torch

from owkd.errors import CheckpointError
from owkd.files import written_whole
from owkd.models.torch_files import load_torch_file


def save_training_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values whole, such that `load_training_state` takes them back."""
    with written_whole(path) as temporary:
        torch.save(state, temporary)


def load_training_state(path: Path) -> dict[str, Any] | None:
    """What `save_training_state` wrote, or None where there is no file. Raises `CheckpointError`."""
    if not path.exists():
        return None
    try:
        state = load_torch_file(path)
    except Exception as error:  # what the readers raise for damaged bytes is of many kinds
        raise CheckpointError(f"{path} is damaged ({error})") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no state of a training")
    return state
