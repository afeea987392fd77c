"""What a search stands on: the folds and the teachers, looked at before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from owkd.config import Config, with_values
from owkd.errors import ConfigError, UserError


def check_inputs(config: Config) -> dict[str, Any]:
    """Opens training and validation split of every fold, and every teacher -> their fingerprints.

    The student's start is tried, which fetches ImageNet weights where they are asked for and absent. Images are decoded
    here, once for all trials, so that a damaged one is found before the first. The test split stays closed. Raises
    `ConfigError` naming everything that is missing, damaged or does not fit.
    """
    import numpy as np

    from owkd.data.images import load_images
    from owkd.data.index import read_split
    from owkd.models.checkpoint import load_teacher
    from owkd.models.presets import architecture
    from owkd.training.prepare import first_network

    shape = architecture(config.student.preset, config.student.depths)
    prints: dict[str, Any] = {"data": {}, "teacher": {}}
    problems: list[str] = []
    try:
        first_network(config.student, 2, config.data.image_size, "student", seed=0)
    except ConfigError as error:
        problems.extend(error.problems)
    except UserError as error:
        problems.append(str(error))
    for fold in config.fold_names():
        try:
            train = read_split(config.data.root, config.data.dataset, fold, "train")
            validation = read_split(config.data.root, config.data.dataset, fold, "validation")
            for split in (train, validation):
                load_images(split, config.data.image_size, config.data.cache)
            prints["data"][fold] = {"train": train.fingerprint, "validation": validation.fingerprint}
            path = config.teacher.checkpoint_for(fold)
            identities = tuple(int(identity) for identity in np.unique(train.identities))
            load_teacher(path, shape=shape, image_size=config.data.image_size, identities=identities)
            prints["teacher"][fold] = _sha256(path)
        except ConfigError as error:
            problems.extend(error.problems)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)), "what the search stands on")
    return prints


def anchored(config: Config, run: Path, trials: int | None = None) -> Config:
    """The configuration as workers in any folder can use it: absolute paths, the run's name, the asked trials.

    Raises `ConfigError`.
    """
    if not config.search.space:
        raise ConfigError(
            ["search.space must name at least one field; do add one, or train a single student with `owkd distill`"]
        )
    values: dict[str, Any] = {"name": run.name, "data.root": str(config.data.root.absolute())}
    if config.student.init_file is not None:
        values["student.init_file"] = str(config.student.init_file.absolute())
    if config.data.cache is not None:
        values["data.cache"] = str(config.data.cache.absolute())
    if config.teacher.checkpoint is not None:
        values["teacher.checkpoint"] = str(Path(config.teacher.checkpoint).absolute())
    if trials is not None:
        values["search.trials"] = trials
    return with_values(config, values)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Dotted paths at which two trees of plain values differ."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        where = f"{path}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found.extend(differences(old, new, f"{where}."))
        elif old != new:
            found.append(where)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
