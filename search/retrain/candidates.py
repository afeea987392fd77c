"""Who takes part in the final stage, and the models that are trained of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from owkd.config import NO_DISTILLATION, Config, DistillConfig, with_values
from search.luck.seeds import SeedSet
from search.retrain.comparison import MATCHED
from search.runs.layout import trial_name
from search.space.parameters import single
from search.trials.budget import Budget
from search.trials.job import Part
from search.trials.objective import ranked_points
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED, TrialView

Role = Literal["candidate", "control", "baseline"]
"""what the search found, what random trials of the same cost found, and what both are measured against"""


@dataclass(frozen=True)
class Candidate:
    """A configuration that is trained in full, on every fold.

    Attributes:
        slug: its folder's name
        trial: its number in the search, or in the control
        config: resolved, with epochs and folds of the final stage
    """

    name: str
    slug: str
    role: Role
    trial: int | None
    config: Config


@dataclass(frozen=True)
class Model:
    """One training of a candidate."""

    candidate: Candidate
    fold: str
    seed: int
    seed_set: SeedSet

    @property
    def part(self) -> Part:
        return Part(self.fold, self.seed)

    @property
    def key(self) -> str:
        return f"{self.candidate.slug}/{self.fold}/seed-{self.seed}"

    @property
    def name(self) -> str:
        return f"{self.candidate.name}, {self.fold}, seed {self.seed}"

    @property
    def digest(self) -> str:
        """Names everything that its numbers depend on: a record of another digest is of another model."""
        parts = what_is_trained(self.candidate.config)
        return hashlib.sha256(json.dumps([parts, self.fold, self.seed], sort_keys=True).encode()).hexdigest()[:16]

    def folder(self, retrain: Path) -> Path:
        """Where its checkpoints and its metrics.json are."""
        return self.part.folder(retrain / self.candidate.slug)


def select_candidates(
    config: Config, trials: Iterable[TrialView], control: Iterable[TrialView] = ()
) -> list[Candidate]:
    """The best `retrain.top_k` points of the search (`ranked_points`), as many of its control, and the two baselines;
    best first.

    The search's fixed trials take part as baselines, not as points.
    """
    candidates = [
        *(_of_trial(config, view, "candidate") for view in _best(config, trials)),
        *(_of_trial(config, view, "control") for view in _best(config, control)),
    ]
    for name, distill in ((PUBLISHED, DistillConfig()), (NO_DISTILLATION_NAME, NO_DISTILLATION)):
        values = {"distill": distill.model_dump(mode="json")}
        candidates.append(Candidate(name, name.replace(" ", "-"), "baseline", None, _in_full(config, values)))
    return candidates


def matched_baselines(champion: Candidate, baselines: Sequence[Candidate]) -> list[Candidate]:
    """The baselines once more, each with all that the champion was given outside `distill`, such as `train.*`.

    So that what better training gains is not taken for a gain of better weights. None where the champion has nothing of
    its own there.
    """
    matched = []
    for baseline in baselines:
        config = with_values(champion.config, {"distill": baseline.config.distill.model_dump(mode="json")})
        if what_is_trained(config) != what_is_trained(baseline.config):
            name, slug = f"{baseline.name}{MATCHED}", f"{baseline.slug}-as-{champion.slug}"
            matched.append(Candidate(name, slug, "baseline", None, config))
    return matched


def what_is_trained(config: Config) -> dict[str, Any]:
    """The part of a configuration that a model's numbers depend on, fold and seed apart."""
    tree = config.to_dict()
    return {name: tree[name] for name in ("data", "teacher", "student", "train", "distill")}


def _best(config: Config, trials: Iterable[TrialView]) -> list[TrialView]:
    """The best `retrain.top_k` points that a sampler proposed."""
    proposed = (view for view in trials if view.fixed is None)
    return ranked_points(config.search, proposed)[: config.retrain.top_k]


def _of_trial(config: Config, view: TrialView, role: Literal["candidate", "control"]) -> Candidate:
    name, slug = f"trial {view.number}", trial_name(view.number)
    if role == "control":
        name, slug = f"control's {name}", f"control-{slug}"
    return Candidate(name, slug, role, view.number, _in_full(config, view.values))


def _in_full(config: Config, values: dict[str, Any]) -> Config:
    full: dict[str, Any] = {**values, "data.folds": list(Budget.of(config).final_folds)}
    if config.retrain.epochs is not None:
        full["train.epochs"] = config.retrain.epochs
    return single(config, full)
