"""What Pillow has to say of a file, which is for whoever checks a data set and not for the terminal."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_one_at_a_time = threading.RLock()
"""the filter of warnings is the whole process's"""
_here = threading.local()

Remarks = dict[Path, set[str]]


class _Keeper(logging.Handler):
    """Keeps what is logged by a thread that decodes."""

    def __init__(self, remarks: Remarks) -> None:
        super().__init__()
        self.remarks = remarks

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.keep(record.getMessage())

    def keep(self, text: str) -> bool:
        """Whether this thread has said what it decodes."""
        path = getattr(_here, "path", None)
        if path is not None:
            self.remarks.setdefault(path, set()).add(" ".join(text.split()))
        return path is not None


@contextmanager
def kept_remarks() -> Iterator[Remarks]:
    """Within the block, warnings of the threads that say what they decode (`decoding`) are kept, by file.

    Those of other threads go where they always went.
    """
    keeper, logger = _Keeper({}), logging.getLogger("PIL")
    with _one_at_a_time, warnings.catch_warnings():
        show, propagates = warnings.showwarning, logger.propagate

        def keep(message: Warning | str, *rest: object, **more: object) -> None:
            if not keeper.keep(str(message)):
                show(message, *rest, **more)  # type: ignore[arg-type]

        warnings.filterwarnings("always", module=r"PIL\.|owkd\.data\.reading")
        warnings.showwarning = keep
        logger.addHandler(keeper)
        logger.propagate = False
        try:
            yield keeper.remarks
        finally:
            logger.propagate = propagates
            logger.removeHandler(keeper)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Says which file this thread decodes."""
    _here.path = path
    try:
        yield
    finally:
        _here.path = None
