"""What a student costs where it is used: the time of one image, its weights, its operations.

Shapes: S image size.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from owkd.config import MetricName
from owkd.models.wse import WseNet

WARM_UP = 3
REPEATS = 20
"""timed passes; the median of them is reported, which a busy machine moves least"""


def student_costs(
    model: WseNet, image_size: int, device: torch.device, names: Sequence[MetricName], autocast: bool = False
) -> dict[str, float]:
    """The named costs of one image's embedding, measured on the model as it is on the device.

    latency_ms: median wall-clock milliseconds of a batch of one, the device's queue included; parameters: scalars that
    an embedding needs; flops: two for each multiply-add. Draws no random number, and leaves the model in evaluation
    mode. Other names are passed over.
    """
    model.eval()
    image = torch.full((1, 3, image_size, image_size), 0.5, device=device).to(memory_format=torch.channels_last)
    costs: dict[str, float] = {}
    if "parameters" in names:
        costs["parameters"] = float(model.parameter_count())
    if "flops" in names:
        costs["flops"] = float(_operations(model, image))
    if "latency_ms" in names:
        costs["latency_ms"] = _latency(model, image, autocast)
    return costs


def _operations(model: WseNet, image: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:  # under inference_mode it would miss some
        model.embed(image)
    return int(counter.get_total_flops())


def _latency(model: WseNet, image: Tensor, autocast: bool) -> float:
    context: AbstractContextManager[object] = nullcontext()
    if autocast:
        context = torch.autocast(image.device.type, dtype=torch.bfloat16)
    times = []
    with torch.inference_mode(), context:
        for number in range(WARM_UP + REPEATS):
            _wait(image.device)
            start = time.perf_counter()
            model.embed(image)
            _wait(image.device)
            if number >= WARM_UP:
                times.append(time.perf_counter() - start)
    return 1000 * median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
