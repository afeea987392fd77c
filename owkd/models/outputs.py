"""What the networks return.

Shapes: B batch, K identities, C_i channels and H_i x W_i map size of stage i (0..3), G channels of the GCE-Net input,
H x W the last stage's map size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

BACKBONES = ("original", "attention")
GCE = "gce"
MEMBERS = (*BACKBONES, GCE)
"""networks of the ensemble: attributes of `WseNet` and of `EnsembleOutput`, and prefixes of their weights' names"""

Flow = Tensor | tuple[Tensor, Tensor]
"""a teacher's side of a flow: its flow matrix (B, C, C), or the two maps (B, C, H, W) that make it"""


@dataclass(frozen=True)
class BackboneOutput:
    """One ConvNeXt's pass over a batch.

    Attributes:
        logits: (B, K)
        embedding: (B, C_3): normalised spatial mean, before the head
        stage_features: four (B, C_i, H_i, W_i): what distillation compares, taken before a stage's CBAM; a student's
            are projected
        last_map: (B, C_3, H, W): output of the last stage, after its CBAM
        spatial_gate: (B, 1, H, W) in (0, 1): last stage's spatial attention; None without attention
        saliency_logits: (B, K): logits of the weak-saliency pass; None where it was not asked for
    """

    logits: Tensor
    embedding: Tensor
    stage_features: tuple[Tensor, ...]
    last_map: Tensor
    spatial_gate: Tensor | None
    saliency_logits: Tensor | None


@dataclass(frozen=True)
class GceOutput:
    """GCE-Net's pass over a batch.

    Attributes:
        input: (B, G, H, W); of a student that is narrower than its teacher, projected to its G while it learns
        layers: three (B, G, H, W): output of each residual block, likewise
        embedding: (B, G): spatial mean of the last block; the re-identification embedding of the whole ensemble
        logits: (B, K)
    """

    input: Tensor
    layers: tuple[Tensor, Tensor, Tensor]
    embedding: Tensor
    logits: Tensor


@dataclass(frozen=True)
class EnsembleOutput:
    """The whole ensemble's pass over a batch."""

    original: BackboneOutput
    attention: BackboneOutput
    gce: GceOutput

    @property
    def backbones(self) -> dict[str, BackboneOutput]:
        """By name, in the order of `BACKBONES`."""
        return {name: getattr(self, name) for name in BACKBONES}

    @property
    def members(self) -> dict[str, BackboneOutput | GceOutput]:
        """By name, in the order of `MEMBERS`."""
        return {**self.backbones, GCE: self.gce}


@dataclass(frozen=True)
class TeacherTargets:
    """What a distillation needs of its teacher for a batch, computed now or read from disk. Nothing has a gradient.

    What no wanted term needs may be empty. Tensors may be of any float type; losses compute in float32 or above.

    Attributes:
        flows: of the four stages, from the original to the attention net
        layers: three (B, G, H, W): output of each block of GCE-Net
        logits: (B, K) by member, one for each of `MEMBERS`
        pooled: (B, 2 C_3): spatial means of both last stage features, original first
    """

    flows: tuple[Flow, ...]
    layers: tuple[Tensor, ...]
    logits: Mapping[str, Tensor]
    pooled: Tensor

    @classmethod
    def of(cls, output: EnsembleOutput) -> TeacherTargets:
        """What a teacher has just put out; flows are pairs of maps."""
        stages = zip(output.original.stage_features, output.attention.stage_features, strict=True)
        flows = tuple((original.detach(), attention.detach()) for original, attention in stages)
        original, attention = flows[-1]
        return cls(
            flows=flows,
            layers=tuple(layer.detach() for layer in output.gce.layers),
            logits={name: member.logits.detach() for name, member in output.members.items()},
            pooled=torch.cat((original.mean(dim=(2, 3)), attention.mean(dim=(2, 3))), dim=1),
        )
