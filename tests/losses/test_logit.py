"""Logit distillation."""

import math

import pytest
import torch
from torch import Tensor

from owkd.losses import soft_cross_entropy

pytestmark = pytest.mark.numeric


def logits(seed: int, batch: int = 3) -> Tensor:
    return 3 * torch.randn(batch, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        targets = [math.exp(value / temperature) for value in t]
        normaliser = math.log(sum(math.exp(value / temperature) for value in s))
        for target, value in zip(targets, s, strict=True):
            total -= target / sum(targets) * (value / temperature - normaliser)
    return temperature**2 * total / len(student)


def test_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    value = soft_cross_entropy(student, teacher, 1.0)
    assert value.shape == ()
    # the student believes in (1/4, 3/4), the teacher in (1/2, 1/2)
    assert value.item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)
    # at temperature 2 the student's odds are sqrt(3)
    softened = math.log(1 + math.sqrt(3)) - math.log(3) / 4
    assert soft_cross_entropy(student, teacher, 2.0).item() == pytest.approx(4 * softened)
    # swapped: the teacher believes in (1/4, 3/4), the student in (1/2, 1/2)
    assert soft_cross_entropy(teacher, student, 1.0).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_the_definition_in_loops(temperature: float) -> None:
    value = soft_cross_entropy(logits(0), logits(1), temperature)
    assert value.item() == pytest.approx(slow_soft_cross_entropy(logits(0), logits(1), temperature), rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_gradcheck_and_gradient_by_formula(temperature: float) -> None:
    student, teacher = logits(0).requires_grad_(), logits(1)
    assert torch.autograd.gradcheck(lambda s: soft_cross_entropy(s, teacher, temperature), [student])
    (gradient,) = torch.autograd.grad(soft_cross_entropy(student, teacher, temperature), student)
    expected = temperature * ((student / temperature).softmax(1) - (teacher / temperature).softmax(1)) / 3
    torch.testing.assert_close(gradient, expected.detach())


def test_equal_logits_leave_the_teachers_entropy_and_no_gradient() -> None:
    teacher = logits(1)
    student = teacher.clone().requires_grad_()
    value = soft_cross_entropy(student, teacher, 2.0)
    soft = (teacher / 2).softmax(1)
    torch.testing.assert_close(value.detach(), 4 * -(soft * soft.log()).sum(1).mean())
    (gradient,) = torch.autograd.grad(value, student)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))
    assert soft_cross_entropy(logits(0), teacher, 2.0) > value


def test_mean_over_the_batch_in_any_order() -> None:
    student, teacher = logits(0), logits(1)
    single = [soft_cross_entropy(student[i : i + 1], teacher[i : i + 1], 1.5) for i in range(3)]
    value = soft_cross_entropy(student, teacher, 1.5)
    torch.testing.assert_close(value, torch.stack(single).mean())
    torch.testing.assert_close(soft_cross_entropy(student.flip(0), teacher.flip(0), 1.5), value)
    torch.testing.assert_close(soft_cross_entropy(student + 7, teacher - 7, 1.5), value)


def test_one_identity_is_0() -> None:
    assert soft_cross_entropy(torch.tensor([[3.0]]), torch.tensor([[-1.0]]), 2.0).item() == 0


def test_half_logits_are_raised_to_float32() -> None:
    student, teacher = logits(0).bfloat16(), logits(1).bfloat16()
    value = soft_cross_entropy(student, teacher, 1.0)
    assert value.dtype == torch.float32
    assert torch.equal(value, soft_cross_entropy(student.float(), teacher.float(), 1.0))
