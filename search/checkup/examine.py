"""Every file that a run is made of: whether it is whole, and what to do where it is not. Nothing is changed.

| file                    | is whole when                                    | where it is not                         |
|-------------------------|--------------------------------------------------|-----------------------------------------|
| run.yaml                | it is the configuration that the study remembers | is written again from the study         |
| study.journal           | every line is what was written, and the study    | a byte that changed is found by the     |
|                         | knows all trials that left results               | line's checksum; a last line goes       |
| results/{trials,epochs} | every row is what the study has                  | rows are written again from the study   |
| results/** besides      | it can be read, by its checksums                 | is made again by the stage that made it |
| retrain/**/*.json       | the same                                         | the same, but for looks.json            |
| panels/                 | the same                                         | is drawn again                          |
| models, last.pt         | the same                                         | is trained again, or named              |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image

from owkd.config import Config
from owkd.errors import CheckpointError, UserError
from owkd.models import CHAMPION
from search.checkup.study import KnownStudy, read_study
from search.checkup.tables import epochs_at_odds, trials_at_odds
from search.results.parquet import TrialFiles, read_table
from search.results.tables import recorded_trials
from search.runs.damage import DamagedRunError, read_json, reading
from search.runs.integrity import edits_since
from search.runs.layout import RunFolder
from search.runs.manifest import read_run
from search.space.parameters import columns

FileState = Literal["whole", "damaged", "missing", "changed", "repaired"]

RETRAIN = "owkd retrain RUN makes it again"
RESUME = "owkd resume RUN makes it again when the search goes on"
ANEW = "its part begins anew when the search goes on: owkd resume RUN"
RESTORE = "restore it from a copy"
REPAIR = "owkd doctor RUN --repair writes it again from the study"


@dataclass(frozen=True)
class CheckedFile:
    """One file of a run.

    Attributes:
        state: `changed`: whole, but not what the run began with
        reason: what is wrong, after the file's name; empty where nothing is
        remedy: what to do
        trials: whose rows are lost or wrong, of a table
    """

    path: Path
    state: FileState = "whole"
    reason: str = ""
    remedy: str = ""
    trials: tuple[int, ...] = ()


@dataclass(frozen=True)
class Examination:
    """A run's files, and what they were compared with.

    Attributes:
        config: None where neither run.yaml nor the study has one that can be read
    """

    files: tuple[CheckedFile, ...]
    study: KnownStudy
    config: Config | None


def examine(folder: RunFolder) -> Examination:
    """Reads every file of a run, whether it is driven or not."""
    config, manifest = _examine_manifest(folder)
    study = read_study(folder, config, _recorded(folder))
    files = [manifest, _examine_journal(folder, study)]
    if manifest.state == "whole" and config is not None and (edits := edits_since(study.began_with, config)):
        remedy = "put back what it was; or, if it was meant, owkd resume RUN --force"
        files[0] = CheckedFile(manifest.path, "changed", "; ".join(map(str, edits)), remedy)
    files += _examine_tables(folder, config, study)
    tables = {folder.results / "trials", folder.results / "epochs"}
    checks: tuple[tuple[str, Callable[[Path], object], str], ...] = (
        ("results/teaching/*.parquet", read_table, RESUME),
        ("results/retrain/**/*.parquet", read_table, RETRAIN),
        ("retrain/**/metrics.json", read_json, RETRAIN),
        ("retrain/looks.json", read_json, RESTORE),
        ("retrain/**/*.safetensors", _verify_model, RETRAIN),
        ("checkpoints/**/best.safetensors", _verify_model, "owkd distill RUN#N trains the model of trial N once more"),
        ("checkpoints/**/last.pt", _verify_state, ANEW),
        ("pilot.json", read_json, "owkd plan CONFIG --pilot makes it again"),
        ("panels/*/curves.json", read_json, RESUME),
        ("panels/*/*.png", _verify_picture, RESUME),
    )
    for pattern, check, remedy in checks:
        found = sorted(path for path in folder.root.glob(pattern) if path.parent not in tables)
        files += [_examined(path, check, remedy) for path in found]
    files += _missing(folder)
    return Examination(tuple(files), study, config)


def is_sound(files: tuple[CheckedFile, ...]) -> bool:
    """Whether each is whole, or was repaired."""
    return all(file.state in ("whole", "repaired") for file in files)


def _examine_manifest(folder: RunFolder) -> tuple[Config | None, CheckedFile]:
    try:
        return read_run(folder)[0], CheckedFile(folder.manifest)
    except DamagedRunError as error:
        state: FileState = "missing" if error.reason == "is missing" else "damaged"
        return None, CheckedFile(folder.manifest, state, error.reason, REPAIR)
    except UserError as error:
        return None, CheckedFile(folder.manifest, "damaged", f"cannot be used: {error}", REPAIR)


def _examine_journal(folder: RunFolder, study: KnownStudy) -> CheckedFile:
    journal = folder.journal
    if study.damaged_lines:
        lines = ", ".join(map(str, study.damaged_lines))
        remedy = (
            "owkd doctor RUN --repair mends a byte that changed in a line with a checksum, and lets a last line go; "
            "else restore it"
        )
        return CheckedFile(journal, "damaged", f"is damaged in line {lines}", remedy)
    if study.problem is not None:
        state: FileState = "damaged" if journal.is_file() else "missing"
        return CheckedFile(journal, state, study.problem, f"{RESTORE}; without one, the tables keep what they have")
    if study.unknown:
        reason = f"ends before trial {study.unknown[0]}, although there are results of {len(study.unknown)} such trials"
        remedy = f"{RESTORE}; or owkd doctor RUN --repair sets those results aside, and the search goes on before them"
        return CheckedFile(journal, "damaged", reason, remedy)
    if study.is_torn:
        return CheckedFile(journal, "damaged", "ends within a line", "owkd doctor RUN --repair lets that line go")
    return CheckedFile(journal)


def _examine_tables(folder: RunFolder, config: Config | None, study: KnownStudy) -> Iterator[CheckedFile]:
    """Both tables; where the study is not whole, only whether they can be read."""
    known = config is not None and study.problem is None
    types = columns(config) if config is not None else {}
    checks: dict[str, Callable[[Path], Mapping[int, str]]] = {
        "trials": partial(trials_at_odds, views=study.views, types=types),
        "epochs": partial(epochs_at_odds, views=study.views),
    }
    for name, compare in checks.items():
        table, with_rows = folder.results / name, set()
        for path in TrialFiles(table).paths():
            try:
                at_odds = compare(path) if known else {}
                with_rows |= {*read_table(path)["trial"].to_pylist()} - at_odds.keys()
            except (DamagedRunError, KeyError) as error:
                reason = error.reason if isinstance(error, DamagedRunError) else "has no trials"
                yield CheckedFile(path, "damaged", reason, REPAIR if known else RESTORE)
                continue
            reason = "; ".join(at_odds.values())
            yield CheckedFile(path, "damaged" if at_odds else "whole", reason, REPAIR if at_odds else "", (*at_odds,))
        needed = (
            view for view in study.views.values() if view.state != "running" and (view.last_step or name == "trials")
        )
        lacking = tuple(view.number for view in needed if view.number not in with_rows)
        if lacking:
            reason = f"has no rows of trial {', '.join(map(str, lacking))}"
            yield CheckedFile(table, "missing", reason, REPAIR, lacking)


def _examined(path: Path, check: Callable[[Path], object], remedy: str) -> CheckedFile:
    try:
        check(path)
    except DamagedRunError as error:
        return CheckedFile(path, "damaged", error.reason, remedy)
    return CheckedFile(path)


def _verify_picture(path: Path) -> None:
    with reading(path), Image.open(path) as picture:
        picture.verify()


def _verify_model(path: Path) -> None:
    from owkd.models.checkpoint import read_state

    with _as_damage(path):
        read_state(path)


def _verify_state(path: Path) -> None:
    from owkd.training.state import load_training_state

    with _as_damage(path):
        load_training_state(path)


@contextmanager
def _as_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise DamagedRunError(path, f"is damaged ({error})") from error


def _missing(folder: RunFolder) -> Iterator[CheckedFile]:
    """Files that others take for granted."""
    home, results = folder.champion, folder.results / "retrain"
    wanted: dict[Path, str] = {}
    if (results / "comparison.parquet").is_file():
        wanted[home / "metrics.json"] = RETRAIN
    if (home / "metrics.json").is_file():
        wanted |= {home / CHAMPION: RETRAIN, home / "config.yaml": RETRAIN}
        wanted |= {results / f"{name}.parquet": RETRAIN for name in ("models", "comparison")}
        if _has_claims(home / "metrics.json"):
            wanted[folder.retrain / "looks.json"] = RESTORE
    with suppress(OSError, DamagedRunError):
        checkpoints = filter(None, read_table(results / "models.parquet")["checkpoint"].to_pylist())
        wanted |= {(folder.root / path).with_name("metrics.json"): RETRAIN for path in checkpoints}
    wanted |= {path.with_name("retrieval.png"): RESUME for path in folder.panels.glob("*/curves.json")}
    yield from (CheckedFile(path, "missing", "is missing", wanted[path]) for path in wanted if not path.is_file())


def _has_claims(metrics: Path) -> bool:
    try:
        with reading(metrics):
            return "claims" in read_json(metrics)["comparison"]
    except DamagedRunError:
        return False


def _recorded(folder: RunFolder) -> set[int]:
    try:
        return recorded_trials(folder)
    except DamagedRunError:  # a table is damaged, which is found by itself
        return set()
