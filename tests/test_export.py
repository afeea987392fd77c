"""ONNX export: the file computes what PyTorch does, on its own, for any batch."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from launch.cli import run_command
from owkd import export
from owkd.errors import CheckpointError
from owkd.models.checkpoint import load_model, save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet

SIDE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student whose batch statistics are not those of a fresh network."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = WseNet(architecture("nano", (1, 1, 1, 1)), 5, SIDE, "student")
        with torch.no_grad():
            for _ in range(3):
                model(torch.rand(4, 3, SIDE, SIDE))
    path = tmp_path_factory.mktemp("model") / "student.safetensors"
    save_model(model, path, identities=(1, 2, 3, 4, 5), origin="test", window=(5991.5, 7745.0))
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> export.OnnxExport:
    return export.export_onnx(checkpoint, checkpoint.with_name("student.onnx"))


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_gives_pytorchs_embeddings(checkpoint: Path, exported: export.OnnxExport, batch: int):
    images = torch.rand((batch, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(batch + 100))
    session = onnxruntime.InferenceSession(exported.file, providers=["CPUExecutionProvider"])
    (found,) = session.run(["embeddings"], {"images": images.numpy()})
    model, _ = load_model(checkpoint)
    with torch.inference_mode():
        expected = model.embed(images).numpy()
    assert found.shape == expected.shape == (batch, exported.embedding_size)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std() > 1e-3, "all embeddings alike would agree with anything"


def test_the_file_says_what_it_is_and_holds_no_training_parts(exported: export.OnnxExport):
    proto = onnx.load(exported.file)
    description = json.loads(next(entry.value for entry in proto.metadata_props if entry.key == "owkd"))
    assert (description["image_size"], description["window"]) == (64, [5991.5, 7745.0])
    names = [weight.name for weight in proto.graph.initializer]
    assert any("gce" in name for name in names)
    assert not any("projections" in name or "saliency" in name for name in names)


def test_the_file_passes_checks_shape_inference_and_quantisation(
    exported: export.OnnxExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)  # shape inference writes its scratch files where it stands
    onnx.checker.check_model(exported.file, full_check=True)
    graph = onnx.load(exported.file).graph
    first = {axis.name: axis.type.tensor_type.shape.dim[0].dim_param for axis in (*graph.input, *graph.output)}
    assert first == {"images": "batch", "embeddings": "batch"}
    known = {each.name: each.type.tensor_type.shape for each in (*graph.value_info, *graph.output)}
    sizes = [
        axis.dim_param or axis.dim_value for node in graph.node for name in node.output for axis in known[name].dim
    ]
    assert {size for size in sizes if not isinstance(size, int)} == {"batch"}
    assert 0 not in sizes

    quant_pre_process(exported.file, tmp_path / "inferred.onnx")
    weights = tmp_path / "quantised.onnx"
    quantize_dynamic(tmp_path / "inferred.onnx", weights, op_types_to_quantize=["MatMul", "Gemm"])
    assert weights.stat().st_size < exported.file.stat().st_size
    images = torch.rand((3, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(5)).numpy()
    found, expected = (
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]
        for file in (weights, exported.file)
    )
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


def test_a_network_that_computes_something_else_is_not_written(checkpoint: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(export, "_compare", lambda *_: (0.5, 1.0, 8))
    monkeypatch.setattr(export, "_write", lambda *arguments: arguments[-1].write_bytes(b"x"))
    with pytest.raises(CheckpointError, match=r"differ by 0\.5"):
        export.export_onnx(checkpoint, tmp_path / "student.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_difference(checkpoint: Path, tmp_path: Path, capfd):
    out = tmp_path / "deep" / "student.onnx"
    assert run_command(["export", str(checkpoint), "--format", "onnx", "--out", str(out)]) == 0
    printed = capfd.readouterr()
    assert "largest difference to PyTorch" in printed.out
    assert "5991.5 to 7745 is black to white" in printed.out
    assert "torchvision" not in printed.out + printed.err, "the exporter's own chatter is not for users"
    onnx.checker.check_model(out)


def test_a_folder_in_place_of_the_file_is_refused(checkpoint: Path, tmp_path: Path, capfd):
    assert run_command(["export", str(checkpoint), "--format", "onnx", "--out", str(tmp_path)]) == 2
    assert "student.onnx" in capfd.readouterr().err
