"""Hidden folders in which something is made that may be cut off, and which then do not stay for ever.

A folder carries a mark that we wrote and that its process holds; the kernel lets go of it however the process ends. The
next folder for the same thing takes away what carries such a mark, and nothing else: a name says nothing.
"""

import fcntl
import glob
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from owkd.files import make_folder, place_of

MARK = ".owkd-unfinished"
TEXT = "made by owkd on {host}; may be removed when no process holds this file\n"


@contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """An empty folder on the disk of `target`, removed at the end; the system's, where that is no place for folders.

    Those of processes of this machine that died while they made the same target are removed first. Raises `OSError`.
    """
    place = place_of(target)
    above, name = (Path(tempfile.gettempdir()), "owkd") if place is None else (place.parent, place.name)
    make_folder(above)
    for mark in above.glob(f".{glob.escape(name)}-*/{MARK}"):
        _remove_if_abandoned(mark)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=above))
    try:
        with (folder / MARK).open("x", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.write(_text())
            held.flush()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_abandoned(mark: Path) -> None:
    try:
        with mark.open("r+", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held.read() == _text():
                shutil.rmtree(mark.parent, ignore_errors=True)
    except (OSError, UnicodeDecodeError):  # its process lives, or it is not ours
        return


def _text() -> str:
    return TEXT.format(host=socket.gethostname())
