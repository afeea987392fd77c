"""What a command says when it fails, and its exit status: the last resort for errors that nothing below made clear.

| raised                                      | said                                 | exit status |
|---------------------------------------------|--------------------------------------|-------------|
| `UserError`                                 | its text                             | 2           |
| another `OwkdError`                         | its text                             | 1           |
| an error of the system about what was named | path, reason, remedy                 | 2           |
| one about the machine: full, quota, broken  | path, reason, remedy                 | 1           |
| anything else                               | kind, text and place of it           | 1           |

`OWKD_TRACEBACK=1` shows where an error was raised.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from owkd.errors import OwkdError, UserError

TRACEBACK = "OWKD_TRACEBACK"
ROOTS = [str(Path(__file__).parents[2] / name) for name in ("owkd", "search", "launch")]
NUMBER = re.compile(r"(?:\[errno |os error |errno[ =:]+)(\d+)", re.IGNORECASE)
"""how libraries that are written in other languages name an error of the system"""
NAMED = {
    errno.EROFS: "it is read-only; name a place that can be written to",
    errno.EACCES: "this user may not; change its permissions, or name another place",
    errno.EPERM: "this user may not; change its permissions, or name another place",
    errno.ENOTDIR: "something on the way to it is a file; name another place",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOENT: "it is not there; check the name",
    errno.EEXIST: "it exists already; name another place",
    errno.ENAMETOOLONG: "the name is too long; shorten it",
    errno.ELOOP: "its links go round in a circle; name another place",
    errno.ETXTBSY: "it is being run; name another place",
}
"""what the user has named and can name otherwise"""
MACHINE = {
    errno.ENOSPC: "the disk is full; make room, or name a place on another disk, and call it again",
    errno.EDQUOT: "your share of the disk is used up; make room, or name a place elsewhere, and call it again",
    errno.EIO: "the disk or its connection fails; see to the machine's log (dmesg)",
    errno.ESTALE: "the network file system has lost it; mount it again",
    errno.ETIMEDOUT: "there was no answer in time; see to the network",
    errno.ENOTCONN: "what is mounted there is gone; mount it again",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "the machine has too many files open; end what holds them",
    errno.ENOMEM: "the memory is used up; make some free, or lower search.max_concurrent",
    errno.EAGAIN: "the limit of processes is reached; raise it (ulimit -u)",
    errno.EFBIG: "the file is larger than may be written here; raise the limit (ulimit -f)",
}
"""what the machine lacks"""


@dataclass(frozen=True)
class Failure:
    """What is said, and the exit status."""

    text: str
    code: int


def failure_of(error: BaseException) -> Failure:
    """The failure that an error stands for. Its text holds the traceback where `OWKD_TRACEBACK` asks for it."""
    failure = _failure_of(error)
    if not os.environ.get(TRACEBACK):
        return failure
    return Failure(f"{failure.text}\n{''.join(traceback.format_exception(error)).rstrip()}", failure.code)


def _failure_of(error: BaseException) -> Failure:
    if isinstance(error, OwkdError):
        return Failure(str(error), 2 if isinstance(error, UserError) else 1)
    if isinstance(error, MemoryError):
        return Failure(f"there must be memory for it, but {MACHINE[errno.ENOMEM]}", 1)
    for each in _chain(error):
        number = _number(each)
        if number in NAMED or number in MACHINE:
            remedy = NAMED.get(number) or MACHINE[number]
            place = _place(each)
            text = f"{place} must be usable, but {remedy}" if place else f"{remedy} ({' '.join(str(each).split())})"
            return Failure(text, 2 if number in NAMED else 1)
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return Failure(f"{f'{kind}: {text}' if text else kind}{_where(error)}; {TRACEBACK}=1 shows how it came to it", 1)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from: torch and others say of a full disk only that something is wrong."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _number(error: BaseException) -> int:
    """Which error of the system it is; 0 for none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = NUMBER.search(str(error)) if type(error).__module__ != "builtins" or isinstance(error, OSError) else None
    return int(found[1]) if found else 0


def _place(error: BaseException) -> str:
    names = [getattr(error, name, None) for name in ("filename2", "filename")]
    named = [os.fsdecode(name) for name in names if isinstance(name, str | bytes | os.PathLike)]
    return named[0] if named else ""


def _where(error: BaseException) -> str:
    """The innermost line of ours."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(tuple(ROOTS))]
    return f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
