"""Files of `torch.save`, read with care: nothing in them is run, and no damaged byte is taken for a weight."""

import zipfile
from pathlib import Path
from typing import Any

import torch

FOLDER = 0x10
"""the bit of a part's attributes with which torch takes it for a folder, and gives whatever was in memory"""


def load_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU. Raises whatever its readers raise for a file that is damaged or unsafe.

    `torch.load` does not compare the checksums (CRC-32) that `torch.save` writes with each part of a file; they are
    compared here. Files of torch before 1.6 have none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of its part {damaged} does not match")
            if folders := [part.filename for part in archive.infolist() if part.external_attr & FOLDER]:
                raise zipfile.BadZipFile(f"its part {folders[0]} is marked as a folder")
    return torch.load(path, map_location="cpu", weights_only=True)
