"""A run on disk: how one is made, opened, locked and checked.

layout.py       what is where in a run's folder
manifest.py     how a run is made and opened; its run.yaml
lock.py         one driver at a time
inputs.py       what a search depends on, checked before anything is written
damage.py       what is wrong with a file, as one message
integrity.py    what must stay as it was between drivers
durable.py      what a queue records, in the store before anybody relies on it
sync.py         a part of a run kept fresh for a reader
"""

from search.runs.damage import DamagedRunError, read_json, reading
from search.runs.inputs import anchored, check_inputs, look_at_inputs
from search.runs.integrity import Change, changes_since, compare, refuse, versions
from search.runs.layout import RunFolder, trial_name
from search.runs.lock import is_locked, lock_run
from search.runs.manifest import (
    SCHEMA_VERSION,
    amend,
    create,
    create_control,
    exists,
    open_run,
    refuse_existing,
)
from search.runs.sync import followed

__all__ = [
    "SCHEMA_VERSION",
    "Change",
    "DamagedRunError",
    "RunFolder",
    "amend",
    "anchored",
    "changes_since",
    "check_inputs",
    "compare",
    "create",
    "create_control",
    "exists",
    "followed",
    "is_locked",
    "lock_run",
    "look_at_inputs",
    "open_run",
    "read_json",
    "reading",
    "refuse",
    "refuse_existing",
    "trial_name",
    "versions",
]
