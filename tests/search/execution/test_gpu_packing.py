"""How many trials share a GPU: the decision from two numbers, the trial that is measured, and the limit on each."""

from __future__ import annotations

import io
from typing import Any

import pytest
import ray
import torch
from rich.console import Console

from owkd.config import Config, parse_config
from search.execution import gpu_packing as packing
from search.execution import stage as preparation
from search.execution.gpu_packing import CONTEXT_BYTES, hold_to_share, largest_trial, memory_fraction, share_for
from search.execution.nodes import is_node_fault
from search.execution.resources import TrialResources

GB = 2**30


@pytest.mark.parametrize(
    ("peak", "total", "fit"),
    [
        (10 * GB, 80 * GB, 6),  # 11.5 and 0.6 of context each
        (20 * GB, 80 * GB, 3),
        (39 * GB, 80 * GB, 1),  # 45.4 each
        (79 * GB, 80 * GB, 1),
        (200 * GB, 80 * GB, 1),
        (GB // 10, 80 * GB, 8),  # the most that is sensible
    ],
)
def test_as_many_as_fit(peak: int, total: int, fit: int) -> None:
    share = share_for(peak, total)
    assert int(1 / share + 1e-9) == fit
    assert fit * share <= 1
    assert share == round(share, 4)


@pytest.mark.parametrize("total", [16 * GB, 80 * GB])
@pytest.mark.parametrize("peak", [GB, 3 * GB, 7 * GB])
def test_the_limit_leaves_room_for_the_peak_and_for_every_context(peak: int, total: int) -> None:
    share = share_for(peak, total)
    limit = memory_fraction(share, total) * total
    assert limit >= peak
    assert int(1 / share + 1e-9) * (limit + CONTEXT_BYTES) <= total


def configured(space: dict[str, Any], **sections: Any) -> Config:
    raw = {"data": {"root": "unused", "dataset": "unused"}, "search": {"space": space}, **sections}
    return parse_config(raw)


def test_the_largest_trial_of_a_space_is_measured() -> None:
    config = configured(
        {
            "train.batch_size": {"type": "int", "low": 8, "high": 64, "step": 4},
            "student.preset": {"type": "categorical", "choices": ["micro", "small", "tiny"]},
            "train.precision": {"type": "categorical", "choices": ["bf16", "fp32"]},
            "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2},
            "train.learning_rate": {"type": "float", "low": 1e-5, "high": 1e-3},
        },
        distill={"gram": 0},
        train={"images_per_identity": 4},
    )
    largest = largest_trial(config)
    assert (largest.train.batch_size, largest.student.preset, largest.train.precision) == (64, "small", "fp32")
    assert largest.distill.gram > 0
    assert largest.train.learning_rate == config.train.learning_rate
    assert largest.search.space == {}


def test_the_deepest_student_is_measured() -> None:
    choices = [[1, 1, 9, 1], [3, 3, 9, 3], [1, 1, 3, 1]]
    config = configured({"student.depths": {"type": "categorical", "choices": choices}})
    assert largest_trial(config).student.depths == (3, 3, 9, 3)


def shares(monkeypatch: pytest.MonkeyPatch, gpu: float | str, there: float) -> list[object]:
    """What `prepare` does on a cluster with a GPU or without; a trial measures a quarter."""
    measured: list[object] = []

    def resources_on_cluster(config: Config) -> TrialResources:
        asked = config.search.resources.gpu
        return TrialResources(1.0, there if asked == "auto" else float(asked), 1)

    def measure(config: Config, console: Console) -> float:
        measured.append(config.teacher.targets.use)
        return 0.25

    monkeypatch.setattr(preparation, "resources_on_cluster", resources_on_cluster)
    monkeypatch.setattr(preparation, "measured_share", measure)
    monkeypatch.setattr(
        preparation,
        "build_targets",
        lambda config, console: config.model_copy(
            update={
                "teacher": config.teacher.model_copy(
                    update={"targets": config.teacher.targets.model_copy(update={"use": "stored"})}
                )
            }
        ),
    )
    config = configured({}, search={"resources": {"gpu": gpu}})
    settled, share = preparation.prepare(config, Console(file=io.StringIO()))
    assert settled.search.resources.gpu == gpu  # another cluster may have other GPUs
    return [*measured, share.gpu]


def test_auto_measures_where_there_is_a_gpu_once_the_targets_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shares(monkeypatch, "auto", 1.0) == ["stored", 0.25]


def test_auto_is_no_gpu_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shares(monkeypatch, "auto", 0.0) == [0.0]


def test_a_given_share_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shares(monkeypatch, 0.5, 1.0) == [0.5]


def measured(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], results: dict[str, Any]
) -> tuple[float, str]:
    asked: list[str] = []

    class Task:
        def options(self, **options: Any) -> Task:
            asked.append(options["scheduling_strategy"].node_id)
            assert options["num_gpus"] == 1
            return self

        def remote(self, config: dict[str, Any], fold: str) -> Any:
            return results[asked[-1]]

    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("ray.remote", lambda function: Task())
    monkeypatch.setattr("ray.get", lambda pending: pending)
    text = io.StringIO()
    return packing.measured_share(configured({}), Console(file=text, width=200)), text.getvalue()


def node(name: str, kind: str, gpus: float = 1.0, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name * 28, "Alive": alive, "Resources": {"GPU": gpus, f"accelerator_type:{kind}": 1.0}}


def test_the_share_is_enough_on_every_kind_of_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("aa", "A100"), node("bb", "A100"), node("cc", "T4"), node("dd", "H100", alive=False)]
    results = {"bb" * 28: (6 * GB, 80 * GB), "cc" * 28: (6 * GB, 16 * GB)}
    share, said = measured(monkeypatch, nodes, results)
    assert share == share_for(6 * GB, 16 * GB) == 0.5
    assert "6.4 GB at most, so 0.5 of a GPU each" in said


def test_a_student_that_fits_no_gpu_gets_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    share, said = measured(monkeypatch, [node("aa", "T4")], {"aa" * 28: None})
    assert share == 1.0
    assert "more than a whole GPU" in said
    assert measured(monkeypatch, [], {}) == (1.0, "")


def assigned(monkeypatch: pytest.MonkeyPatch, share: float, *, is_seen: bool = True) -> list[float]:
    class Context:
        def get_task_id(self) -> str:
            return "a trial"

        def get_assigned_resources(self) -> dict[str, float]:
            return {"CPU": 1.0, "GPU": share}

    class Properties:
        total_memory = 80 * GB

    limits: list[float] = []
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.get_runtime_context", Context)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_seen)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    hold_to_share()
    return limits


def test_a_trial_is_held_to_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    assert assigned(monkeypatch, 0.25) == [memory_fraction(0.25, 80 * GB)]


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0])
def test_whole_gpus_and_none_are_not_limited(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    assert assigned(monkeypatch, share) == []


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_gpu_that_is_gone_is_its_machines_fault(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    with pytest.raises(OSError, match="torch sees no GPU, though Ray gave one") as caught:
        assigned(monkeypatch, share, is_seen=False)
    assert is_node_fault(caught.value)
    assert assigned(monkeypatch, 0.0, is_seen=False) == []


@pytest.mark.gpu
def test_a_held_trial_cannot_take_more_and_gives_all_of_it_back() -> None:
    """Two processes after each other on one GPU: the first runs out at its share, the second finds it all free."""
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False)
    try:
        first = ray.get(_grab.options(num_gpus=0.25).remote(0.5))
        second = ray.get(_grab.options(num_gpus=1).remote(0.5))
    finally:
        ray.shutdown()
    assert first[0] == "refused"
    assert second[0] == "granted"
    assert second[1] >= first[1] - 0.02


@pytest.mark.gpu
def test_two_trials_on_one_gpu_are_each_held_to_their_share() -> None:
    """At the same time: each gets what its share allows, and the one that asks for more does not take the other's."""
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False)
    try:
        pair: list[Any] = [ray.remote(_Neighbour).options(num_cpus=0.5, num_gpus=0.4).remote() for _ in range(2)]
        heard = [ray.get([trial.take.remote(part) for trial in pair]) for part in (0.25, 0.25, 0.05)]
        limits = ray.get([trial.limit.remote() for trial in pair])
    finally:
        ray.shutdown()
    assert heard == [["granted"] * 2, ["refused"] * 2, ["granted"] * 2]
    assert all(0.3 < limit < 0.4 for limit in limits)


class _Neighbour:
    """A process that keeps what it takes of a GPU."""

    def __init__(self) -> None:
        hold_to_share()
        self.kept: list[torch.Tensor] = []

    def take(self, part: float) -> str:
        _, total = torch.cuda.mem_get_info()
        try:
            self.kept.append(torch.empty(int(part * total), dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            return "refused"
        return "granted"

    def limit(self) -> float:
        return torch.cuda.get_per_process_memory_fraction()


@ray.remote(max_calls=1)
def _grab(part: float) -> tuple[str, float]:
    """What a process hears that asks for a part of the GPU's memory, and the part that was free before."""
    hold_to_share()
    free, total = torch.cuda.mem_get_info()
    try:
        torch.empty(int(part * total), dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError:
        return "refused", free / total
    return "granted", free / total
