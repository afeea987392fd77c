"""Pictures of the best trials, on the validation split: retrieval panel, CMC, precision and recall.

    panels/<trial>/{retrieval,cmc,precision_recall}.png    as TensorBoard shows them beside the trial's curves
    panels/<trial>/curves.json                             the numbers behind both curves

They are drawn where trials run, from the checkpoints that are kept, when the search comes to an end; a trial is drawn
once. One that cannot be drawn costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import ray

from owkd.config import Config, DataConfig
from owkd.errors import UserError
from owkd.files import written_whole
from search.execution.node_admission import NodeAdmission, task_checkpoint
from search.execution.resources import TrialResources
from search.runs.damage import write_json
from search.runs.layout import RunFolder, trial_name
from search.tensorboard.event_file import EventFile

PICTURES = ("retrieval", "cmc", "precision_recall")
CURVES = "curves.json"


@dataclass(frozen=True)
class ModelPanels:
    """How one model ranks the validation split.

    Attributes:
        pictures: PNG by name
        curves: `mAP`, `cmc` (rank 1 on) and `precision` (at recall 0, 0.01, ..., 1), all in [0, 1]
    """

    pictures: dict[str, bytes]
    curves: dict[str, Any]


DrawModel = Callable[[Path, DataConfig, str, str, str], ModelPanels]
"""checkpoint, data, fold, title, device -> panels"""


def draw_panels(
    folder: RunFolder,
    config: Config,
    numbers: Iterable[int],
    *,
    draw: DrawModel,
    resources: TrialResources,
    admission: NodeAdmission | None = None,
) -> dict[str, str]:
    """Draws the trials that have a kept checkpoint and no pictures yet -> why some could not be, by trial's name.

    Ray must be connected: each trial is one task with a trial's share of a machine.
    """
    fold = config.data.folds[0]
    task: Any = ray.remote(_draw_in_task).options(num_cpus=resources.cpu, num_gpus=resources.gpu, max_retries=1)
    pending = {}
    for name in map(trial_name, numbers):
        checkpoint = first_checkpoint(folder, folder.checkpoints / name, fold)
        if checkpoint is not None and not (folder.panels / name / CURVES).is_file():
            title = f"{name}, {fold} validation: queries from worst to best"
            data = config.data.model_dump(mode="json")
            pending[name] = task.remote(
                draw, folder.where(checkpoint), data, fold, title, config.train.device, admission
            )
    problems = {}
    for name, reference in pending.items():
        try:
            _store(folder, name, ray.get(reference))
        except (ray.exceptions.RayError, UserError) as error:
            problems[name] = str(error).strip().splitlines()[-1]
    return problems


def first_checkpoint(folder: RunFolder, trial: Path, fold: str) -> Path | None:
    """The kept model of a trial on a fold, that of its first seed where there are several."""
    models = [path for path in folder.stored(trial) if path.parts[-2:] == (fold, "best.safetensors")]
    return min(models, default=None)


def draw_model(checkpoint: Path, data: DataConfig, fold: str, title: str, device: str) -> ModelPanels:
    """Embeds the validation split of a fold with a checkpoint and draws what it ranks. Raises as its parts do."""
    from owkd.data.images import load_images
    from owkd.data.index import read_split
    from owkd.device import pick_device
    from owkd.evaluation.embed import embed_images
    from owkd.evaluation.figures import cmc_figure, precision_recall_figure
    from owkd.evaluation.panels import retrieval_figure, retrieve
    from owkd.evaluation.protocol import evaluate_embeddings
    from owkd.models.checkpoint import load_model

    where = pick_device(device)  # type: ignore[arg-type]
    model, info = load_model(checkpoint)
    split = read_split(data.root, data.dataset, fold, "validation")
    images = load_images(split, info.image_size, data.cache, info.window)
    embeddings = embed_images(model.to(where).embed, images, where)
    result = evaluate_embeddings(embeddings, split.identities, device=where)
    name = title.split(",", maxsplit=1)[0]
    figures = {
        "retrieval": retrieval_figure(images, retrieve(embeddings, split.identities, result), title),
        "cmc": cmc_figure({name: result}),
        "precision_recall": precision_recall_figure({name: result}),
    }
    curves = {
        "mAP": result.mean_average_precision,
        "cmc": result.cmc.tolist(),
        "precision": result.precision.tolist(),
    }
    return ModelPanels({name: _png(figure) for name, figure in figures.items()}, curves)


def _draw_in_task(
    draw: DrawModel,
    checkpoint: str,
    data: Mapping[str, Any],
    fold: str,
    title: str,
    device: str,
    admission: NodeAdmission | None,
) -> ModelPanels:
    with task_checkpoint(checkpoint, admission) as file:
        return draw(file, DataConfig.model_validate(data), fold, title, device)


def _store(folder: RunFolder, name: str, panels: ModelPanels) -> None:
    place = folder.panels / name
    events = EventFile(folder.tensorboard / name)
    for tag, png in panels.pictures.items():
        with written_whole(place / f"{tag}.png") as temporary:
            temporary.write_bytes(png)
        events.add_image(f"pictures/{tag}", png)
    events.close()
    write_json(place / CURVES, panels.curves)  # last: it marks the trial as drawn


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
