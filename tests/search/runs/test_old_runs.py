"""Runs that owkd 0.1.0 made and Ctrl-C interrupted (`tests/old_runs/make.py`): opened, listed, reported, resumed."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from rich.console import Console

from owkd.config import Config
from owkd.data.index import SplitName, read_split
from owkd.errors import UserError
from search.report import write_report
from search.results.listing import list_trials
from search.results.schema import EPOCH_FIELDS, trial_schema
from search.results.tables import read_epochs, read_trials
from search.run_search import Work, resume
from search.runs.inputs import look_at_inputs
from search.runs.integrity import changes_since
from search.runs.manifest import SCHEMA_VERSION, open_run
from search.space.parameters import columns
from search.study.study import Study
from tests.chaos.training import chained_run
from tests.support.fake_training import fake_check
from tests.support.old_runs import ARCHIVES, unpacked

TRAIN: Any = chained_run
WORK = Work(TRAIN, fake_check)
TRIALS = 10
STATES = {
    "auto": "complete pruned diverged error pruned error interrupted interrupted",
    "cmaes": "complete complete diverged error pruned error interrupted interrupted",
    "nsga2": "complete complete diverged error complete error interrupted interrupted",
    "random": "complete complete diverged error pruned error interrupted interrupted",
    "tpe": "complete pruned diverged error pruned error interrupted interrupted",
}
"""of trials 0 to 7 of each run, named by its sampler"""


@pytest.fixture(params=sorted(STATES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def run(name: str, tmp_path: Path) -> Path:
    return unpacked(name, tmp_path)


FINISHED = "finished"
"""tests/search/retrain/test_old_final_stage.py opens it"""


def test_every_archive_is_tested() -> None:
    assert {path.name for path in ARCHIVES.iterdir()} == {f"{name}.tar.gz" for name in (*STATES, FINISHED)}


def test_an_old_run_says_the_same_as_when_it_was_made(run: Path, name: str) -> None:
    """Its configuration reads as the study remembers it: no field was lost, renamed without a trace or filled anew."""
    folder, config, manifest = open_run(run)
    assert manifest["versions"]["owkd"] == "0.1.0"
    assert manifest["schema_version"] <= SCHEMA_VERSION
    study = Study(folder.journal, folder.name, config)
    prints = fake_check(config)
    assert changes_since(manifest, study.began_with, config, manifest["versions"], prints) == []
    assert study.clashes() == []
    assert study.left_out == 0
    assert config.search.sampler.name == name
    assert config.search.trials == TRIALS


def test_a_schema_version_keeps_its_columns(run: Path) -> None:
    """Who drops, renames or retypes a column counts `SCHEMA_VERSION` up."""
    folder, config, manifest = open_run(run)
    trials = [pq.read_schema(file) for file in (folder.results / "trials").iterdir()]
    epochs = [pq.read_schema(file) for file in (folder.results / "epochs").iterdir()]
    recorded = {(field.name, field.type) for schema in trials for field in schema}
    for schema in epochs:
        recorded |= {(name, schema.field(name).type) for name in schema.names[: schema.names.index("host") + 1]}
    now = trial_schema(columns(config), config.search.judged_metrics)
    known = {*zip(now.names, now.types, strict=True), *EPOCH_FIELDS.items()}
    assert len(recorded) > 20
    assert recorded <= known or manifest["schema_version"] < SCHEMA_VERSION


def test_an_old_run_is_listed(run: Path, name: str) -> None:
    rows = sorted(list_trials(run).to_pylist(), key=lambda row: row["trial"])
    assert [row["state"] for row in rows] == STATES[name].split()
    assert all((row["objective"] is None) == (row["state"] == "error" or row["last_step"] == 0) for row in rows)
    assert rows[3]["error_text"].endswith("RuntimeError: this never works")


def test_the_report_of_an_old_run_is_written(run: Path, name: str) -> None:
    text = write_report(run).read_text()
    complete = STATES[name].split().count("complete")
    assert f"{complete} complete" in re.sub(r"<[^>]+>", "", text)


@pytest.mark.usefixtures("_ray")
@pytest.mark.parametrize(
    "name",
    [
        *("auto", "tpe"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in sorted(STATES.keys() - {"auto", "tpe"})),
    ],
    indirect=True,
)
def test_an_old_run_goes_on_to_its_end(run: Path) -> None:
    trials, epochs = _rows(read_trials(run / "results")), _rows(read_epochs(run / "results"))
    summary = resume(run, connect=nullcontext, console=_console(), work=WORK, force=True)
    assert sum(summary.counts.values()) == TRIALS
    later = _rows(read_trials(run / "results"), columns=trials[0].keys())
    assert later[:6] == trials[:6]
    assert [row["trial"] for row in later] == list(range(TRIALS))
    assert [row["attempt"] for row in later[6:]] == [2, 2, 1, 1]
    later = _rows(read_epochs(run / "results"), columns=epochs[0].keys())
    assert [row for row in later if row in epochs] == epochs
    trained = Counter((run.parents[1] / "data" / "trained.log").read_text().splitlines())
    assert set(trained.values()) == {1}, "an epoch whose checkpoint was there was trained again"


@pytest.mark.parametrize("name", ["auto"], indirect=True)
def test_a_newer_version_is_named_and_taken_with_force(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = {**open_run(run)[2]["versions"], "owkd": "0.2.0"}
    monkeypatch.setattr("search.run_search.versions", lambda: now)
    monkeypatch.setattr("search.runs.manifest.versions", lambda: now)
    with pytest.raises(UserError, match=r"then -> now\):\n  - versions\.owkd: 0\.1\.0 -> 0\.2\.0\n.*--force"):
        resume(run, connect=_unreachable, console=_console(), work=WORK)
    with pytest.raises(ConnectionError):
        resume(run, connect=_unreachable, console=_console(), work=WORK, force=True)
    forced = open_run(run)[2]
    assert forced["versions"]["owkd"] == "0.2.0"
    assert forced["forced"][0]["changes"] == ["versions.owkd: 0.1.0 -> 0.2.0"]


@pytest.mark.parametrize(("kind", "goes_on"), [(np.uint8, True), (np.uint16, False)])
@pytest.mark.parametrize("name", ["random"], indirect=True)
def test_a_run_on_images_of_16_bits_goes_on_with_force_alone(
    run: Path, kind: type[np.integer[Any]], goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.1.0 saw other pixels of them, and its fingerprint was of the files alone; of 8-bit images both are the same."""
    folder, config, manifest = open_run(run)
    for split, people in {"train": (1, 2), "validation": (3, 4)}.items():
        for person, image in product(people, range(2)):
            file = config.data.root / f"toy/Fold1/{split}/allcam/{person}/{image}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            values = np.arange(16 * 16).reshape(16, 16) % (200 + person + 10 * image)
            Image.fromarray((values * (1 if kind is np.uint8 else 20)).astype(kind)).save(file)
        now = read_split(config.data.root, "toy", "Fold1", cast(SplitName, split)).fingerprint
        manifest["fingerprints"]["data"]["Fold1"][split] = now
    folder.manifest.write_text(yaml.safe_dump(manifest))

    def check(config: Config) -> dict[str, Any]:
        return {**look_at_inputs(config)[0], "teacher": manifest["fingerprints"]["teacher"]}

    monkeypatch.setattr("search.run_search.versions", lambda: manifest["versions"])
    work = Work(TRAIN, check)
    changed = r"then -> now\):\n  - fingerprints\.data\.Fold1\.train: .*\n  - .*validation: .*\nrestore them.*--force"
    with pytest.raises(ConnectionError) if goes_on else pytest.raises(UserError, match=changed):
        resume(run, connect=_unreachable, console=_console(), work=work)
    with pytest.raises(ConnectionError):
        resume(run, connect=_unreachable, console=_console(), work=work, force=True)


def _unreachable() -> NoReturn:
    raise ConnectionError("no Ray here")


def _rows(table: pa.Table, columns: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Of those columns alone: a newer version may have more."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows if columns is None else [{name: row[name] for name in columns} for row in rows]


def _console() -> Console:
    return Console(file=io.StringIO(), width=200)
