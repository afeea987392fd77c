"""Who listens where, by what the kernel says."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

LISTENS = "0A"


def listening(pids: Iterable[int]) -> dict[tuple[str, int], int]:
    """Address and port of every TCP socket on which one of these processes listens, with the process."""
    owners = {inode: pid for pid in pids for inode in _sockets(pid)}
    return {
        where: owners[inode]
        for table in ("tcp", "tcp6")
        for where, inode in _table(Path("/proc/net") / table)
        if inode in owners
    }


def family(root: int) -> set[int]:
    """A process and all that it started, and theirs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _sockets(pid: int) -> set[str]:
    try:
        targets = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    except OSError:  # it has just ended, or has just closed one
        return set()
    return {target[8:-1] for target in targets if target.startswith("socket:[")}


def _table(path: Path) -> Iterable[tuple[tuple[str, int], str]]:
    for line in path.read_text().splitlines()[1:] if path.exists() else []:
        fields = line.split()
        if fields[3] == LISTENS:
            host, port = fields[1].split(":")
            yield (_address(host), int(port, 16)), fields[9]


def _address(written: str) -> str:
    """Words of four bytes, in the order of this machine; an address of IPv4 within IPv6 as that of IPv4."""
    words = [struct.pack("=I", int(written[start : start + 8], 16)) for start in range(0, len(written), 8)]
    raw = b"".join(words)
    kind = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    address = ipaddress.ip_address(socket.inet_ntop(kind, raw))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
