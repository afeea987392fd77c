"""Whole searches on real Ray and real Optuna; only the training is a formula."""

from __future__ import annotations

import io
import math
import shutil
from contextlib import chdir, nullcontext
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from owkd.config import parse_config, with_values
from owkd.errors import ConfigError, OwkdError, UserError
from search.results.listing import list_trials
from search.results.tables import ResultTables, read_epochs, read_trials
from search.run_search import Work, resume, search
from search.runs.layout import RunFolder
from search.runs.lock import lock_run
from search.runs.manifest import open_run
from search.study.study import Study
from tests.support.fake_training import METRICS, curve, fake_check, fake_config, fake_run, make_plan

TRIALS = 14
FATES = {
    1: "crash once",
    2: "diverge",
    3: "out of memory",
    4: "refuse",
    5: "crash always",
    6: "nan",
    11: "bad",
    12: "bad",
}
EXPECTED = {2: "diverged", 3: "out_of_memory", 4: "error", 5: "error", 6: "diverged", 11: "pruned", 12: "pruned"}
WORK = Work(fake_run, fake_check)
OPTUNA_STATE = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "out_of_memory": TrialState.FAIL,
    "error": TrialState.FAIL,
}


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def told(run: Path) -> list[optuna.trial.FrozenTrial]:
    """The study as Optuna itself reads it."""
    backend = optuna.storages.journal.JournalFileBackend(str(run / "study.journal"))
    return optuna.load_study(study_name=run.name, storage=optuna.storages.JournalStorage(backend)).trials


def run_search(tmp_path: Path, connect, out: Console | None = None, **changes):
    config = fake_config(tmp_path, **changes.pop("search", {}))
    for section, values in changes.items():
        config[section] = {**config.get(section, {}), **values}
    return search(
        parse_config(config), tmp_path / "runs" / "fake", connect=connect, console=out or console(), work=WORK
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, _ray):
    """A search in which every kind of end happens, with what it printed."""
    tmp_path = tmp_path_factory.mktemp("mixed")
    make_plan(tmp_path, {f"trial-{number:05d}": fate for number, fate in FATES.items()})
    out = console()
    summary = run_search(
        tmp_path,
        nullcontext,
        out,
        search={
            "trials": TRIALS,
            "sampler": {"name": "tpe", "seed": 5, "startup_trials": 5},
            "scheduler": {"name": "asha", "grace_epochs": 2, "reduction_factor": 2},
        },
    )
    return summary, out.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO


def test_a_search_ends_each_trial_in_the_state_that_it_earned(mixed) -> None:
    summary, _ = mixed
    rows = read_trials(summary.folder.results).to_pylist()
    assert [row["trial"] for row in rows] == list(range(TRIALS))
    for row in rows:
        expected = {EXPECTED[row["trial"]]} if row["trial"] in EXPECTED else {"complete", "pruned"}
        assert row["state"] in expected, row
        assert row["attempt"] == (2 if FATES.get(row["trial"], "").startswith("crash") else 1), row
    assert {row["state"] for row in rows} == set(OPTUNA_STATE)


def test_optuna_was_told_the_same(mixed) -> None:
    summary, _ = mixed
    rows = read_trials(summary.folder.results).to_pylist()
    epochs = read_epochs(summary.folder.results).to_pylist()
    for row, trial in zip(rows, told(summary.folder.root), strict=True):
        assert trial.state == OPTUNA_STATE[row["state"]]
        reported = {step: v for step, v in trial.intermediate_values.items() if not math.isnan(v)}
        assert reported == {e["step"]: e["objective"] for e in epochs if e["trial"] == row["trial"]}
        assert (row["state"] == "diverged") == any(math.isnan(v) for v in trial.intermediate_values.values())
        if row["state"] == "complete":
            assert trial.value == max(reported.values()) == row["objective"]
            assert len(reported) == 4
        elif row["state"] == "pruned":
            # stopped at a rung, and the report on which it was stopped is there
            assert row["last_step"] == 2
            assert reported[2] == trial.value


def test_a_metric_that_is_no_number_ends_its_trial_within_the_epoch_and_the_sampler_goes_on(mixed) -> None:
    summary, _ = mixed
    trials = told(summary.folder.root)
    (diverged,) = (row for row in read_trials(summary.folder.results).to_pylist() if row["trial"] == 6)
    assert (diverged["state"], diverged["last_step"]) == ("diverged", 1)
    assert [math.isnan(value) for value in trials[6].intermediate_values.values()] == [False, True]
    later = trials[7:]
    assert len(later) == TRIALS - 7
    assert all(trial.state.is_finished() and trial.params for trial in later)


def test_failures_say_what_happened(mixed) -> None:
    summary, printed = mixed
    errors: dict[str, set[tuple[str | None, str | None]]] = {}
    for row in read_trials(summary.folder.results).to_pylist():
        errors.setdefault(row["state"], set()).add(
            (row["error_type"], (row["error_text"] or "").splitlines()[-1:][0] if row["error_text"] else None)
        )
    assert errors["out_of_memory"] == {
        ("OutOfMemoryError", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB")
    }
    assert errors["error"] <= {
        ("RuntimeError", "RuntimeError: this never works"),
        ("CheckpointError", "teacher.safetensors cannot teach here"),
    }
    assert errors["diverged"] == {
        ("DivergedError", "loss/total must be finite, but got nan at step 3"),
        ("DivergedError", "val/mAP must be finite, but is not in epoch 2"),
    }
    assert errors["complete"] == {(None, None)}
    assert "crashed: RuntimeError: this never works" in printed
    assert f"{TRIALS}/{TRIALS} trials" in printed


def test_trial_0_ran_the_published_setting(mixed) -> None:
    summary, _ = mixed
    row = read_trials(summary.folder.results).to_pylist()[0]
    assert row["published"]
    assert row["param.distill.gram"] == 1e-4
    assert row["param.distill.teacher_weights.original"] == 1.0
    assert row["param.distill.stage_weights.stage1"] is None
    (first, *_) = (e for e in read_epochs(summary.folder.results).to_pylist() if e["trial"] == 0)
    assert first["stage_weight/4"] == 1.0  # the trial saw `learned`, not the simplex that Optuna recorded
    assert [view.number for view in summary.fixed] == [0, 1]


def test_trial_1_ran_without_distillation(mixed) -> None:
    summary, _ = mixed
    row = read_trials(summary.folder.results).to_pylist()[1]
    assert (row["published"], row["fixed"]) == (False, "no distillation")
    assert row["param.distill.gram"] == 0.0
    config = open_run(summary.folder.root)[1]
    shape = [curve(with_values(config, {"distill.gram": 0.0}), "Fold1", 0, epoch) for epoch in (1, 2)]
    rows = [e for e in read_epochs(summary.folder.results).to_pylist() if e["trial"] == 1]
    assert [e["val/mAP"] for e in rows[:2]] == [metrics["val/mAP"] for metrics in shape]


def test_every_event_file_can_be_read_back(mixed) -> None:
    summary, _ = mixed
    rows = read_trials(summary.folder.results).to_pylist()
    epochs = read_epochs(summary.folder.results).to_pylist()
    for row in rows:
        events = EventAccumulator(str(summary.folder.tensorboard / f"trial-{row['trial']:05d}")).Reload()
        steps = [e["step"] for e in epochs if e["trial"] == row["trial"]]
        start = metadata.parse_session_start_info_plugin_data(
            events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        )
        assert start.hparams["distill.gram"].number_value == row["param.distill.gram"]
        assert metadata.SESSION_END_INFO_TAG in events.Tags()["tensors"]
        if steps:
            for tag in (*METRICS, "stage_weight/1", "stage_weight/4", "learning_rate", "objective"):
                assert [event.step for event in events.Scalars(tag)] == steps
            assert events.Scalars("objective_best")[-1].value == pytest.approx(row["objective"])


def test_only_the_best_checkpoints_are_kept_and_nothing_of_rays(mixed) -> None:
    summary, _ = mixed
    complete = [row for row in read_trials(summary.folder.results).to_pylist() if row["state"] == "complete"]
    best = sorted(complete, key=lambda row: -row["objective"])[:3]
    left = sorted(str(path.relative_to(summary.folder.checkpoints)) for path in summary.folder.checkpoints.rglob("*.*"))
    assert [path for path in left if path.endswith(".safetensors")] == sorted(
        f"trial-{number:05d}/seed-0/Fold1/best.safetensors"
        for number in {row["trial"] for row in best} | {1}  # which the teacher is compared with
    )
    assert not [path for path in left if path.endswith("last.pt")]
    assert not summary.folder.scratch.exists()
    assert summary.best.number == best[0]["trial"]


def test_trials_are_listed_best_first(mixed) -> None:
    summary, _ = mixed
    listed = list_trials(summary.folder.root).to_pylist()
    complete = [row["objective"] for row in listed if row["state"] == "complete"]
    assert len(complete) > 2
    assert complete == sorted(complete, reverse=True)
    assert [row["state"] for row in listed][: len(complete)] == ["complete"] * len(complete)
    assert len(listed) == TRIALS
    assert listed[-1]["objective"] is None


@pytest.mark.parametrize(
    ("scheduler", "stops_at"),
    [
        # three or more trials came before: the rule knows the median of their means from its first look on
        ({"name": "median", "grace_epochs": 2, "min_trials": 3}, {6: 2, 7: 2}),
        # trial 5 is in the bracket with looks at 1 and 2, trial 9 in the one with a look at 2 alone
        ({"name": "hyperband", "grace_epochs": 1, "reduction_factor": 2}, {5: 1, 9: 2}),
    ],
    ids=["median", "hyperband"],
)
def test_other_schedulers_stop_poor_trials_of_a_live_search(tmp_path: Path, connect, scheduler, stops_at) -> None:
    make_plan(tmp_path, {f"trial-{number:05d}": "bad" for number in (0, *stops_at)})
    search = {"trials": 10, "scheduler": scheduler, "sampler": {"name": "random", "seed": 1}, "race": False}
    folder = run_search(tmp_path, connect, search=search).folder
    rows, trials = read_trials(folder.results).to_pylist(), told(folder.root)
    for number, step in stops_at.items():
        assert (rows[number]["state"], rows[number]["stopped_by"]) == ("pruned", "scheduler"), rows[number]
        assert trials[number].state == TrialState.PRUNED
        assert list(trials[number].intermediate_values) == list(range(1, step + 1))
    assert rows[0]["state"] == "complete"  # the published setting, however poor
    assert {trial.state for trial in trials} == {TrialState.PRUNED, TrialState.COMPLETE}


@pytest.fixture(scope="module")
def two_trials(tmp_path_factory: pytest.TempPathFactory, _ray) -> Path:
    """A finished run, given by a relative path; tests take a copy."""
    tmp_path = tmp_path_factory.mktemp("two")
    with chdir(tmp_path):
        run_search(Path(), nullcontext, search={"trials": 2})
    return tmp_path / "runs" / "fake"


@pytest.fixture
def run(two_trials: Path, tmp_path: Path) -> Path:
    shutil.copytree(two_trials, tmp_path / "fake")
    return tmp_path / "fake"


def unreachable():
    raise AssertionError("no Ray is needed")


def test_a_run_can_go_further_than_was_planned(run: Path, connect) -> None:
    before = read_trials(run / "results").to_pylist()
    summary = resume(run, trials=2, connect=connect, console=console(), work=WORK)
    after = read_trials(run / "results").to_pylist()
    assert after[:2] == before
    assert [row["state"] for row in after] == ["complete"] * 4
    assert (summary.num_trials, summary.counts) == (4, {"complete": 4})


def test_a_finished_run_has_nothing_to_resume(run: Path) -> None:
    assert resume(run, connect=unreachable, console=console(), work=WORK).counts == {"complete": 2}


def test_a_run_goes_on_with_its_own_data_only(run: Path) -> None:
    other = Work(fake_run, lambda config: {"data": {"Fold1": {"train": "z", "validation": "b"}}, "teacher": {}})
    with pytest.raises(UserError, match=r"(?s)data\.Fold1\.train: a -> z\n.*--force"):
        resume(run, trials=1, connect=unreachable, console=console(), work=other)
    assert Study(run / "study.journal", "fake", open_run(run)[1]).num_trials == 2
    assert resume(run, connect=unreachable, console=console(), work=other, force=True).num_trials == 2


def test_a_second_driver_is_refused(run: Path) -> None:
    with lock_run(RunFolder(run)), pytest.raises(UserError, match="one driver"):
        resume(run, trials=1, connect=unreachable, console=console(), work=WORK)


def test_rows_that_a_killed_driver_left_behind_are_mended(run: Path) -> None:
    whole = read_trials(run / "results").to_pylist()
    (run / "results" / "trials" / "part-00000.parquet").unlink()
    resume(run, connect=unreachable, console=console(), work=WORK)
    assert read_trials(run / "results").to_pylist() == whole


def test_a_search_whose_trials_all_fail_alike_stops_early(tmp_path: Path, connect) -> None:
    make_plan(tmp_path, {f"trial-{number:05d}": "refuse" for number in range(20)})
    with pytest.raises(OwkdError, match=r"fail alike:\nteacher.safetensors cannot teach here"):
        run_search(tmp_path, connect, search={"trials": 20})
    assert read_trials(tmp_path / "runs" / "fake" / "results").num_rows <= 5


def test_a_name_that_exists_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "fake"
    run.mkdir(parents=True)
    with pytest.raises(UserError, match=r"exists; give another --name"):
        run_search(tmp_path, unreachable)
    assert not list(run.iterdir())


def test_a_request_that_no_node_can_meet_leaves_nothing_behind(tmp_path: Path, connect) -> None:
    with pytest.raises(ConfigError, match=r"cpu=64, gpu=0 and the cluster has 1 node, the largest with cpu=2"):
        run_search(tmp_path, connect, search={"resources": {"cpu": 64, "gpu": 0}})
    assert not (tmp_path / "runs").exists()


def test_a_space_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"search.space must name at least one field.*owkd distill"):
        run_search(tmp_path, unreachable, search={"space": {}})


def test_what_the_desk_raises_ends_the_search(tmp_path: Path, connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, for one, is no failure of the trial that happened to report."""

    def full(*_: object) -> bool:
        raise OSError("No space left on device")

    monkeypatch.setattr(ResultTables, "add_epoch", full)
    with pytest.raises(OSError, match="No space left"):
        run_search(tmp_path, connect)
    assert all(trial.state == TrialState.RUNNING for trial in told(tmp_path / "runs" / "fake"))
