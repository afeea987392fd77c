"""Every loss by name and unweighted, and the one place where weights meet them.

Shapes: B batch, K identities; four backbone stages i = 0..3, three GCE-Net layers L1..L3.
The published total is the supervised terms + 1e-4 (backbone + gce) + 1e-2 logit; the defaults of `DistillConfig` are
these. `a` are the teacher ensemble's weights (original, attention, gce), published as 1 each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from owkd.losses.flow import gram_mse, gram_mse_to, spectrum_mse, spectrum_mse_to
from owkd.losses.identity import cross_entropy, triplet_loss
from owkd.losses.logit import soft_cross_entropy
from owkd.models.outputs import MEMBERS

if TYPE_CHECKING:
    from owkd.config import DistillConfig
    from owkd.models.outputs import EnsembleOutput, GceOutput, TeacherTargets

Distance = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
DistanceTo = Callable[[Tensor, Tensor, Tensor], Tensor]
"""the same, to a flow matrix that is there already"""

SUPERVISED_TERMS = (
    "ce_original",
    "ce_original_saliency",
    "ce_attention",
    "ce_attention_saliency",
    "ce_gce",
    "triplet_original",
    "triplet_attention",
    "triplet_gce",
)


def coefficients(config: DistillConfig) -> dict[str, float]:
    """What each distillation term is multiplied by in the total; a term at 0 is not computed."""
    a = config.teacher_weights
    backbone = (a.original + a.attention) / 2
    return {
        "backbone_gram": config.gram * backbone,
        "backbone_spectrum": config.spectrum * backbone,
        "gce_gram": config.gce_gram * a.gce,
        "gce_spectrum": config.gce_spectrum * a.gce,
        **{f"logit_{name}": config.logit * getattr(a, name) for name in MEMBERS},
    }


def supervised_terms(
    output: EnsembleOutput, labels: Tensor, margin: float, smoothing: float = 0.0
) -> dict[str, Tensor]:
    """Cross-entropy and triplet terms of a student or a teacher in training, by the names of `SUPERVISED_TERMS`.

    labels (B,) int64, margin of the triplets, smoothing of the labels -> scalars. A saliency term is 0 where the pass
    was made without.
    """
    members = output.members
    terms = {f"ce_{name}": cross_entropy(member.logits, labels, smoothing) for name, member in members.items()}
    terms |= {f"triplet_{name}": triplet_loss(member.embedding, labels, margin) for name, member in members.items()}
    for name, backbone in output.backbones.items():
        logits = backbone.saliency_logits
        terms[f"ce_{name}_saliency"] = (
            _zero(backbone.logits) if logits is None else cross_entropy(logits, labels, smoothing)
        )
    return {name: terms[name] for name in SUPERVISED_TERMS}


def distillation_terms(
    student: EnsembleOutput, teacher: TeacherTargets, config: DistillConfig, stage_weights: Tensor
) -> dict[str, Tensor]:
    """What the student has to learn from the teacher, by the names of `coefficients`; scalars.

    stage_weights (4, B) multiply each stage and sample inside the backbone terms, which sum over stages and batch as
    published (so they grow with the batch); the other terms are batch means. A term whose coefficient is 0 is
    reported as 0; what it needs of the teacher may be missing. `TeacherTargets.of` takes a teacher's output.
    """
    wanted = {name for name, coefficient in coefficients(config).items() if coefficient}
    zero = _zero(student.gce.logits)
    terms = dict.fromkeys(coefficients(config), zero)
    for name, distance, to in (("gram", gram_mse, gram_mse_to), ("spectrum", spectrum_mse, spectrum_mse_to)):
        if f"backbone_{name}" in wanted:
            terms[f"backbone_{name}"] = _backbone(distance, to, student, teacher, stage_weights)
        if f"gce_{name}" in wanted:
            terms[f"gce_{name}"] = _gce(distance, student.gce, teacher)
    for name, ours in student.members.items():
        if f"logit_{name}" in wanted:
            terms[f"logit_{name}"] = soft_cross_entropy(ours.logits, teacher.logits[name], config.temperature)
    return terms


def weigh(terms: Mapping[str, Tensor], config: DistillConfig) -> Tensor:
    """The total: supervised terms as they are, distillation terms times their `coefficients`; scalar."""
    factors = coefficients(config)
    return torch.stack([factors.get(name, 1.0) * term for name, term in terms.items()]).sum()


def _backbone(
    distance: Distance, to: DistanceTo, student: EnsembleOutput, teacher: TeacherTargets, stage_weights: Tensor
) -> Tensor:
    """`sum_b sum_i w[i, b] distance[i, b]` over the flow from the original to the attention net at each stage."""
    stages = zip(student.original.stage_features, student.attention.stage_features, teacher.flows, strict=True)
    distances = [distance(x, y, *flow) if isinstance(flow, tuple) else to(x, y, flow) for x, y, flow in stages]
    return (stage_weights * torch.stack(distances)).sum()


def _gce(distance: Distance, student: GceOutput, teacher: TeacherTargets) -> Tensor:
    """Sum of the batch means over the flows (input, L1), (L1, L2), (L2, L3).

    The teacher's first flow starts at the student's input, as published, with the gradient on both sides.
    """
    ours, theirs = (student.input, *student.layers), (student.input, *teacher.layers)
    flows = zip(ours[:-1], ours[1:], theirs[:-1], theirs[1:], strict=True)
    return torch.stack([distance(*flow).mean() for flow in flows]).sum()


def _zero(like: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
