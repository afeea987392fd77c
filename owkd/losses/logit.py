"""Logit distillation: the student's identities against the teacher's.

Shapes: B batch, K identities.
"""

import torch.nn.functional as F
from torch import Tensor

from owkd.losses._precision import at_least_float32


def soft_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """`tau^2 * cross-entropy(softmax(teacher / tau), softmax(student / tau))`, mean over the batch.

    A cross-entropy, not a distance: of equal logits it is tau^2 times the teacher's entropy, not 0. tau = 1 is the
    published loss; tau^2 keeps the gradient's size as tau grows (Hinton, Vinyals and Dean 2015). The student's
    gradient is that of the Kullback-Leibler divergence: `tau (softmax(student / tau) - softmax(teacher / tau)) / B`.

    student_logits, teacher_logits (B, K) of any float type, temperature > 0 -> scalar of at least float32.
    """
    student = at_least_float32(student_logits) / temperature
    teacher = at_least_float32(teacher_logits) / temperature
    return temperature**2 * F.cross_entropy(student, teacher.softmax(dim=1))
