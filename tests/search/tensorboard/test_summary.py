"""The run `search` in TensorBoard, read by TensorBoard's own reader."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.tensorboard.summary import EndedTrial, SearchEventFile
from search.trials.states import State

START = datetime(2026, 1, 1, tzinfo=UTC)


def ended(minute: int, state: State, objective: float | None = None) -> EndedTrial:
    return EndedTrial(state, START + timedelta(minutes=minute), objective)


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "search")).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_best_counts_and_slots(tmp_path: Path):
    summary = SearchEventFile(tmp_path, "max", [], slots=4)
    summary.start_trial("a")
    summary.start_trial("b")
    summary.end_trial("a", ended(1, "complete", 0.25))
    summary.end_trial("b", ended(2, "pruned", 0.75))
    summary.start_trial("c")
    summary.start_trial("c")
    summary.end_trial("c", ended(3, "complete", 0.5))
    summary.close()
    assert scalars(tmp_path, "best_so_far") == [(1, 0.25), (2, 0.25), (2, 0.25), (2, 0.25), (3, 0.5)], (
        "a pruned trial is no best"
    )
    assert scalars(tmp_path, "trials/complete")[-1] == (3, 2.0)
    assert scalars(tmp_path, "trials/pruned")[-1] == (3, 1.0)
    running = [value for _, value in scalars(tmp_path, "trials/running")]
    assert running == [1.0, 2.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    shares = [value for _, value in scalars(tmp_path, "slots/share_in_use")]
    assert shares == [0.25, 0.5, 0.25, 0.0, 0.25, 0.25, 0.0], "a second attempt takes no second slot"


def test_a_resumed_search_has_its_past_once_and_in_order(tmp_path: Path):
    past = [ended(9, "complete", 0.5), ended(3, "error"), ended(5, "complete", 0.25)]
    SearchEventFile(tmp_path, "max", past, slots=2).close()
    resumed = SearchEventFile(tmp_path, "max", past, slots=2)
    resumed.start_trial("d")
    resumed.end_trial("d", ended(12, "diverged"))
    resumed.close()
    assert len(list((tmp_path / "search").iterdir())) == 1
    assert scalars(tmp_path, "best_so_far") == [(2, 0.25), (3, 0.5), (3, 0.5), (4, 0.5)]
    events = EventAccumulator(str(tmp_path / "search")).Reload().Scalars("trials/error")
    assert [event.wall_time for event in events[:3]] == [
        (START + timedelta(minutes=minute)).timestamp() for minute in (3, 5, 9)
    ]


@pytest.mark.parametrize(("mode", "best"), [("max", 3.0), ("min", 1.0)])
def test_the_best_is_the_lowest_where_less_is_better(tmp_path: Path, mode: str, best: float):
    past = [ended(1, "complete", 3.0), ended(2, "complete", 1.0), ended(3, "complete", 2.0)]
    SearchEventFile(tmp_path, mode, past, slots=1).close()
    assert scalars(tmp_path, "best_so_far")[-1] == (3, best)
