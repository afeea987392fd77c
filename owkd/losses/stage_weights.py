"""How much each of the four stages counts in the backbone term, for each sample.

Shapes: B batch, C channels of the last stage, H x W its map size; weights are (4, B), non-negative, and sum to 4 over
the stages, so that 1 each is uniform.
"""

import torch
from torch import Tensor, nn

from owkd.config import StageWeights
from owkd.losses._precision import at_least_float32

STAGES = 4


class StageWeightHead(nn.Module):
    """`w = 4 softmax(Linear_{2C -> 4}([GAP(F_3 original), GAP(F_3 attention)]))` of the teacher's features.

    Published as optimal weight-based feature distillation (OWF-KD), learned together with the student. The features
    are detached: the head learns, the teacher does not. It lowers the very loss that it weighs, so it drifts towards
    the stage whose loss is smallest; `fixed_stage_weights` is the searched alternative.
    """

    def __init__(self, channels: int) -> None:
        """channels: C of the teacher's last stage."""
        super().__init__()
        self.linear = nn.Linear(2 * channels, STAGES)

    def forward(self, pooled: Tensor) -> Tensor:
        """Spatial means of the teacher's last stage features, (B, 2C) -> weights (4, B), at least float32."""
        weights: Tensor = STAGES * at_least_float32(self.linear(pooled.detach())).softmax(dim=1)
        return weights.T


def fixed_stage_weights(weights: StageWeights, batch_size: int, device: torch.device | None = None) -> Tensor:
    """Four configured weights, the same for every sample -> (4, B) float32, no gradient."""
    column = torch.tensor([weights.stage1, weights.stage2, weights.stage3, weights.stage4])
    if device is not None:
        column = column.to(device, non_blocking=True)  # made on a GPU, it would wait for the GPU in every step
    return column[:, None].expand(STAGES, batch_size)
