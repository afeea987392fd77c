"""The named terms and their weighted sum, on a student and a teacher with features of their own."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from owkd.config import NO_DISTILLATION, DistillConfig, TeacherWeights
from owkd.losses import (
    SUPERVISED_TERMS,
    coefficients,
    cross_entropy,
    distillation,
    distillation_terms,
    flow_matrix,
    soft_cross_entropy,
    spectrum,
    supervised_terms,
    triplet_loss,
    weigh,
)
from owkd.models.outputs import BackboneOutput, EnsembleOutput, GceOutput, TeacherTargets

pytestmark = pytest.mark.numeric

Part = TypeVar("Part", BackboneOutput, GceOutput)

BATCH, IDENTITIES = 4, 5
LABELS = torch.tensor([0, 0, 3, 3])
STAGES = ((2, 4), (3, 2), (4, 2), (6, 1))  # channels and map size
GCE = (7, 1)

# Every number differs, so that no coefficient can stand in for another.
CONFIG = DistillConfig(
    gram=0.2,
    spectrum=0.3,
    gce_gram=0.5,
    gce_spectrum=0.7,
    logit=1.1,
    temperature=2.0,
    teacher_weights=TeacherWeights(original=0.4, attention=0.8, gce=1.8),
)
DISTILLATION_TERMS = (
    "backbone_gram",
    "backbone_spectrum",
    "gce_gram",
    "gce_spectrum",
    "logit_original",
    "logit_attention",
    "logit_gce",
)


def ensemble(seed: int) -> EnsembleOutput:
    """An output in which every tensor is a leaf that takes a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(BATCH, *shape, generator=generator, dtype=torch.float64).requires_grad_()

    def backbone() -> BackboneOutput:
        return BackboneOutput(
            logits=draw(IDENTITIES),
            embedding=draw(6),
            stage_features=tuple(draw(channels, size, size) for channels, size in STAGES),
            last_map=draw(6, 1, 1),
            spatial_gate=None,
            saliency_logits=draw(IDENTITIES),
        )

    def gce_map() -> Tensor:
        return draw(GCE[0], GCE[1], GCE[1])

    gce = GceOutput(gce_map(), (gce_map(), gce_map(), gce_map()), draw(GCE[0]), draw(IDENTITIES))
    return EnsembleOutput(backbone(), backbone(), gce)


def tensors(output: EnsembleOutput) -> Iterator[tuple[str, Tensor]]:
    for member in ("original", "attention", "gce"):
        part = getattr(output, member)
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            for index, tensor in enumerate(value if isinstance(value, tuple) else (value,)):
                if tensor is not None:
                    yield f"{member}.{field.name}.{index}", tensor


@pytest.fixture
def student() -> EnsembleOutput:
    return ensemble(1)


@pytest.fixture
def teacher() -> EnsembleOutput:
    return ensemble(2)


@pytest.fixture
def stage_weights() -> Tensor:
    weights = torch.rand(4, BATCH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (4 * weights / weights.sum(dim=0)).requires_grad_()


def slow_flow_terms(student: EnsembleOutput, teacher: EnsembleOutput, w: Tensor) -> dict[str, Tensor]:
    """The formulas, a sample at a time, from the plain flow matrix and spectrum."""
    terms: dict[str, Any] = {}
    for name, feature in (("gram", flow_matrix), ("spectrum", spectrum)):
        backbone = gce = torch.zeros((), dtype=torch.float64)
        ours = [student.gce.input, *student.gce.layers]
        theirs = [student.gce.input, *teacher.gce.layers]
        for b in range(BATCH):
            one = slice(b, b + 1)
            for i in range(4):
                s = feature(student.original.stage_features[i][one], student.attention.stage_features[i][one])
                t = feature(teacher.original.stage_features[i][one], teacher.attention.stage_features[i][one])
                backbone = backbone + w[i, b] * ((s - t) ** 2).mean()
            for i in range(3):
                s = feature(ours[i][one], ours[i + 1][one])
                t = feature(theirs[i][one], theirs[i + 1][one])
                gce = gce + ((s - t) ** 2).mean() / BATCH
        terms |= {f"backbone_{name}": backbone, f"gce_{name}": gce}
    return terms


def test_supervised_terms(student: EnsembleOutput) -> None:
    terms = supervised_terms(student, LABELS, margin=0.6)
    assert tuple(terms) == SUPERVISED_TERMS
    assert all(term.shape == () for term in terms.values())
    assert student.original.saliency_logits is not None
    assert student.attention.saliency_logits is not None
    expected = {
        "ce_original": cross_entropy(student.original.logits, LABELS),
        "ce_attention": cross_entropy(student.attention.logits, LABELS),
        "ce_gce": cross_entropy(student.gce.logits, LABELS),
        "ce_original_saliency": cross_entropy(student.original.saliency_logits, LABELS),
        "ce_attention_saliency": cross_entropy(student.attention.saliency_logits, LABELS),
        "triplet_original": triplet_loss(student.original.embedding, LABELS, 0.6),
        "triplet_attention": triplet_loss(student.attention.embedding, LABELS, 0.6),
        "triplet_gce": triplet_loss(student.gce.embedding, LABELS, 0.6),
    }
    assert {name: term.item() for name, term in terms.items()} == {name: term.item() for name, term in expected.items()}
    assert len({term.item() for term in terms.values()}) == len(terms)


def test_supervised_terms_of_a_pass_without_saliency(student: EnsembleOutput) -> None:
    plain = dataclasses.replace(student, original=dataclasses.replace(student.original, saliency_logits=None))
    terms = supervised_terms(plain, LABELS, margin=1.0)
    assert tuple(terms) == SUPERVISED_TERMS
    assert terms["ce_original_saliency"].item() == 0
    assert terms["ce_attention_saliency"].item() > 0


def test_supervised_terms_of_a_batch_of_one(student: EnsembleOutput) -> None:
    one = EnsembleOutput(_first_sample(student.original), _first_sample(student.attention), _first_sample(student.gce))
    terms = supervised_terms(one, LABELS[:1], margin=1.0)
    assert [name for name, term in terms.items() if term.item() == 0] == [
        "triplet_original",
        "triplet_attention",
        "triplet_gce",
    ]


def _first_sample(part: Part) -> Part:
    cut: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        cut[field.name] = (
            tuple(v[:1] for v in value) if isinstance(value, tuple) else None if value is None else value[:1]
        )
    return dataclasses.replace(part, **cut)


def test_distillation_terms_are_the_formulas(
    student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor
) -> None:
    terms = distillation_terms(student, TeacherTargets.of(teacher), CONFIG, stage_weights)
    assert tuple(terms) == DISTILLATION_TERMS
    expected = slow_flow_terms(student, teacher, stage_weights) | {
        "logit_original": soft_cross_entropy(student.original.logits, teacher.original.logits, 2.0),
        "logit_attention": soft_cross_entropy(student.attention.logits, teacher.attention.logits, 2.0),
        "logit_gce": soft_cross_entropy(student.gce.logits, teacher.gce.logits, 2.0),
    }
    for name, term in terms.items():
        torch.testing.assert_close(term, expected[name], rtol=1e-10, atol=0)


def test_gradients_are_those_of_the_formulas(
    student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor
) -> None:
    """Also that the student's GCE-Net input gets its gradient from both sides of the first flow."""
    leaves = [*student.original.stage_features, *student.attention.stage_features]
    leaves += [student.gce.input, *student.gce.layers, stage_weights]
    fast = distillation_terms(student, TeacherTargets.of(teacher), CONFIG, stage_weights)
    slow = slow_flow_terms(student, teacher, stage_weights)
    for ours, theirs in zip(
        torch.autograd.grad(torch.stack([fast[name] for name in slow]).sum(), leaves),
        torch.autograd.grad(torch.stack(list(slow.values())).sum(), leaves),
        strict=True,
    ):
        assert ours.any()
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_teacher_gets_no_gradient_and_every_student_tensor_gets_one(
    student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor
) -> None:
    terms = supervised_terms(student, LABELS, margin=9.0)
    terms |= distillation_terms(student, TeacherTargets.of(teacher), CONFIG, stage_weights)
    weigh(terms, CONFIG).backward()
    without = [name for name, tensor in tensors(student) if tensor.grad is None or not tensor.grad.any()]
    assert without == ["original.last_map.0", "attention.last_map.0"]  # reach a loss through GCE-Net only
    assert [name for name, tensor in tensors(teacher) if tensor.grad is not None] == []
    assert stage_weights.grad is not None
    assert stage_weights.grad.all()


def test_a_flow_matrix_stands_for_the_two_maps_that_make_it(
    student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor
) -> None:
    """Values and gradients; the maps of stages 1 and 3 stay, as stored targets mix both forms."""
    maps = TeacherTargets.of(teacher)
    flows = [flow_matrix(*flow) if index % 2 else flow for index, flow in enumerate(maps.flows)]
    stored = dataclasses.replace(maps, flows=tuple(flows))
    leaves = [*student.original.stage_features, *student.attention.stage_features, stage_weights]
    terms: dict[str, Any] = {}
    for name, targets in (("maps", maps), ("stored", stored)):
        found = distillation_terms(student, targets, CONFIG, stage_weights)
        terms[name] = (*found.values(), *torch.autograd.grad(weigh(found, CONFIG), leaves))
    for ours, theirs in zip(terms["stored"], terms["maps"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_coefficients_by_hand() -> None:
    assert coefficients(CONFIG) == pytest.approx(
        {
            "backbone_gram": 0.2 * 0.6,
            "backbone_spectrum": 0.3 * 0.6,
            "gce_gram": 0.5 * 1.8,
            "gce_spectrum": 0.7 * 1.8,
            "logit_original": 1.1 * 0.4,
            "logit_attention": 1.1 * 0.8,
            "logit_gce": 1.1 * 1.8,
        }
    )


def test_default_coefficients_are_the_published_ones() -> None:
    published = dict.fromkeys(DISTILLATION_TERMS[:4], 1e-4) | dict.fromkeys(DISTILLATION_TERMS[4:], 1e-2)
    assert coefficients(DistillConfig()) == published


def test_weigh_by_hand() -> None:
    terms = {name: torch.tensor(float(10**index)) for index, name in enumerate(DISTILLATION_TERMS)}
    terms |= {"ce_original": torch.tensor(3.0), "triplet_gce": torch.tensor(4.0)}
    expected = 7 + 0.12 + 1.8 + 90 + 1260 + 4400 + 88000 + 1980000
    assert weigh(terms, CONFIG).item() == pytest.approx(expected)
    assert weigh({"ce_original": torch.tensor(3.0)}, NO_DISTILLATION).item() == 3


SWITCHES = [
    ({"gram": 0}, {"backbone_gram"}),
    ({"spectrum": 0}, {"backbone_spectrum"}),
    ({"gce_gram": 0}, {"gce_gram"}),
    ({"gce_spectrum": 0}, {"gce_spectrum"}),
    ({"logit": 0}, {"logit_original", "logit_attention", "logit_gce"}),
    ({"teacher_weights": TeacherWeights(gce=0)}, {"gce_gram", "gce_spectrum", "logit_gce"}),
    ({"teacher_weights": TeacherWeights(original=0)}, {"logit_original"}),
    (
        {"teacher_weights": TeacherWeights(original=0, attention=0)},
        {"backbone_gram", "backbone_spectrum", "logit_original", "logit_attention"},
    ),
]


@pytest.mark.parametrize(("change", "off"), SWITCHES)
def test_a_term_with_coefficient_0_is_reported_as_0(
    change: dict[str, object],
    off: set[str],
    student: EnsembleOutput,
    teacher: EnsembleOutput,
    stage_weights: Tensor,
) -> None:
    terms = distillation_terms(student, TeacherTargets.of(teacher), CONFIG.model_copy(update=change), stage_weights)
    assert tuple(terms) == DISTILLATION_TERMS
    assert {name for name, term in terms.items() if term.item() == 0} == off


def test_terms_that_are_off_are_not_computed(
    student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("computed a term that is switched off")

    for name in ("gram_mse", "spectrum_mse", "soft_cross_entropy"):
        monkeypatch.setattr(distillation, name, refuse)
    terms = distillation_terms(student, TeacherTargets.of(teacher), NO_DISTILLATION, stage_weights)
    assert [term.item() for term in terms.values()] == [0] * 7
    assert tuple(terms) == DISTILLATION_TERMS
    with pytest.raises(AssertionError, match="switched off"):
        distillation_terms(student, TeacherTargets.of(teacher), CONFIG, stage_weights)


def test_flow_terms_of_a_student_equal_to_its_teacher_are_0(student: EnsembleOutput, stage_weights: Tensor) -> None:
    twin = EnsembleOutput(student.original, student.attention, student.gce)
    terms = distillation_terms(student, TeacherTargets.of(twin), CONFIG, stage_weights)
    assert [terms[name].item() for name in DISTILLATION_TERMS[:4]] == [0, 0, 0, 0]


def test_backbone_terms_sum_over_the_batch_and_the_others_average(
    student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor
) -> None:
    def twice(output: EnsembleOutput) -> EnsembleOutput:
        return EnsembleOutput(_doubled(output.original), _doubled(output.attention), _doubled(output.gce))

    once = distillation_terms(student, TeacherTargets.of(teacher), CONFIG, stage_weights)
    both = distillation_terms(
        twice(student), TeacherTargets.of(twice(teacher)), CONFIG, torch.cat((stage_weights, stage_weights), dim=1)
    )
    for name, term in once.items():
        torch.testing.assert_close(both[name], term * (2 if name.startswith("backbone") else 1))


def _doubled(part: Part) -> Part:
    values: dict[str, Any] = {f.name: _double(getattr(part, f.name)) for f in dataclasses.fields(part)}
    return dataclasses.replace(part, **values)


def _double(value: Tensor | tuple[Tensor, ...] | None) -> Tensor | tuple[Tensor, ...] | None:
    if isinstance(value, tuple):
        return tuple(torch.cat((part, part)) for part in value)
    return None if value is None else torch.cat((value, value))
