"""Flow distances: both ways of computing each, against hand-computed values, loops over cmath, and each other."""

import cmath
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from owkd.losses import _half_spectrum, flow, flow_matrix, gram_mse, spectrum, spectrum_mse
from tests.support.largest_tensor import LargestTensor

pytestmark = pytest.mark.numeric

Distance = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

# (B, Cx, Cy, H, W) for which the public functions choose the named way.
SHAPES = {
    ("gram", "matrix"): (2, 3, 4, 2, 2),
    ("gram", "factors"): (2, 9, 8, 1, 2),
    ("spectrum", "matrix"): (2, 3, 4, 3, 2),
    ("spectrum", "factors"): (2, 6, 5, 1, 3),
}
PUBLIC: dict[str, Distance] = {"gram": gram_mse, "spectrum": spectrum_mse}
WAYS = [pytest.param(*way, id="-".join(way)) for way in SHAPES]


def maps(shape: tuple[int, int, int, int, int], seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """xs, ys, xt, yt of one (B, Cx, Cy, H, W)."""
    batch, channels_x, channels_y, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64).to(dtype)
        for channels in (channels_x, channels_y, channels_x, channels_y)
    ]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways that the public functions took, in order, such as "_gram_factors"."""
    names: list[str] = []

    def spied(name: str, original: Distance) -> Distance:
        def spy(*arguments: Tensor) -> Tensor:
            names.append(name)
            return original(*arguments)

        return spy

    for name in ("_gram_matrix", "_gram_factors", "_spectrum_matrix", "_spectrum_factors"):
        monkeypatch.setattr(flow, name, spied(name, getattr(flow, name)))
    return names


def way_of(kind: str, path: str) -> Distance:
    """One way on maps (B, C, H, W), whatever the rule would choose."""
    implementation: Distance = getattr(flow, f"_{kind}_{path}")
    return lambda *arguments: implementation(*(argument.flatten(2) for argument in arguments))


def slow_distance(kind: str, *sample: np.ndarray) -> float:
    """The definition in loops, for one sample of (C, H, W) maps."""
    matrices = []
    for x, y in (sample[:2], sample[2:]):
        rows, columns, pixels = len(x), len(y), x[0].size
        a, b = x.reshape(rows, pixels), y.reshape(columns, pixels)
        g = [[sum(a[i, n] * b[j, n] for n in range(pixels)) / pixels for j in range(columns)] for i in range(rows)]
        if kind == "spectrum":
            g = [[slow_bin(g, k, m) for m in range(columns)] for k in range(rows)]
        matrices.append(g)
    squares = [(s - t) ** 2 for p, q in zip(*matrices, strict=True) for s, t in zip(p, q, strict=True)]
    return sum(squares) / len(squares)


def slow_bin(g: list[list[float]], k: int, m: int) -> float:
    rows, columns = len(g), len(g[0])
    total = sum(
        g[i][j] * cmath.exp(-2j * cmath.pi * (i * k / rows + j * m / columns))
        for i in range(rows)
        for j in range(columns)
    )
    return abs(total) / (rows * columns) ** 0.5


def test_flow_matrix_and_spectrum_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 1, 2)
    y = torch.eye(2).reshape(1, 2, 1, 2)
    assert flow_matrix(x, y).tolist() == [[[0.5, 1.0], [1.5, 2.0]]]
    torch.testing.assert_close(spectrum(x, y), torch.tensor([[[2.5, 0.5], [1.0, 0.0]]]))


def test_larger_map_is_pooled_to_the_smaller() -> None:
    large = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).reshape(1, 1, 2, 2)
    small = torch.tensor([2.0, 10.0]).reshape(1, 2, 1, 1)
    assert flow_matrix(large, small).tolist() == [[[8.0, 40.0]]]
    assert flow_matrix(small, large).tolist() == [[[8.0], [40.0]]]
    assert gram_mse(large, small, 2 * large, small).tolist() == [(64 + 1600) / 2]
    # one row of bins: |8 + 40| / sqrt(2) and |8 - 40| / sqrt(2), against twice that
    assert spectrum_mse(large, small, 2 * large, small).item() == pytest.approx((48**2 + 32**2) / 4)


@pytest.mark.parametrize("direction", ["rows", "columns"])
def test_pooling_windows_overlap_where_sizes_do_not_divide(direction: str) -> None:
    three, two = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([1.0, 10.0])
    shape = (1, 1, -1, 1) if direction == "rows" else (1, 1, 1, -1)
    # 1, 3, 5 pools to 2, 4; stretching 1, 10 to three pixels instead would give 22.5
    assert flow_matrix(three.reshape(shape), two.reshape(shape)).item() == (2 * 1 + 4 * 10) / 2


@pytest.mark.parametrize(("kind", "path"), WAYS)
class TestEveryWay:
    """What holds for each distance however it is computed."""

    def test_hand_computed_value(self, kind: str, path: str) -> None:
        xs, ys, xt = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]
        pair = [torch.tensor(rows).reshape(1, 2, 1, 2) for rows in (xs, ys, xt, ys)]
        # G: [[0.5, 1], [1.5, 2]] and [[0.5, 0], [0, 0]]; A: [[2.5, 0.5], [1, 0]] and 0.25 everywhere
        expected = {"gram": (1 + 2.25 + 4) / 4, "spectrum": (2.25**2 + 0.25**2 + 0.75**2 + 0.25**2) / 4}
        assert way_of(kind, path)(*pair).tolist() == pytest.approx([expected[kind]], rel=1e-6)

    @pytest.mark.parametrize("shape", [(2, 3, 4, 2, 2), (1, 5, 2, 1, 3), (2, 1, 1, 1, 1), (1, 4, 6, 1, 2)])
    def test_equals_the_definition_in_loops(self, kind: str, path: str, shape: tuple[int, int, int, int, int]) -> None:
        inputs = maps(shape)
        distance = way_of(kind, path)(*inputs)
        assert distance.shape == (shape[0],)
        assert distance.dtype == torch.float64
        samples = [[part[b].numpy() for part in inputs] for b in range(shape[0])]
        assert distance.tolist() == pytest.approx([slow_distance(kind, *sample) for sample in samples], rel=1e-10)

    def test_public_function_takes_this_way_at_its_shape(self, kind: str, path: str, taken: list[str]) -> None:
        inputs = maps(SHAPES[kind, path])
        value = PUBLIC[kind](*inputs)
        assert taken == [f"_{kind}_{path}"]
        sample = [part[1].numpy() for part in inputs]
        assert value[1].item() == pytest.approx(slow_distance(kind, *sample), rel=1e-10)

    @pytest.mark.parametrize("differentiable", [(0, 1), (2, 3), (0,), (1,), (3,), (0, 1, 2, 3)])
    def test_gradcheck(self, kind: str, path: str, differentiable: tuple[int, ...], taken: list[str]) -> None:
        inputs = maps(SHAPES[kind, path])
        for index in differentiable:
            inputs[index].requires_grad_()
        assert torch.autograd.gradcheck(PUBLIC[kind], inputs)
        assert set(taken) == {f"_{kind}_{path}"}

    def test_gradient_flows_on_both_sides_of_a_shared_map(self, kind: str, path: str) -> None:
        x, ys, _, yt = maps(SHAPES[kind, path])
        x.requires_grad_()
        assert torch.autograd.gradcheck(lambda shared: way_of(kind, path)(shared, ys, shared, yt), [x])

    def test_each_sample_gets_its_own_upstream_gradient(self, kind: str, path: str) -> None:
        inputs = maps(SHAPES[kind, path])
        inputs[0].requires_grad_()
        values = way_of(kind, path)(*inputs)
        whole, second = (
            torch.autograd.grad((values * torch.tensor(weight)).sum(), inputs[0], retain_graph=True)[0]
            for weight in ([2.0, 3.0], [0.0, 1.0])
        )
        assert not second[0].any()
        torch.testing.assert_close(whole[1], 3 * second[1])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_equal_pairs_are_at_distance_exactly_0(self, kind: str, path: str, dtype: torch.dtype) -> None:
        x, y, _, _ = maps((3, 7, 6, 2, 2), dtype=dtype)
        xs, ys = x.clone().requires_grad_(), y.clone().requires_grad_()
        distance = way_of(kind, path)(xs, ys, x, y)
        gradients = torch.autograd.grad(distance.sum(), [xs, ys])
        assert distance.tolist() == [0, 0, 0]
        assert not any(gradient.any() for gradient in gradients)

    def test_float32_keeps_a_small_difference(self, kind: str, path: str) -> None:
        """A student within 1e-3 of its teacher, in float32 against float64.

        Each entry is known to some 1e-7 of the matrix' size and differs by 1e-3 of it, so that an entry's difference is
        known to 1e-4, and the mean of many better; subtracting energies would leave nothing, for they are known to 1e-7
        and differ by 1e-6.
        """
        xt, yt, x, y = maps((2, 40, 33, 3, 3), dtype=torch.float32)
        xs, ys = xt + 1e-3 * x, yt + 1e-3 * y
        exact = way_of(kind, path)(xs.double(), ys.double(), xt.double(), yt.double())
        torch.testing.assert_close(way_of(kind, path)(xs, ys, xt, yt).double(), exact, rtol=1e-4, atol=0)

    def test_symmetric_and_permuted_with_the_batch(self, kind: str, path: str) -> None:
        xs, ys, xt, yt = maps((4, 5, 6, 2, 1))
        distance = way_of(kind, path)(xs, ys, xt, yt)
        torch.testing.assert_close(way_of(kind, path)(xt, yt, xs, ys), distance)
        torch.testing.assert_close(way_of(kind, path)(ys, xs, yt, xt), distance)
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(way_of(kind, path)(xs[order], ys[order], xt[order], yt[order]), distance[order])

    def test_only_the_spectrum_ignores_where_a_pattern_lies(self, kind: str, path: str) -> None:
        xs, ys, xt, yt = maps((2, 5, 6, 2, 1))
        rolled = way_of(kind, path)(xs.roll(2, dims=1), ys, xt, yt)
        assert torch.allclose(rolled, way_of(kind, path)(xs, ys, xt, yt)) == (kind == "spectrum")

    def test_dead_maps_give_finite_values_and_no_gradient(self, kind: str, path: str) -> None:
        _, _, xt, yt = maps((2, 5, 4, 2, 1), dtype=torch.float32)
        xs, ys = torch.zeros_like(xt).requires_grad_(), torch.zeros_like(yt).requires_grad_()
        distance = way_of(kind, path)(xs, ys, xt, yt)
        gradients = torch.autograd.grad(distance.sum(), [xs, ys])
        torch.testing.assert_close(distance, flow_matrix(xt, yt).square().mean(dim=(1, 2)))
        assert not any(gradient.any() for gradient in gradients)

    def test_a_bin_of_0_gives_no_gradient(self, kind: str, path: str) -> None:
        """Channels that are all equal leave only bin 0, in which the teacher has just as much."""
        ones = torch.ones(1, 4, 1, 1)
        _, _, xt, yt = maps((1, 4, 4, 1, 1), dtype=torch.float32)
        xs = ones.clone().requires_grad_()
        gradient = torch.autograd.grad(way_of(kind, path)(xs, ones, xt, yt).sum(), xs)[0]
        assert torch.isfinite(gradient).all()
        if kind == "spectrum":
            torch.testing.assert_close(gradient, gradient.mean().expand_as(gradient))

    def test_precision_of_half_inputs_and_autocast(self, kind: str, path: str, taken: list[str]) -> None:
        inputs = maps(SHAPES[kind, path], dtype=torch.bfloat16)
        wide = [part.float() for part in inputs]
        expected = PUBLIC[kind](*wide)
        gradients = []
        for source in (inputs, wide):
            source[0].requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                value = PUBLIC[kind](*source)
            assert value.dtype == torch.float32
            assert torch.equal(value, expected)
            gradients.append(torch.autograd.grad(value.sum(), source[0])[0])
        assert torch.equal(gradients[0], gradients[1].bfloat16())
        assert set(taken) == {f"_{kind}_{path}"}

    def test_no_graph_without_grad_mode(self, kind: str, path: str) -> None:
        inputs = maps(SHAPES[kind, path])
        inputs[0].requires_grad_()
        expected = way_of(kind, path)(*inputs).detach()
        with torch.no_grad():
            value = way_of(kind, path)(*inputs)
        assert not value.requires_grad
        assert torch.equal(value, expected)

    def test_channels_last(self, kind: str, path: str) -> None:
        inputs = maps((2, 6, 6, 2, 2))
        turned = [part.to(memory_format=torch.channels_last) for part in inputs]
        torch.testing.assert_close(way_of(kind, path)(*turned), way_of(kind, path)(*inputs))

    def test_maps_of_other_shapes_are_refused(self, kind: str, path: str) -> None:
        xs, ys, xt, yt = maps(SHAPES[kind, path])
        with pytest.raises(ValueError, match="must have equal shapes, but got"):
            PUBLIC[kind](xs, ys, xt[:, :1], yt)


@pytest.mark.parametrize("block", [1, 7, 12, 40, 1000])
@pytest.mark.parametrize("needs", [(0, 1), (0, 2), (1, 3)])
def test_blocks_of_any_size_give_the_same(block: int, needs: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = maps((5, 9, 8, 2, 2))
    for index in needs:
        inputs[index].requires_grad_()
    wanted = [inputs[index] for index in needs]
    expected = way_of("spectrum", "matrix")(*inputs)
    monkeypatch.setattr(_half_spectrum, "CPU_BLOCK", block)
    value = way_of("spectrum", "factors")(*inputs)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(value.sum(), wanted), torch.autograd.grad(expected.sum(), wanted), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-14)


def test_blocks_cover_every_bin_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _, _ = (part.flatten(2) for part in maps((5, 9, 8, 1, 1)))
    side = _half_spectrum._Side(x, y, wants_x=False, wants_y=False)
    heights: dict[int, tuple[int, ...]] = {}
    for size in (1, 12, 25, 50, 1000):
        monkeypatch.setattr(_half_spectrum, "CPU_BLOCK", size)
        counts = torch.zeros(5, 5, dtype=torch.int64)
        for block in _half_spectrum._blocks(side):
            counts[block.samples, block.rows] += 1
            heights.setdefault(size, counts[block.samples, block.rows].shape)
        assert (counts == 1).all()
    # 5 rows of 5 bins a sample: single rows, two rows at most, a whole sample, two samples, all
    assert heights == {1: (1, 1), 12: (1, 2), 25: (1, 5), 50: (2, 5), 1000: (5, 5)}


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    channels_x=st.integers(1, 9),
    channels_y=st.integers(1, 9),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_both_ways_agree_on_any_shape(
    batch: int, channels_x: int, channels_y: int, height: int, width: int, seed: int
) -> None:
    inputs = maps((batch, channels_x, channels_y, height, width), seed)
    inputs[0].requires_grad_()
    inputs[3].requires_grad_()
    for kind in ("gram", "spectrum"):
        plain, fast = (way_of(kind, path)(*inputs) for path in ("matrix", "factors"))
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-12)
        ours, theirs = (torch.autograd.grad(value.sum(), [inputs[0], inputs[3]]) for value in (fast, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_parseval_without_a_teacher() -> None:
    """Against a dead teacher both distances are the mean energy of the student's flow."""
    xs, ys, xt, yt = maps((2, 8, 7, 2, 2))
    torch.testing.assert_close(gram_mse(xs, ys, 0 * xt, yt), spectrum_mse(xs, ys, 0 * xt, yt))


@pytest.mark.parametrize(
    ("channels", "side", "gram", "spectrum_"),
    [
        (96, 56, "matrix", "matrix"),
        (192, 28, "matrix", "matrix"),
        (384, 14, "matrix", "factors"),
        (768, 7, "factors", "factors"),
        (1793, 7, "factors", "factors"),
        # for CPUs: stages of the nano preset, and GCE-Net
        (8, 32, "matrix", "matrix"),
        (16, 16, "matrix", "matrix"),
        (32, 8, "matrix", "matrix"),
        (64, 4, "factors", "factors"),
        (321, 4, "factors", "factors"),
    ],
)
def test_way_of_each_real_shape(channels: int, side: int, gram: str, spectrum_: str) -> None:
    assert flow.gram_path(channels, channels, side * side) == gram
    assert flow.spectrum_path(channels, channels, side * side) == spectrum_


def test_ways_of_unequal_channels() -> None:
    assert flow.gram_path(100, 8, 1) == "factors"  # 2 * 108 <= 800
    assert flow.gram_path(100, 8, 4) == "matrix"  # 8 * 108 > 800
    assert flow.spectrum_path(100, 9, 6) == flow.spectrum_path(9, 100, 6) == "factors"
    assert flow.spectrum_path(100, 9, 7) == flow.spectrum_path(9, 100, 7) == "matrix"


@pytest.mark.parametrize("kind", ["gram", "spectrum"])
def test_a_flow_matrix_is_never_made_where_maps_are_small(kind: str) -> None:
    """Neither forward nor backward, nor kept in between; the plain way keeps several."""
    inputs = maps((1, 640, 640, 3, 3), dtype=torch.float32)
    matrix = 4 * 640**2  # bytes
    assert max(_largest_made_and_kept(PUBLIC[kind], inputs)) <= matrix / 2
    assert min(_largest_made_and_kept(way_of(kind, "matrix"), inputs)) >= matrix


def _largest_made_and_kept(distance: Distance, inputs: list[Tensor]) -> tuple[int, int]:
    """Bytes of the largest tensor that the two passes made, and of the largest that was kept for the second."""
    leaves = [inputs[0].clone().requires_grad_(), inputs[1].clone().requires_grad_()]
    kept = [0]

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), LargestTensor() as memory:
        distance(*leaves, *inputs[2:]).sum().backward()
    return memory.largest, max(kept)


@pytest.mark.gpu
@pytest.mark.parametrize(("kind", "path"), WAYS)
def test_a_gpu_gives_the_same(kind: str, path: str) -> None:
    answers = []
    for place in ("cpu", "cuda"):
        leaves = [map_.to(place).requires_grad_() for map_ in maps(SHAPES[kind, path])]
        distance = PUBLIC[kind](*leaves)
        answers.append([distance.detach().cpu(), *(g.cpu() for g in torch.autograd.grad(distance.sum(), leaves))])
    torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-12)
