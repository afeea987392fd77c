"""Published checkpoints: taken in only when every name and shape fits, never run, and written back bit for bit."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from owkd.errors import CheckpointError, ConfigError
from owkd.losses import StageWeightHead
from owkd.models.checkpoint import IMPORTED, load_model, read_info, save_model
from owkd.models.presets import PUBLISHED_DIMS, Architecture, architecture
from owkd.models.published import to_published
from owkd.models.published_files import export_published, import_teacher, load_published
from owkd.models.wse import WseNet
from tests.support.golden_recipe import spec

pytestmark = pytest.mark.numeric

SHALLOW = Architecture(PUBLISHED_DIMS, (1, 1, 2, 1))
CLASSES = 5
Files = dict[str, Path]
Change = Callable[[dict[str, Tensor]], object]


def hollow(network: str) -> dict[str, Tensor]:
    """A published state dict of a shallow teacher whose tensors take no room: one stored number each."""
    with torch.device("meta"):
        model = WseNet(SHALLOW, CLASSES, 224, "teacher")
    state = to_published(network, getattr(model, network).state_dict())
    return {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in state.items()}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The three published files of a shallow teacher."""
    paths = {network: tmp_path / f"{network}.pth" for network in ("original", "attention", "gce")}
    for network, path in paths.items():
        torch.save(hollow(network), path)
    return paths


def change(path: Path, network: str, edit: Change) -> None:
    state = hollow(network)
    edit(state)
    torch.save(state, path)


def test_import_finds_sizes_by_itself(files: Files, tmp_path: Path) -> None:
    imported = import_teacher(files, tmp_path / "teacher.safetensors", 64)
    info = read_info(tmp_path / "teacher.safetensors")
    assert info == imported.info
    assert (info.role, info.shape, info.num_classes, info.image_size) == ("teacher", SHALLOW, CLASSES, 64)
    assert imported.preset is None
    assert not any(imported.ignored.values())


def test_prefix_wrapper_and_unused_tensors_are_taken_and_named(files: Files, tmp_path: Path) -> None:
    original, attention = hollow("original"), hollow("attention")
    original["distillLayer1.weight"] = torch.zeros(96, 96, 1, 1)
    original["samplings.0.weight"] = torch.zeros(3)
    torch.save({"model": {f"module.{name}": tensor for name, tensor in original.items()}}, files["original"])
    torch.save({"state_dict": attention, "epoch": 3}, files["attention"])
    imported = import_teacher(files, tmp_path / "teacher.safetensors", 224)
    assert imported.ignored == {
        "original": ("distillLayer1.weight", "samplings.0.weight"),
        "attention": (),
        "gce": (),
    }


def test_values_arrive_under_our_names(files: Files, tmp_path: Path) -> None:
    def edit(state: dict[str, Tensor]) -> None:
        state["stages.2.1.gamma"] = torch.arange(384.0)
        state["weakSaliencyMechanism2.wf"] = torch.tensor([0.25], dtype=torch.float64)

    change(files["attention"], "attention", edit)
    import_teacher(files, tmp_path / "teacher.safetensors", 224)
    model, _ = load_model(tmp_path / "teacher.safetensors", role="teacher")
    state = model.state_dict()
    assert torch.equal(state["attention.stages.2.blocks.1.scale"], torch.arange(384.0))
    assert state["attention.saliency.1.strength"].dtype == torch.float32
    assert state["attention.saliency.1.strength"].item() == 0.25
    assert not state["original.stages.2.blocks.1.scale"].any()


def test_every_misfit_is_listed(files: Files, tmp_path: Path) -> None:
    def edit_original(state: dict[str, Tensor]) -> None:
        del state["norm.bias"]
        state["norm.weight"] = torch.zeros(700)
        state["surprise"] = torch.zeros(2, 3)

    change(files["original"], "original", edit_original)
    change(files["gce"], "gce", lambda state: state.pop("layer2.eca.conv.weight"))
    with pytest.raises(CheckpointError) as refusal:
        import_teacher(files, tmp_path / "teacher.safetensors", 224)
    lines = str(refusal.value).splitlines()[1:]
    assert lines == [
        f"  - {files['original']}: norm.bias (768) is missing",
        f"  - {files['original']}: surprise (2, 3) is unexpected",
        f"  - {files['original']}: norm.weight must be (768), but is (700)",
        f"  - {files['gce']}: layer2.eca.conv.weight (1, 1, 9) is missing",
    ]
    assert not (tmp_path / "teacher.safetensors").exists()


def test_files_in_each_others_place_are_refused(files: Files, tmp_path: Path) -> None:
    swapped = {**files, "attention": files["original"]}
    with pytest.raises(CheckpointError, match=r"stages\.0\.cbam1\.ChannelGate\.mlp\.1\.weight .* is missing"):
        import_teacher(swapped, tmp_path / "teacher.safetensors", 224)


def test_files_of_different_trainings_are_refused(files: Files, tmp_path: Path) -> None:
    def more_classes(state: dict[str, Tensor]) -> None:
        state["fc.weight"], state["fc.bias"] = torch.zeros(9, 1793), torch.zeros(9)

    change(files["gce"], "gce", more_classes)
    with pytest.raises(CheckpointError, match=r"original\.pth knows 5.*gce\.pth knows 9"):
        import_teacher(files, tmp_path / "teacher.safetensors", 224)


def test_depths_must_agree(files: Files, tmp_path: Path) -> None:
    def shallower(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if name.startswith("stages.2.1.")]:
            del state[name]

    change(files["attention"], "attention", shallower)
    with pytest.raises(CheckpointError, match=r"\(1, 1, 2, 1\).*\(1, 1, 1, 1\)"):
        import_teacher(files, tmp_path / "teacher.safetensors", 224)


def test_image_size_must_fit(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        import_teacher(files, tmp_path / "teacher.safetensors", 100)


def test_an_existing_file_is_kept(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "teacher.safetensors"
    out.write_text("mine")
    with pytest.raises(CheckpointError, match="exists already"):
        import_teacher(files, out, 224)
    assert out.read_text() == "mine"


class RunsCode:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "bare pickle"])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, zipped: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    if zipped:
        torch.save({"norm.weight": torch.zeros(3), "evil": RunsCode(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(RunsCode(marker), protocol=2))
    with pytest.raises(CheckpointError, match=r"would run code.*posix\.system.*torch\.save"):
        load_published(path)
    assert not marker.exists()
    pickle_of_same = pickle.loads(pickle.dumps(RunsCode(marker)))
    assert pickle_of_same == 0
    assert marker.exists(), "the file would have run code, had it been let"


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no archive"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.pth must be a file of torch\.save"):
        load_published(path)


@pytest.mark.parametrize("held", [{}, [torch.zeros(1)], {"epoch": 3}, {"model": {"a": 1}}], ids=str)
def test_other_things_than_weights_are_refused(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="must hold a state dict"):
        load_published(tmp_path / "other.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no such checkpoint: .*absent\.pth"):
        load_published(tmp_path / "absent.pth")


def test_export_and_import_of_a_teacher_is_bit_equal(tmp_path: Path) -> None:
    model = WseNet(SHALLOW, CLASSES, 224, "teacher")
    save_model(model, tmp_path / "before.safetensors", origin=IMPORTED)
    exported = export_published(tmp_path / "before.safetensors", tmp_path / "published")
    assert [file.name for file in exported.files] == ["original.pth", "attention.pth", "gce.pth"]
    assert not exported.head_initialised
    import_teacher({file.stem: file for file in exported.files}, tmp_path / "after.safetensors", 224)
    assert (tmp_path / "after.safetensors").read_bytes() == (tmp_path / "before.safetensors").read_bytes()


@pytest.mark.parametrize("learned", [True, False])
def test_a_student_is_exported_with_its_stage_weight_head(tmp_path: Path, learned: bool) -> None:
    student = WseNet(architecture("micro"), 7, 224, "student")
    head = StageWeightHead(768) if learned else None
    path = tmp_path / "student.safetensors"
    save_model(student, path, stage_weights=head)
    assert load_model(path)[0].state_dict().keys() == student.state_dict().keys()
    exported = export_published(path, tmp_path / "published")
    assert exported.head_initialised is not learned
    keys = {"original": "student_original", "attention": "student_attention", "gce": "gce"}
    for file in exported.files:
        state = torch.load(file, weights_only=True)
        expected = spec()[keys.get(file.stem, file.stem)]
        shapes = {name: list(tensor.shape) for name, tensor in state.items()}
        samplings = {name: shapes.pop(name) for name in list(shapes) if name.startswith("samplings.")}
        assert shapes == expected
        if file.stem in ("original", "attention"):  # a strict load into the published module wants these too
            dims = (96, 192, 384, 768)
            convolutions = {f"samplings.{4 * i + j}": (dims[j], dims[i]) for i in range(4) for j in range(4)}
            assert samplings == {
                f"{name}.channelSample.{part}": [out, into, 1, 1] if part == "weight" else [out]
                for name, (out, into) in convolutions.items()
                for part in ("weight", "bias")
            }
        else:
            assert samplings == {}
        if file.stem == "optimal_weights":
            assert torch.equal(state["convnextFC.weight"], head.linear.weight if head else torch.zeros(4, 1536))
        else:
            ours = to_published(file.stem, getattr(student, file.stem).state_dict())
            assert all(torch.equal(state[name], tensor) for name, tensor in ours.items())
    assert [file.name for file in exported.files][-1] == "optimal_weights.pth"


def test_networks_without_a_published_form_are_refused(tmp_path: Path) -> None:
    save_model(WseNet(architecture("nano"), CLASSES, 64, "student"), tmp_path / "nano.safetensors")
    with pytest.raises(CheckpointError, match=r"\(8, 16, 32, 64\) and 2 px, and batch norm.*small, tiny or micro"):
        export_published(tmp_path / "nano.safetensors", tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_nothing_is_written_where_one_file_exists(tmp_path: Path) -> None:
    save_model(WseNet(SHALLOW, CLASSES, 224, "teacher"), tmp_path / "model.safetensors")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "gce.pth").write_text("mine")
    with pytest.raises(CheckpointError, match=r"gce\.pth exists already"):
        export_published(tmp_path / "model.safetensors", tmp_path / "published")
    assert [file.name for file in (tmp_path / "published").iterdir()] == ["gce.pth"]
