"""Hidden folders in which something is made that may be cut off, and which then do not stay for ever."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from owkd.files import make_folder, place_of
from owkd.temporary import marked_folder


@contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """An empty folder on the disk of `target`, removed at the end; the system's, where that is no place for folders.

    Those of processes of this machine that died while they made the same target are removed first. Raises `OSError`.
    """
    place = place_of(target)
    above, name = (Path(tempfile.gettempdir()), "owkd") if place is None else (place.parent, place.name)
    make_folder(above)
    with marked_folder(above, f".{name}-") as folder:
        yield folder
