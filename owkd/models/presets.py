"""Sizes of the networks by name. Knows no torch."""

from dataclasses import dataclass, replace

from owkd.config import Preset


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the shape of a ConvNeXt.

    A map of the last stage is `8 * patch` times smaller than the image; GCE-Net cuts the image into tiles of that map's
    size, so `patch` also fixes its number of input channels.

    Attributes:
        dims: channels of each stage; the last one a multiple of 64, because GCE-Net's grouped convolution needs it
        depths: blocks of each stage
        patch: kernel and stride of the stem
        narrow: made to learn from nothing in a few hundred steps, where the published form relies on an ImageNet start:
            first weights scaled by their fan-in instead of 0.02, and batch norm instead of layer norm on the embedding,
            because layer norm keeps the mean that all images share and hides what tells them apart
        meets: channels of the stages of the teacher that a student's features are projected to; its own when unset
    """

    dims: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    patch: int = 4
    narrow: bool = False
    meets: tuple[int, int, int, int] | None = None

    @property
    def stride(self) -> int:
        """Image pixels per cell of the last stage's map, along one side."""
        return 8 * self.patch

    @property
    def gce_channels(self) -> int:
        """Channels of GCE-Net's input: two reduced maps, one spatial gate, and the image as tiles."""
        return self.dims[3] + 1 + self.stride**2

    @property
    def teacher(self) -> "Architecture":
        """The shape that a teacher of such a student must have, whatever its depths."""
        return self if self.meets is None else replace(self, dims=self.meets, meets=None)

    def is_taught_by(self, teacher: "Architecture") -> bool:
        """Whether flow matrices of a student of this shape can be compared with those of that teacher."""
        return (self.teacher.dims, self.patch) == (teacher.dims, teacher.patch)


PUBLISHED_DIMS = (96, 192, 384, 768)

PRESETS: dict[Preset, Architecture] = {
    "small": Architecture(PUBLISHED_DIMS, (3, 3, 27, 3)),
    "tiny": Architecture(PUBLISHED_DIMS, (3, 3, 9, 3)),
    "micro": Architecture(PUBLISHED_DIMS, (1, 1, 9, 1)),
    # Ours, of the widths and depths of ConvNeXt V2's pico and femto (Woo et al. 2023).
    "pico": Architecture((64, 128, 256, 512), (2, 2, 6, 2), narrow=True, meets=PUBLISHED_DIMS),
    "femto": Architecture((48, 96, 192, 384), (2, 2, 6, 2), narrow=True, meets=PUBLISHED_DIMS),
    # Ours, for CPUs at 64 px. The finer stem keeps a last map of 4 x 4, and 257 + 64 channels instead of 1024 + ... in
    # GCE-Net, whose flow matrices grow with the square of them.
    "nano": Architecture((8, 16, 32, 64), (1, 1, 1, 1), patch=2, narrow=True),
}


def architecture(preset: Preset, depths: tuple[int, int, int, int] | None = None) -> Architecture:
    """The preset, with other depths where they are given."""
    base = PRESETS[preset]
    return base if depths is None else replace(base, depths=depths)
