"""What is done once before the first trial: the teacher's targets, and how many trials run at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from rich.console import Console

from owkd.config import Config, with_values
from search.execution.gpu_packing import measured_share
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources, resources_on_cluster
from search.execution.teacher_targets import build_targets

Connect = Callable[[], AbstractContextManager[NodeAdmission | None]]
"""Opens a connection to Ray for as long as it is entered: a local one, or to a cluster, with what looks at nodes that
join later"""

Prepare = Callable[[Config, Console], tuple[Config, TrialResources]]
"""Ray is connected; the configuration comes back as all trials use it"""


def prepare(config: Config, console: Console) -> tuple[Config, TrialResources]:
    """Teacher targets, then the slots: a trial that need not hold its teacher takes less of a GPU.

    Raises `ConfigError` where a trial fits no node, `DataError` where stored targets are wished for and find no room.
    """
    resources = resources_on_cluster(config)  # refuses before anything is built
    config = build_targets(config, console)
    if config.search.resources.gpu != "auto" or not resources.gpu:
        return config, resources
    gpu = measured_share(config, console)
    return config, resources_on_cluster(with_values(config, {"search.resources.gpu": gpu}))


def slots_alone(config: Config, console: Console) -> tuple[Config, TrialResources]:
    """For trainings that have no teacher."""
    return config, resources_on_cluster(config)
