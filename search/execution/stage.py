"""What is done once before the first trial: the teacher's targets, and how many trials run at a time."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from owkd.config import Config, with_values
from search.execution.gpu_packing import measured_share
from search.execution.resources import Share, share_of_cluster
from search.execution.teacher_targets import build_targets

Prepare = Callable[[Config, Console], tuple[Config, Share]]
"""Ray is connected; the configuration comes back as all trials use it"""


def prepare(config: Config, console: Console) -> tuple[Config, Share]:
    """Teacher targets, then the slots: a trial that need not hold its teacher takes less of a GPU.

    Raises `ConfigError` where a trial fits no node, `DataError` where stored targets are wished for and find no room.
    """
    share = share_of_cluster(config)  # refuses before anything is built
    config = build_targets(config, console)
    if config.search.resources.gpu != "auto" or not share.gpu:
        return config, share
    gpu = measured_share(config, console)
    return config, share_of_cluster(with_values(config, {"search.resources.gpu": gpu}))


def slots_alone(config: Config, console: Console) -> tuple[Config, Share]:
    """For trainings that have no teacher."""
    return config, share_of_cluster(config)
