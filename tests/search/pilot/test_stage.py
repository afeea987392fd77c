"""The pilot: on real Ray once, then in this process; it resumes, grows, and is of one configuration."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from owkd.config import Config, parse_config
from owkd.errors import OwkdError, UserError
from search.execution.resources import TrialResources
from search.execution.stage import slots_alone
from search.luck.seeds import Seeds
from search.pilot import Pilot, PilotWork, find_pilot, run_pilot
from search.trials.job_queue import JobQueue
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED
from tests.support.fake_training import fake_check, fake_config, fake_run, make_plan
from tests.support.inline_jobs import do_job, work_off
from tests.support.s3_server import objects
from tests.support.s3_server import s3 as s3

WORK = PilotWork(fake_run, fake_check, lambda config, console: (config, TrialResources(1, 0, 1)))
ON_RAY = PilotWork(fake_run, fake_check, slots_alone)
SEEDS = Seeds(0, (0,)).pilot(8)


def config_of(home: Path, **retrain: Any) -> Config:
    return parse_config({**fake_config(home), "retrain": retrain})


def pilot_in(
    home: Path, number: int, *, runs: Path | str | None = None, out: Console | None = None, **retrain: Any
) -> Pilot:
    (home / "data").mkdir(exist_ok=True)
    console = out or Console(file=io.StringIO())
    return run_pilot(config_of(home, **retrain), runs or home, number, connect=nullcontext, console=console, work=WORK)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process, one after the other."""
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)


def test_on_ray_it_trains_two_settings_with_seeds_of_their_own(tmp_path: Path, connect) -> None:
    out = Console(file=io.StringIO(), width=200)
    (tmp_path / "data").mkdir()
    config = config_of(tmp_path, epochs=3)
    pilot = run_pilot(config, tmp_path, 2, connect=connect, console=out, work=ON_RAY)
    printed = out.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO
    assert f"pilot at {tmp_path}/fake-pilot: 4 models on Fold1" in printed
    assert printed.count(" complete after epoch 3") == 4
    expected = {str(seed) for seed in SEEDS[:2]}
    assert {name: set(own) for name, own in pilot.figures.items()} == {
        PUBLISHED: expected,
        NO_DISTILLATION_NAME: expected,
    }
    table = tmp_path / "fake-pilot" / "results" / "retrain" / "models.parquet"
    rows = duckdb.execute(f"SELECT configuration, seed, \"val/mAP\", seed_set FROM '{table}'").fetchall()
    assert {name: dict(own) for name, own in pilot.figures.items()} == {
        name: {str(seed): value for other, seed, value, _ in rows if other == name} for name in pilot.figures
    }
    assert {seed_set for *_, seed_set in rows} == {"pilot"}
    assert not list((tmp_path / "fake-pilot").glob("retrain/**/*.safetensors"))
    assert not (tmp_path / "fake").exists()


@pytest.mark.usefixtures("inline")
def test_it_is_found_again_as_long_as_the_configuration_is_the_same(tmp_path: Path) -> None:
    assert find_pilot(config_of(tmp_path), tmp_path) is None
    pilot = pilot_in(tmp_path, 2)
    found = find_pilot(config_of(tmp_path), tmp_path)
    assert found == pilot
    assert found.is_of(config_of(tmp_path, seeds=20, spread=0.1, top_k=5))  # what no training depends on
    assert not found.is_of(config_of(tmp_path, epochs=7))


@pytest.mark.usefixtures("inline")
def test_called_again_it_trains_nothing_and_with_more_seeds_only_those(tmp_path: Path) -> None:
    first = pilot_in(tmp_path, 2)
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("fake-pilot/retrain/**/metrics.json")}
    again = pilot_in(tmp_path, 2)
    assert again.figures == first.figures
    more = pilot_in(tmp_path, 3)
    assert [len(own) for own in more.figures.values()] == [3, 3]
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    for name, own in first.figures.items():
        assert own.items() <= more.figures[name].items()
    fewer = pilot_in(tmp_path, 2)  # nothing that was measured is forgotten
    assert fewer.figures == more.figures


def test_interrupted_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(queue: JobQueue, **_: object) -> None:
        for _number in range(3):
            job = queue.next_job()
            assert job is not None
            do_job(queue, job)
        raise KeyboardInterrupt

    monkeypatch.setattr("search.retrain.models.training.run_jobs", cut)
    with pytest.raises(KeyboardInterrupt):
        pilot_in(tmp_path, 2)
    assert find_pilot(config_of(tmp_path), tmp_path) is None
    done = set(tmp_path.glob("fake-pilot/retrain/**/metrics.json"))
    assert len(done) == 3
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    out = Console(file=io.StringIO(), width=200)
    assert [len(own) for own in pilot_in(tmp_path, 2, out=out).figures.values()] == [2, 2]
    assert out.file.getvalue().count(" complete after epoch") == 1  # type: ignore[attr-defined]  # of a StringIO


@pytest.mark.usefixtures("inline")
def test_another_configuration_takes_another_pilot(tmp_path: Path) -> None:
    pilot_in(tmp_path, 2)
    with pytest.raises(UserError, match=r"a pilot must be of the configuration .*fake-pilot is of others; remove it"):
        pilot_in(tmp_path, 2, epochs=2)


@pytest.mark.usefixtures("inline")
def test_a_model_that_fails_costs_no_other_its_figure(tmp_path: Path) -> None:
    make_plan(tmp_path, {"no-distillation": "diverge"})
    pilot = pilot_in(tmp_path, 3)
    assert [len(own) for own in pilot.figures.values()] == [3, 0]
    assert pilot.degrees == 2
    make_plan(tmp_path, {"retrain": "diverge"})
    with pytest.raises(OwkdError, match=r"too few could be trained: .*must be finite"):
        pilot_in(tmp_path, 2, runs=tmp_path / "other")


@pytest.mark.usefixtures("inline")
def test_in_a_store_it_goes_on_and_is_found_on_another_machine(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = f"{s3}/runs"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    first = pilot_in(tmp_path, 2, runs=runs)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    out = Console(file=io.StringIO(), width=200)
    more = pilot_in(tmp_path, 3, runs=runs, out=out)
    assert out.file.getvalue().count(" complete after epoch") == 2  # type: ignore[attr-defined]  # of a StringIO
    assert all(own.items() <= more.figures[name].items() for name, own in first.figures.items())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "reader"))
    assert find_pilot(config_of(tmp_path), runs) == more
    assert not [path for path in objects(f"{runs}/fake-pilot") if path.endswith(".safetensors")]


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 seeds or more, but got 1"):
        pilot_in(tmp_path, 1)
