"""Training of the teacher: backbones first and GCE-Net on their frozen features (published), or all at once.

Shapes: B batch, S image size, K identities.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from owkd.config import PUBLISHED_METRIC, Config, StageConfig, TrainConfig
from owkd.data.sampler import rarely_shown
from owkd.device import pick_device, use_threads
from owkd.errors import CheckpointError, ConfigError
from owkd.evaluation.embed import embed_images
from owkd.losses import cross_entropy, supervised_terms, triplet_loss
from owkd.models.checkpoint import save_model
from owkd.models.outputs import BACKBONES, GCE, MEMBERS, EnsembleOutput, TeacherTargets
from owkd.models.wse import WseNet
from owkd.training.loop import Epoch, FitPlan, Report, Terms, fit
from owkd.training.prepare import (
    FoldData,
    batch_maker,
    digest_of,
    initial_network,
    module_dict,
    open_fold,
    signature,
    validation_metrics,
)
from owkd.training.state import load_training_state, save_training_state

METRIC = PUBLISHED_METRIC


@dataclass(frozen=True)
class Phase:
    """A stretch of teacher training: which members learn, how, and under which name they are reported."""

    name: str
    members: tuple[str, ...]
    recipe: StageConfig

    @property
    def field(self) -> str:
        """The section of the recipe: `joint` trains by the backbones'."""
        return "gce" if self.name == "gce" else "backbones"


def phases(config: Config) -> tuple[Phase, ...]:
    """The phases of the configured schedule; `joint` trains everything by the recipe of the backbones."""
    teacher = config.teacher
    if teacher.schedule == "joint":
        return (Phase("joint", MEMBERS, teacher.backbones),)
    return (Phase("backbones", BACKBONES, teacher.backbones), Phase("gce", (GCE,), teacher.gce))


class TeacherPhase:
    """Trains some members of the ensemble, the others frozen, and keeps each one's best epoch on validation."""

    def __init__(self, model: WseNet, phase: Phase, data: FoldData, train: TrainConfig, folder: Path) -> None:
        self.model = model
        self.phase = phase
        self.data = data
        self.margin = train.triplet_margin
        self.validation_batch_size = train.validation_batch_size
        self.folder = folder
        self.device = next(model.parameters()).device
        self.members: dict[str, nn.Module] = {name: model.members[name] for name in phase.members}
        for name, member in model.members.items():
            member.requires_grad_(name in phase.members)
            member.eval()
        self.modules = module_dict(**self.members)
        recipe = phase.recipe
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            self.modules.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )

    def loss_terms(self, images: Tensor, labels: Tensor, targets: TeacherTargets | None = None) -> Terms:
        """The supervised terms of the members that learn."""
        if self.phase.name == "joint":
            terms = supervised_terms(self.model(images, saliency=True), labels, self.margin)
        elif self.phase.name == "gce":
            gce = self.model(images).gce
            terms = {
                "ce_gce": cross_entropy(gce.logits, labels),
                "triplet_gce": triplet_loss(gce.embedding, labels, self.margin),
            }
        else:
            terms = self._backbone_terms(images, labels)
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def validate(self) -> dict[str, float]:
        """val/* of the ensemble's embedding, or, while it is not trained yet, the mean over the backbones' own."""
        evaluated = (GCE,) if GCE in self.members else self.phase.members
        each = {name: self._member_metrics(name) for name in evaluated}
        means = {key: sum(metrics[key] for metrics in each.values()) / len(each) for key in each[evaluated[0]]}
        return means | {f"val/{name}_mAP": metrics[METRIC] for name, metrics in each.items() if len(each) > 1}

    def keep_if_best(self, epoch: Epoch, history: Sequence[Epoch]) -> None:
        """Backbones learn apart from one another, so each keeps its own best epoch."""
        for names, metric in self._deciding_metrics():
            if all(epoch.metrics[metric] > past.metrics[metric] for past in history):
                for name in names:
                    save_training_state(self.folder / f"best-{name}.pt", self.members[name].state_dict())

    def require_kept(self) -> None:
        """Raises `CheckpointError` where a member's best epoch is gone or damaged."""
        for name in self.members:
            self._kept(name)

    def take_best(self) -> None:
        """Puts every member's best epoch back into the ensemble. Raises `CheckpointError`."""
        for name, member in self.members.items():
            member.load_state_dict(self._kept(name))

    def _kept(self, name: str) -> dict[str, torch.Tensor]:
        file = self.folder / f"best-{name}.pt"
        state = load_training_state(file)
        if state is None:
            raise CheckpointError(f"{file} is gone")
        return state

    def _deciding_metrics(self) -> list[tuple[tuple[str, ...], str]]:
        if self.phase.name == "backbones":
            return [((name,), f"val/{name}_mAP") for name in self.phase.members]
        return [(self.phase.members, METRIC)]

    def _backbone_terms(self, images: Tensor, labels: Tensor) -> Terms:
        images = images.contiguous(memory_format=torch.channels_last)
        terms: Terms = {}
        for name in self.phase.members:
            output = self.members[name](images, saliency=True)
            terms[f"ce_{name}"] = cross_entropy(output.logits, labels)
            terms[f"ce_{name}_saliency"] = cross_entropy(output.saliency_logits, labels)
            terms[f"triplet_{name}"] = triplet_loss(output.embedding, labels, self.margin)
        return terms

    def _member_metrics(self, name: str) -> dict[str, float]:
        def embed(images: Tensor) -> Tensor:
            if name == GCE:
                output: EnsembleOutput = self.model(images)
                return output.gce.embedding
            embedding: Tensor = self.members[name](images).embedding
            return embedding

        images = self.data.validation_images
        embeddings = embed_images(embed, images, self.device, self.validation_batch_size)
        return validation_metrics(embeddings, self.data.validation)


def require_batches(config: Config) -> None:
    """Raises `ConfigError` unless every batch of a teacher's training holds two people."""
    least = 2 * config.train.images_per_identity
    problems = [
        f"teacher.{phase.field}.batch_size must be at least {least}, two people with train.images_per_identity images "
        f"each, without whom there is no triplet loss, but got {phase.recipe.batch_size}; set it so"
        for phase in phases(config)
        if phase.recipe.batch_size < least
    ]
    if problems:
        raise ConfigError(problems)


def train_teacher(
    config: Config, report: Report, *, fold: str, out: Path, say: Callable[[str], None] = lambda line: None
) -> Path:
    """Trains the teacher of one fold and writes it to `out` (safetensors).

    The training state is stored in `<out without suffix>.training/` until the teacher is written, so that a stopped
    training resumes where it was. Epochs of all phases are counted on in one sequence. `say` gets a line where an epoch
    shows few of the images.

    Raises `DataError`, `ConfigError`, `CheckpointError`, `DivergedError`.
    """
    require_batches(config)
    use_threads(config.train.threads)
    data = open_fold(config, fold)
    seed = config.train.seed
    device = pick_device(config.train.device)
    model = initial_network(config.teacher, len(data.identities), config.data.image_size, "teacher", seed).to(device)
    folder = out.with_suffix(".training")
    done, signed = 0, ""
    for phase in phases(config):
        task = TeacherPhase(model, phase, data, config.train, folder)
        recipe = phase.recipe
        signed = _signature(config, data, phase, fold, signed)
        each, labels = config.train.images_per_identity, data.training_set.labels
        batch_size = recipe.batch_size - recipe.batch_size % each
        for line in rarely_shown(labels, batch_size, each, f"teacher.{phase.field}.batch_size"):
            say(line)
        plan = FitPlan(
            fold=fold,
            seed=seed,
            epochs=recipe.epochs,
            batches=batch_maker(labels, batch_size, each),
            state_file=folder / f"{phase.name}.pt",
            signature=signed,
            data=data.training_set,
            device=device,
            learning_rate=recipe.learning_rate,
            report=_counted_on(report, done),
        )
        fit(task, plan)
        task.take_best()
        done += recipe.epochs
    save_model(model, out, identities=data.identities, origin=f"{config.data.dataset}/{fold}", window=data.window)
    for name in (*(phase.name for phase in phases(config)), *(f"best-{member}" for member in MEMBERS)):
        (folder / f"{name}.pt").unlink(missing_ok=True)
    with suppress(OSError):  # somebody keeps something there
        folder.rmdir()
    return out


def _counted_on(report: Report, done: int) -> Report:
    def counted(epoch: Epoch) -> None:
        report(replace(epoch, epoch=epoch.epoch + done))

    return counted


def _signature(config: Config, data: FoldData, phase: Phase, fold: str, before: str) -> str:
    """Everything that the numbers of a phase depend on, `before`: the signature of the phase before it."""
    tree = config.to_dict()
    start = {key: tree["teacher"][key] for key in ("preset", "depths", "init", "schedule")}
    return signature(
        teacher={**start, "init_file": digest_of(config.teacher.init_file)},
        recipe=phase.recipe.model_dump(exclude={"epochs"}),
        margin=config.train.triplet_margin,
        images_per_identity=config.train.images_per_identity,
        image_size=config.data.image_size,
        data=list(data.fingerprints),
        phase=phase.name,
        before=before,
        fold=fold,
        seed=config.train.seed,
    )
