"""The published command line: training, validation and test of every fold, with the published values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from launch.output.console import console, epoch_lines, print_note
from launch.output.summary import continued_by_the_same_command
from launch.published.fold_files import History, summary_table, write_summary, write_test
from owkd.config import FOLD_PLACEHOLDER, Config, Preset, parse_config, upgraded
from owkd.config.protocols import Protocol
from owkd.data.index import SPLITS, read_split
from owkd.device import DeviceName, pick_device, use_threads
from owkd.errors import ConfigError, UserError
from owkd.evaluation.evaluate import evaluate_protocols
from owkd.files import require_writable, written_whole
from owkd.models.imagenet import official_file
from owkd.models.presets import architecture
from owkd.training.run import run
from owkd.training.teacher import phases, train_teacher
from search.runs.inputs import check_inputs, differences

PUBLISHED_PROTOCOL: dict[str, Protocol] = {"DBPerson-Recog-DB1_thermal": "merged", "SYSU-MM01_thermal": "center"}
COMPARED_PROTOCOL: Protocol = "standard"
IMAGES_PER_IDENTITY = 2
MAY_CHANGE = ("data.folds", "train.device", "train.validation_batch_size")
"""what another call on the same folder may set otherwise: no result depends on it"""


@dataclass(frozen=True)
class Request:
    """One command line. None stands for the published value, which differs between student and teacher."""

    root: Path
    folds: str
    dataset: str
    model: Literal["student", "teacher"]
    epochs: int = 30
    validation_batch_size: int = 8
    test_batch_size: int = 256
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    batch_size: int | None = None
    gce_learning_rate: float | None = None
    gce_weight_decay: float | None = None
    teacher: str | None = None
    preset: Preset | None = None
    init: Literal["imagenet", "random"] | None = None
    image_size: int = 224
    device: DeviceName = "auto"
    out: Path | None = None

    @property
    def start(self) -> Literal["imagenet", "random"]:
        """What backbones start from: the published start is ImageNet, which nano has none of."""
        return self.init or ("random" if self.preset == "nano" else "imagenet")

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.out or Path("runs") / f"{self.dataset}-{self.model}"


@continued_by_the_same_command()
def run_published(request: Request) -> None:
    """Trains, validates and tests on each fold, and writes a table over folds; continues where it was stopped.

    Raises `ConfigError` naming everything that does not fit, and other `UserError`s, before the first training.
    """
    config = configured(request)
    use_threads(config.train.threads)
    require_writable(request.folder / "results.csv")
    _check(request, config)
    _claim(request, config)
    for fold in config.data.folds:
        checkpoint = _trained(request, config, fold)
        _test(request, config, fold, checkpoint)
    rows = write_summary(request.folder)
    console.print(summary_table(f"{request.model} on the test split of {request.dataset}, percent", rows))
    for row in rows:
        if row.get("skipped"):
            console.print(
                f"{row['skipped']} queries of {row['fold']} ({row['protocol']}) have no match and do not count"
            )
    console.print(f"Files: {request.folder}", soft_wrap=True)


def configured(request: Request) -> Config:
    """The configuration that the command line stands for. Raises `ConfigError`."""
    training: dict[str, Any] = {
        "epochs": request.epochs,
        "learning_rate": request.learning_rate,
        "weight_decay": request.weight_decay,
    }
    batch = {} if request.batch_size is None else {"batch_size": request.batch_size}
    if request.batch_size is not None and request.batch_size % IMAGES_PER_IDENTITY:
        raise UserError(
            f"--trainBatchSize must be a multiple of {IMAGES_PER_IDENTITY}, the images of a person in a batch, "
            f"but got {request.batch_size}; give {request.batch_size + 1}"
        )
    if request.batch_size is not None and request.batch_size < 2 * IMAGES_PER_IDENTITY:
        raise UserError(
            f"--trainBatchSize must be at least {2 * IMAGES_PER_IDENTITY}, {IMAGES_PER_IDENTITY} images of two people, "
            f"but got {request.batch_size}; give {2 * IMAGES_PER_IDENTITY}"
        )
    gce = {"learning_rate": request.gce_learning_rate, "weight_decay": request.gce_weight_decay}
    gce = {name: value for name, value in gce.items() if value is not None}
    teacher: dict[str, Any] = {"checkpoint": _teacher_files(request), "init": request.start}
    train: dict[str, Any] = {
        "device": request.device,
        "images_per_identity": IMAGES_PER_IDENTITY,
        "validation_batch_size": request.validation_batch_size,
    }
    student: dict[str, Any] = {"init": request.start}
    if request.model == "teacher":
        teacher |= {"preset": request.preset or "small", "backbones": training | batch}
        teacher |= {"gce": {"epochs": request.epochs, **batch, **gce}}
    else:
        teacher |= {"preset": "nano" if request.preset == "nano" else "small"}
        teacher |= {"backbones": {"epochs": request.epochs}, "gce": {"epochs": request.epochs}}
        student |= {"preset": request.preset or "micro"}
        train |= training | batch | {f"gce_{name}": value for name, value in gce.items()}
    data = {
        "root": str(request.root),
        "dataset": request.dataset,
        "folds": list(dict.fromkeys(fold for fold in request.folds.replace(" ", "").split(",") if fold)),
        "image_size": request.image_size,
    }
    name = f"{request.dataset}-{request.model}"
    tree = {"name": name, "data": data, "teacher": teacher, "student": student, "train": train}
    return parse_config(tree, "the command line")


def _teacher_files(request: Request) -> str:
    if request.teacher is None:
        place = "train/best.safetensors" if request.model == "teacher" else "teacher/teacher.safetensors"
        return str(request.folder / FOLD_PLACEHOLDER / place)
    if request.model == "teacher":
        raise UserError(
            f"--teacher names what a student learns from, but got {request.teacher} with --modelType teacher; leave "
            "one of them out"
        )
    path = Path(request.teacher)
    return str(path / f"{FOLD_PLACEHOLDER}.safetensors") if path.is_dir() else request.teacher


def _check(request: Request, config: Config) -> None:
    """All folds and teachers, before the first training. Raises `ConfigError` naming everything that is wrong."""
    pick_device(request.device)
    problems = _wrong_sizes(request, config)
    for fold in config.data.folds:
        for split in SPLITS:
            try:
                read_split(config.data.root, config.data.dataset, fold, split)
            except UserError as error:
                problems.append(str(error))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)), "the command line")
    if request.teacher is not None:
        check_inputs(config)
    if request.start == "imagenet":
        for preset in _presets_to_train(request, config):
            official_file(preset)


def _presets_to_train(request: Request, config: Config) -> list[Preset]:
    teacher = [config.teacher.preset] if request.teacher is None else []
    return teacher if request.model == "teacher" else [config.student.preset, *teacher]


def _wrong_sizes(request: Request, config: Config) -> list[str]:
    problems = []
    student = request.model == "student"
    stride = architecture(config.student.preset if student else config.teacher.preset).stride
    if request.image_size % stride:
        problems.append(
            f"--image-size must be a multiple of {stride} for these networks, but got {request.image_size}; give "
            f"{max(round(request.image_size / stride), 1) * stride}"
        )
    return problems


def _claim(request: Request, config: Config) -> None:
    """Writes the configuration, or compares it with that of an earlier call. Raises `UserError` when they differ."""
    path = request.folder / "config.yaml"
    tree = config.to_dict()
    if path.is_file():
        before = _settings_before(path)
        changed = [name for name in differences(before, tree) if name not in MAY_CHANGE]
        if changed:
            raise UserError(
                f"--out must name a new folder or one of the same settings, but {request.folder} differs in "
                f"{', '.join(changed)}; name another one"
            )
        return
    with written_whole(path) as temporary:
        temporary.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def _settings_before(path: Path) -> dict[str, Any]:
    """What an earlier call was given. Raises `UserError` where the file is damaged."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict):
            raise ValueError(f"holds {type(tree).__name__}")
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} must hold the settings of an earlier call, but is damaged ({' '.join(str(error).split())}); name "
            "another --out"
        ) from error
    return upgraded(tree)


def _trained(request: Request, config: Config, fold: str) -> Path:
    """The model file of a fold, trained now or in an earlier call; its epochs are written beside it."""
    folder = request.folder / fold
    if request.model == "teacher":
        return _teacher(config, fold, folder / "validation")
    if request.teacher is None:
        console.print(f"{fold}: no --teacher, so its teacher is trained first, by the published recipe", soft_wrap=True)
        _teacher(config, fold, folder / "teacher")
    history = History(folder / "validation", [("student", config.train.epochs)])
    report = history.and_then(epoch_lines(f"student {fold}", config.train.epochs))
    result = run(config, report, fold=fold, directory=folder / "train", say=print_note)
    history.conclude(f"student on {fold}")
    return result.checkpoint


def _teacher(config: Config, fold: str, results: Path) -> Path:
    path = config.teacher.checkpoint_for(fold)
    stretches = [(phase.name, phase.recipe.epochs) for phase in phases(config)]
    history = History(results, stretches)
    if path.is_file():
        console.print(f"teacher of {fold}: trained in an earlier call, {path}", soft_wrap=True)
        history.read()
    else:
        report = history.and_then(epoch_lines(f"teacher {fold}", sum(epochs for _, epochs in stretches)))
        train_teacher(config, report, fold=fold, out=path, say=print_note)
    history.conclude(f"teacher on {fold}")
    return path


def _test(request: Request, config: Config, fold: str, checkpoint: Path) -> None:
    protocols = (PUBLISHED_PROTOCOL[request.dataset], COMPARED_PROTOCOL)
    results, parameters = evaluate_protocols(
        checkpoint,
        config.data,
        fold=fold,
        split="test",
        protocols=protocols,
        device=request.device,
        batch_size=request.test_batch_size,
    )
    for protocol, result in results.items():
        if result.warning is not None:
            console.print(f"warning: {fold} ({protocol}): {result.warning}", soft_wrap=True)
    facts = {
        "dataset": request.dataset,
        "fold": fold,
        "model": request.model,
        "checkpoint": str(checkpoint),
        "parameters": parameters,
        "published_protocol": protocols[0],
    }
    write_test(request.folder / fold / "test", f"{request.model} on {fold}", results, facts)
