"""The desk between study and workers, and what a worker says of its job; no Ray needed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from fake_training import fake_config, fake_run, make_plan

from owkd.config import parse_config
from search.desk import SearchDesk
from search.folder import create
from search.store import read_epochs, read_trials
from search.study import Study
from search.trainable import Job, Message, work


def open_desk(tmp_path: Path, **changes) -> SearchDesk:
    config = parse_config(fake_config(tmp_path, **changes))
    folder = create(tmp_path / "fake", config, {})
    return SearchDesk(folder, config, Study(folder.journal, "fake", config))


def do(job: Job) -> list[Message]:
    """What a worker sends for a job."""
    sent: list[Message] = []
    work(asdict(job), train=fake_run, send=sent.append)
    return sent


def job_of(tmp_path: Path, folds: tuple[str, ...] = ("Fold1",), seed: int | None = None) -> Job:
    config = parse_config(fake_config(tmp_path))
    return Job("trial-00000", config.to_dict(), folds, str(tmp_path / "work"), seed)


def test_several_folds_are_one_job(tmp_path: Path) -> None:
    sent = do(job_of(tmp_path, ("Fold1", "Fold2")))
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
    job = job_of(tmp_path, ("Fold1", "Fold2"), seed=7)
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
    assert sent[-1].error_text.endswith("RuntimeError: a cable came loose")
    assert [(m.epoch, m.replayed) for m in do(job)] == [(1, True), (2, False), (3, False), (4, False)]


def test_a_trial_lives_in_study_and_tables_alike(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, trials=1)
    job = desk.next_job()
    assert job is not None
    assert desk.next_job() is None
    desk.started(job.key)
    messages = do(job)
    for i, message in enumerate(messages, start=1):
        desk.heard(message)
        desk.heard(message)
        assert read_epochs(desk.folder.results).num_rows == i
        (row,) = read_trials(desk.folder.results).to_pylist()
        assert (row["state"], row["last_step"], row["host"]) == ("running", i, message.host)
    desk.stopped(job.key, messages[-1])
    (row,) = read_trials(desk.folder.results).to_pylist()
    assert (row["state"], row["objective"], row["duration_s"]) == ("complete", messages[-1].objective, 1.0)
    assert desk.best().number == 0
    assert desk.counts() == {"complete": 1}


def test_a_worker_that_dies_without_a_word_is_an_error(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    job = desk.next_job()
    desk.started(job.key)
    desk.lost(job.key, "the actor died")
    (row,) = read_trials(desk.folder.results).to_pylist()
    assert (row["state"], row["error_type"], row["error_text"]) == ("error", "WorkerDied", "the actor died")
    assert desk.next_job() is not None


def test_a_proposal_that_the_configuration_refuses_does_not_end_the_search(tmp_path: Path) -> None:
    """Each choice is fine by itself; 8 images in groups of 3 are not."""
    space = {
        "train.batch_size": {"type": "categorical", "choices": [8, 12]},
        "train.images_per_identity": {"type": "categorical", "choices": [2, 3]},
    }
    config = fake_config(tmp_path, trials=12, space=space)
    config["train"]["batch_size"] = 12
    parsed = parse_config(config)
    folder = create(tmp_path / "fake", parsed, {})
    desk = SearchDesk(folder, parsed, Study(folder.journal, "fake", parsed))
    while (job := desk.next_job()) is not None:
        desk.started(job.key)
        messages = do(job)
        for message in messages:
            desk.heard(message)
        desk.stopped(job.key, messages[-1])
    rows = read_trials(folder.results).to_pylist()
    assert [row["trial"] for row in rows] == list(range(12))
    found = {(row["param.train.batch_size"], row["param.train.images_per_identity"], row["state"]) for row in rows}
    assert found <= {(8, 2, "complete"), (12, 2, "complete"), (12, 3, "complete"), (8, 3, "error")}
    assert (8, 3, "error") in found
    (text,) = {row["error_text"] for row in rows if row["state"] == "error"}
    assert "multiple of images_per_identity" in text


def run_next(desk: SearchDesk) -> None:
    job = desk.next_job()
    desk.started(job.key)
    (*_, last) = do(job)
    desk.stopped(job.key, last)


def test_failures_that_are_all_alike_end_the_search(tmp_path: Path) -> None:
    make_plan(tmp_path, {f"trial-0000{i}": "refuse" for i in range(9)})
    desk = open_desk(tmp_path, trials=20)
    for _ in range(2):
        run_next(desk)
        assert desk.hopeless() is None
    run_next(desk)
    assert desk.hopeless() == "teacher.safetensors cannot teach here"
    assert desk.next_job() is None
    assert desk.study.has_work()  # nothing was used up: `resume` tries the others once the cause is mended


def test_failures_of_several_kinds_do_not_end_it(tmp_path: Path) -> None:
    make_plan(tmp_path, {f"trial-0000{i}": fate for i, fate in enumerate(("refuse", "refuse", "out of memory"))})
    desk = open_desk(tmp_path, trials=20)
    for _ in range(3):
        run_next(desk)
    assert desk.hopeless() is None
