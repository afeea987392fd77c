"""Files of `torch.save`, read with care: nothing in them is run, and no damaged byte is taken for a weight."""

import zipfile
from pathlib import Path
from typing import Any

import torch


def load_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU. Raises whatever its readers raise for a file that is damaged or unsafe.

    `torch.load` does not compare the checksums (CRC-32) that `torch.save` writes with each part of a file; they are
    compared here. Files of torch before 1.6 have none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of its part {damaged} does not match")
    return torch.load(path, map_location="cpu", weights_only=True)
