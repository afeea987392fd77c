"""Distance of two flow matrices' spectra without either matrix: exact, and fast where maps are small.

`FFT2(X Y^T) = FFT(X) FFT(Y)^T`, with 1-D transforms along the channels. X and Y are real, so their spectra are known
from the bins 0..C/2, and with p, q rows of those halves the bins (k, l) and (k, -l) are `p q` and `p conj(q)`: writing
q = a + i b, both come from the products `p a` and `(i p) b` as their sum and their difference. That is one real matrix
product, a quarter of what the complex one takes. Every bin is counted as often as its mirror images occur by scaling
the halves with square roots of the counts; the work then goes in blocks that stay in a cache, and gradients are
gathered on the way, so that nothing as large as a flow matrix is ever stored.

Shapes: B batch, Cx and Cy channels, N pixels; R = Cx // 2 + 1 and K = Cy // 2 + 1 bins; n samples and r <= R rows of a
block. An axis of size 2 called part is (real, imaginary); one called sign is the bins (k, l) and (k, -l).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of one of the (n, r, K) tensors of a block. On a CPU 12 of them live at a time, which should fit its second
# level cache; between 20,000 and 160,000 the time changes little. On a GPU the limit is memory, and large kernels win.
CPU_BLOCK = 40_000
GPU_BLOCK = 2**24


class _Block(NamedTuple):
    samples: slice
    rows: slice


class _Side:
    """Student's or teacher's two maps as half spectra, and the gradients of both."""

    def __init__(self, x: Tensor, y: Tensor, wants_x: bool, wants_y: bool) -> None:
        self.sizes = (x.shape[1], y.shape[1], x.shape[2])
        half = _half_spectrum(x / x.shape[2])
        turned = torch.stack((-half[:, 1], half[:, 0]), dim=2)
        self.rows = torch.stack((half.movedim(1, 2), turned), dim=1)  # (B, 2, R, part, N): p and i p
        self.columns = _half_spectrum(y)  # (B, part, K, N): a and b
        self.tiny = x.new_full((), torch.finfo(x.dtype).tiny)
        self.rows_gradient = torch.zeros_like(self.rows) if wants_x else None
        self.columns_gradient = torch.zeros_like(self.columns) if wants_y else None

    @property
    def wants_gradient(self) -> bool:
        return self.rows_gradient is not None or self.columns_gradient is not None

    def flow(self, block: _Block, products: Tensor, flow: Tensor, amplitude: Tensor) -> None:
        """Fills the block's transformed flow matrix (n, sign, r, part, K) and its amplitude (n, sign, r, K)."""
        rows, columns = self._factors(block)
        torch.bmm(rows, columns.mT, out=_flat(products))
        torch.add(products[:, 0], products[:, 1], out=flow[:, 0])
        torch.sub(products[:, 0], products[:, 1], out=flow[:, 1])
        real, imaginary = flow.unbind(dim=3)
        # The smallest normal number keeps the division by an amplitude finite: a bin that is 0 has gradient 0.
        torch.addcmul(self.tiny, real, real, out=amplitude)
        amplitude.addcmul_(imaginary, imaginary).sqrt_()

    def gather(self, block: _Block, products: Tensor, flow: Tensor) -> None:
        """Adds a block's part to the gradients; `flow` now holds the gradient of what `flow()` returned."""
        torch.add(flow[:, 0], flow[:, 1], out=products[:, 0])
        torch.sub(flow[:, 0], flow[:, 1], out=products[:, 1])
        rows, columns = self._factors(block)
        gradient = _flat(products)
        if self.rows_gradient is not None:
            _flat(self.rows_gradient[block.samples, :, block.rows]).baddbmm_(gradient, columns)
        if self.columns_gradient is not None:
            self.columns_gradient[block.samples].flatten(0, 1).baddbmm_(gradient.mT, rows)

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the two maps, (B, Cx, N) and (B, Cy, N)."""
        x = y = None
        channels_x, channels_y, pixels = self.sizes
        if self.rows_gradient is not None:
            half, turned = self.rows_gradient.movedim(3, 2).unbind(dim=1)
            half = half + torch.stack((turned[:, 1], -turned[:, 0]), dim=1)
            x = _half_spectrum_gradient(half, channels_x) / pixels
        if self.columns_gradient is not None:
            y = _half_spectrum_gradient(self.columns_gradient, channels_y)
        return x, y

    def _factors(self, block: _Block) -> tuple[Tensor, Tensor]:
        """(2n, 2r, N) and (2n, K, N)."""
        return _flat(self.rows[block.samples, :, block.rows]), self.columns[block.samples].flatten(0, 1)


class _SpectrumDistance(torch.autograd.Function):
    """`sum |A(xs, ys) - A(xt, yt)|^2` per sample; each is a scalar, so its gradient can be had before it is asked for.

    The difference is taken bin by bin: by Parseval only `sum A_s A_t` would need the bins, but subtracting that from
    the energies loses what a student close to its teacher has left, and saves no time.
    """

    @staticmethod
    def forward(ctx: Any, xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
        student = _Side(xs, ys, *ctx.needs_input_grad[:2])
        teacher = _Side(xt, yt, *ctx.needs_input_grad[2:])
        total = xs.new_zeros(len(xs))
        for block in _blocks(student):
            total[block.samples] += _block_distance(student, teacher, block)
        ctx.save_for_backward(*student.gradients(), *teacher.gradients())
        return 2 * total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        scale = 4 * upstream[:, None, None]
        return tuple(None if gradient is None else scale * gradient for gradient in ctx.saved_tensors)


def spectrum_distance(xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
    """Sum over all bins of the squared difference of orthonormal spectra, for each sample.

    xs, xt (B, Cx, N), ys, yt (B, Cy, N), all float32 or all float64 -> (B,); once differentiable in all four.
    """
    gradient = torch.is_grad_enabled()
    maps = [map_ if gradient else map_.detach() for map_ in (xs, ys, xt, yt)]
    distance: Tensor = _SpectrumDistance.apply(*maps)  # type: ignore[no-untyped-call]
    return distance


def _block_distance(student: _Side, teacher: _Side, block: _Block) -> Tensor:
    """(n,): half the squared distance over a block's bins; gathers a quarter of its gradient where it is wanted."""
    samples, bins = len(student.columns[block.samples]), student.columns.shape[2]
    rows = block.rows.stop - block.rows.start
    products = student.columns.new_empty(samples, 2, rows, 2, bins)
    ours, amplitude = torch.empty_like(products), student.columns.new_empty(samples, 2, rows, bins)
    theirs = torch.empty_like(products) if teacher.wants_gradient else ours
    difference = torch.empty_like(amplitude)
    teacher.flow(block, products, theirs, difference)
    if teacher.wants_gradient:
        theirs /= difference.unsqueeze(3)
    student.flow(block, products, ours, amplitude)
    torch.sub(amplitude, difference, out=difference)
    distance = difference.square().sum(dim=(1, 2, 3))
    if teacher.wants_gradient:
        theirs *= -difference.unsqueeze(3)
        teacher.gather(block, products, theirs)
    if student.wants_gradient:
        ours *= difference.div_(amplitude).unsqueeze(3)
        student.gather(block, products, ours)
    return distance


def _blocks(side: _Side) -> Iterator[_Block]:
    """Whole samples while they fit, else rows of one sample, cut evenly."""
    samples, rows, bins = len(side.rows), side.rows.shape[2], side.columns.shape[2]
    size = GPU_BLOCK if side.rows.is_cuda else CPU_BLOCK
    at_once = max(1, size // (rows * bins))
    height = math.ceil(rows / math.ceil(rows * bins / size)) if at_once == 1 else rows
    for first in range(0, samples, at_once):
        for top in range(0, rows, height):
            yield _Block(slice(first, min(first + at_once, samples)), slice(top, min(top + height, rows)))


def _half_spectrum(maps: Tensor) -> Tensor:
    """Bins 0..C/2 along the channels, orthonormal: (B, C, N) -> (B, part, C // 2 + 1, N).

    A bin that is its own mirror image is scaled by sqrt(1/2), and the whole distance later doubled.
    """
    half = torch.view_as_real(torch.fft.rfft(maps, dim=1, norm="ortho")).movedim(3, 1).contiguous()
    for own_mirror in _own_mirrors(maps.shape[1]):
        half[:, :, own_mirror] *= math.sqrt(0.5)
    return half


def _half_spectrum_gradient(gradient: Tensor, channels: int) -> Tensor:
    """The transpose of `_half_spectrum`: (B, part, C // 2 + 1, N) -> (B, C, N). `irfft` doubles what has a mirror."""
    gradient = gradient / 2
    for own_mirror in _own_mirrors(channels):
        gradient[:, :, own_mirror] *= math.sqrt(2)
    half = torch.complex(gradient[:, 0], gradient[:, 1])
    maps: Tensor = torch.fft.irfft(half, n=channels, dim=1, norm="ortho")
    return maps


def _own_mirrors(channels: int) -> tuple[int, ...]:
    return (0,) if channels % 2 else (0, channels // 2)


def _flat(products: Tensor) -> Tensor:
    """(n, 2, r, part, K) -> (2n, 2r, K), a view."""
    samples, pair, rows, parts, bins = products.shape
    return products.view(samples * pair, rows * parts, bins)
