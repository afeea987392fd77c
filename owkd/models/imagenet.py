"""The ImageNet start: both backbones take the official ConvNeXt weights (Liu et al. 2022), block by block.

Official names are those of the published checkpoints, with a classifier (`head`) of 1000 classes that is not taken.
A net with fewer blocks than the official one takes the first ones of each stage.
"""

from pathlib import Path

import torch

from owkd.config import Preset
from owkd.errors import CheckpointError
from owkd.models.presets import PRESETS
from owkd.models.published import published_name
from owkd.models.published_files import load_published
from owkd.models.state_dicts import differences, listed
from owkd.models.wse import WseNet

ADDRESS = "https://dl.fbaipublicfiles.com/convnext/"
OFFICIAL: dict[Preset, str] = {
    "small": "convnext_small_1k_224_ema.pth",
    "tiny": "convnext_tiny_1k_224_ema.pth",
    "micro": "convnext_tiny_1k_224_ema.pth",
}
SHARED = ("downsampling.", "stages.", "norm.")
"""parts of our backbones that the official nets have too, but for the attention in the stages"""


def official_file(preset: Preset) -> Path:
    """The official file for a preset in torch.hub's cache, fetched when it is not there.

    Raises `CheckpointError`, naming the file and where to put it, when it cannot be fetched.
    """
    name = OFFICIAL[preset]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(ADDRESS + name, str(path), progress=False)
        except OSError as error:  # URLError is one
            raise CheckpointError(
                f"init: imagenet needs {name}, but it could not be fetched ({error}); fetch {ADDRESS}{name} and put "
                f"it to {path}, or name its place as init_file"
            ) from error
    return path


def start_from_imagenet(model: WseNet, path: Path) -> None:
    """Copies the official weights in `path` to both backbones; attention, projections, saliency and heads stay.

    Raises `CheckpointError` listing everything that the file lacks.
    """
    official = load_published(path)
    for network, backbone in model.backbones.items():
        state = backbone.state_dict()
        wanted = {
            published_name(network, name): tensor
            for name, tensor in state.items()
            if name.startswith(SHARED) and ".cbam." not in name
        }
        problems = differences(wanted, {name: tensor for name, tensor in official.items() if name in wanted})
        if problems:
            names = ", ".join(dict.fromkeys(OFFICIAL[preset] for preset in PRESETS if preset in OFFICIAL))
            raise CheckpointError(
                f"{path} is no ImageNet start for a net of depths {model.shape.depths}; give the official file that "
                f"fits ({names}):\n{listed(problems)}"
            )
        for name, tensor in wanted.items():
            tensor.copy_(official[name])  # a state dict's tensors are the net's own
