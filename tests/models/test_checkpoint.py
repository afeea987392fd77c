"""Model files: what was written comes back, and nothing else is taken for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from owkd.errors import CheckpointError
from owkd.models.checkpoint import KEY, load_model, read_info, read_state, save_model, save_state
from owkd.models.presets import architecture
from owkd.models.state_dicts import checksum
from owkd.models.wse import WseNet
from owkd.training.prepare import build_network


@pytest.fixture(scope="module")
def model() -> WseNet:
    return build_network(architecture("nano", (1, 1, 1, 1)), 4, 32, "student", seed=0)


@pytest.fixture
def file(model: WseNet, tmp_path: Path) -> Path:
    path = tmp_path / "student.safetensors"
    save_model(model, path, identities=(1, 2, 5, 9), origin="toy/Fold1", stage_weights=nn.Linear(2, 4))
    return path


def rewrite(file: Path, edit: Callable[[dict[str, Any], dict[str, Tensor]], object], *, sums: bool = False) -> None:
    """As another program would: description and tensors changed, without checksums unless they are left as they are."""
    with safe_open(file, framework="pt") as held:
        state = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
        description = json.loads(held.metadata()[KEY])
    if not sums:
        shape = description["shape"]
        description["shape"] = {name: value for name, value in shape.items() if not name.endswith("_sha256")}
    edit(description, state)
    save_file(state, file, metadata={KEY: json.dumps(description)})


def test_no_flipped_bit_is_taken_for_a_model(file: Path) -> None:
    content = file.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(0, header, 41), *range(header, len(content), len(content) // 40), len(content) - 1]
    for at in places:
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(CheckpointError, match=r"student\.safetensors"):
            load_model(file)
    file.write_bytes(content)
    assert load_model(file)[1].identities == (1, 2, 5, 9)


def test_the_folder_of_a_champion_stands_for_its_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "champion").mkdir()
    file.rename(tmp_path / "champion" / "student.safetensors")
    assert load_model(tmp_path / "champion")[1] == read_info(tmp_path / "champion" / "student.safetensors")
    with pytest.raises(CheckpointError, match=r"no such checkpoint: .*; give .* retrain/champion"):
        read_info(tmp_path)


def test_whoever_may_read_other_files_may_read_a_model(file: Path) -> None:
    plain = file.with_name("plain")
    plain.touch()
    assert file.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("cut", [0, 5, 5000, -1])
def test_a_part_of_a_file_is_no_model(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_model(file)


def test_a_file_without_checksums_still_opens(file: Path, model: WseNet) -> None:
    rewrite(file, lambda description, state: None)
    loaded, info = load_model(file)
    assert info == read_info(file)
    assert info.origin == "toy/Fold1"
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d, s: d.update(identities=[1, 2, 5, 8]), "its description does not match its checksum"),
        (lambda d, s: s["original.head.bias"].add_(1e-6), "its weights do not match their checksum"),
        (lambda d, s: s.pop("original.head.bias"), "its weights do not match their checksum"),
    ],
)
def test_what_another_program_changed_is_noticed(file: Path, edit: Callable[..., object], words: str) -> None:
    rewrite(file, edit, sums=True)
    with pytest.raises(CheckpointError, match=f"damaged: {words}; fetch it again"):
        read_state(file)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(file: Path, number: float) -> None:
    _, state, _ = read_state(file)
    for name in ("original.head.bias", "gce.head.bias"):
        state[name][1] = number
    save_state(state, file, read_info(file))
    with pytest.raises(CheckpointError, match=r"finite weights, but (original|gce)\.head\.bias, and 1 more are not"):
        load_model(file)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d, s: s.pop("original.head.bias"), r"original\.head\.bias \(4\) is missing"),
        (lambda d, s: s.update(extra=torch.zeros(2)), r"extra \(2\) is unexpected"),
        (lambda d, s: d.update(num_classes=7), r"head\.weight must be \(7, 64\), but is \(4, 64\), and \d+ more"),
        (lambda d, s: d["shape"].update(dims=[8, 16, 32, -64]), "networks that can be built"),
        (lambda d, s: d["shape"].update(dims=[8, 16]), r"must describe its model, but shape\.dims"),
        (lambda d, s: d["shape"].pop("depths"), r"must describe its model, but shape\.depths: Field required"),
        (lambda d, s: d.update(role="friend"), "must describe its model, but role"),
        (lambda d, s: d.update(num_classes="many"), "must describe its model, but num_classes"),
        (lambda d, s: d.update(image_size=0), "must describe its model, but image_size"),
    ],
)
def test_a_file_that_does_not_hold_what_it_describes_is_refused(
    file: Path, edit: Callable[..., object], words: str
) -> None:
    rewrite(file, edit)
    with pytest.raises(CheckpointError, match=words) as refused:
        load_model(file)
    assert "\n" not in str(refused.value)


def test_a_checksum_is_of_values_and_not_of_their_order_in_memory() -> None:
    weight = torch.arange(24.0).reshape(2, 3, 2, 2)
    one = {"a": weight, "b": torch.tensor(2)}
    other = {"b": torch.tensor(2), "a": weight.to(memory_format=torch.channels_last)}
    assert checksum(one) == checksum(other)
    assert checksum(one) != checksum({**one, "a": weight.flatten()})
    assert checksum(one) != checksum({**one, "b": torch.tensor(2, dtype=torch.int32)})
    slim = torch.zeros(1, 96, 1, 1).to(memory_format=torch.channels_last)[:, :1]
    assert checksum({"a": slim}) == checksum({"a": torch.zeros(1, 1, 1, 1)})
