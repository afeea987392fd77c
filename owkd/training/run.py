"""One student: the entry that a search calls for every trial, and `owkd distill` for a single one.

Shapes: B batch, S image size, K identities.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from owkd.config import Config, MetricName, TrainConfig
from owkd.data.reading.window import said_of
from owkd.data.sampler import rarely_shown
from owkd.device import autocast, pick_device
from owkd.evaluation.embed import embed_images
from owkd.losses import StageWeightHead, distillation_terms, fixed_stage_weights, supervised_terms, weigh
from owkd.models.checkpoint import load_model, read_info, read_state, save_model
from owkd.models.outputs import EnsembleOutput, TeacherTargets
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training.class_order import class_logits, require_class_order
from owkd.training.cost import student_costs
from owkd.training.loop import Epoch, FitPlan, Terms, fit
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
from owkd.training.recipe.augmentation import Augmentation
from owkd.training.recipe.rates import rate_factor
from owkd.training.recipe.stepping import average_weights, clip_gradients
from owkd.training.reduction import BEST_MAP, EpochRule
from owkd.training.target_building import targets_for
from owkd.training.targets import plans_of_targets

__all__ = ["Epoch", "Run", "run"]

NOT_SIGNED = ("epochs", "seed", "device", "threads", "validation_batch_size")
BEYOND_PUBLISHED = (
    "learning_rate_decay",
    "warmup_epochs",
    "label_smoothing",
    "gradient_clip",
    "weight_average",
    "flip",
    "crop_padding",
    "random_erasing",
)
"""of `train`: signed where they are on, so that trainings which were begun before they were there go on"""


def _ignore(event: object) -> None:
    return None


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        best: the epoch whose model was kept
        checkpoint: safetensors file of that epoch's student
    """

    history: tuple[Epoch, ...]
    best: Epoch
    checkpoint: Path


class Distillation:
    """A student, the stage weights, and, where its targets are not stored, its frozen teacher.

    Attributes:
        kept: what is validated and stored: the student, or the average of its weights
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        teacher: WseNet | None,
        checkpoint: Path,
        seed: int,
        *,
        keep: EpochRule = BEST_MAP,
        costs: Sequence[MetricName] = (),
    ) -> None:
        self.config = config
        self.keep = keep
        self.cost_names = costs
        self.data = data
        self.checkpoint = checkpoint
        self.device = pick_device(config.train.device)
        shape = architecture(config.student.preset, config.student.depths)
        self.student = initial_network(config.student, len(data.identities), config.data.image_size, "student", seed)
        self.teacher = teacher.to(self.device) if teacher is not None else None
        self.modules = module_dict(student=self.student)
        if config.distill.stage_weights == "learned" and config.distill.enabled:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.modules["stage_weights"] = StageWeightHead(shape.teacher.dims[3])
        self.modules.to(self.device)
        self._forward = torch.compile(self.student) if config.train.compile else self.student
        self.optimizer = self._optimizer()
        self.kept: WseNet = self.student
        if config.train.gradient_clip is not None:
            clip_gradients(self.optimizer, config.train.gradient_clip)
        if config.train.weight_average is not None:
            self.modules["average"], self.kept = average_weights(
                self.student, self.optimizer, config.train.weight_average
            )

    def loss_terms(self, images: Tensor, labels: Tensor, targets: TeacherTargets | None = None) -> Terms:
        """Every named term of one batch, the mean stage weights, and the weighted `total`."""
        distill = self.config.distill
        with autocast(self.device, self.config.train.precision):
            student: EnsembleOutput = self._forward(images, saliency=True)
            terms = supervised_terms(
                student, labels, self.config.train.triplet_margin, self.config.train.label_smoothing
            )
            weights = torch.zeros((4, 1), device=self.device)
            if self.teacher is not None:
                with torch.no_grad():
                    targets = TeacherTargets.of(self.teacher(images))
            if targets is not None:
                weights = self._stage_weights(targets, len(labels))
                terms |= distillation_terms(student, targets, distill, weights)
        total = weigh(terms, distill)
        shown = {f"stage_weight/{i + 1}": weight for i, weight in enumerate(weights.mean(dim=1))}
        return {**terms, "total": total, **shown}

    def validate(self) -> dict[str, float]:
        """val/* of the ensemble's embedding."""
        with autocast(self.device, self.config.train.precision):
            embeddings = embed_images(
                self.kept.embed,
                self.data.validation_images,
                self.device,
                self.config.train.validation_batch_size,
            )
        return validation_metrics(embeddings, self.data.validation)

    def costs(self, history: Sequence[Epoch]) -> dict[str, float]:
        """What the student costs where it is used: measured before the first epoch, then kept."""
        names = self.cost_names
        if history:
            return {name: history[0].metrics[name] for name in names if name in history[0].metrics}
        if not names:
            return {}
        autocast = self.device.type == "cuda" and self.config.train.precision == "bf16"
        return student_costs(self.student, self.config.data.image_size, self.device, names, autocast)

    def keep_if_best(self, epoch: Epoch, history: Sequence[Epoch]) -> None:
        """Writes the student's file when this epoch beats all before it."""
        if best_epoch(self.keep, (*history, epoch)) is epoch:
            origin = f"{self.config.data.dataset}/{epoch.fold}"
            head = dict(self.modules.items()).get("stage_weights")
            save_model(
                self.kept,
                self.checkpoint,
                identities=self.data.identities,
                origin=origin,
                window=self.data.window,
                stage_weights=head,
            )

    def require_kept(self) -> None:
        """Raises `CheckpointError` where the student's file is gone or damaged."""
        read_state(self.checkpoint)

    def _stage_weights(self, teacher: TeacherTargets, batch_size: int) -> Tensor:
        fixed = self.config.distill.stage_weights
        if fixed == "learned":
            weights: Tensor = self.modules["stage_weights"](teacher.pooled)
            return weights
        return fixed_stage_weights(fixed, batch_size, self.device)

    def _optimizer(self) -> torch.optim.Optimizer:
        train = self.config.train
        backbones = [parameter for net in self.student.backbones.values() for parameter in net.parameters()]
        groups: list[dict[str, object]] = [
            {"params": backbones, "lr": train.learning_rate, "weight_decay": train.weight_decay},
            {
                "params": list(self.student.gce.parameters()),
                "lr": train.gce_learning_rate,
                "weight_decay": train.gce_weight_decay,
            },
        ]
        if "stage_weights" in self.modules:
            head: nn.Module = self.modules["stage_weights"]
            groups.append({"params": list(head.parameters()), "lr": train.stage_weight_learning_rate})
        return torch.optim.Adam(groups, fused=True)


def run(
    config: Config,
    report: Callable[[Epoch], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
    keep: EpochRule = BEST_MAP,
    costs: Sequence[MetricName] = (),
    say: Callable[[str], None] = _ignore,
) -> Run:
    """Trains one student on one fold.

    Writes `last.pt` (the whole state, every epoch) and `best.safetensors` to `directory`. Where `last.pt` exists,
    `report` first gets every epoch in it (`replayed`), then training resumes, bit-equal to a run that was never
    stopped; where it is damaged or of another configuration, training starts anew (`Epoch.note`).
    `seed` overrides `train.seed`; `keep` says which epoch's model is kept; `costs` are measured and added to
    the metrics of every epoch; `say` gets lines on the images and on the teacher's targets. An exception from
    `report` ends the training there.

    Raises `DataError`, `CheckpointError`, `ConfigError` for input that does not fit, and `DivergedError` when a loss
    is not finite.
    """
    seed = config.train.seed if seed is None else seed
    opened = open_fold(config, fold)
    train = config.train
    labels = opened.training_set.labels
    rare = rarely_shown(labels, train.batch_size, train.images_per_identity, "train.batch_size")
    for line in (*said_of(opened.window), *rare):
        say(line)
    data, teacher = attach_teacher(config, opened, fold, say)
    task = Distillation(config, data, teacher, directory / "best.safetensors", seed, keep=keep, costs=costs)
    plan = FitPlan(
        fold=fold,
        seed=seed,
        epochs=train.epochs,
        batches=batch_maker(data.training_set.labels, train.batch_size, train.images_per_identity),
        state_file=directory / "last.pt",
        signature=_signature(config, data, fold, seed),
        data=data.training_set,
        device=task.device,
        learning_rate=config.train.learning_rate,
        rate_factor=rate_factor(config.train),
        augmentation=Augmentation.of(config.train),
        report=_ignore if report is None else report,
        constants=task.costs,
    )
    history = fit(task, plan)
    return Run(history, best_epoch(keep, history), task.checkpoint)


def best_epoch(keep: EpochRule, history: Sequence[Epoch]) -> Epoch:
    """The epoch whose model is kept."""
    return history[keep.best_index([epoch.metrics for epoch in history])]


def attach_teacher(
    config: Config, data: FoldData, fold: str, say: Callable[[str], None] = _ignore
) -> tuple[FoldData, WseNet | None]:
    """The fold with the teacher's targets, or beside it the teacher that has to run live; or neither."""
    if not config.distill.enabled:
        return data, None
    plan, *mirrored = plans_of_targets(config, fold, data.train)
    use, device = config.teacher.targets.use, pick_device(config.train.device)
    if not Augmentation.of(config.train).is_storable:
        say("the teacher runs in every step: its outputs for images that are cropped or erased cannot be stored")
        use = "live"
    stored = targets_for(plan, data.training_set.images, device, use, say)
    for each in mirrored:
        if stored is not None:
            flipped = targets_for(each, data.training_set.images, device, use, say)
            stored = None if flipped is None else stored.with_flipped(flipped)
    info = read_info(plan.teacher)
    if stored is not None:
        require_class_order(plan.teacher, info, data.train, stored.logits, say)
        return replace(data, training_set=replace(data.training_set, targets=stored)), None
    teacher = load_model(plan.teacher)[0].requires_grad_(False).to(device)

    def answers(sample: np.ndarray) -> dict[str, Tensor]:
        return class_logits(teacher, data.training_set.images[sample], device)

    require_class_order(plan.teacher, info, data.train, answers, say)
    return data, teacher


def _signature(config: Config, data: FoldData, fold: str, seed: int) -> str:
    """Everything that the numbers depend on, by content: where files lie is not among it, nor whether targets are
    stored, which a disk without room decides.

    The number of epochs is not among it either, because training further is resuming, but where the learning rate
    decays: then every step depends on when the last one is.
    """
    tree = config.to_dict()
    published = TrainConfig().model_dump(mode="json")
    beyond = {name: tree["train"][name] for name in BEYOND_PUBLISHED if tree["train"][name] != published[name]}
    if "learning_rate_decay" in beyond:
        beyond["epochs"] = config.train.epochs
    taught = config.distill.enabled
    return signature(
        student={**tree["student"], "init_file": digest_of(config.student.init_file)},
        train={key: value for key, value in tree["train"].items() if key not in NOT_SIGNED + BEYOND_PUBLISHED},
        distill=tree["distill"],
        image_size=config.data.image_size,
        data=list(data.fingerprints),
        teacher=digest_of(config.teacher.checkpoint_for(fold)) if taught else None,
        targets=config.teacher.targets.precision if taught else None,
        fold=fold,
        seed=seed,
        **beyond,
    )
