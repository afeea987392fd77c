"""The whole configuration: one frozen tree whose defaults are the published values.

Unknown keys are refused with the nearest right name, and every mistake is reported at once. Nothing here imports
torch, Ray or Optuna, so that a configuration can be checked in a moment on any machine.

The search space is part of the tree: an entry names any field by its dotted path and says how that field may vary.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from owkd.errors import ConfigError

Preset = Literal["small", "tiny", "micro", "nano"]
Precision = Literal["fp32", "bf16"]

FOLD_PLACEHOLDER = "{fold}"


class Node(BaseModel):
    """A branch of the tree: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataConfig(Node):
    """Where the images are: `<root>/<dataset>/<fold>/{train,validation,test}/allcam/<identity>/<image>`."""

    root: Path
    dataset: str
    folds: tuple[str, ...] = Field(default=("Fold1",), min_length=1)
    image_size: PositiveInt = Field(default=224, description="side of the square network input, pixels")
    cache: Path | None = Field(default=None, description="folder for decoded images; beside the data when unset")


class StageConfig(Node):
    """One stage of teacher training."""

    epochs: PositiveInt = 30
    learning_rate: PositiveFloat = 1e-4
    weight_decay: NonNegativeFloat = 1e-5
    batch_size: PositiveInt = 8


class GceStageConfig(StageConfig):
    """The second stage; a section that names some fields keeps these values of the others."""

    weight_decay: NonNegativeFloat = 1e-6
    batch_size: PositiveInt = 12


class Start(Node):
    """Size of an ensemble, and what its backbones start from."""

    preset: Preset
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] | None = Field(
        default=None, description="blocks per stage; the preset's when unset"
    )
    init: Literal["random", "imagenet"] = Field(
        default="random", description="imagenet: the official ConvNeXt weights, fetched once; as published"
    )
    init_file: Path | None = Field(
        default=None, description="official .pth file for init: imagenet; torch.hub's cache or the network when unset"
    )

    @model_validator(mode="after")
    def _startable(self) -> Self:
        if self.init == "imagenet" and self.preset == "nano":
            raise ValueError(
                "init must be random for preset nano, because no ImageNet weights of its size exist, but got imagenet; "
                "do choose preset small, tiny or micro, or init random"
            )
        if self.init == "random" and self.init_file is not None:
            raise ValueError(
                f"init must be imagenet where init_file is given, but got init=random and init_file={self.init_file}; "
                "do set one or drop the other"
            )
        return self


class TeacherConfig(Start):
    """The ensemble that teaches. Flow matrices are compared entry by entry: dims must equal the student's."""

    checkpoint: str | None = Field(
        default=None, description=f"safetensors file; `{FOLD_PLACEHOLDER}` stands for the fold's name"
    )
    preset: Preset = "small"
    schedule: Literal["two_stage", "joint"] = Field(
        default="two_stage", description="backbones first, then GCE-Net on frozen features; or all at once"
    )
    backbones: StageConfig = StageConfig()
    gce: GceStageConfig = GceStageConfig()

    def checkpoint_for(self, fold: str) -> Path:
        """The checkpoint of one fold. Raises `ConfigError` when none is configured."""
        if self.checkpoint is None:
            raise ConfigError(
                ["teacher.checkpoint must name a file; train one with `owkd teacher train CONFIG --out FILE`"]
            )
        return Path(self.checkpoint.replace(FOLD_PLACEHOLDER, fold))


class StudentConfig(Start):
    """The light ensemble that is distilled."""

    preset: Preset = "micro"


class TrainConfig(Node):
    """How a student is trained."""

    epochs: PositiveInt = 30
    batch_size: Annotated[int, Field(ge=2)] = 8
    images_per_identity: PositiveInt = Field(default=2, description="K of the P x K sampler; 1 is a plain shuffle")
    validation_batch_size: PositiveInt = Field(default=64, description="images embedded at a time; memory, not results")
    learning_rate: PositiveFloat = 1e-4
    gce_learning_rate: PositiveFloat = 1e-3
    stage_weight_learning_rate: PositiveFloat = 1e-4
    weight_decay: NonNegativeFloat = 1e-5
    gce_weight_decay: NonNegativeFloat = 1e-3
    triplet_margin: NonNegativeFloat = 1.0
    seed: int = 0
    precision: Precision = Field(default="fp32", description="bf16: autocast on a GPU; a CPU always computes fp32")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt | None = Field(
        default=None, description="CPU threads of a single training, torch's choice when unset; a trial has its share"
    )

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch_size % self.images_per_identity:
            raise ValueError(
                f"batch_size must be a multiple of images_per_identity, but got {self.batch_size} and "
                f"{self.images_per_identity}; do set one of them to a multiple of the other"
            )
        return self


class TeacherWeights(Node):
    """Weight of each member of the ensemble in the distillation losses; the published ones are all 1."""

    original: NonNegativeFloat = 1.0
    attention: NonNegativeFloat = 1.0
    gce: NonNegativeFloat = 1.0


class StageWeights(Node):
    """Fixed weights of the four stages in the backbone term; 1 each is uniform."""

    stage1: NonNegativeFloat = 1.0
    stage2: NonNegativeFloat = 1.0
    stage3: NonNegativeFloat = 1.0
    stage4: NonNegativeFloat = 1.0


class DistillConfig(Node):
    """Coefficients of the distillation losses; 0 switches a term off (and its computation too)."""

    gram: NonNegativeFloat = 1e-4
    spectrum: NonNegativeFloat = 1e-4
    gce_gram: NonNegativeFloat = 1e-4
    gce_spectrum: NonNegativeFloat = 1e-4
    logit: NonNegativeFloat = 1e-2
    temperature: PositiveFloat = 1.0
    teacher_weights: TeacherWeights = TeacherWeights()
    stage_weights: Literal["learned"] | StageWeights = Field(
        default="learned", description="learned from the teacher's features (published), or four fixed numbers"
    )

    @property
    def enabled(self) -> bool:
        """Whether any distillation term is left: without one, no teacher is needed."""
        return any((self.gram, self.spectrum, self.gce_gram, self.gce_spectrum, self.logit))


NO_DISTILLATION = DistillConfig(gram=0, spectrum=0, gce_gram=0, gce_spectrum=0, logit=0)


class FloatRange(Node):
    """A real number in [low, high]."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.low, self.high, self.log, self.step)
        return self


class IntRange(Node):
    """A whole number in [low, high]."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: PositiveInt | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.low, self.high, self.log, self.step)
        return self


class Choice(Node):
    """One of some values."""

    type: Literal["categorical"]
    choices: tuple[Any, ...] = Field(min_length=1)


class Simplex(Node):
    """Non-negative weights with a fixed sum, drawn uniformly: distill.teacher_weights or distill.stage_weights."""

    type: Literal["simplex"]


SpaceEntry = Annotated[FloatRange | IntRange | Choice | Simplex, Field(discriminator="type")]


class SamplerConfig(Node):
    """What proposes the parameters of the next trial."""

    name: Literal["tpe", "random"] = "tpe"
    seed: int = 0
    startup_trials: PositiveInt = Field(default=10, description="random trials before TPE models anything")


class SchedulerConfig(Node):
    """What stops a trial early."""

    name: Literal["asha", "none"] = "asha"
    grace_epochs: PositiveInt = 3
    reduction_factor: Annotated[int, Field(ge=2)] = 3


class ObjectiveConfig(Node):
    """What a trial is judged by: the best epoch's value of a validation metric."""

    metric: Literal["val/mAP", "val/rank-1", "val/mINP", "val/center_accuracy"] = "val/mAP"
    mode: Literal["max"] = "max"


class ResourcesConfig(Node):
    """What one trial takes of a machine."""

    cpu: PositiveFloat = 1.0
    gpu: NonNegativeFloat | Literal["auto"] = Field(
        default="auto", description="share of a GPU; auto: one GPU where the cluster has any, else none"
    )


class SearchConfig(Node):
    """The search over everything that `space` names."""

    trials: PositiveInt = 20
    max_concurrent: PositiveInt | None = Field(default=None, description="trials at a time; what fits when unset")
    max_failures: Annotated[int, Field(ge=0)] = Field(default=2, description="restarts of a trial that crashes")
    sampler: SamplerConfig = SamplerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    objectives: tuple[ObjectiveConfig, ...] = Field(default=(ObjectiveConfig(),), min_length=1, max_length=1)
    resources: ResourcesConfig = ResourcesConfig()
    space: dict[str, SpaceEntry] = Field(default_factory=dict)


class RetrainConfig(Node):
    """The final stage."""

    top_k: PositiveInt = 3
    seeds: PositiveInt = 3
    epochs: PositiveInt | None = Field(default=None, description="train.epochs when unset")
    folds: tuple[str, ...] | None = Field(default=None, min_length=1, description="data.folds when unset")


class Config(Node):
    """The root."""

    name: str = Field(default="search", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    train: TrainConfig = TrainConfig()
    distill: DistillConfig = DistillConfig()
    search: SearchConfig = SearchConfig()
    retrain: RetrainConfig = RetrainConfig()

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain YAML types; `parse_config` takes it back unchanged."""
        return self.model_dump(mode="json")

    def fold_names(self) -> tuple[str, ...]:
        """Every fold that the search or the final stage opens, without repetition."""
        return tuple(dict.fromkeys((*self.data.folds, *(self.retrain.folds or ()))))


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, applies `KEY=VALUE` overrides (dotted key, YAML value), and checks everything.

    Relative paths in the file are taken from the folder in which the command runs, as a shell would.

    Raises `ConfigError` naming every mistake at once.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"no such file: {path}; do give the path of a YAML configuration"], str(path)) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"not readable as YAML: {error}"], str(path)) from error
    if not isinstance(raw, dict):
        raise ConfigError([f"must be a mapping of sections, but holds {type(raw).__name__}"], str(path))
    problems: list[str] = []
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            problems.append(f"--set takes KEY=VALUE, but got {override!r}")
            continue
        try:
            _set_dotted(raw, key.strip(), yaml.safe_load(text))
        except (yaml.YAMLError, ValueError) as error:
            problems.append(f"--set {override}: {error}")
    return parse_config(raw, source=str(path), problems=problems)


def parse_config(raw: Mapping[str, Any], source: str = "the configuration", problems: Sequence[str] = ()) -> Config:
    """Checks a tree of plain values. Raises `ConfigError` naming every mistake at once (after `problems`)."""
    found = list(problems)
    config: Config | None = None
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        found.extend(_describe(error))
    found.extend(_cross_checks(config) if config is not None else _space_checks_alone(raw))
    if found:
        raise ConfigError(found, source)
    assert config is not None
    return config


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The same tree with some fields, given by dotted path, replaced. Raises `ConfigError`."""
    raw = config.to_dict()
    for key, value in values.items():
        _set_dotted(raw, key, value)
    return parse_config(raw)


def field_paths() -> tuple[str, ...]:
    """Dotted paths of all fields that a search space may name, sections included."""
    return tuple(path for path in _walk(Config) if not path.startswith(("search", "retrain", "name")))


def value_at(config: Config, path: str) -> Any:
    """The plain value of a field by dotted path."""
    value: Any = config.to_dict()
    for part in path.split("."):
        value = value[part]
    return value


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path
        kinds = (info.annotation, *getattr(info.annotation, "__args__", ()))
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _walk(kind, f"{path}.")


def _set_dotted(raw: dict[str, Any], key: str, value: Any) -> None:
    parts = key.split(".")
    if parts[:2] == ["search", "space"] and len(parts) > 2:
        parts = ["search", "space", ".".join(parts[2:])]
    node = raw
    for part in parts[:-1]:
        child = node.get(part)
        if child is None or isinstance(child, str):
            child = node[part] = {}
        if not isinstance(child, dict):
            raise ValueError(f"{part!r} is a value, not a section")
        node = child
    node[parts[-1]] = value


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, but got low={low} and high={high}")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 on a log scale, but got low={low}")
    if log and step is not None:
        raise ValueError("log and step exclude each other; do drop one")


def _describe(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        where = ".".join(location)
        if problem["type"] == "extra_forbidden":
            siblings = _children(location[:-1])
            near = difflib.get_close_matches(location[-1], siblings, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(siblings)}"
            lines.append(f"{where}: unknown key; {hint}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: is required")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            value = problem.get("input")
            shown = "" if isinstance(value, dict | BaseModel) else f", but got {value!r}"
            lines.append(f"{where}: {message}{shown}")
    return lines


def _children(location: Sequence[str]) -> list[str]:
    prefix = ".".join(location)
    depth = len(location)
    names = [path for path in _walk(Config) if path.startswith(f"{prefix}." if prefix else "")]
    return sorted({path.split(".")[depth] for path in names if path.count(".") == depth})


def _space_checks_alone(raw: Mapping[str, Any]) -> list[str]:
    """Unknown names in the space, for a tree that has other mistakes too."""
    search = raw.get("search")
    space = search.get("space") if isinstance(search, dict) else None
    return [problem for name in space for problem in _name_check(str(name))] if isinstance(space, dict) else []


def _name_check(name: str) -> list[str]:
    known = field_paths()
    if name in known:
        return []
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "do name a field by its dotted path, such as distill.gram"
    return [f"search.space.{name}: names no field of the configuration; {hint}"]


SIMPLEXES: dict[str, tuple[str, ...]] = {
    "distill.teacher_weights": tuple(TeacherWeights.model_fields),
    "distill.stage_weights": tuple(StageWeights.model_fields),
}


def _cross_checks(config: Config) -> list[str]:
    problems = []
    for name, entry in config.search.space.items():
        problems.extend(_name_check(name) or _entry_check(config, name, entry))
    scheduler = config.search.scheduler
    if config.search.space and scheduler.name == "asha" and scheduler.grace_epochs > config.train.epochs:
        problems.append(
            f"search.scheduler.grace_epochs must be at most train.epochs, but got {scheduler.grace_epochs} and "
            f"{config.train.epochs}"
        )
    checkpoint = config.teacher.checkpoint
    if checkpoint and FOLD_PLACEHOLDER not in checkpoint and len(config.fold_names()) > 1:
        problems.append(
            f"teacher.checkpoint must hold {FOLD_PLACEHOLDER} when several folds are used, because a teacher knows the "
            f"identities of one fold only, but got {checkpoint!r} for {', '.join(config.fold_names())}"
        )
    return problems


def _entry_check(config: Config, name: str, entry: SpaceEntry) -> list[str]:
    if isinstance(entry, Simplex):
        if name in SIMPLEXES:
            return []
        return [f"search.space.{name}: a simplex fits {' and '.join(SIMPLEXES)} only"]
    values = entry.choices if isinstance(entry, Choice) else (entry.low, entry.high)
    problems = []
    for value in values:
        raw = config.to_dict()
        raw["search"] = {}
        _set_dotted(raw, name, value)
        try:
            Config.model_validate(raw)
        except ValidationError as error:
            problems.append(f"search.space.{name}: would propose {value!r}, but {'; '.join(_describe(error))}")
    return problems
