"""WSE-Net: the ensemble of a plain ConvNeXt, one with attention, and GCE-Net. Teacher and student have the same form.

Shapes: B batch, S image size, K identities.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from owkd.errors import ConfigError
from owkd.models.convnext import ConvNext
from owkd.models.gce import GceNet, gce_input
from owkd.models.outputs import BACKBONES, MEMBERS, EnsembleOutput, GceOutput
from owkd.models.presets import Architecture

Role = Literal["teacher", "student"]


class WseNet(nn.Module):
    """The ensemble. A student differs from a teacher by projections alone, through which its features are compared.

    Raises `ConfigError` when the image size does not fit the strides of the networks.
    """

    def __init__(self, shape: Architecture, num_classes: int, image_size: int, role: Role) -> None:
        super().__init__()
        if image_size % shape.stride:
            raise ConfigError(
                [
                    f"data.image_size must be a multiple of {shape.stride} for these networks, but got {image_size}; "
                    f"set it to {max(round(image_size / shape.stride), 1) * shape.stride}"
                ]
            )
        self.shape = shape
        self.num_classes = num_classes
        self.image_size = image_size
        self.role: Role = role
        projected = role == "student"
        self.original = ConvNext(shape, num_classes, attention=False, projected=projected)
        self.attention = ConvNext(shape, num_classes, attention=True, projected=projected)
        narrower = projected and shape.meets is not None
        self.gce = GceNet(shape.gce_channels, num_classes, shape.teacher.gce_channels if narrower else None)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def backbones(self) -> dict[str, nn.Module]:
        """Both, by name."""
        return {name: getattr(self, name) for name in BACKBONES}

    @property
    def members(self) -> dict[str, nn.Module]:
        """The three networks, by name."""
        return {name: getattr(self, name) for name in MEMBERS}

    def forward(self, images: Tensor, *, saliency: bool = False) -> EnsembleOutput:
        """(B, 3, S, S) in [0, 1] -> typed result; `saliency` adds the weak-saliency passes of both backbones."""
        images = images.contiguous(memory_format=torch.channels_last)
        original = self.original(images, saliency=saliency)
        attention = self.attention(images, saliency=saliency)
        joined = gce_input(original.last_map, attention.last_map, attention.spatial_gate, images)
        return EnsembleOutput(original=original, attention=attention, gce=self.gce(joined))

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] -> re-identification embedding (B, G): that of `forward`, and nothing beside it."""
        images = images.contiguous(memory_format=torch.channels_last)
        original, _ = self.original.last_map(images)
        attention, gate = self.attention.last_map(images)
        assert gate is not None
        joined: GceOutput = self.gce(gce_input(original, attention, gate, images))
        return joined.embedding

    def parameter_count(self) -> int:
        """Learnable scalars that an embedding needs: without projections and weak saliency, which train only."""
        training_only = (".projections.", ".saliency.")
        return sum(
            parameter.numel()
            for name, parameter in self.named_parameters()
            if not any(part in name for part in training_only)
        )
