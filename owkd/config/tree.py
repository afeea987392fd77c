"""The whole configuration: one frozen tree whose defaults are the published values.

Nothing here imports torch, Ray or Optuna, so that a configuration can be checked in a moment on any machine.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from owkd.config.node import EachOnce, Node, PathText, Seed
from owkd.config.search import RetrainConfig, SearchConfig
from owkd.errors import ConfigError

Preset = Literal["small", "tiny", "micro", "pico", "femto", "nano"]
Precision = Literal["fp32", "bf16"]
TargetPrecision = Literal["fp32", "fp16", "bf16"]

FOLD_PLACEHOLDER = "{fold}"


def _window(value: Any) -> Any:
    named = value in ("auto", "per_image") if isinstance(value, str) else False
    ends = value if isinstance(value, list | tuple) and len(value) == 2 else ()
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool) and isfinite(end)]
    if not named and (len(numbers) != 2 or numbers[0] >= numbers[1]):
        raise ValueError("must be auto, per_image or [low, high] with low below high")
    return value


GreyWindow = BeforeValidator(_window)
"""marks a window of grey values, which is named or has an end above its start"""


class DataConfig(Node):
    """Where the images are: `<root>/<dataset>/<fold>/{train,validation,test}/allcam/<identity>/<image>`."""

    root: Path = Field(description="folder that holds the data set's folder")
    dataset: str = Field(description="its name")
    folds: Annotated[tuple[str, ...], EachOnce] = Field(
        default=("Fold1",), min_length=1, description="a trial trains on each of them"
    )
    image_size: PositiveInt = Field(default=224, description="side of the square network input, pixels")
    cache: Path | None = Field(default=None, description="folder for decoded images; beside the data when unset")
    window: Annotated[Literal["auto", "per_image"] | tuple[float, float], GreyWindow] = Field(
        default="auto",
        description="grey values of images of more than 8 bits that are black and white, [low, high]; auto: by the "
        "training split; per_image: each image's own. 8-bit images have no need of it",
    )


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
        if self.init == "imagenet" and self.preset not in ("small", "tiny", "micro"):
            raise ValueError(
                f"init must be random for preset {self.preset}, because no ImageNet weights of its size exist, but got "
                "imagenet; choose preset small, tiny or micro, or init random"
            )
        if self.init == "random" and self.init_file is not None:
            raise ValueError(
                f"init must be imagenet where init_file is given, but got init=random and init_file={self.init_file}; "
                "set one or drop the other"
            )
        return self


class TargetsConfig(Node):
    """The teacher's outputs for every training image, computed once and shared by all trainings with this teacher."""

    use: Literal["auto", "stored", "live"] = Field(
        default="auto", description="auto: stored where the disk has room for them, else the teacher runs in every step"
    )
    precision: TargetPrecision = Field(
        default="fp32", description="on disk; fp32 gives the live teacher's numbers, fp16 and bf16 take half the room"
    )
    folder: Path | None = Field(default=None, description="where they are stored; beside the decoded images when unset")


class TeacherConfig(Start):
    """The ensemble that teaches. Flow matrices are compared entry by entry: its channels must be those that the student
    meets."""

    checkpoint: PathText | None = Field(
        default=None, description=f"safetensors file; `{FOLD_PLACEHOLDER}` stands for the fold's name"
    )
    preset: Preset = "small"
    schedule: Literal["two_stage", "joint"] = Field(
        default="two_stage", description="backbones first, then GCE-Net on frozen features; or all at once"
    )
    backbones: StageConfig = StageConfig()
    gce: GceStageConfig = GceStageConfig()
    targets: TargetsConfig = TargetsConfig()

    @model_validator(mode="after")
    def _wide_enough(self) -> Self:
        if self.preset in ("pico", "femto"):
            raise ValueError(
                f"preset must not be {self.preset}, which is for students that are narrower than their teacher; choose "
                "small, tiny, micro or nano"
            )
        return self

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
    """How a student is trained: Adam, with rates and weight decays of the backbones and of GCE-Net (`gce_`)."""

    epochs: PositiveInt = 30
    batch_size: Annotated[int, Field(ge=2)] = Field(default=8, description="images a step")
    images_per_identity: PositiveInt = Field(default=2, description="K of the P x K sampler; 1 is a plain shuffle")
    validation_batch_size: PositiveInt = Field(default=64, description="images embedded at a time; memory, not results")
    learning_rate: PositiveFloat = 1e-4
    gce_learning_rate: PositiveFloat = 1e-3
    stage_weight_learning_rate: PositiveFloat = Field(
        default=1e-4, description="of the head that learns the stage weights"
    )
    learning_rate_decay: Literal["none", "cosine"] = Field(
        default="none",
        description="of every learning rate of a student, over its steps; none is the published way, cosine falls to 0 "
        "along half a wave (Loshchilov and Hutter 2017)",
    )
    warmup_epochs: NonNegativeFloat = Field(
        default=0.0, description="over which every learning rate of a student rises from a tenth; 0 is published"
    )
    weight_decay: NonNegativeFloat = 1e-5
    gce_weight_decay: NonNegativeFloat = 1e-3
    triplet_margin: NonNegativeFloat = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="share of a student's cross-entropies that is spread over all identities; 0 is published",
    )
    gradient_clip: PositiveFloat | None = Field(
        default=None, description="L2 norm beyond which a student's gradients are scaled down; never when unset"
    )
    weight_average: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="decay a step, such as 0.99, of the average of a student's weights that is validated and kept; "
        "the weights themselves when unset",
    )
    flip: bool = Field(default=False, description="half of a student's images mirrored; published is none")
    crop_padding: NonNegativeInt = Field(
        default=0,
        description="pixels by which a student's images are moved at most, black where nothing is left; 0 is "
        "published, and with more the teacher runs in every step",
    )
    random_erasing: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="share of a student's images of which a box is erased; 0 is published, and with more the teacher "
        "runs in every step",
    )
    seed: Seed = Field(default=0, description="of weights and batches")
    precision: Precision = Field(
        default="fp32", description="bf16: autocast on a GPU, and on a CPU with AMX or AVX512-BF16; others compute fp32"
    )
    compile: bool = Field(default=False, description="torch.compile of the student's networks; minutes at the start")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt | None = Field(
        default=None, description="CPU threads of a single training, torch's choice when unset; a trial has its share"
    )

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch_size % self.images_per_identity:
            raise ValueError(
                f"batch_size must be a multiple of images_per_identity, but got {self.batch_size} and "
                f"{self.images_per_identity}; set one of them to a multiple of the other"
            )
        if self.batch_size < 2 * self.images_per_identity:
            raise ValueError(
                "a batch must hold two people, without whom there is no triplet loss, but batch_size and "
                f"images_per_identity are both {self.batch_size}; set batch_size to {2 * self.batch_size} or more"
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

    gram: NonNegativeFloat = Field(default=1e-4, description="flow matrices between both backbones, four stages")
    spectrum: NonNegativeFloat = Field(default=1e-4, description="Fourier amplitudes of the same")
    gce_gram: NonNegativeFloat = Field(default=1e-4, description="flow matrices between the blocks of GCE-Net")
    gce_spectrum: NonNegativeFloat = Field(default=1e-4, description="Fourier amplitudes of the same")
    logit: NonNegativeFloat = Field(default=1e-2, description="cross-entropy against the teacher's softmax")
    temperature: PositiveFloat = Field(default=1.0, description="of that softmax and the student's")
    teacher_weights: TeacherWeights = TeacherWeights()
    stage_weights: Literal["learned"] | StageWeights = Field(
        default="learned", description="learned from the teacher's features (published), or four fixed numbers"
    )

    @property
    def enabled(self) -> bool:
        """Whether any distillation term is left: without one, no teacher is needed."""
        return any((self.gram, self.spectrum, self.gce_gram, self.gce_spectrum, self.logit))


NO_DISTILLATION = DistillConfig(gram=0, spectrum=0, gce_gram=0, gce_spectrum=0, logit=0)


class Config(Node):
    """The root."""

    name: str = Field(default="search", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of the run")
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
