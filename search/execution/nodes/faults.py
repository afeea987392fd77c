"""Errors of a machine, told from those of a trial.

What trials read is the same for all of them and was looked at before the first, and where they write is the same too.
So an error of the system while a file is read or written, data that cannot be read, or a GPU that CUDA cannot use, say
something of the machine, or of a disk behind it. Whether it is one machine or all of them, the driver finds by counting
(`search.execution.nodes.standing`); an error that only looks like the machine's then counts against its trial.
"""

from __future__ import annotations

import re

from owkd.errors import DataError, UserError

CUDA_FAULT = re.compile(
    r"CUDA error: (?!device-side assert|out of memory)|CUDA driver|CUDA unknown error|No CUDA GPUs are available"
    r"|no NVIDIA driver|cuDNN error|cuDNN_STATUS|CUBLAS_STATUS_(?!ALLOC_FAILED)|uncorrectable ECC|NVML",
    flags=re.IGNORECASE,
)
"""in the text of a RuntimeError of torch: a device-side assert is a wrong number of the training's own"""


def is_node_fault(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is of the machine."""
    while error is not None:
        if isinstance(error, OSError | DataError):
            return True
        if isinstance(error, RuntimeError) and CUDA_FAULT.search(str(error)):
            return True
        error = getattr(error, "cause", None) or error.__cause__  # Ray keeps a worker's own error in `cause`
    return False


def fault_in_words(error: BaseException) -> str:
    """An error of a machine on one line, for people."""
    text = str(error)
    if isinstance(error, UserError):
        return " ".join(text.split())
    # What CUDA adds on further lines is advice for programmers.
    return f"{type(error).__name__}: {text.strip().partition(chr(10))[0]}".removesuffix(": ")
