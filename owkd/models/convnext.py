"""The two backbones: ConvNeXt (Liu et al. 2022), plain or with CBAM at the end of every stage, and weak saliency.

Shapes: B batch, S image size, K identities, C_i channels and H_i x W_i map size of stage i (0..3).
"""

from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn

from owkd.models.blocks import LAYER_NORM_EPS, Cbam, ChannelLayerNorm, ConvNextBlock
from owkd.models.outputs import BackboneOutput
from owkd.models.presets import Architecture
from owkd.models.saliency import WeakSaliency

INIT_STD = 0.02


class Stage(nn.Module):
    """Some ConvNeXt blocks and, in the attention variant, a CBAM behind them."""

    def __init__(self, channels: int, depth: int, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ConvNextBlock(channels) for _ in range(depth)))
        self.cbam = Cbam(channels) if attention else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, C, H, W) -> feature before the CBAM, output after it, spatial gate (B, 1, H, W) or None."""
        feature = self.blocks(x)
        if self.cbam is None:
            return feature, feature, None
        output, gate = self.cbam(feature)
        return feature, output, gate


class ConvNext(nn.Module):
    """A backbone. A student carries a 1x1 projection per stage, through which its features meet the teacher's."""

    def __init__(self, shape: Architecture, num_classes: int, *, attention: bool, projected: bool) -> None:
        super().__init__()
        dims = shape.dims
        stem = nn.Sequential(nn.Conv2d(3, dims[0], shape.patch, stride=shape.patch), ChannelLayerNorm(dims[0]))
        between = (
            nn.Sequential(ChannelLayerNorm(before), nn.Conv2d(before, after, 2, stride=2))
            for before, after in pairwise(dims)
        )
        self.downsampling = nn.ModuleList((stem, *between))
        self.stages = nn.ModuleList(Stage(c, depth, attention) for c, depth in zip(dims, shape.depths, strict=True))
        met = shape.teacher.dims
        self.projections = (
            nn.ModuleList(nn.Conv2d(own, theirs, kernel_size=1) for own, theirs in zip(dims, met, strict=True))
            if projected
            else None
        )
        self.saliency = nn.ModuleList(WeakSaliency(c) for c in dims)
        self.norm = nn.BatchNorm1d(dims[3]) if shape.narrow else nn.LayerNorm(dims[3], eps=LAYER_NORM_EPS)
        self.head = nn.Linear(dims[3], num_classes)
        if not shape.narrow:
            self.apply(_init_weights)

    def forward(self, images: Tensor, *, saliency: bool = False) -> BackboneOutput:
        """(B, 3, S, S) in [0, 1] -> typed result; `saliency` asks for the second pass too (training only)."""
        output = self._plain_pass(images)
        if not saliency:
            return output
        x = images
        for down, mechanism, feature, stage in zip(
            self.downsampling, self.saliency, output.stage_features, self.stages, strict=True
        ):
            _, x, _ = stage(down(x) * mechanism(feature))
        return replace(output, saliency_logits=self.head(self._embed(x)))

    def last_map(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) in [0, 1] -> output of the last stage (B, C_3, H_3, W_3) and its spatial gate, None without
        attention: all that an embedding of the ensemble takes, without projections and logits, which learning takes."""
        _, output, gate = self._pass(images)
        return output, gate

    def _pass(self, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Feature of each stage, not projected; output and spatial gate of the last."""
        x = images
        gate: Tensor | None = None
        features = []
        for down, stage in zip(self.downsampling, self.stages, strict=True):
            feature, x, gate = stage(down(x))
            features.append(feature)
        return features, x, gate

    def _plain_pass(self, images: Tensor) -> BackboneOutput:
        features, output, gate = self._pass(images)
        if self.projections is not None:
            features = [project(feature) for project, feature in zip(self.projections, features, strict=True)]
        embedding = self._embed(output)
        return BackboneOutput(
            logits=self.head(embedding),
            embedding=embedding,
            stage_features=tuple(features),
            last_map=output,
            spatial_gate=gate,
            saliency_logits=None,
        )

    def _embed(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.norm(x.mean(dim=(2, 3)))
        return embedding


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INIT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
