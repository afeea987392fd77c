"""Where a run is stored: a folder, or an address in an object store that pyarrow.fs knows.

address.py           what a user writes, taken apart
object_store.py      files below an address, one way for every store
fence.py             one attempt at a job at a time
lease.py             one driver at a time
mirror.py            the driver's working copy and the store kept alike
timings.py           how long drivers and stores wait
worker_scratch.py    a worker's folder, brought to the store epoch by epoch
"""

from search.storage.address import Address
from search.storage.mirror import Mirror
from search.storage.object_store import ObjectStore, retry_while_unavailable
from search.storage.timings import StoreTimings
from search.storage.worker_scratch import WorkerScratch, local_copy, workplace

__all__ = [
    "Address",
    "Mirror",
    "ObjectStore",
    "StoreTimings",
    "WorkerScratch",
    "local_copy",
    "retry_while_unavailable",
    "workplace",
]
