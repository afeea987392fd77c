"""The test split: opened here and nowhere else, once, for models that are chosen already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from owkd.config import Config, DataConfig
from owkd.errors import OwkdError
from search.execution.node_admission import NodeAdmission, task_checkpoint
from search.execution.resources import TrialResources
from search.trials.budget import Budget

SPLIT = "test"


@dataclass(frozen=True)
class Evaluation:
    """What the test split says of one model.

    Attributes:
        metrics: `owkd.config.TEST_METRICS`, fractions, and parameters
        queries: `owkd.evaluation.query_rows`, whose mean average precision is the mAP
    """

    metrics: dict[str, float]
    queries: pa.Table


Evaluate = Callable[..., Evaluation]
"""As `evaluate_model`"""


@dataclass(frozen=True)
class CheckpointRef:
    """One checkpoint to evaluate, as a Ray task can fetch it.

    Attributes:
        checkpoint: path, or URI where the run is in a store
    """

    checkpoint: str
    fold: str


def evaluate_model(
    checkpoint: Path, data: DataConfig, *, fold: str, split: str, protocol: str = "standard", device: str = "auto"
) -> Evaluation:
    """`owkd.evaluation.evaluate.evaluate`, loaded where it is needed."""
    from owkd.evaluation.evaluate import evaluate

    metrics, queries = evaluate(
        checkpoint,
        data,
        fold=fold,
        split=split,  # type: ignore[arg-type]
        protocol=protocol,  # type: ignore[arg-type]
        device=device,  # type: ignore[arg-type]
    )
    return Evaluation(metrics, queries)


def missing_test_splits(config: Config) -> list[Path]:
    """Folders that the final stage will need and that are not there; a look at names, which opens nothing."""
    folds = Budget.of(config).final_folds
    folders = [config.data.root / config.data.dataset / fold / SPLIT for fold in folds]
    return [folder for folder in folders if not folder.is_dir()]


def evaluate_on_test(
    checkpoints: Mapping[str, CheckpointRef],
    data: DataConfig,
    *,
    evaluate: Evaluate,
    resources: TrialResources,
    device: str,
    admission: NodeAdmission | None = None,
) -> Iterator[tuple[str, Evaluation]]:
    """The evaluation of every checkpoint with its key, as they come, in parallel on the connected cluster.

    A caller that stores each of them at once opens the split for no model twice. Raises `OwkdError` at the end, naming
    the checkpoints that could not be evaluated.
    """
    task: Any = ray.remote(_evaluate_in_task).options(num_cpus=resources.cpu, num_gpus=resources.gpu, max_retries=2)
    plain = data.model_dump(mode="json")
    pending = {
        task.remote(evaluate, ref.checkpoint, plain, ref.fold, device, admission): key
        for key, ref in checkpoints.items()
    }
    problems = []
    while pending:
        (reference,), _ = ray.wait(list(pending), num_returns=1)
        key = pending.pop(reference)
        try:
            evaluation: Evaluation = ray.get(reference)
        except ray.exceptions.RayError as error:
            problems.append(f"{key}: {str(error).strip().splitlines()[-1]}")
        else:
            yield key, evaluation
    if problems:
        raise OwkdError(
            "these models could not be evaluated on the test split (one whose file is damaged is trained anew when "
            "the metrics.json beside it is removed):\n" + "\n".join(problems)
        )


def _evaluate_in_task(
    evaluate: Evaluate,
    checkpoint: str,
    data: Mapping[str, Any],
    fold: str,
    device: str,
    admission: NodeAdmission | None,
) -> Evaluation:
    with task_checkpoint(checkpoint, admission) as file:
        return evaluate(file, DataConfig.model_validate(data), fold=fold, split=SPLIT, device=device)
