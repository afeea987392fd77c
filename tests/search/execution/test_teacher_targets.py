"""Teacher targets before the first trial: as Ray tasks, as one process would build them, and settled for all trials."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from owkd.config import Config, parse_config
from owkd.data.index import read_split
from owkd.data.synthetic import DATASET, write_dataset
from owkd.errors import DataError, OwkdError
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training import target_building
from owkd.training.prepare import open_fold
from owkd.training.target_building import TargetBuild, targets_for
from owkd.training.targets import StoredTargets, plan_targets
from search.execution import teacher_targets as targets
from search.execution.teacher_targets import build_targets, wanted

pytestmark = pytest.mark.numeric

SPACE = {"distill.gram": {"type": "float", "low": 1e-5, "high": 1e-3}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    write_dataset(folder, identities=16, images=4, size=32)
    classes = len(list((folder / DATASET / "Fold1" / "train" / "allcam").iterdir()))
    torch.manual_seed(1)
    save_model(WseNet(architecture("nano"), classes, 32, "teacher"), folder / "teacher.safetensors")
    return folder


def configured(root: Path, folder: Path, use: str = "auto", **distill: object) -> Config:
    return parse_config(
        {
            "data": {"root": str(root), "dataset": DATASET, "image_size": 32},
            "teacher": {
                "checkpoint": str(root / "teacher.safetensors"),
                "targets": {"folder": str(folder), "use": use},
            },
            "student": {"preset": "nano"},
            "train": {"device": "cpu"},
            "distill": distill,
            "search": {"space": SPACE, "resources": {"cpu": 1, "gpu": 0}},
        }
    )


def stored(config: Config) -> StoredTargets | None:
    train = read_split(config.data.root, config.data.dataset, "Fold1", "train")
    return plan_targets(wanted(config), "Fold1", train).find()


def printed() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=400), text


def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_building, "BATCH", 4)
    monkeypatch.setattr(target_building, "CHUNK_BYTES", 1)


def rows(found: StoredTargets, name: str) -> torch.Tensor:
    return torch.frombuffer(bytearray((found.folder / f"{name}.bin").read_bytes()), dtype=torch.float32)


def test_a_term_that_some_trial_may_have_is_wanted() -> None:
    config = parse_config(
        {
            "data": {"root": "unused", "dataset": "unused"},
            "distill": {"gram": 0, "spectrum": 0, "gce_gram": 0, "gce_spectrum": 0},
            "search": {"space": SPACE | {"distill.teacher_weights": {"type": "simplex"}}},
        }
    )
    distill = wanted(config).distill
    assert (distill.gram, distill.gce_gram, distill.logit) == (1.0, 0.0, 1e-2)
    assert distill.teacher_weights.gce == 1.0


def test_tasks_build_what_one_process_would(
    root: Path, tmp_path: Path, connect: type[AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    console, text = printed()
    config = configured(root, tmp_path / "tasks")
    small_chunks(monkeypatch)
    here: list[Any] = []
    monkeypatch.setattr(targets, "_build_here", lambda *arguments: here.append(arguments))
    with connect():
        settled = build_targets(config, console)
    assert here == []
    assert settled.teacher.targets.use == "stored"
    assert "teacher targets: built in" in text.getvalue()
    by_tasks = stored(config)
    assert by_tasks is not None

    alone = configured(root, tmp_path / "alone")
    monkeypatch.undo()
    data = open_fold(alone, "Fold1")
    plan = plan_targets(wanted(alone), "Fold1", data.train)
    by_one = targets_for(plan, data.training_set.images, torch.device("cpu"), "stored", lambda line: None)
    assert by_one is not None
    for name in ("flow-1", "map-4-attention", "layer-3", "pooled"):
        ours, theirs = rows(by_tasks, name), rows(by_one, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        assert ours.any()


def test_a_small_data_set_is_built_in_the_driver(root: Path, tmp_path: Path) -> None:
    """Without a connection to Ray: one chunk needs none."""
    console, text = printed()
    config = configured(root, tmp_path)
    assert build_targets(config, console).teacher.targets.use == "stored"
    assert stored(config) is not None
    size = text.getvalue()
    assert " kB for " in size.splitlines()[0]
    assert build_targets(config, console).teacher.targets.use == "stored"
    assert text.getvalue() == size  # the second time there is nothing to build, or to say


def test_live_stays_live_and_no_room_makes_it_so(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console, text = printed()
    assert build_targets(configured(root, tmp_path, "live"), console).teacher.targets.use == "live"
    assert text.getvalue() == ""
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    assert build_targets(configured(root, tmp_path), console).teacher.targets.use == "live"
    assert "the teacher runs in every step" in text.getvalue()
    with pytest.raises(DataError, match="must have room"):
        build_targets(configured(root, tmp_path, "stored"), console)


def test_workers_that_do_not_see_the_folder_build_their_own_later(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_chunks(monkeypatch)
    asked: list[object] = []

    def elsewhere(site: TargetBuild, config: Config, train: object, chunks: object, where: object) -> list[str]:
        asked.append(where)
        return []

    monkeypatch.setattr(targets, "_in_parallel", elsewhere)
    console, text = printed()
    assert build_targets(configured(root, tmp_path), console).teacher.targets.use == "stored"
    assert asked == [None]
    assert "each node builds its own" in text.getvalue()
    assert not list(tmp_path.rglob("*.bin"))


def test_the_rest_goes_to_nodes_that_see_the_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_chunks(monkeypatch)
    asked: list[object] = []

    def halves(site: TargetBuild, config: Config, train: Any, chunks: list[range], where: object) -> list[str]:
        asked.append(where)
        targets._build_here(site, config, train, chunks[: (len(chunks) + 1) // 2], "cpu")
        return ["node"]

    monkeypatch.setattr(targets, "_in_parallel", halves)
    config = configured(root, tmp_path)
    build_targets(config, printed()[0])
    assert stored(config) is not None
    assert asked[:2] == [None, ["node"]]


def test_where_no_machine_can_build_them_it_is_said_of_which(
    root: Path, tmp_path: Path, connect: type[AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files under construction vanish, as with a mount, when the tasks are sent."""
    small_chunks(monkeypatch)
    in_parallel = targets._in_parallel

    def after_a_loss(build: TargetBuild, *rest: Any, **named: Any) -> list[str]:
        for file in build.building.glob("*.bin"):
            file.unlink()
        return in_parallel(build, *rest, **named)

    monkeypatch.setattr(targets, "_in_parallel", after_a_loss)
    with connect(), pytest.raises(OwkdError, match=r"no node could build.*\n  - \S+ \([\d.]+\): FileNotFoundError"):
        build_targets(configured(root, tmp_path), printed()[0])


def test_a_worker_does_nothing_in_a_folder_of_another_machine(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path)
    train = read_split(config.data.root, config.data.dataset, "Fold1", "train")
    plan = plan_targets(config, "Fold1", train)
    with target_building.opened(plan, "stored", lambda line: None) as site:
        assert isinstance(site, TargetBuild)
        assert site.is_visible_here
        stranger = TargetBuild(site.plan, site.folder, site.tensors, "another token", site.chunk)
        assert not targets._work_on_shard(stranger, config.to_dict(), train, site.remaining_chunks())
        assert len(site.remaining_chunks()) == 1
