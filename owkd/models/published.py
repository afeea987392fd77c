"""Names of the published checkpoints, translated to ours and back.

The published code keeps one state dict a network: `original` and `attention` (the backbones), `gce`, and for a student
`optimal_weights`, the stage-weight head.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from owkd.models.outputs import BACKBONES, GCE

_BACKBONE_RULES = (
    (r"^downsampling\.", "downsample_layers."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.depthwise\.", r"stages.\1.\2.dwconv."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.expand\.", r"stages.\1.\2.pwconv1."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.project\.", r"stages.\1.\2.pwconv2."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.scale$", r"stages.\1.\2.gamma"),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.norm\.", r"stages.\1.\2.norm."),
    (r"^stages\.(\d+)\.cbam\.channel_mlp\.0\.", r"stages.\1.cbam<\1>.ChannelGate.mlp.1."),
    (r"^stages\.(\d+)\.cbam\.channel_mlp\.2\.", r"stages.\1.cbam<\1>.ChannelGate.mlp.3."),
    (r"^stages\.(\d+)\.cbam\.spatial_conv\.", r"stages.\1.cbam<\1>.SpatialGate.spatial.conv."),
    (r"^stages\.(\d+)\.cbam\.spatial_norm\.", r"stages.\1.cbam<\1>.SpatialGate.spatial.bn."),
    (r"^projections\.(\d+)\.", r"distillLayer<\1>."),
    (r"^saliency\.(\d+)\.conv\.", r"weakSaliencyMechanism<\1>.conv."),
    (r"^saliency\.(\d+)\.scale$", r"weakSaliencyMechanism<\1>.scaleLayer"),
    (r"^saliency\.(\d+)\.strength$", r"weakSaliencyMechanism<\1>.wf"),
    (r"^head\.", "head_ms."),
)
_GCE_RULES = (
    (r"^blocks\.(\d+)\.norm(\d)\.", r"layer<\1>.batch\2."),
    (r"^blocks\.(\d+)\.attention\.", r"layer<\1>.eca."),
    (r"^blocks\.(\d+)\.", r"layer<\1>."),
    (r"^head\.", "fc."),
)
_STAGE_WEIGHT_RULES = ((r"^linear\.", "convnextFC."),)

RULES = {
    **dict.fromkeys(BACKBONES, _BACKBONE_RULES),
    GCE: _GCE_RULES,
    "optimal_weights": _STAGE_WEIGHT_RULES,
}


def published_name(network: str, name: str) -> str:
    """Our parameter name -> the published one. `network`: original, attention, gce or optimal_weights."""
    for pattern, replacement in RULES[network]:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            # The published code counts stages and layers from 1, and torch's Sequential from 0.
            return re.sub(r"<(\d+)>", lambda match: str(int(match[1]) + 1), renamed)
    return name


def from_published(network: str, published: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under our names, copied in the types of `like`, one of our networks' state dict."""
    return {name: published[published_name(network, name)].to(tensor.dtype, copy=True) for name, tensor in like.items()}


def to_published(network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One of our networks' state dict under the published names."""
    return {published_name(network, name): tensor for name, tensor in state.items()}
