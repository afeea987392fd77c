"""Asynchronous successive halving (Li et al. 2020), which stops trials and never pauses one."""

from __future__ import annotations

from ray.tune.schedulers import ASHAScheduler

from owkd.config import HalvingSettings
from search.schedulers.reports import REPORT_FIELDS


def asha_rule(scheduler: HalvingSettings, longest: int, rungs_later: int = 0) -> ASHAScheduler:
    """Ray's rule for trials of at most `longest` steps; its first rung `rungs_later` rungs after the configured one."""
    return ASHAScheduler(
        **REPORT_FIELDS,
        max_t=longest,
        grace_period=scheduler.grace_epochs * scheduler.reduction_factor**rungs_later,
        reduction_factor=scheduler.reduction_factor,
    )


def describe_asha(scheduler: HalvingSettings) -> str:
    """What the rule does, for people."""
    grace, factor = scheduler.grace_epochs, scheduler.reduction_factor
    return f"after {grace} epochs, and each {factor} times as many, the best 1 in {factor} so far continues"
