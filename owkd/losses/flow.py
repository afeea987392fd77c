"""How information flows from one feature map to another, compared between student and teacher.

A flow matrix (FSP; Yim et al. 2017, "A Gift from Knowledge Distillation") holds every channel of one map against every
channel of another. In our reading of the published code, its distance is what the paper calls CFE-KD, and that of its
spectrum GMF-KD. Each distance has two exact ways to be computed; the maps' shape decides.

Shapes: B batch, Cx and Cy channels of the two maps, H x W map size, N = H W; X (B, Cx, N) and Y (B, Cy, N) are the
maps with their pixels in a row; (xs, ys) the student's pair of maps, (xt, yt) the teacher's.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from owkd.losses._half_spectrum import spectrum_distance
from owkd.losses._precision import at_least_float32

Path = Literal["matrix", "factors"]


def flow_matrix(x: Tensor, y: Tensor) -> Tensor:
    """`G = X Y^T / N`; the larger map is average-pooled to the smaller one's size.

    x (B, Cx, H, W), y (B, Cy, H', W') of any float type -> (B, Cx, Cy), at least float32, also under autocast.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _matrix(*_pixels(x, y))


def spectrum(x: Tensor, y: Tensor) -> Tensor:
    """`A = |FFT2(G)|`, orthonormal, of the flow matrix; same arguments and shape as `flow_matrix`."""
    return _amplitude(flow_matrix(x, y))


def gram_mse(xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
    """Mean squared difference of the flow matrices G(xs, ys) and G(xt, yt), for each sample.

    xs, xt (B, Cx, H, W), ys, yt (B, Cy, H', W') of any float type -> (B,), at least float32, also under autocast;
    differentiable in all four. Raises `ValueError` where student and teacher differ in shape.
    """
    with torch.autocast(xs.device.type, enabled=False):
        x, y, u, v = _both(xs, ys, xt, yt)
        distance = _gram_matrix if gram_path(x.shape[1], y.shape[1], x.shape[2]) == "matrix" else _gram_factors
        return distance(x, y, u, v)


def spectrum_mse(xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
    """Mean squared difference of the spectra A(xs, ys) and A(xt, yt), for each sample; otherwise like `gram_mse`.

    A bin that is 0 gives no gradient. Differentiable once.
    """
    with torch.autocast(xs.device.type, enabled=False):
        x, y, u, v = _both(xs, ys, xt, yt)
        path = spectrum_path(x.shape[1], y.shape[1], x.shape[2])
        distance = _spectrum_matrix if path == "matrix" else _spectrum_factors
        return distance(x, y, u, v)


def gram_mse_to(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """`gram_mse` of a student's pair of maps against a teacher's flow matrix, (B, Cx, Cy) of any float type."""
    with torch.autocast(x.device.type, enabled=False):
        return (_matrix(*_pixels(x, y)) - at_least_float32(matrix)).square().mean(dim=(1, 2))


def spectrum_mse_to(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """`spectrum_mse` of a student's pair of maps against a teacher's flow matrix, as `gram_mse_to`."""
    with torch.autocast(x.device.type, enabled=False):
        ours, theirs = _amplitude(_matrix(*_pixels(x, y))), _amplitude(at_least_float32(matrix))
        return (ours - theirs).square().mean(dim=(1, 2))


def gram_path(channels_x: int, channels_y: int, pixels: int) -> Path:
    """Which way `gram_mse` takes: by factors where 2N x 2N products take fewer multiplications than Cx x Cy ones."""
    return "factors" if 2 * pixels * (channels_x + channels_y) <= channels_x * channels_y else "matrix"


def spectrum_path(channels_x: int, channels_y: int, pixels: int) -> Path:
    """Which way `spectrum_mse` takes: by factors where a map has at most two thirds as many pixels as channels.

    Both need N Cx Cy multiplications. The matrix adds 2-D transforms, whose time grows as its size, the factors 1-D
    transforms of every pixel; measured on a CPU, the two meet between N = C / 2 and N = C.
    """
    return "factors" if 3 * pixels <= 2 * min(channels_x, channels_y) else "matrix"


def _gram_matrix(x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return (_matrix(x, y) - _matrix(u, v)).square().mean(dim=(1, 2))


def _gram_factors(x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """`||X Y^T - U V^T||^2 = <L^T L, R^T R>`, L = [X - U, (X + U) / 2] and R = [(Y + V) / 2, Y - V], of 2N columns.

    Because `L R^T = X Y^T - U V^T`. Expanding the norm into the three energies instead would subtract large numbers:
    here every term vanishes with the differences, so equal maps are at distance 0 and float32 is enough.
    """
    pixels = x.shape[2]
    left = torch.cat((x - u, (x + u) / 2), dim=2)
    right = torch.cat(((y + v) / 2, y - v), dim=2)
    energy = (torch.bmm(left.mT, left) * torch.bmm(right.mT, right)).sum(dim=(1, 2))
    return energy.clamp_min(0) / (pixels**2 * x.shape[1] * y.shape[1])


def _spectrum_matrix(x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return (_amplitude(_matrix(x, y)) - _amplitude(_matrix(u, v))).square().mean(dim=(1, 2))


def _spectrum_factors(x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return spectrum_distance(x, y, u, v) / (x.shape[1] * y.shape[1])


def _matrix(x: Tensor, y: Tensor) -> Tensor:
    matrix: Tensor = torch.bmm(x, y.mT) / x.shape[2]
    return matrix


def _amplitude(matrix: Tensor) -> Tensor:
    amplitude: Tensor = torch.fft.fft2(matrix, norm="ortho").abs()
    return amplitude


def _both(xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    for student, teacher in ((xs, xt), (ys, yt)):
        if student.shape != teacher.shape:
            raise ValueError(
                f"student and teacher maps must have equal shapes, but got {tuple(student.shape)} and "
                f"{tuple(teacher.shape)}; give both networks the same channels and image size"
            )
    return *_pixels(xs, ys), *_pixels(xt, yt)


def _pixels(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps at the smaller one's size, as (B, C, N), at least float32."""
    x, y = at_least_float32(x), at_least_float32(y)
    size = (min(x.shape[2], y.shape[2]), min(x.shape[3], y.shape[3]))
    pooled = [map_ if map_.shape[2:] == size else F.adaptive_avg_pool2d(map_, size) for map_ in (x, y)]
    return pooled[0].flatten(2), pooled[1].flatten(2)
