"""The losses of OWKD: supervised, flow (gram and spectrum), logits, stage weights, and their weighted sum."""

from owkd.losses.distillation import SUPERVISED_TERMS, coefficients, distillation_terms, supervised_terms, weigh
from owkd.losses.flow import flow_matrix, gram_mse, spectrum, spectrum_mse
from owkd.losses.identity import cross_entropy, triplet_loss
from owkd.losses.logit import soft_cross_entropy
from owkd.losses.stage_weights import StageWeightHead, fixed_stage_weights

__all__ = [
    "SUPERVISED_TERMS",
    "StageWeightHead",
    "coefficients",
    "cross_entropy",
    "distillation_terms",
    "fixed_stage_weights",
    "flow_matrix",
    "gram_mse",
    "soft_cross_entropy",
    "spectrum",
    "spectrum_mse",
    "supervised_terms",
    "triplet_loss",
    "weigh",
]
