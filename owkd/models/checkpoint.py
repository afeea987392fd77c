"""Model files: one safetensors file that describes what it holds, written whole, and nothing in it can run code."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from pydantic import PositiveInt, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from owkd.data.reading.window import Window, window_in_words
from owkd.errors import CheckpointError
from owkd.files import written_whole
from owkd.models import CHAMPION
from owkd.models.presets import Architecture
from owkd.models.state_dicts import checksum, differences, not_finite, several
from owkd.models.wse import Role, WseNet

FORMAT = "owkd-1"
KEY = "owkd"
"""one key alone: safetensors writes several in any order, and equal models should be equal files"""
SUM_OF_DESCRIPTION, SUM_OF_WEIGHTS = "description_sha256", "weights_sha256"
"""of the rest of the description and of the tensors; they stand in the shape, where versions that know of none pass
over them. Files of 0.1.0 have neither"""
REMEDY = "fetch it again, or train it anew"
IMPORTED = "published files"
"""the origin of an imported teacher"""
LATER = ("against_student", "window")
"""what came after 0.1.0 and stands in a file only where it is known: a file without it is the same as ever"""
STAGE_WEIGHTS = "stage_weights."
"""before the names of the stage-weight head, which learns beside a student and is no part of it"""


@dataclass(frozen=True)
class ModelInfo:
    """The description in a model file.

    Attributes:
        identities: identity number behind each class; empty where an imported file does not name them
        origin: data set and fold that it was trained on, or `IMPORTED`
        against_student: of a teacher, plain values: how far it is ahead of a student without distillation; None where
            that was not measured
        window: grey values of images of more than 8 bits that are black and white to it; None where it was trained on
            8-bit images, and takes all of 16 bits
    """

    role: Role
    shape: Architecture
    image_size: PositiveInt
    num_classes: PositiveInt
    identities: tuple[int, ...] = ()
    origin: str = ""
    against_student: dict[str, Any] | None = None
    window: Window = None


def save_model(
    model: WseNet,
    path: Path,
    *,
    identities: tuple[int, ...] = (),
    origin: str = "",
    window: Window = None,
    stage_weights: nn.Module | None = None,
) -> None:
    """Writes weights and description of an ensemble to a safetensors file, whole.

    `stage_weights` is the head that learned beside a student; it travels in the same file.
    """
    info = ModelInfo(model.role, model.shape, model.image_size, model.num_classes, identities, origin, window=window)
    head = {} if stage_weights is None else stage_weights.state_dict(prefix=STAGE_WEIGHTS)
    save_state({**model.state_dict(), **head}, path, info)


def save_state(state: dict[str, Tensor], path: Path, info: ModelInfo) -> None:
    """Writes a state dict with its description and checksums of both to a safetensors file, whole."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    description = {"format": FORMAT, **asdict(info)}
    for name in LATER:
        if description[name] is None:
            del description[name]
    if info.shape.meets is None:
        del description["shape"]["meets"]
    sums = {SUM_OF_DESCRIPTION: _sum_of(description), SUM_OF_WEIGHTS: checksum(tensors)}
    description["shape"] = {**description["shape"], **sums}
    with written_whole(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, metadata={KEY: json.dumps(description)})
        temporary.chmod(mode)  # safetensors gives a file to its owner alone


def record_against_student(path: Path, figures: dict[str, Any]) -> None:
    """Writes into a teacher's file how far it is ahead of a student. Raises `CheckpointError`."""
    info, state = _read(path, tensors=True)
    save_state(state, path, replace(info, against_student=figures))


def read_info(path: Path) -> ModelInfo:
    """The description of a model file, without its weights. Raises `CheckpointError`."""
    return _read(path, tensors=False)[0]


def read_state(path: Path) -> tuple[ModelInfo, dict[str, Tensor], dict[str, Tensor]]:
    """Description, the ensemble's state dict, and that of the stage-weight head, empty where the file has none.

    Raises `CheckpointError`.
    """
    info, state = _read(path, tensors=True)
    names = [name for name in state if name.startswith(STAGE_WEIGHTS)]
    head = {name.removeprefix(STAGE_WEIGHTS): state.pop(name) for name in names}
    return info, state, head


def model_file(path: str | PathLike[str]) -> Path:
    """The model file at a path: itself, or, of the folder of a champion, the one in it.

    Raises `CheckpointError` for a folder without one.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    if not (path / CHAMPION).is_file():
        raise CheckpointError(
            f"no such checkpoint: {path / CHAMPION}; give a model file, or a folder that holds {CHAMPION}, as "
            "retrain/champion of a run does"
        )
    return path / CHAMPION


def load_model(path: Path, *, role: Role | None = None) -> tuple[WseNet, ModelInfo]:
    """The ensemble in evaluation mode, and its description. Raises `CheckpointError`."""
    info, state, _ = read_state(path)
    if role is not None and info.role != role:
        raise CheckpointError(f"{path} must hold a {role}, but holds a {info.role}; give the file of a {role}")
    _require_networks(path, info, state)
    model = WseNet(info.shape, info.num_classes, info.image_size, info.role)
    model.load_state_dict(state)
    return model.eval(), info


def load_teacher(
    path: Path, *, shape: Architecture, image_size: int, identities: tuple[int, ...], window: Window = None
) -> WseNet:
    """A frozen teacher for a student of `shape` on these identities. Raises `CheckpointError` when it does not fit."""
    require_teacher(path, shape=shape, image_size=image_size, identities=identities, window=window)
    return load_model(path, role="teacher")[0].requires_grad_(False)


def require_teacher(
    path: Path, *, shape: Architecture, image_size: int, identities: tuple[int, ...], window: Window = None
) -> ModelInfo:
    """The description of a teacher's file that fits, as `load_teacher` without weights. Raises `CheckpointError`."""
    info = read_info(path)
    problems = []
    if info.role != "teacher":
        problems.append(f"it must hold a teacher, but holds a {info.role}")
    if not shape.is_taught_by(info.shape):
        problems.append(
            f"its channels must be those that the student meets, but are {info.shape.dims} (stem {info.shape.patch}) "
            f"against {shape.teacher.dims} (stem {shape.patch}); choose a student preset of the same family"
        )
    if info.image_size != image_size:
        problems.append(f"it takes images of {info.image_size} px; set data.image_size to {info.image_size}")
    if info.num_classes != len(identities):
        problems.append(
            f"it knows {info.num_classes} identities, but the fold's training split holds {len(identities)}; train "
            "or import the teacher of this fold"
        )
    elif info.identities and info.identities != identities:
        problems.append("it was trained on other identities than the fold's; train or import this fold's teacher")
    if info.window != window:
        problems.append(
            f"its window of grey values is {window_in_words(info.window)}, but data.window gives "
            f"{window_in_words(window)}; {_window_remedy(info)}"
        )
    if problems:
        raise CheckpointError(f"{path} cannot teach here: " + "; ".join(problems))
    return info


def _window_remedy(info: ModelInfo) -> str:
    if info.window is not None:
        return f"set data.window to {info.window if info.window == 'per_image' else list(info.window)}"
    if info.origin == IMPORTED:
        return "import it again with --window, by which its training images were made 8 bits"
    return "train it anew, or set data.window to [0, 65536], all of 16 bits"


def _require_networks(path: Path, info: ModelInfo, state: dict[str, Tensor]) -> None:
    """Raises `CheckpointError` unless the tensors are those of the networks that the file describes."""
    try:
        with torch.device("meta"):
            described = WseNet(info.shape, info.num_classes, info.image_size, info.role).state_dict()
    except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} must describe networks that can be built ({error}); {REMEDY}") from error
    if problems := differences(described, state):
        raise CheckpointError(f"{path} must hold the networks that it describes, but {several(problems)}; {REMEDY}")


def _read(path: Path, *, tensors: bool) -> tuple[ModelInfo, dict[str, Tensor]]:
    path = model_file(path)
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}; give the path of a model file made by owkd")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
        raw = json.loads(metadata.get(KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}); {REMEDY}") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} must be of format {FORMAT}, but its metadata do not say so; import foreign checkpoints with "
            "`owkd teacher import`"
        )
    shape = raw.get("shape")
    sums = {
        name: shape.pop(name, None) if isinstance(shape, dict) else None
        for name in (SUM_OF_DESCRIPTION, SUM_OF_WEIGHTS)
    }
    if sums[SUM_OF_DESCRIPTION] not in (None, _sum_of(raw)):
        raise CheckpointError(f"{path} is damaged: its description does not match its checksum; {REMEDY}")
    if tensors and sums[SUM_OF_WEIGHTS] not in (None, checksum(state)):
        raise CheckpointError(f"{path} is damaged: its weights do not match their checksum; {REMEDY}")
    if wrong := not_finite(state):
        raise CheckpointError(f"{path} must hold finite weights, but {several(wrong)} are not; {REMEDY}")
    try:
        return TypeAdapter(ModelInfo).validate_python(raw), state
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise CheckpointError(f"{path} must describe its model, but {where}: {problem['msg']}; {REMEDY}") from error


def _sum_of(description: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description).encode()).hexdigest()
