"""Whether the final stage of a run has a control, and why: by the configuration alone, so that a plan knows it."""

from __future__ import annotations

from dataclasses import dataclass

from owkd.config import Config
from search.schedulers import expected_epochs
from search.trials.budget import Budget

UNCLAIMED = "whether the sampler did better than random trials of the same cost"
"""what nobody can say of a run without a control"""


@dataclass(frozen=True)
class ControlDecision:
    """Whether there is a control.

    Attributes:
        is_on: whether random trials are run
        reason: in words that follow `on: ` or `off: `
        epochs: that the random trials are expected to take, or would be; the most where the scheduler's savings are
            not estimated
    """

    is_on: bool
    reason: str
    epochs: float

    def __str__(self) -> str:
        return f"{'on' if self.is_on else 'off'}: {self.reason}"


def decide_on_control(config: Config) -> ControlDecision:
    """What `retrain.control` comes to in this run."""
    budget = Budget.of(config)
    trials = budget.proposed_trials
    expected = expected_epochs(config.search.scheduler, trials, budget.trial_steps)
    epochs = trials * budget.trial_steps if expected is None else expected
    estimate = f"{'up to' if expected is None else 'about'} {epochs:,.0f} epochs"
    rest = f"the {budget.final_epochs:,} of the rest of the final stage"
    match config.retrain.control:
        case _ if config.search.sampler.name == "random":
            return ControlDecision(False, "the search itself draws at random", epochs)
        case _ if not trials:
            return ControlDecision(False, "the search proposes no trial", epochs)
        case True:
            return ControlDecision(True, f"retrain.control is on; its random trials take {estimate}", epochs)
        case False:
            return ControlDecision(False, f"retrain.control is off; its random trials would take {estimate}", epochs)
    if epochs <= budget.final_epochs:
        return ControlDecision(True, f"its random trials take {estimate}, no more than {rest}", epochs)
    reason = f"its random trials would take {estimate}, more than {rest}; `retrain.control: on` insists"
    return ControlDecision(False, reason, epochs)
