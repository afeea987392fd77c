"""State of a training in progress: everything that it needs to resume, written whole and with a checksum."""

import errno
from pathlib import Path
from typing import Any

import torch

from owkd.checksums import has_broken_seal, seal
from owkd.errors import CheckpointError
from owkd.files import written_whole
from owkd.models.torch_files import load_torch_file


def save_training_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values whole, such that `load_training_state` takes them back."""
    with written_whole(path) as temporary:
        torch.save(state, temporary)
        seal(temporary)


def load_training_state(path: Path) -> dict[str, Any] | None:
    """What `save_training_state` wrote, or None where there is no file.

    Raises `CheckpointError` where it is damaged, `OSError` where the disk does not give it.
    """
    if not path.exists():
        return None
    try:
        if has_broken_seal(path):
            raise ValueError("its checksum does not match")
        state = load_torch_file(path)
    except Exception as error:  # what the readers raise for damaged bytes is of many kinds
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a place that is none
            raise
        raise CheckpointError(f"{path} is damaged ({error})") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no state of a training")
    return state
