"""CRC-32 at the end of files, which readers of what stands before it pass over."""

import zlib
from pathlib import Path
from typing import BinaryIO

BLOCK = 2**24
"""bytes that are read at a time"""
SEAL = b"owkd-crc32:"


def crc32_of(file: BinaryIO, size: int) -> int:
    """CRC-32 of the next `size` bytes."""
    found = 0
    while size > 0 and (block := file.read(min(BLOCK, size))):
        found = zlib.crc32(block, found)
        size -= len(block)
    return found


def as_bytes(checksum: int) -> bytes:
    """As it stands in a file."""
    return checksum.to_bytes(4, "little")


def seal(path: Path) -> None:
    """Appends the checksum of all that is in a file."""
    with path.open("r+b") as file:
        checksum = crc32_of(file, path.stat().st_size)
        file.write(SEAL + as_bytes(checksum))


def has_broken_seal(path: Path) -> bool:
    """Whether a file is not what was sealed; False where it has no seal."""
    content = path.stat().st_size - len(SEAL) - 4
    if content < 0:
        return False
    with path.open("rb") as file:
        file.seek(content)
        found = file.read()
        file.seek(0)
        return found.startswith(SEAL) and found != SEAL + as_bytes(crc32_of(file, content))
