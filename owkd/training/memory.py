"""How much of a GPU's memory a training takes, measured with its own first steps."""

from pathlib import Path

import numpy as np
import torch

from owkd.config import Config
from owkd.device import autocast
from owkd.evaluation.embed import embed_images
from owkd.training.loop import train_step
from owkd.training.prepare import batch_maker, open_fold
from owkd.training.run import Distillation, attach_teacher

STEPS = 3  # the optimizer's state is there from the first step on, and the allocator has settled by the third


def memory_peak(config: Config, fold: str) -> tuple[int, int]:
    """(bytes that torch holds at most, bytes that the GPU has), over some steps and a batch of validation.

    CUDA's own context is not among them. Needs a GPU; raises `torch.OutOfMemoryError` where it is too small.
    """
    torch.cuda.reset_peak_memory_stats()
    train = config.train
    data, teacher = attach_teacher(config, open_fold(config, fold), fold)
    task = Distillation(config, data, teacher, Path("unused"), train.seed)
    batches = batch_maker(data.training_set.labels, train.batch_size, train.images_per_identity)
    task.modules.train()
    for indices in batches(np.random.default_rng(train.seed))[:STEPS]:
        train_step(task, data.training_set.batch(indices, task.device))
    task.modules.eval()
    with autocast(task.device, train.precision):
        some = data.validation_images[: train.validation_batch_size]
        embed_images(task.student.embed, some, task.device, train.validation_batch_size)
    device = torch.cuda.current_device()
    return torch.cuda.max_memory_reserved(device), torch.cuda.get_device_properties(device).total_memory
