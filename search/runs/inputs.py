"""What a search depends on: the folds and the teachers, checked before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owkd.config import Config, SearchConfig, StudentConfig, path_fields, with_values
from owkd.errors import ConfigError, UserError
from search.power import number_of_seeds
from search.runs.integrity import compare
from search.space.parameters import students
from search.storage.address import Address
from search.trials.view import FIXED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from owkd.data.index import Split
    from owkd.data.reading.window import Window
    from owkd.models.wse import WseNet


def check_inputs(config: Config) -> dict[str, Any]:
    """Opens training and validation split of every fold, and every teacher -> their fingerprints.

    Raises `ConfigError` naming everything that is missing, damaged or does not fit.
    """
    prints, problems = look_at_inputs(config)
    if problems:
        raise ConfigError(problems, "what the search depends on")
    return prints


def look_at_inputs(config: Config, unknown: Collection[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """What a search depends on -> fingerprints, and all that is wrong with it.

    The student's start is tried, which fetches ImageNet weights where they are asked for and absent. Images are decoded
    here, once for all trials, so that a damaged one is found before the first. The test split stays closed. Sections
    in `unknown` have mistakes of their own, and what depends on them is skipped.
    """
    from owkd.models.checkpoint import read_info

    prints: dict[str, Any] = {"data": {}, "teacher": {}}
    problems: list[str] = []
    if "student" not in unknown:
        with _collected(problems):
            _try_student(config)
    for fold in config.fold_names():
        lesson: _Lesson | None = None
        if "data" not in unknown:
            with _collected(problems):
                lesson = _open_fold(config, fold)
                prints["data"][fold] = lesson.fingerprints(config)
        if "teacher" not in unknown:
            with _collected(problems):
                if "student" in unknown:
                    read_info(config.teacher.checkpoint_for(fold))
                else:
                    prints["teacher"][fold] = _open_teacher(config, fold, lesson)
    return prints, list(dict.fromkeys(problems))


@dataclass(frozen=True)
class _Lesson:
    """What is learned on a fold.

    Attributes:
        images: (n, S, S, 3) uint8, of the training split
        window: of grey values, of both splits
    """

    train: Split
    validation: Split
    images: NDArray[np.uint8]
    window: Window

    @property
    def identities(self) -> tuple[int, ...]:
        """In the order of the classes."""
        return tuple(sorted(set(self.train.identities.tolist())))

    def fingerprints(self, config: Config) -> dict[str, str]:
        """By split."""
        from owkd.data.reading.survey import pixel_fingerprint

        splits = {"train": self.train, "validation": self.validation}
        return {name: pixel_fingerprint(split, self.window, config.data.cache) for name, split in splits.items()}


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        problems.extend(error.problems)
    except UserError as error:
        problems.append(str(error))


def _try_student(config: Config) -> None:
    """One of each start that a trial may have; depths matter where weights are fetched for them."""
    from owkd.training.prepare import initial_network

    starts: dict[object, StudentConfig] = {}
    for student in students(config).values():
        fetched = (student.init_file, student.depths) if student.init == "imagenet" else None
        starts.setdefault((student.preset, fetched), student)
    for student in starts.values():
        initial_network(student, 2, config.data.image_size, "student", seed=0)


def _open_fold(config: Config, fold: str) -> _Lesson:
    """Raises `DataError`."""
    from owkd.data.images import load_images
    from owkd.data.index import SplitName, read_split
    from owkd.data.reading.survey import window_for
    from owkd.training.prepare import require_learnable

    data = config.data
    learned: tuple[SplitName, ...] = ("train", "validation")
    train, validation = (read_split(data.root, data.dataset, fold, split) for split in learned)
    require_learnable(train, validation)
    window = window_for(train, data)
    images, _ = (load_images(split, data.image_size, data.cache, window) for split in (train, validation))
    return _Lesson(train, validation, images, window)


def _open_teacher(config: Config, fold: str, lesson: _Lesson | None) -> str:
    """-> the file's digest. Where the lesson is unknown, it need only be readable. Raises `CheckpointError`."""
    from owkd.models.checkpoint import load_teacher, read_info
    from owkd.models.presets import architecture

    path = config.teacher.checkpoint_for(fold)
    if lesson is None:
        read_info(path)
    else:
        fits: dict[str, Any] = {"identities": lesson.identities, "window": lesson.window}
        shape = architecture(config.student.preset, config.student.depths)
        teacher = load_teacher(path, shape=shape, image_size=config.data.image_size, **fits)
        _ask_teacher(teacher, path, lesson)
    teacher_shape = read_info(path).shape
    problems = []
    for proposal, student in students(config).items():
        shape = architecture(student.preset, student.depths)
        if student != config.student and not shape.is_taught_by(teacher_shape):
            problems.append(
                f"{path} cannot teach every student: its channels must be those that they meet, but are "
                f"{teacher_shape.dims} (stem {teacher_shape.patch}), and {proposal}, which meets {shape.teacher.dims} "
                f"(stem {shape.patch}); drop that choice"
            )
    if problems:
        raise ConfigError(problems)
    return _sha256(path)


def _ask_teacher(teacher: WseNet, path: Path, lesson: _Lesson) -> None:
    """Whether an imported one's classes are our people, on the processor: the GPUs are the trials'.

    What may be no import at all gets a line where a training begins. Raises `CheckpointError`.
    """
    import torch

    from owkd.models.checkpoint import read_info
    from owkd.training.class_order import FEW_IMAGES, class_logits, require_class_order

    def answers(sample: NDArray[np.int64]) -> dict[str, Tensor]:
        return class_logits(teacher, lesson.images[sample], torch.device("cpu"))

    require_class_order(path, read_info(path), lesson.train, answers, lambda line: None, most=FEW_IMAGES)


def anchored(config: Config, name: str, trials: int | None = None) -> Config:
    """The configuration as a run keeps it: absolute paths, for workers in any folder; its name, trials, test seeds.

    Raises `ConfigError`, and `UserError` for an address that cannot be used.
    """
    if trials is not None:
        config = with_values(config, {"search.trials": trials})
    if problems := too_little(config.search):
        raise ConfigError(problems)
    addresses = {field: Address.of(text) for field, text in path_fields(config).items() if text is not None}
    values: dict[str, Any] = {
        field: str(address if address.remote else address.path.absolute()) for field, address in addresses.items()
    }
    values["name"] = name
    values["retrain.seeds"] = number_of_seeds(config)
    return with_values(config, values)


def too_little(search: SearchConfig) -> list[str]:
    """What a new search must have. Not a rule of configurations: runs of 0.1.0 may have a single trial."""
    problems = []
    if not search.space:
        problems.append(
            "search.space must name at least one field; add one, or train a single student with `owkd distill`"
        )
    if search.trials < len(FIXED):
        problems.append(
            f"search.trials must be at least {len(FIXED)}, because the first trials are {' and '.join(FIXED)}, which "
            f"all others are compared with, but got {search.trials}; raise it"
        )
    return problems


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Dotted paths at which two trees of plain values differ."""
    return [change.where for change in compare(before, now)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
