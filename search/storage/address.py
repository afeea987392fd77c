"""The address of a run: a local path, or a URI such as s3://bucket/runs/name.

What the driver writes to a URI lies first in a working copy on its own disk:

    $XDG_CACHE_HOME/owkd/runs/<digest of the address>/driver/<name>    the driver's; `mirror` keeps the store like it
    $XDG_CACHE_HOME/owkd/runs/<digest of the address>/reader/<name>    of those who only read; fetched anew
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from owkd.errors import UserError

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""two letters at least: `C:/` is a drive"""


@dataclass(frozen=True)
class Address:
    """Where something lies; made by `Address.of`.

    Attributes:
        text: a path as it was given, or a URI without a slash at its end
    """

    text: str

    @classmethod
    def of(cls, place: Address | Path | str) -> Address:
        """Takes a path or a URI. Raises `UserError` for a URI that names no place, or that holds a secret."""
        if isinstance(place, Address):
            return place
        text = str(place)
        if not SCHEME.match(text):
            return cls(text)
        parts = urlsplit(text)
        if parts.scheme == "file":
            return cls(unquote(parts.path))
        if parts.password is not None:  # it would stand in logs, tables and every worker's list of processes
            raise UserError(
                f"an address must hold no password, but got {parts.scheme}://{parts.username}:...; set credentials "
                "in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        where, mark, query = text.partition("?")
        if not parts.netloc:
            raise UserError(f"an address must name a bucket, such as s3://bucket/runs, but got {text}; add it")
        return cls(f"{where.rstrip('/')}{mark}{query}")

    @property
    def remote(self) -> bool:
        """Whether it is in a store that other machines see, and this one not as files."""
        return SCHEME.match(self.text) is not None

    @property
    def path(self) -> Path:
        """The local path; only where it is no URI."""
        assert not self.remote
        return Path(self.text)

    @property
    def name(self) -> str:
        """Its last part."""
        return self.text.partition("?")[0].rpartition("/")[2] if self.remote else self.path.name

    @property
    def above(self) -> Address:
        """What it lies in."""
        if not self.remote:
            return Address(str(self.path.parent))
        where, mark, query = self.text.partition("?")
        return Address(f"{where.rpartition('/')[0]}{mark}{query}")

    def __truediv__(self, below: str | Path) -> Address:
        if not self.remote:
            return Address(str(self.path / below))
        where, mark, query = self.text.partition("?")
        return Address(f"{where}/{Path(below).as_posix()}{mark}{query}")

    def __str__(self) -> str:
        return self.text

    def copy(self, whose: Literal["driver", "reader"]) -> Path:
        """The folder on this machine that stands for a run in a store."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        # The same bucket behind another endpoint is another bucket.
        full = f"{self.text} {os.environ.get('AWS_ENDPOINT_URL', '')}"
        digest = hashlib.sha256(full.encode()).hexdigest()[:16]
        return Path(cache) / "owkd" / "runs" / digest / whose / self.name
