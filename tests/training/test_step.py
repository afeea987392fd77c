"""How a step is computed: bfloat16 where the processor has it, and compiled networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from owkd import device
from owkd.config import Config
from owkd.device import autocast, computes_bf16
from owkd.training.loop import Batch, Terms, train_step
from owkd.training.prepare import open_fold
from owkd.training.run import Distillation, attach_teacher
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


def one_step(config: Config) -> tuple[Terms, Distillation]:
    data, teacher = attach_teacher(config, open_fold(config, "Fold1"), "Fold1")
    task = Distillation(config, data, teacher, Path("unused"), seed=0)
    task.modules.train()
    terms = task.loss_terms(*data.training_set.batch(np.arange(8), CPU))
    terms["total"].backward()
    return terms, task


def test_a_training_step_starts_from_no_gradient() -> None:
    """total = mean of w x with x = (1, 3), lr 0.25: the gradient is 2 in both steps, so w falls by 0.5 in each."""

    class Line:
        modules = torch.nn.ModuleDict({"line": torch.nn.Linear(1, 1, bias=False)})
        optimizer = torch.optim.SGD(modules.parameters(), lr=0.25)

        def loss_terms(self, images: Tensor, labels: Tensor, targets: object = None) -> Terms:
            return {"total": self.modules["line"](images).mean()}

    line: Any = Line()
    weight = line.modules["line"].weight
    weight.data.fill_(1.0)
    batch = Batch(torch.tensor([[1.0], [3.0]]), torch.zeros(2))
    totals = [train_step(line, batch)["total"].item() for _ in range(2)]
    assert totals == [2.0, 1.0]
    assert weight.item() == 0.0


@pytest.mark.parametrize(("amx", "avx512"), [(False, False), (True, False), (False, True)])
def test_a_cpu_computes_bfloat16_where_it_has_instructions(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert computes_bf16(CPU) is (amx or avx512)
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with autocast(CPU, "bf16"):
        assert layer(x).dtype == (torch.bfloat16 if amx or avx512 else torch.float32)
    with autocast(CPU, "fp32"):
        assert layer(x).dtype == torch.float32


def test_a_step_in_bfloat16_is_near_the_one_in_float32(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "computes_bf16", lambda device: True)
    exact, _ = one_step(small_config(root))
    rough, task = one_step(small_config(root, train={"precision": "bf16"}))
    assert rough["total"].dtype == torch.float32
    assert rough["total"].item() != exact["total"].item()
    assert rough["total"].item() == pytest.approx(exact["total"].item(), rel=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.modules.parameters())


@pytest.mark.slow
@pytest.mark.timeout(900)  # compiling for a CPU takes minutes
def test_a_compiled_step_has_the_numbers_of_the_plain_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cache of its own: a process that is killed while it compiles leaves half a library in the common one.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain, _ = one_step(small_config(root))
    compiled, task = one_step(small_config(root, train={"compile": True}))
    for name, term in plain.items():
        assert compiled[name].item() == pytest.approx(term.item(), rel=1e-3, abs=1e-5), name
    assert not any("_orig_mod" in name for name in task.modules.state_dict())
