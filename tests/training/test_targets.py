"""Teacher targets: the live teacher's losses from disk, built once, whole, and never stale."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from owkd.config import NO_DISTILLATION, Config, DistillConfig, TeacherWeights
from owkd.errors import DataError, OwkdError
from owkd.formatting import format_bytes
from owkd.losses import coefficients
from owkd.models.checkpoint import load_model, save_model
from owkd.models.outputs import TeacherTargets
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training import run as run_module
from owkd.training import target_building
from owkd.training.prepare import FoldData, open_fold
from owkd.training.run import Distillation, run
from owkd.training.target_building import TargetBuild, opened, targets_for
from owkd.training.targets import StoredTargets, TargetsPlan, plan_targets, targets_bytes, tensors_of
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


def configured(root: Path, folder: Path, precision: str = "fp32", use: str = "auto", **sections: dict) -> Config:
    teacher = {"targets": {"folder": str(folder), "precision": precision, "use": use}}
    return small_config(root, teacher=teacher, **sections)


def planned(config: Config) -> tuple[TargetsPlan, FoldData]:
    data = open_fold(config, "Fold1")
    return plan_targets(config, "Fold1", data.train), data


def built(config: Config, **options: object) -> tuple[StoredTargets, FoldData]:
    plan, data = planned(config)
    stored = targets_for(plan, data.training_set.images, CPU, "stored", lambda line: None)
    assert stored is not None
    return stored, data


def everything(targets: TeacherTargets) -> list[torch.Tensor]:
    flows = [tensor for flow in targets.flows for tensor in (flow if isinstance(flow, tuple) else (flow,))]
    return [*flows, *targets.layers, *targets.logits.values(), targets.pooled]


def test_the_smaller_of_flow_matrix_and_maps_at_published_sizes() -> None:
    tensors = tensors_of(architecture("micro"), 200, 224, DistillConfig(), "fp16")
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    assert shapes == {
        "logits-original": (200,),
        "logits-attention": (200,),
        "logits-gce": (200,),
        "pooled": (1536,),
        "flow-1": (96, 96),
        "flow-2": (192, 192),
        "flow-3": (384, 384),
        "map-4-original": (7, 7, 768),
        "map-4-attention": (7, 7, 768),
        "layer-1": (7, 7, 1793),
        "layer-2": (7, 7, 1793),
        "layer-3": (7, 7, 1793),
    }
    values = 96**2 + 192**2 + 384**2 + 2 * 49 * 768 + 3 * 49 * 1793
    assert sum(tensor.bytes_per_image for tensor in tensors) == 2 * values + 4 * (3 * 200 + 1536)


@pytest.mark.parametrize(
    ("distill", "kinds"),
    [
        (DistillConfig(gce_gram=0, gce_spectrum=0), {"logits", "pooled", "flow", "map"}),
        (DistillConfig(gram=0, spectrum=0), {"logits", "pooled", "layer"}),
        (DistillConfig(teacher_weights=TeacherWeights(gce=0), gram=0), {"logits", "pooled", "flow", "map"}),
    ],
)
def test_only_what_the_terms_need(distill: DistillConfig, kinds: set[str]) -> None:
    tensors = tensors_of(architecture("nano"), 5, 64, distill, "fp32")
    assert {tensor.name.split("-")[0] for tensor in tensors} == kinds


# The teacher sees other batches here than there, so sums in another order; and then the rounding of 11 or 8 bits.
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-6), ("fp16", 2e-3), ("bf16", 2e-2)])
def test_every_term_and_gradient_is_the_live_teachers(
    root: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    ones = dict.fromkeys(("gram", "spectrum", "gce_gram", "gce_spectrum", "logit"), 1.0)
    config = configured(root, tmp_path, precision, distill={**ones, "temperature": 2.0})
    stored, data = built(config)
    indices = np.array([5, 0, 3, 9, 12, 7, 1, 2])
    teacher = load_model(config.teacher.checkpoint_for("Fold1"))[0].requires_grad_(False)
    found = {}
    for name in ("live", "stored"):
        live = name == "live"
        training_set = replace(data.training_set, targets=None if live else stored)
        task = Distillation(config, data, teacher if live else None, tmp_path / "unused", seed=0)
        task.modules.train()
        terms = task.loss_terms(*training_set.batch(indices, CPU))
        torch.stack([terms[term] for term in coefficients(config.distill)]).sum().backward()
        gradients = {key: p.grad for key, p in task.modules.named_parameters() if p.grad is not None}
        found[name] = terms, gradients
    for name, term in found["live"][0].items():
        torch.testing.assert_close(found["stored"][0][name], term, rtol=tolerance, atol=0, msg=name)
    assert all(found["live"][0][name].item() > 0 for name in coefficients(config.distill))
    # Biases ahead of a batch norm have no gradient but rounding, which is small against all others.
    rounding = 1e-6 * torch.stack([gradient.norm() for gradient in found["live"][1].values()]).norm()
    for name, gradient in found["live"][1].items():
        difference = (found["stored"][1][name] - gradient).norm()
        assert difference <= 10 * tolerance * gradient.norm() + rounding, name


def test_a_training_with_stored_targets_is_the_one_with_the_live_teacher(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step an epoch: its losses are those of the first weights, and no rounding has been trained on."""
    images = len(open_fold(configured(root, tmp_path), "Fold1").training_set.labels)
    once = {"epochs": 1, "batch_size": images}
    live = run(configured(root, tmp_path, use="live", train=once), fold="Fold1", directory=tmp_path / "live")
    config = configured(root, tmp_path, use="stored", train=once)
    built(config)
    monkeypatch.setattr(run_module, "load_model", refuse)
    monkeypatch.setattr(target_building, "load_model", refuse)
    stored = run(config, fold="Fold1", directory=tmp_path / "stored")
    (ours,), (theirs,) = stored.history, live.history
    compared = [name for name in theirs.metrics if name.startswith(("loss/", "stage_weight/"))]
    assert len(compared) > len(coefficients(config.distill))
    for name in compared:
        assert ours.metrics[name] == pytest.approx(theirs.metrics[name], rel=1e-4, abs=1e-6), name


def refuse(*arguments: object, **options: object) -> None:
    raise AssertionError("the teacher was loaded")


def test_another_precision_starts_anew_and_another_place_of_the_targets_goes_on(root: Path, tmp_path: Path) -> None:
    def train(config: Config) -> list[bool]:
        return [epoch.replayed for epoch in run(config, fold="Fold1", directory=tmp_path / "run").history]

    once = {"epochs": 1}
    train(configured(root, tmp_path, "fp16", train=once))
    assert train(configured(root, tmp_path / "elsewhere", "fp16", train=once)) == [True]
    assert train(configured(root, tmp_path, "fp16", "live", train=once)) == [True]
    assert train(configured(root, tmp_path, "fp32", train=once)) == [False]


def test_no_targets_where_nothing_is_distilled(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path / "targets", train={"epochs": 1}, distill=NO_DISTILLATION.model_dump())
    run(config, fold="Fold1", directory=tmp_path / "run")
    assert not (tmp_path / "targets").exists()
    assert targets_bytes(config, "Fold1") == 0


def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_building, "BATCH", 4)
    monkeypatch.setattr(target_building, "CHUNK_BYTES", 1)


def test_a_build_that_was_killed_goes_on_where_it_was(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_chunks(monkeypatch)
    whole, data = built(configured(root, tmp_path / "whole"))
    plan, _ = planned(configured(root, tmp_path / "parts"))
    images = data.training_set.images
    with opened(plan, "stored", lambda line: None) as site:
        assert isinstance(site, TargetBuild)
        chunks = site.remaining_chunks()
        assert [*range(plan.images)] == [image for chunk in chunks for image in chunk]
        site.build(chunks[1:3], images, CPU)
        assert plan.find() is None
    seen: list[int] = []
    real = target_building._outputs

    def watched(teacher: WseNet, pixels: np.ndarray, device: torch.device) -> TeacherTargets:
        seen.append(len(pixels))
        return real(teacher, pixels, device)

    monkeypatch.setattr(target_building, "_outputs", watched)
    parts = targets_for(plan, images, CPU, "stored", lambda line: None)
    assert parts is not None
    assert sum(seen) == plan.images - sum(map(len, chunks[1:3]))
    everyone = np.arange(plan.images)
    for ours, theirs in zip(
        everything(parts.batch(everyone, CPU)), everything(whole.batch(everyone, CPU)), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert [path.name for path in parts.folder.glob("building-*")] == []


def test_a_further_term_builds_what_is_missing_and_no_more(root: Path, tmp_path: Path) -> None:
    few, _ = built(configured(root, tmp_path, distill={"gram": 0, "spectrum": 0}))
    before = {path.name: path.stat().st_mtime_ns for path in few.folder.glob("*.bin")}
    more, _ = built(configured(root, tmp_path))
    after = {path.name: path.stat().st_mtime_ns for path in more.folder.glob("*.bin")}
    assert more.folder == few.folder
    assert before.items() < after.items()
    assert "flow-1.bin" not in before
    listed = json.loads((more.folder / "manifest.json").read_text())["tensors"]
    assert {f"{name}.bin" for name in listed} == set(after)


def test_many_who_want_them_build_them_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch)
    plan, data = planned(configured(root, tmp_path))
    said: list[str] = []
    found: list[StoredTargets | None] = []

    def want() -> None:
        found.append(targets_for(plan, data.training_set.images, CPU, "auto", said.append))

    threads = [threading.Thread(target=want) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({stored.folder for stored in found if stored is not None}) == 1
    assert len(found) == 3
    assert len([line for line in said if "built" in line]) == 1


def test_a_new_teacher_gets_targets_of_its_own_and_new_data_replace_the_old(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path / "targets")
    first, data = built(config)
    other = tmp_path / "other.safetensors"
    model, info = load_model(config.teacher.checkpoint_for("Fold1"))
    with torch.no_grad():
        model.gce.head.bias.add_(1)
    save_model(model, other, identities=info.identities)
    beside, _ = built(
        config.model_copy(update={"teacher": config.teacher.model_copy(update={"checkpoint": str(other)})})
    )
    assert first.folder.exists()
    assert beside.folder != first.folder

    plan, _ = planned(config)
    train = data.train
    shorter = type(train)(train.folder, train.paths[1:], train.identities[1:], None, train.home)
    renewed = plan_targets(config, "Fold1", shorter)
    assert renewed.name != plan.name
    assert targets_for(renewed, data.training_set.images[1:], CPU, "stored", lambda line: None) is not None
    assert not first.folder.exists()
    assert beside.folder.exists()


def test_its_size_is_said_before_it_is_built(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path, "fp16")
    plan, data = planned(config)
    said: list[str] = []
    stored = targets_for(plan, data.training_set.images, CPU, "auto", said.append)
    assert stored is not None
    on_disk = 0
    for path in stored.folder.glob("*.bin"):
        on_disk += path.stat().st_size
    assert plan.bytes == targets_bytes(config, "Fold1")
    assert plan.bytes == on_disk
    size = f"{format_bytes(on_disk)} for {plan.images} images, fp16"
    assert said[0] == f"teacher targets: {size}, in {stored.folder}"


def test_without_room_the_teacher_runs_live_or_the_wish_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    said: list[str] = []
    config = configured(root, tmp_path / "targets", train={"epochs": 1})
    run(config, fold="Fold1", directory=tmp_path / "run", say=said.append)
    assert len(said) == 1
    assert "no room" in said[0]
    assert "runs in every step" in said[0]
    with pytest.raises(DataError, match=r"must have room.*teacher\.targets\.folder"):
        run(configured(root, tmp_path / "targets", use="stored"), fold="Fold1", directory=tmp_path / "other")
    assert not list((tmp_path / "targets").rglob("*.bin"))


def test_numbers_that_do_not_fit_the_precision_are_refused(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path, "fp16")
    plan, _ = planned(config)
    huge = TeacherTargets((), (torch.full((1, 2, 1, 1), 1e5),) * 3, {}, torch.zeros(1, 2))
    layer = next(tensor for tensor in plan.tensors if tensor.name == "layer-1")
    with pytest.raises(OwkdError, match=r"layer-1 of .* must be finite in fp16"):
        target_building._on_disk(huge, layer, Path("teacher"))
    wide = replace(layer, precision="bf16")
    assert target_building._on_disk(huge, wide, Path("teacher")).dtype == np.uint16


def test_the_folder_that_cannot_be_written_to_is_passed_over(root: Path, tmp_path: Path) -> None:
    plan, data = planned(configured(root, tmp_path / "good"))
    (tmp_path / "file").write_text("")
    plan = replace(plan, places=(tmp_path / "file", *plan.places))
    stored = targets_for(plan, data.training_set.images, CPU, "stored", lambda line: None)
    assert stored is not None
    assert stored.folder.is_relative_to(tmp_path / "good")


def test_a_flipped_bit_is_noticed_and_the_next_training_builds_anew(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path, "fp16")
    stored, data = built(config)
    file = stored.folder / "logits-gce.bin"
    content = file.read_bytes()
    place = 3 * len(content) // len(data.training_set.labels)  # of image 3
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    stored, _ = built(config)
    stored.batch(np.array([0, 1, 2]), CPU)
    with pytest.raises(OwkdError, match=r"logits-gce\.bin is damaged, by the checksum of image 3; it was removed"):
        stored.batch(np.array([4, 3]), CPU)
    again, _ = built(config)
    again.batch(np.arange(5), CPU)
    assert file.read_bytes() == content


def test_targets_without_checksums_still_open(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path, "bf16")
    stored, _ = built(config)
    sums = list(stored.folder.glob("*.crc"))
    assert len(sums) == len(list(stored.folder.glob("*.bin"))) > 4
    for file in sums:
        file.unlink()
    before = everything(stored.batch(np.arange(4), CPU))
    now = everything(built(config)[0].batch(np.arange(4), CPU))
    assert all(torch.equal(one, other) for one, other in zip(before, now, strict=True))
