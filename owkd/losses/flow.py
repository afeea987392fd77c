"""How information flows from one feature map to another, compared between student and teacher.

A flow matrix (FSP; Yim et al. 2017, "A Gift from Knowledge Distillation") holds every channel of one map against every
channel of another. The published code calls its distance CFE-KD, and that of its spectrum GMF-KD.

Shapes: B batch, Cx and Cy channels of the two maps, H x W map size, N = H W; X (B, Cx, N) and Y (B, Cy, N) are the
maps with their pixels in a row; (xs, ys) the student's pair of maps, (xt, yt) the teacher's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from owkd.losses._precision import at_least_float32


def flow_matrix(x: Tensor, y: Tensor) -> Tensor:
    """`G = X Y^T / N`; the larger map is average-pooled to the smaller one's size.

    x (B, Cx, H, W), y (B, Cy, H', W') of any float type -> (B, Cx, Cy), at least float32.
    """
    rows, columns = _pixels(x, y)
    with torch.autocast(x.device.type, enabled=False):
        flow: Tensor = torch.bmm(rows, columns.mT) / rows.shape[-1]
    return flow


def spectrum(x: Tensor, y: Tensor) -> Tensor:
    """`A = |FFT2(G)|`, orthonormal, of the flow matrix; same arguments and shape as `flow_matrix`."""
    return torch.fft.fft2(flow_matrix(x, y), norm="ortho").abs()


def gram_mse(xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
    """Mean squared difference of the flow matrices G(xs, ys) and G(xt, yt), for each sample.

    xs, xt (B, Cx, H, W), ys, yt (B, Cy, H', W') of any float type -> (B,), at least float32; differentiable in all.
    """
    return (flow_matrix(xs, ys) - flow_matrix(xt, yt)).square().mean(dim=(1, 2))


def spectrum_mse(xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
    """Mean squared difference of the spectra A(xs, ys) and A(xt, yt), for each sample; otherwise like `gram_mse`."""
    return (spectrum(xs, ys) - spectrum(xt, yt)).square().mean(dim=(1, 2))


def _pixels(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps at the smaller one's size, as (B, C, N), at least float32."""
    x, y = at_least_float32(x), at_least_float32(y)
    size = (min(x.shape[2], y.shape[2]), min(x.shape[3], y.shape[3]))
    pooled = [map_ if map_.shape[2:] == size else F.adaptive_avg_pool2d(map_, size) for map_ in (x, y)]
    return pooled[0].flatten(2), pooled[1].flatten(2)
