"""A run's folder: what lies where, and the files in it that workers write.

run.yaml                 resolved configuration, versions, fingerprints; written first
study.journal            the Optuna study: the one truth about which trials exist
results/                 Parquet: trials, epochs, retrain
tensorboard/<trial>/     event files
checkpoints/<trial>/     of running trials, and of the best finished ones
panels/<trial>/          pictures of how the best trials rank
retrain/                 the final stage; retrain/champion is what one takes home
control/                 a run of the same layout: the random trials that the search is compared with
.ray/                    Ray's own bookkeeping, removed at the end
.lock                    held by the driver as long as it lives
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search.runs.durable import DurableRecorder
from search.storage.address import Address
from search.storage.mirror import CONTROL, Mirror
from search.storage.object_store import ObjectStore
from search.trials.job_queue import JobQueue, WholeCalls

SHOWN = 8
"""runs that a message names"""


def trial_name(number: int) -> str:
    """The name of a trial in every folder, table and view."""
    return f"trial-{number:05d}"


def run_names(place: Address) -> list[str]:
    """Names of the runs right in a folder, or at an address, in their order; none where there is no such place."""
    store = ObjectStore.at(place)
    names = (folder.rpartition("/")[2] for folder in store.folders(""))
    return sorted(name for name in names if not name.startswith(".") and store.has(f"{name}/run.yaml"))


def instead_of(place: Address) -> str:
    """What to give where a run is wanted and `place` is none: one of the runs in it, where there are any."""
    names = run_names(place)
    if not names:
        return "give the folder of a run"
    shown = ", ".join(str(place / name) for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"it holds {len(names)} run{'s' * (len(names) > 1)}, so give one of them: {shown}"


def draft_prefix(run: str) -> str:
    """How the hidden folder is called in which a run of this name is made, until the process that makes it."""
    return f".{run}."


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run, and the files that its workers write. Nothing is created by looking.

    Attributes:
        root: the run itself, or the working copy of one that lies in a store
        mirror: what keeps a working copy and its store alike; of a control, that of the run around it
    """

    root: Path
    mirror: Mirror | None = None

    @property
    def address(self) -> Address:
        """Where the run lies, for people and for commands."""
        return Address(str(self.root)) if self.mirror is None else self.mirror.address_of(self.root)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def manifest(self) -> Path:
        return self.root / "run.yaml"

    @property
    def journal(self) -> Path:
        return self.root / "study.journal"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def panels(self) -> Path:
        return self.root / "panels"

    @property
    def retrain(self) -> Path:
        return self.root / "retrain"

    @property
    def champion(self) -> Path:
        return self.retrain / "champion"

    @property
    def control(self) -> RunFolder:
        """The run within this one that this one's driver drives."""
        return RunFolder(self.root / CONTROL, self.mirror)

    @property
    def scratch(self) -> Path:
        return self.root / ".ray"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    def where(self, path: Path) -> str:
        """What a worker gets instead of a path below `root`: that path, or its URI."""
        return str(self.address / path.relative_to(self.root))

    def stored(self, below: Path) -> list[Path]:
        """Files that workers wrote below a folder, as paths below `root`, wherever they lie."""
        return [self.root / path for path in self._place().files(self._relative(below))]

    def folders(self, below: Path) -> list[Path]:
        """Folders of workers right below a folder, as paths below `root`, wherever they lie."""
        return [self.root / path for path in self._place().folders(self._relative(below))]

    def holds(self, path: Path) -> bool:
        """Whether there is such a file of a worker's."""
        return self._place().has(self._relative(path))

    def take(self, path: Path, to: Path) -> None:
        """Copies a worker's file, whole. Raises `FileNotFoundError`."""
        self._place().download(self._relative(path), to)

    def discard(self, path: Path) -> None:
        """Removes a worker's file or folder: from a store, once what the driver wrote until now is in it."""
        if self.mirror is not None:
            self.mirror.remove_later(path)
        else:
            self._place().remove(self._relative(path))

    def publish(self, path: Path) -> None:
        """Sends a file that a reader made below `root` to where the run lies."""
        if self.mirror is not None:
            with path.open("rb") as file:
                self._place().upload(file, self._relative(path), path.stat().st_size)

    def durable(self, queue: JobQueue) -> JobQueue:
        """The queue, whose records no signal cuts in two; in a store, they are there before anybody relies on them."""
        whole = WholeCalls(queue)
        return whole if self.mirror is None else DurableRecorder(whole, self.mirror)

    def _place(self) -> ObjectStore:
        return ObjectStore.at(self.address)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
