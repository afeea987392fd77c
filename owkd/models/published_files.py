"""Checkpoints of the published code: read with care, checked name by name, and written back.

Their format is one state dict a network, saved by `torch.save`: `original`, `attention`, `gce`, and beside a student
`optimal_weights`, the stage-weight head. Reading never runs what a file may hold besides weights.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from owkd.data.reading.window import Window
from owkd.errors import CheckpointError
from owkd.files import require_writable, written_whole
from owkd.losses.stage_weights import StageWeightHead
from owkd.models.checkpoint import IMPORTED, ModelInfo, read_state, save_state
from owkd.models.convnext import INIT_STD
from owkd.models.outputs import BACKBONES, MEMBERS
from owkd.models.presets import PRESETS, PUBLISHED_DIMS, Architecture
from owkd.models.published import from_published, published_name, to_published
from owkd.models.state_dicts import differences, listed, not_finite, several
from owkd.models.torch_files import load_torch_file
from owkd.models.wse import WseNet

WRAPPERS = ("model", "state_dict")
PARALLEL = "module."
"""before every name where torch's DataParallel saved"""
UNUSED = ("samplings.", "distillLayer")
"""what published files may hold that a teacher has no use for: these learn nothing, or only in a student"""
CLASSIFIER = ("head.weight", "head.bias")
"""of each network, one row a class"""
HEADS = {network: published_name(network, "head.weight") for network in MEMBERS}

State = dict[str, Tensor]


@dataclass(frozen=True)
class Imported:
    """A teacher read from published files.

    Attributes:
        preset: name of its depths; None where they are of no preset
        ignored: names that were passed over, by network
    """

    info: ModelInfo
    preset: str | None
    ignored: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Exported:
    """Published files, written.

    Attributes:
        head_initialised: whether the stage-weight head is a new one of zeros (equal weights), because the student's
            file holds none
    """

    files: tuple[Path, ...]
    head_initialised: bool


def load_published(path: Path) -> State:
    """The state dict in a file of `torch.save`, without wrapper (`model`, `state_dict`) and `module.` prefix.

    Only weights are read (`weights_only`), so nothing in the file is run. Raises `CheckpointError` for a file that is
    missing, damaged, holds other objects than tensors or weights that are not finite, or would run code.
    """
    held = _unwrapped(_read(path))
    if not isinstance(held, dict) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise CheckpointError(
            f"{path} must hold a state dict (names and tensors), bare or under {' or '.join(map(repr, WRAPPERS))}, but "
            "holds something else; save it with torch.save(model.state_dict(), FILE)"
        )
    state = {str(name): tensor for name, tensor in held.items()}
    if wrong := not_finite(state):
        raise CheckpointError(f"{path} must hold finite weights, but {several(wrong)} are not; fetch it again")
    if all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state


def import_teacher(
    files: Mapping[str, Path],
    out: Path,
    image_size: int,
    identities: Sequence[int] | None = None,
    window: Window = None,
) -> Imported:
    """Reads a teacher from one published file for each of `MEMBERS`, and writes it to `out` (new) as a model file.

    Class count and depths are taken from the files; weights are stored as float32. `identities` are the people behind
    the classes, in the order of the files; they are stored, and the classes are brought into ascending order of them,
    which is ours. `window` is the one by which its training images were made 8 bits, if they had more.
    Raises `CheckpointError` listing everything that is missing, unexpected or of another shape, and `ConfigError` for
    an image size that does not fit.
    """
    _require_new(out)
    read = {network: load_published(files[network]) for network in MEMBERS}
    ignored = {network: tuple(name for name in state if name.startswith(UNUSED)) for network, state in read.items()}
    states = {
        network: {name: tensor for name, tensor in state.items() if name not in ignored[network]}
        for network, state in read.items()
    }
    shape, num_classes = _shape(states, files)
    if identities is not None:
        _require_identities(identities, num_classes)
    with torch.device("meta"):
        model = WseNet(shape, num_classes, image_size, "teacher")
    ours = {network: member.state_dict() for network, member in model.members.items()}
    _require_published_form(states, ours, files)
    weights: State = {}
    for network, like in ours.items():
        translated = from_published(network, states[network], like)
        if identities is not None:
            order = torch.tensor(identities).argsort()
            translated |= {name: translated[name][order] for name in CLASSIFIER}
        weights |= {f"{network}.{name}": tensor for name, tensor in translated.items()}
    info = ModelInfo(
        "teacher", shape, image_size, num_classes, tuple(sorted(identities or ())), IMPORTED, window=window
    )
    save_state(weights, out, info)
    return Imported(info, next((name for name, preset in PRESETS.items() if preset == shape), None), ignored)


def export_published(checkpoint: Path, out: Path) -> Exported:
    """Writes a model file's networks to `out` as original.pth, attention.pth, gce.pth and, for a student,
    optimal_weights.pth: each a state dict under the published names.

    A published student owns 1x1 convolutions from each stage to each (`samplings.*`) that take no part in its loss;
    they are written too, with new weights, so that `load_state_dict(strict=True)` takes the files. Raises
    `CheckpointError` for networks that have no published form.
    """
    info, state, head = read_state(checkpoint)
    shape = info.shape
    if shape.narrow or (shape.dims, shape.patch) != (PUBLISHED_DIMS, 4):
        raise CheckpointError(
            f"a published network has channels {PUBLISHED_DIMS} and a stem of 4 px, but {checkpoint} has {shape.dims} "
            f"and {shape.patch} px{', and batch norm on its embedding' if shape.narrow else ''}; export a model of "
            "preset small, tiny or micro"
        )
    initialised = info.role == "student" and not head
    if initialised:
        head = {name: torch.zeros_like(tensor) for name, tensor in StageWeightHead(shape.dims[3]).state_dict().items()}
    parts = {network: _part(state, network) for network in MEMBERS}
    if info.role == "student":
        parts["optimal_weights"] = head
        for network in BACKBONES:
            parts[network] |= _samplings()
    targets = {network: out / f"{network}.pth" for network in parts}
    for target in targets.values():
        _require_new(target)
    for network, part in parts.items():
        with written_whole(targets[network]) as temporary:
            torch.save(to_published(network, part), temporary)
    return Exported(tuple(targets.values()), initialised)


def _require_identities(identities: Sequence[int], num_classes: int) -> None:
    if len(set(identities)) != len(identities):
        raise CheckpointError("--identities must name each person once, but names some twice; give one of each class")
    if len(identities) != num_classes:
        raise CheckpointError(
            f"--identities must name the {num_classes} people that the files know, but names {len(identities)}; give "
            "those of the fold's train folder that they were trained on"
        )


def _require_published_form(states: Mapping[str, State], ours: Mapping[str, State], files: Mapping[str, Path]) -> None:
    problems = [
        f"{files[network]}: {line}"
        for network, like in ours.items()
        for line in differences(to_published(network, like), states[network])
    ]
    if problems:
        text = "these files are no teacher of the published form; check which file is which"
        raise CheckpointError(f"{text}:\n{listed(problems)}")


def _shape(states: Mapping[str, State], files: Mapping[str, Path]) -> tuple[Architecture, int]:
    """Sizes and class count. Raises `CheckpointError` where the files disagree on them."""
    depths = {network: _depths(states[network]) for network in BACKBONES}
    if len(set(depths.values())) > 1:
        listed = " and ".join(f"{files[network]} has {each}" for network, each in depths.items())
        raise CheckpointError(f"both backbones must have the same depths, but {listed}; take both from one training")
    heads = {network: states[network].get(name) for network, name in HEADS.items()}
    classes = {network: len(head) for network, head in heads.items() if head is not None and head.ndim == 2}
    if len(set(classes.values())) > 1:
        counts = ", ".join(f"{files[network]} knows {count}" for network, count in classes.items())
        raise CheckpointError(f"all networks must know the same identities, but {counts}; take them from one fold")
    return Architecture(PUBLISHED_DIMS, depths[BACKBONES[0]]), next(iter(classes.values()), 1)


def _depths(state: State) -> tuple[int, int, int, int]:
    """Blocks of each stage, by their names: as many as there are different ones, and at least one."""
    matches = [re.match(r"stages\.([0-3])\.(\d+)\.", name) for name in state]
    blocks = {(int(match[1]), match[2]) for match in matches if match}
    first, second, third, fourth = (max(1, sum(stage == i for stage, _ in blocks)) for i in range(4))
    return first, second, third, fourth


def _samplings() -> State:
    """What a published student's backbone owns and never trains: convolution `4 i + j` leads from stage i to stage j.

    Weights as at the start of a published training (truncated normal, 0.02), the same in every file; biases 0.
    """
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for i, source in enumerate(PUBLISHED_DIMS):
        for j, target in enumerate(PUBLISHED_DIMS):
            name = f"samplings.{4 * i + j}.channelSample"
            weight = torch.empty(target, source, 1, 1)
            state[f"{name}.weight"] = torch.nn.init.trunc_normal_(weight, std=INIT_STD, generator=generator)
            state[f"{name}.bias"] = torch.zeros(target)
    return state


def _read(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}; give the path of a .pth file of the published format")
    try:
        return load_torch_file(path)
    except Exception as error:  # what the reader raises for damaged bytes is of many kinds
        raise CheckpointError(_why_unreadable(path, error)) from error


def _unwrapped(held: object) -> object:
    """What is stored under `model` or `state_dict`: some trainers wrap twice."""
    for _ in range(2):
        if isinstance(held, dict):
            held = next((inner for key in WRAPPERS if isinstance(inner := held.get(key), dict)), held)
    return held


def _require_new(target: Path) -> None:
    """Raises `UserError` unless a new file can be written there."""
    if target.exists() and not target.is_dir():
        raise CheckpointError(f"{target} exists already; remove it or choose another --out")
    require_writable(target)


def _part(state: State, network: str) -> State:
    prefix = f"{network}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _why_unreadable(path: Path, error: Exception) -> str:
    blocked = re.search(r"GLOBAL (\S+)", str(error))
    if blocked:
        return (
            f"{path} must hold weights alone, but reading it would run code or build objects ({blocked[1]}), which "
            "owkd never does; save the state dict alone, with torch.save(model.state_dict(), FILE)"
        )
    return (
        f"{path} must be a file of torch.save that holds weights alone, but it cannot be read as such "
        f"({type(error).__name__}); fetch it again, or save it with torch.save(model.state_dict(), FILE)"
    )
