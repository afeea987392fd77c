"""The queue between study and workers, and what a worker reports of its job; no Ray needed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import search.recorder
from owkd.config import parse_config
from search.execution.worker import work
from search.luck import Seeds
from search.progress import Progress
from search.recorder import SearchRecorder
from search.results.listing import list_trials, noise_of_run
from search.results.tables import ResultTables, read_epochs, read_trials
from search.runs.layout import RunFolder
from search.runs.manifest import create
from search.study.study import Study
from search.tensorboard.trials import TrialEventFiles
from search.trials.job import Job, Message, Part
from tests.support.fake_training import fake_config, fake_run, make_plan
from tests.support.handed_out import next_job
from tests.support.inline_jobs import do_job, work_off


def open_recorder(tmp_path: Path, folds: tuple[str, ...] = ("Fold1",), **changes) -> SearchRecorder:
    raw = fake_config(tmp_path, **changes)
    raw["data"]["folds"] = folds
    config = parse_config(raw)
    folder = create(tmp_path / "fake", config, {})
    return SearchRecorder(folder, config, Study(folder.journal, "fake", config))


def do(job: Job) -> list[Message]:
    """What a worker sends for a job."""
    sent: list[Message] = []
    work(asdict(job), train=fake_run, send=sent.append)
    return sent


def job_of(tmp_path: Path, *parts: tuple[str, int]) -> Job:
    config = parse_config(fake_config(tmp_path))
    found = tuple(Part(fold, seed) for fold, seed in parts or (("Fold1", 0),))
    return Job("trial-00000", config.to_dict(), found, str(tmp_path / "work"))


def test_folds_and_seeds_are_one_job(tmp_path: Path) -> None:
    """Its objective is the mean over what it trained, and each part has checkpoints of its own."""
    parts = [("Fold1", 3), ("Fold2", 3), ("Fold1", 7), ("Fold2", 7)]
    sent = do(job_of(tmp_path, *parts))
    assert [(m.fold, m.seed, m.epoch) for m in sent] == [(*part, epoch) for part in parts for epoch in range(1, 5)]
    assert [message.step for message in sent] == list(range(1, 17))
    bests = [max(dict(m.metrics)["val/mAP"] for m in sent if (m.fold, m.seed) == part) for part in parts]
    assert len(set(bests)) == 4
    assert max(message.objective for message in sent[12:]) == pytest.approx(sum(bests) / 4)
    kept = sorted(str(path.parent.relative_to(tmp_path / "work")) for path in tmp_path.rglob("last.pt"))
    assert kept == ["seed-3/Fold1", "seed-3/Fold2", "seed-7/Fold1", "seed-7/Fold2"]


def test_steps_and_objectives_run_on_over_the_parts(tmp_path: Path) -> None:
    sent = do(job_of(tmp_path, ("Fold1", 0), ("Fold2", 0)))
    assert [(message.fold, message.epoch, message.step) for message in sent] == [
        *(("Fold1", epoch, epoch) for epoch in range(1, 5)),
        *(("Fold2", epoch, epoch + 4) for epoch in range(1, 5)),
    ]
    values = [dict(message.metrics)["val/mAP"] for message in sent]
    best_of_first = max(values[:4])
    assert [message.objective for message in sent] == pytest.approx(
        [*values[:4], *((best_of_first + value) / 2 for value in values[4:])]
    )
    assert [message.state for message in sent] == ["running"] * 7 + ["complete"]


def test_a_job_that_starts_again_tells_its_epochs_again(tmp_path: Path) -> None:
    job = job_of(tmp_path, ("Fold1", 7), ("Fold2", 7))
    first = do(job)
    again = do(job)
    assert [message.replayed for message in again] == [True] * 8
    assert not any(message.replayed for message in first)
    changing = {"replayed": None, "sent_at": None}
    assert [asdict(m) | changing for m in again] == [asdict(m) | changing for m in first]
    assert {message.seed for message in first} == {7}


@pytest.mark.parametrize(
    ("fate", "state", "error_type", "text"),
    [
        ("diverge", "diverged", "DivergedError", "loss/total must be finite"),
        ("out of memory", "out_of_memory", "OutOfMemoryError", "Tried to allocate 20 GiB"),
        ("refuse", "error", "CheckpointError", "cannot teach here"),
    ],
)
def test_an_end_of_its_own_is_told_and_not_raised(tmp_path: Path, fate, state, error_type, text) -> None:
    make_plan(tmp_path, {"work": fate})
    *epochs, last = do(job_of(tmp_path))
    assert (last.state, last.error_type, last.epoch) == (state, error_type, 0)
    assert last.error_text is not None
    assert text in last.error_text
    assert last.step == len(epochs) + 1
    assert last.objective != last.objective


def test_any_other_failure_is_told_and_raised_so_that_ray_starts_again(tmp_path: Path) -> None:
    make_plan(tmp_path, {"work": "crash once"})
    job = job_of(tmp_path)
    sent: list[Message] = []
    with pytest.raises(RuntimeError, match="a cable came loose"):
        work(asdict(job), train=fake_run, send=sent.append)
    assert [message.state for message in sent] == ["running", "crashed"]
    text = sent[-1].error_text
    assert text is not None
    assert text.endswith("RuntimeError: a cable came loose")
    assert [(m.epoch, m.replayed) for m in do(job)] == [(1, True), (2, False), (3, False), (4, False)]


def test_a_trial_lives_in_study_and_tables_alike(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path, trials=1)
    job = next_job(recorder)
    assert recorder.next_job() is None
    recorder.job_started(job.key)
    messages = do(job)
    for i, message in enumerate(messages, start=1):
        recorder.message_received(message)
        recorder.message_received(message)
        assert read_epochs(recorder.folder.results).num_rows == i
        (row,) = read_trials(recorder.folder.results).to_pylist()
        assert (row["state"], row["last_step"], row["host"]) == ("running", i, message.host)
    recorder.job_stopped(job.key, messages[-1])
    (row,) = read_trials(recorder.folder.results).to_pylist()
    assert (row["state"], row["objective"], row["duration_s"]) == ("complete", messages[-1].objective, 1.0)
    best = recorder.best()
    assert best is not None
    assert best.number == 0
    assert recorder.counts() == {"complete": 1}


def test_an_epoch_is_in_the_tables_before_the_study_and_an_end_in_the_study_before_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the module's docstring promises: a kill between any two of these writes loses nothing."""
    writes: list[str] = []
    watched = [
        (ResultTables, ("add_epoch", "write_trial", "close_trial")),
        (Study, ("started", "report", "finish")),
        (TrialEventFiles, ("start", "add_epoch", "end")),
        (RunFolder, ("discard",)),
    ]
    for owner, names in watched:
        for name in names:
            original = getattr(owner, name)

            def write(self, *args, _of=f"{owner.__name__}.{name}", _original=original, **options):
                writes.append(_of)
                return _original(self, *args, **options)

            monkeypatch.setattr(owner, name, write)
    recorder = open_recorder(tmp_path, trials=1)
    job = next_job(recorder)
    recorder.job_started(job.key)
    (first, *_, last) = do(job)
    started, writes[:] = list(writes), []
    recorder.message_received(first)
    epoch, writes[:] = list(writes), []
    recorder.job_stopped(job.key, last)
    assert started == ["Study.started", "ResultTables.write_trial", "TrialEventFiles.start"]
    assert epoch == [
        "ResultTables.add_epoch",
        "Study.report",
        "ResultTables.write_trial",
        "TrialEventFiles.add_epoch",
    ]
    assert writes == [
        "Study.finish",
        "ResultTables.write_trial",
        "ResultTables.close_trial",
        "TrialEventFiles.end",
        "RunFolder.discard",
    ]


def test_listeners_stand_in_the_order_that_the_page_says(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    with Progress(Console(file=io.StringIO()), "", total=1, unit="trials", metric="val/mAP", past={}) as progress:
        recorder.show_on(progress, slots=1)
    names = [type(listener).__name__.removeprefix("_") for listener in recorder.listeners]
    rows = [line.split("|")[1].strip() for line in search.recorder.__doc__.splitlines() if line.startswith("| ")]
    assert names == rows[1:]


def test_a_worker_that_dies_without_a_word_is_an_error(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    job = next_job(recorder)
    recorder.job_started(job.key)
    recorder.job_failed(job.key, "the actor died")
    (row,) = read_trials(recorder.folder.results).to_pylist()
    assert (row["state"], row["error_type"], row["error_text"]) == ("error", "WorkerDied", "the actor died")
    assert recorder.next_job() is not None


def test_a_proposal_that_the_configuration_refuses_does_not_end_the_search(tmp_path: Path) -> None:
    """Each choice is fine by itself; 8 images in groups of 3 are not. More combinations than are tried beforehand."""
    space = {
        "train.validation_batch_size": {"type": "int", "low": 1, "high": 64},
        "train.threads": {"type": "int", "low": 1, "high": 64},
        "train.batch_size": {"type": "categorical", "choices": [8, 12]},
        "train.images_per_identity": {"type": "categorical", "choices": [2, 3]},
    }
    config = fake_config(tmp_path, trials=12, space=space)
    config["train"]["batch_size"] = 12
    parsed = parse_config(config)
    folder = create(tmp_path / "fake", parsed, {})
    recorder = SearchRecorder(folder, parsed, Study(folder.journal, "fake", parsed))
    work_off(recorder)
    rows = read_trials(folder.results).to_pylist()
    assert [row["trial"] for row in rows] == list(range(12))
    found = {(row["param.train.batch_size"], row["param.train.images_per_identity"], row["state"]) for row in rows}
    assert found <= {(8, 2, "complete"), (12, 2, "complete"), (12, 3, "complete"), (8, 3, "error")}
    assert (8, 3, "error") in found
    (text,) = {row["error_text"] for row in rows if row["state"] == "error"}
    assert "multiple of images_per_identity" in text


def run_next(recorder: SearchRecorder) -> None:
    do_job(recorder, next_job(recorder))


def test_failures_that_are_all_alike_end_the_search(tmp_path: Path) -> None:
    make_plan(tmp_path, {f"trial-0000{i}": "refuse" for i in range(9)})
    recorder = open_recorder(tmp_path, trials=20)
    for _ in range(2):
        run_next(recorder)
        assert recorder.failures.reason() is None
    run_next(recorder)
    assert recorder.failures.reason() == "teacher.safetensors cannot teach here"
    assert recorder.next_job() is None
    assert recorder.study.has_work()  # nothing was used up: `resume` tries the others once the cause is mended


def test_failures_of_several_kinds_do_not_end_it(tmp_path: Path) -> None:
    make_plan(tmp_path, {f"trial-0000{i}": fate for i, fate in enumerate(("refuse", "refuse", "out of memory"))})
    recorder = open_recorder(tmp_path, trials=20)
    for _ in range(3):
        run_next(recorder)
    assert recorder.failures.reason() is None


def epoch_of(key: str, part: Part, epoch: int, step: int, parts: tuple[float, ...], state="running") -> Message:
    """An epoch of the last of the parts that have these values."""
    mean = sum(parts) / len(parts)
    judged = (("val/mAP", mean), ("val/rank-1", mean))
    return Message(
        *(key, state, step, mean, part.fold, part.seed, epoch, (("val/mAP", parts[-1]),), False, 0.0, "node", judged),
        part_values=parts,
    )


def run_parts(recorder: SearchRecorder, *values: float) -> tuple[Job, list[bool]]:
    """Starts a trial whose parts are flat at these values, until it stops -> its job, and what each epoch is told."""
    job = next_job(recorder)
    recorder.job_started(job.key)
    said = []
    for at, part in enumerate(job.parts[: len(values)]):
        for epoch in range(1, 5):
            step = 4 * at + epoch
            state = "complete" if step == 4 * len(job.parts) else "running"
            message = epoch_of(job.key, part, epoch, step, values[: at + 1], state)
            said.append(state == "running" and recorder.gives_up(message))
            recorder.message_received(message)
            if state == "complete" or said[-1]:
                recorder.job_stopped(job.key, message)
                return job, said
    return job, said


FOLDS = ("Fold1", "Fold2")
COMPLETE = ((0.62, 0.40), (0.59, 0.40), (0.60, 0.41), (0.58, 0.38))
"""values on both folds, the second harder by 0.2, the luck of a training about 0.01"""


def racing(tmp_path: Path, complete: Sequence[tuple[float, float]] = COMPLETE, **search: Any) -> SearchRecorder:
    recorder = open_recorder(tmp_path, FOLDS, trials=20, **search)
    for values in complete:
        assert not any(run_parts(recorder, *values)[1])
    return recorder


def test_a_trial_loses_where_luck_does_not_explain_how_far_it_is_behind(tmp_path: Path) -> None:
    recorder = racing(tmp_path)
    noise = recorder.noise()
    assert noise is not None
    assert 0.003 < noise.sd < 0.02
    assert noise.effects == pytest.approx((0.1, -0.1), abs=0.01)
    assert run_parts(recorder, 0.57)[1] == [False] * 4  # what is left of it is on the harder fold
    job, said = run_parts(recorder, 0.3)
    assert said == [False, False, False, True]
    row = read_trials(recorder.folder.results).to_pylist()[5]
    assert (row["state"], row["stopped_by"], row["last_step"], row["objective"]) == ("pruned", "race", 4, 0.3)
    assert (row["parts"], row["parts_trained"], row["part.1"], row["part.2"]) == (2, 1.0, 0.3, None)
    assert job.parts == (Part("Fold1", 0), Part("Fold2", 0))


@pytest.mark.parametrize(
    ("complete", "search"),
    [
        (COMPLETE[:2], {}),  # too few for an estimate
        (COMPLETE, {"race": False}),
        (COMPLETE, {"objectives": [{"reduction": "best"}, {"metric": "val/rank-1", "reduction": "best"}]}),
    ],
)
def test_nothing_loses_before_there_is_an_estimate_or_where_it_is_switched_off(
    tmp_path: Path, complete: Sequence[tuple[float, float]], search: dict[str, Any]
) -> None:
    recorder = racing(tmp_path, complete, **search)
    assert run_parts(recorder, 0.1)[1] == [False] * 4


def test_the_race_is_about_the_objective_whatever_the_scheduler_compares(tmp_path: Path) -> None:
    recorder = racing(tmp_path)
    job = next_job(recorder)
    recorder.job_started(job.key)
    poor = replace(epoch_of(job.key, job.parts[0], 4, 4, (0.3,)), objective=0.9)
    assert recorder.gives_up(poor)
    good = replace(epoch_of(job.key, job.parts[0], 4, 4, (0.6,)), objective=0.1)
    assert not recorder.gives_up(good)


def test_what_can_hardly_come_to_the_best_is_given_up_after_its_grace(tmp_path: Path) -> None:
    for race in (True, False):
        folder = tmp_path / str(race)
        recorder = open_recorder(folder, trials=20, scheduler={"name": "asha", "grace_epochs": 2}, race=race)
        for value in (0.6, 0.3, 0.5, 0.4):  # flat curves: nobody rises
            assert not any(run_parts(recorder, value)[1])
        resumed = SearchRecorder(recorder.folder, recorder.config, recorder.study)
        assert run_parts(resumed, 0.5)[1] == ([False, True] if race else [False] * 4)
        assert run_parts(resumed, 0.7)[1] == [False] * 4
        row = read_trials(recorder.folder.results).to_pylist()[4]
        assert (row["state"], row["stopped_by"]) == (("pruned", "race") if race else ("complete", None))


def test_what_misses_a_constraint_by_a_cost_is_given_up_at_once(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path, constraints=["latency_ms <= 5", "val/mAP >= 0.2"])
    job = next_job(recorder)
    recorder.job_started(job.key)
    poor = replace(epoch_of(job.key, job.parts[0], 1, 1, (0.1,)), judged=(("val/mAP", 0.1), ("latency_ms", 4.0)))
    assert not recorder.gives_up(poor)  # further epochs may mend it
    slow = replace(poor, judged=(("val/mAP", 0.1), ("latency_ms", 7.25)))
    assert recorder.gives_up(slow)
    recorder.message_received(slow)
    recorder.job_stopped(job.key, slow)
    row = read_trials(recorder.folder.results).to_pylist()[0]
    assert (row["state"], row["stopped_by"], row["last_step"]) == ("pruned", "constraint", 1)


@pytest.mark.parametrize(
    ("value", "latency", "spared"), [(0.3, 2.0, True), (0.45, 3.0, False), (0.5, 3.0, True), (0.6, 9.0, True)]
)
def test_on_the_front_of_its_step_a_trial_is_spared(tmp_path: Path, value: float, latency: float, spared: bool) -> None:
    goals = [{"metric": "val/mAP", "reduction": "last"}, {"metric": "latency_ms", "reduction": "last"}]
    recorder = open_recorder(tmp_path, objectives=goals)
    jobs = [next_job(recorder) for _ in range(3)]
    for job, value_there, latency_there in zip(jobs, (0.5, 0.4, value), (3.0, 2.5, latency), strict=True):
        recorder.job_started(job.key)
        judged = (("val/mAP", value_there), ("latency_ms", latency_there))
        message = replace(epoch_of(job.key, job.parts[0], 1, 1, (value_there,)), judged=judged)
        if job is not jobs[-1]:
            recorder.message_received(message)
    assert recorder.spares(message) == spared
    one = open_recorder(tmp_path / "one")
    alone = next_job(one)
    one.job_started(alone.key)
    assert not one.spares(epoch_of(alone.key, alone.parts[0], 1, 1, (0.9,)))


def test_one_part_never_loses_and_no_epoch_is_judged_twice(tmp_path: Path) -> None:
    recorder = racing(tmp_path)
    job = next_job(recorder)
    recorder.job_started(job.key)
    last = epoch_of(job.key, job.parts[0], 4, 4, (0.1,))
    recorder.message_received(last)  # the driver died before it could stop the trial
    assert not recorder.gives_up(last)
    alone = open_recorder(tmp_path / "other", trials=9)
    for value in (0.6, 0.6, 0.5, 0.1):
        assert not any(run_parts(alone, value)[1])
    assert alone.noise() is None


def test_trials_of_unequal_parts_are_not_ranked_by_one_number(tmp_path: Path) -> None:
    """The first fold is easier: stopped there, a trial's mean is above that of the best complete one."""
    recorder = racing(tmp_path)
    run_parts(recorder, 0.597)
    job, _ = run_parts(recorder, 0.595)
    recorder.job_stopped(job.key, epoch_of(job.key, job.parts[0], 4, 4, (0.595,)))
    listed = list_trials(tmp_path / "fake").to_pylist()
    assert [row["trial"] for row in listed] == [0, 2, 1, 3, 4, 5]
    assert listed[4]["objective"] > listed[0]["objective"]
    noise, own = noise_of_run(listed), recorder.noise()
    assert noise is not None
    assert own is not None
    assert noise.sd == pytest.approx(own.sd)
    assert noise.degrees == own.degrees


TWO_BY_TWO = {
    "train.images_per_identity": {"type": "categorical", "choices": [2, 4]},
    "train.epochs": {"type": "int", "low": 3, "high": 4},
}


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random", "nsga2"])
def test_a_finite_space_is_searched_to_its_end_and_no_further(tmp_path: Path, sampler: str) -> None:
    recorder = open_recorder(tmp_path, trials=30, space=TWO_BY_TWO, sampler={"name": sampler})
    work_off(recorder)
    rows = read_trials(recorder.folder.results).to_pylist()
    points = {(row["param.train.images_per_identity"], row["param.train.epochs"]) for row in rows}
    assert points == {(2, 3), (2, 4), (4, 3), (4, 4)}
    assert len(rows) == 5  # no distillation is a point of no space of these
    assert {row["look"] for row in rows} == {1}
    assert (recorder.study.used_up, recorder.study.has_work()) == (4, False)


def test_a_further_look_at_a_point_has_fresh_seeds_and_is_an_observation_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler insists on one point of a space that has real numbers."""
    monkeypatch.setattr("search.study.study.suggest", lambda trial, space: {"distill.gram": 1e-4})
    recorder = open_recorder(tmp_path, FOLDS, trials=5, seeds=[3], race=False)
    jobs = []
    while (job := recorder.next_job()) is not None:
        jobs.append(job)
        do_job(recorder, job)
    seeds = Seeds.of(recorder.config)
    fresh = seeds.search(4)
    assert [job.parts[0].seed for job in jobs] == [3, 3, 3, *fresh[1:3]]
    assert not {*fresh} & {*seeds.choice(99), *seeds.test(99)}
    rows = read_trials(recorder.folder.results).to_pylist()
    assert [row["look"] for row in rows] == [1, 1, 1, 2, 3]
    assert len({row["objective"] for row in rows[2:]}) == 3
    assert [view.look for view in recorder.study.views()] == [1, 1, 1, 2, 3]
    noise = recorder.noise()
    assert noise is not None
    assert noise.degrees == 4 + 2  # of five trials on two parts, and of three looks at one point


def test_an_interrupted_look_keeps_its_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.study.study.suggest", lambda trial, space: {"distill.gram": 1e-4})
    recorder = open_recorder(tmp_path, trials=4)
    for _ in range(3):
        do_job(recorder, next_job(recorder))
    handed_out = next_job(recorder)
    recorder.close()
    again = SearchRecorder(recorder.folder, recorder.config, Study(recorder.folder.journal, "fake", recorder.config))
    job = next_job(again)
    assert (job.key, job.parts) == (handed_out.key, handed_out.parts)
    assert job.parts[0].seed == Seeds.of(recorder.config).search(2)[1]


def test_what_a_scheduler_stopped_says_so(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    job = next_job(recorder)
    recorder.job_started(job.key)
    last = epoch_of(job.key, job.parts[0], 1, 1, (0.1,))
    recorder.message_received(last)
    recorder.job_stopped(job.key, last)
    (row,) = read_trials(recorder.folder.results).to_pylist()
    assert (row["state"], row["stopped_by"]) == ("pruned", "scheduler")
