"""Models on the validation split, each as one Ray task: the teachers before the first trial, trial 1 after the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from owkd.config import Config, DataConfig, TrainConfig
from owkd.errors import UserError
from search.execution.node_admission import NodeAdmission, task_checkpoint
from search.execution.resources import TrialResources
from search.teaching.tables import TeachingTables

if TYPE_CHECKING:
    from owkd.training.members import MemberScores

Validate = Callable[[Path, DataConfig, TrainConfig, str, str], Mapping[str, Any]]
"""as `owkd.training.members.validate_members`"""


class ModelKey(NamedTuple):
    """Whose checkpoint it is: model, fold, seed, as in the tables."""

    model: str
    fold: str
    seed: int | None


def validate_model(
    checkpoint: Path, data: DataConfig, train: TrainConfig, fold: str, device: str
) -> Mapping[str, MemberScores]:
    """`owkd.training.members.validate_members`, loaded where it is needed."""
    from owkd.training.members import validate_members

    return validate_members(checkpoint, data, train, fold, device)


def measure_models(
    tables: TeachingTables,
    config: Config,
    checkpoints: Mapping[ModelKey, str],
    *,
    validate: Validate,
    resources: TrialResources,
    admission: NodeAdmission | None = None,
) -> list[str]:
    """Adds every model that is not in the tables yet -> why some could not be measured.

    Ray must be connected. A checkpoint is a path, or a URI where the run is in a store.
    """
    task: Any = ray.remote(_validate_in_task).options(num_cpus=resources.cpu, num_gpus=resources.gpu, max_retries=1)
    data, train = config.data.model_dump(mode="json"), config.train.model_dump(mode="json")
    pending = {
        key: task.remote(validate, checkpoint, data, train, key.fold, config.train.device, admission)
        for key, checkpoint in checkpoints.items()
        if not tables.has(*key)
    }
    problems = []
    for key, reference in pending.items():
        try:
            tables.add(*key, ray.get(reference))
        except (ray.exceptions.RayError, UserError) as error:
            problems.append(f"{key.model}, {key.fold}: not measured, {str(error).strip().splitlines()[-1]}")
    return problems


def _validate_in_task(
    validate: Validate,
    checkpoint: str,
    data: Mapping[str, Any],
    train: Mapping[str, Any],
    fold: str,
    device: str,
    admission: NodeAdmission | None,
) -> Mapping[str, MemberScores]:
    with task_checkpoint(checkpoint, admission) as file:
        return validate(file, DataConfig.model_validate(data), TrainConfig.model_validate(train), fold, device)
