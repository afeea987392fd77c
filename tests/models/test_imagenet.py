"""The ImageNet start, on files of the official form that hold one number a tensor."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from owkd.config import Preset, StudentConfig, TeacherConfig, parse_config
from owkd.errors import CheckpointError, ConfigError
from owkd.models.imagenet import OFFICIAL, official_file, start_from_imagenet
from owkd.models.presets import PUBLISHED_DIMS, Architecture
from owkd.models.wse import Role, WseNet
from owkd.training.prepare import initial_network
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

OFFICIAL_DEPTHS = (2, 1, 3, 1)
SHALLOWER = Architecture(PUBLISHED_DIMS, (1, 1, 2, 1))
BLOCK = {
    "gamma": ("C",),
    "dwconv.weight": ("C", 1, 7, 7),
    "dwconv.bias": ("C",),
    "norm.weight": ("C",),
    "norm.bias": ("C",),
    "pwconv1.weight": ("4C", "C"),
    "pwconv1.bias": ("4C",),
    "pwconv2.weight": ("C", "4C"),
    "pwconv2.bias": ("C",),
}


def official_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official nets, written out by hand; a tiny net but for its depths."""
    shapes: dict[str, tuple[int, ...]] = {"downsample_layers.0.0.weight": (96, 3, 4, 4)}
    shapes |= {f"downsample_layers.0.{part}": (96,) for part in ("0.bias", "1.weight", "1.bias")}
    for i, (before, after) in enumerate(((96, 192), (192, 384), (384, 768)), start=1):
        shapes |= {f"downsample_layers.{i}.0.{part}": (before,) for part in ("weight", "bias")}
        shapes |= {f"downsample_layers.{i}.1.weight": (after, before, 2, 2), f"downsample_layers.{i}.1.bias": (after,)}
    for i, (channels, depth) in enumerate(zip(PUBLISHED_DIMS, OFFICIAL_DEPTHS, strict=True)):
        sizes = {"C": channels, "4C": 4 * channels}
        for j in range(depth):
            for name, shape in BLOCK.items():
                shapes[f"stages.{i}.{j}.{name}"] = tuple(
                    sizes[size] if isinstance(size, str) else size for size in shape
                )
    shapes |= {"norm.weight": (768,), "norm.bias": (768,), "head.weight": (1000, 768), "head.bias": (1000,)}
    return shapes


def official_state() -> dict[str, Tensor]:
    """Tensor number k is all k + 1, and takes the room of one number."""
    return {name: torch.tensor(float(k + 1)).expand(shape) for k, (name, shape) in enumerate(official_shapes().items())}


@pytest.fixture
def official(tmp_path: Path) -> Path:
    path = tmp_path / "official.pth"
    torch.save({"model": official_state()}, path)
    return path


def test_both_backbones_take_the_blocks_that_they_have(official: Path) -> None:
    torch.manual_seed(0)
    model = WseNet(SHALLOWER, 5, 64, "student")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start_from_imagenet(model, official)
    number = {name: k + 1 for k, name in enumerate(official_shapes())}
    ours = model.state_dict()
    taken = {
        "downsampling.0.0.weight": "downsample_layers.0.0.weight",
        "downsampling.3.1.bias": "downsample_layers.3.1.bias",
        "stages.0.blocks.0.depthwise.weight": "stages.0.0.dwconv.weight",
        "stages.2.blocks.1.expand.weight": "stages.2.1.pwconv1.weight",
        "stages.2.blocks.1.project.bias": "stages.2.1.pwconv2.bias",
        "stages.3.blocks.0.scale": "stages.3.0.gamma",
        "stages.1.blocks.0.norm.bias": "stages.1.0.norm.bias",
        "norm.weight": "norm.weight",
    }
    for net in ("original", "attention"):
        for mine, theirs in taken.items():
            assert (ours[f"{net}.{mine}"] == number[theirs]).all(), mine
        for kept in ("head.", "projections.", "saliency.", "cbam."):
            names = [name for name in ours if name.startswith(f"{net}.") and kept in name]
            assert names or (kept == "cbam." and net == "original")
            assert all(torch.equal(ours[name], before[name]) for name in names)
        backbone = [name for name in ours if name.startswith(f"{net}.") and "cbam" not in name]
        changed = [name for name in backbone if name.removeprefix(f"{net}.").startswith(("downs", "stages", "norm"))]
        assert not any(torch.equal(ours[name], before[name]) for name in changed if "norm.weight" not in name)
    assert all(torch.equal(ours[name], before[name]) for name in ours if name.startswith("gce."))


def test_a_net_deeper_than_the_file_is_refused(official: Path) -> None:
    model = WseNet(Architecture(PUBLISHED_DIMS, (2, 1, 3, 2)), 5, 64, "student")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"no ImageNet start for a net of depths \(2, 1, 3, 2\)") as refusal:
        start_from_imagenet(model, official)
    lines = str(refusal.value).splitlines()[1:]
    assert len(lines) == len(BLOCK)
    assert all("stages.3.1." in line and "is missing" in line for line in lines)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_another_shape_is_refused(official: Path) -> None:
    torch.save({"model": official_state() | {"norm.bias": torch.zeros(1024)}}, official)
    with pytest.raises(CheckpointError, match=r"norm\.bias must be \(768\), but is \(1024\)"):
        start_from_imagenet(WseNet(SHALLOWER, 5, 64, "teacher"), official)


@pytest.mark.parametrize(("section", "role"), [(StudentConfig, "student"), (TeacherConfig, "teacher")])
def test_the_configuration_says_what_a_network_starts_from(official: Path, section: type, role: Role) -> None:
    depths = SHALLOWER.depths
    plain = initial_network(section(preset="micro", depths=depths), 5, 64, role, seed=1)
    start = section(preset="micro", depths=depths, init="imagenet", init_file=official)
    model = initial_network(start, 5, 64, role, seed=1)
    assert not torch.equal(model.original.norm.bias, plain.original.norm.bias)
    assert torch.equal(model.original.head.weight, plain.original.head.weight)
    assert torch.equal(model.gce.head.weight, plain.gce.head.weight)


@pytest.mark.parametrize("preset", ["small", "tiny", "micro"])
def test_without_a_network_the_file_and_its_place_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: Preset
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    name = {"small": "convnext_small_1k_224_ema.pth"}.get(preset, "convnext_tiny_1k_224_ema.pth")
    place = tmp_path / "hub" / "checkpoints" / name
    with pytest.raises(CheckpointError) as refusal:
        official_file(preset)
    assert f"https://dl.fbaipublicfiles.com/convnext/{name}" in str(refusal.value)
    assert f"put it to {place}" in str(refusal.value)
    assert "init_file" in str(refusal.value)
    assert not list(place.parent.iterdir())


def test_a_file_in_the_cache_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints" / OFFICIAL["micro"]
    place.parent.mkdir(parents=True)
    torch.save({"model": official_state()}, place)
    assert official_file("micro") == place
    model = initial_network(StudentConfig(depths=SHALLOWER.depths, init="imagenet"), 5, 64, "student", seed=0)
    assert (model.attention.norm.bias == len(official_shapes()) - 2).all()


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_nano_has_no_imagenet_start(tmp_path: Path, who: str) -> None:
    with pytest.raises(ConfigError, match=f"{who}.*init must be random for preset nano"):
        small_config(tmp_path, **{who: {"init": "imagenet"}})


def test_a_file_that_would_not_be_read_is_refused() -> None:
    raw = {"data": {"root": "r", "dataset": "d"}, "student": {"init_file": "weights.pth"}}
    with pytest.raises(ConfigError, match=r"init must be imagenet where init_file is given.*weights\.pth"):
        parse_config(raw)


def test_the_start_travels_with_the_configuration(tmp_path: Path) -> None:
    raw = {"data": {"root": "r", "dataset": "d"}, "student": {"init": "imagenet", "init_file": str(tmp_path / "w.pth")}}
    config = parse_config(raw)
    assert parse_config(config.to_dict()) == config
    assert config.student.init_file == tmp_path / "w.pth"
    assert config.teacher.init == "random"
