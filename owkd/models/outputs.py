"""What the networks return.

Shapes: B batch, K identities, C_i channels and H_i x W_i map size of stage i (0..3), G channels of the GCE-Net input,
H x W the last stage's map size.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BackboneOutput:
    """One ConvNeXt's pass over a batch."""

    logits: Tensor
    """(B, K)"""
    embedding: Tensor
    """(B, C_3): normalised spatial mean, before the head"""
    stage_features: tuple[Tensor, ...]
    """four (B, C_i, H_i, W_i): what distillation compares, taken before a stage's CBAM; a student's are projected"""
    last_map: Tensor
    """(B, C_3, H, W): output of the last stage, after its CBAM"""
    spatial_gate: Tensor | None
    """(B, 1, H, W) in (0, 1): last stage's spatial attention; None without attention"""
    saliency_logits: Tensor | None
    """(B, K): logits of the weak-saliency pass; None where it was not asked for"""


@dataclass(frozen=True)
class GceOutput:
    """GCE-Net's pass over a batch."""

    input: Tensor
    """(B, G, H, W)"""
    layers: tuple[Tensor, Tensor, Tensor]
    """three (B, G, H, W): output of each residual block"""
    embedding: Tensor
    """(B, G): spatial mean of the last block; the re-identification embedding of the whole ensemble"""
    logits: Tensor
    """(B, K)"""


@dataclass(frozen=True)
class EnsembleOutput:
    """The whole ensemble's pass over a batch."""

    original: BackboneOutput
    attention: BackboneOutput
    gce: GceOutput
