"""What the command line does, for Python: nothing here prints, reads arguments or exits.

```python
import launch

launch.train_teacher("quick.yaml", "teacher-Fold1.safetensors", fold="Fold1")
search = launch.search("quick.yaml", trials=20)
print(search.best.objective, search.best.values)
final = launch.retrain(search.folder.address)
```

A configuration is given as a file's path or as a `Config`; a run by its folder or its address in a store. `address` is
that of a Ray cluster that runs already; without it, a Ray of our own is started on this machine and ended with the
work. `console` is where people watch: a `rich.console.Console`, also in a notebook; without one, nobody does.
Ctrl-C raises `KeyboardInterrupt` and leaves what `resume`, or the same call, takes up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from launch.configuration import require_files
from launch.connection import connection, remove_leftovers
from owkd.config import Config
from owkd.stalled import watched

if TYPE_CHECKING:
    from owkd.training.loop import Epoch
    from owkd.training.run import Run as Training
    from search.execution.node_admission import NodeAdmission
    from search.execution.stage import Connect
    from search.retrain.stage import Outcome
    from search.run_search import Summary
    from search.storage.address import Address
    from search.trials.listener import TrialListener

ConfigLike = Config | Path | str


def train_teacher(
    config: ConfigLike,
    out: Path | str,
    *,
    fold: str,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """Trains the teacher of one fold and writes it to `out` -> that path. Continues where it was stopped.

    `on_epoch` gets every epoch with its metrics, `on_note` lines on the images.

    Raises `ConfigError` naming every mistake at once, `DataError`, `DivergedError`.
    """
    from owkd.training import teacher

    config, out = _config(config), Path(out)
    teacher.require_batches(config)
    teacher.train_teacher(config, on_epoch or _ignore, fold=fold, out=out, say=on_note or _ignore)
    return out


def distill(
    config: ConfigLike,
    out: Path | str,
    *,
    fold: str,
    seed: int | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Training:
    """Trains one student on one fold in the folder `out` -> its epochs, and the file of the model that was kept.

    Continues where it was stopped, bit-equal to a training that was not. `seed` stands in for `train.seed`. An
    exception that `on_epoch` raises ends the training there.

    Raises `ConfigError`, `DataError`, `CheckpointError`, `DivergedError`.
    """
    from owkd.device import use_threads
    from owkd.training.run import run
    from search.trials.objective import epoch_rule

    config = _config(config)
    use_threads(config.train.threads)
    return run(
        config,
        on_epoch,
        fold=fold,
        directory=Path(out),
        seed=seed,
        keep=epoch_rule(config.search),
        costs=config.search.costs,
        say=on_note or _ignore,
    )


def search(
    config: ConfigLike,
    run: Address | Path | str | None = None,
    *,
    trials: int | None = None,
    address: str | None = None,
    listeners: Sequence[TrialListener] = (),
    console: Console | None = None,
) -> Summary:
    """Runs a new search at `run`, by default `runs/<name>`, where nothing must be yet.

    `listeners` hear of each trial's start, epochs and end (`search.TrialListener`), in this process and after it was
    recorded; what one raises ends the search, which `resume` takes up.

    Raises `ConfigError` and `UserError` before anything is written; `OwkdError` when no trial can succeed.
    """
    from search.run_search import search
    from search.storage.address import Address

    config = _config(config)
    place = Address.of("runs") / config.name if run is None else Address.of(run)
    connect = checked_connection(address, config, place, console)
    return search(config, place, connect=connect, console=_shown(console), trials=trials, listeners=listeners)


def resume(
    run: Address | Path | str,
    *,
    trials: int | None = None,
    address: str | None = None,
    force: bool = False,
    listeners: Sequence[TrialListener] = (),
    console: Console | None = None,
) -> Summary:
    """Resumes a search where it was left, and for `trials` more than were planned.

    Raises `UserError` when there is no such run, when another process drives it, or (without `force`) when code, data,
    teachers or what the trials are made of changed; otherwise as `search`.
    """
    from search.run_search import resume
    from search.runs.manifest import open_run

    remove_leftovers()  # a run that is done starts no Ray, but its last driver may have left one
    folder, config, _ = open_run(run, drive=True)
    connect = checked_connection(address, config, folder.address, console)
    return resume(run, trials=trials, connect=connect, console=_shown(console), force=force, listeners=listeners)


def retrain(
    run: Address | Path | str,
    *,
    address: str | None = None,
    reopen: bool = False,
    seeds: int | None = None,
    console: Console | None = None,
) -> Outcome:
    """The final stage of a run: chooses the champion on fresh seeds and opens the test split for it and its baselines.

    Called again, it resumes; with more `seeds` than were tested, it is another look, with an error of its own.

    Raises as `search.retrain.stage.retrain`.
    """
    from search.retrain.stage import retrain
    from search.runs.manifest import open_run

    remove_leftovers()
    folder, config, _ = open_run(run, drive=True)
    connect = checked_connection(address, config, folder.address, console)
    return retrain(run, connect=connect, console=_shown(console), reopen=reopen, seeds=seeds)


def checked_connection(address: str | None, config: Config, run: Address, console: Console | None) -> Connect:
    """As `connection`, but entered only when this machine has room for the run, or each node of a cluster can serve.

    Raises `UserError` where files do not answer; entering, too.
    """
    require_files(config)
    enter = _checked_machine if address is None else partial(_checked_cluster, address)
    return partial(enter, config, run, _shown(console))


@contextmanager
def _checked_machine(config: Config, run: Address, console: Console) -> Iterator[None]:
    from launch.doctor import require_room

    require_room(config, run)
    with _watched(config, run, console), connection(None)():
        yield


@contextmanager
def _checked_cluster(address: str, config: Config, run: Address, console: Console) -> Iterator[NodeAdmission]:
    from launch.doctor import admit_nodes

    with _watched(config, run, console), connection(address)():
        yield admit_nodes(config, run)


def _watched(config: Config, run: Address, console: Console) -> AbstractContextManager[None]:
    """People read when the files that a driver reads and writes stall."""
    return watched([config.data.root, *([] if run.remote else [run.path])], partial(console.print, soft_wrap=True))


def _config(config: ConfigLike) -> Config:
    if isinstance(config, Config):
        return config
    from search.space import load_search_config

    return load_search_config(config)


def _shown(console: Console | None) -> Console:
    return Console(quiet=True) if console is None else console


def _ignore(event: object) -> None:
    return None
