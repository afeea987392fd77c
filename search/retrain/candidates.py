"""Who takes part in the final stage, and the models that are trained of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from owkd.config import NO_DISTILLATION, Config, DistillConfig
from search.retrain.seeds import SeedSet
from search.runs.layout import trial_name
from search.space.parameters import single
from search.trials.budget import Budget
from search.trials.job import Part
from search.trials.objective import ranked
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED, TrialView

Role = Literal["candidate", "baseline"]


@dataclass(frozen=True)
class Candidate:
    """A configuration that is trained in full, on every fold.

    Attributes:
        slug: its folder's name
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
        tree = self.candidate.config.to_dict()
        parts = {name: tree[name] for name in ("data", "teacher", "student", "train", "distill")}
        return hashlib.sha256(json.dumps([parts, self.fold, self.seed], sort_keys=True).encode()).hexdigest()[:16]

    def folder(self, retrain: Path) -> Path:
        """Where its checkpoints and its metrics.json are."""
        return self.part.folder(retrain / self.candidate.slug)


def select_candidates(config: Config, trials: Iterable[TrialView]) -> list[Candidate]:
    """The search's best `retrain.top_k` trials (`search.objectives.ranked`) and the two baselines, best trial first.

    The search's fixed trials take part as baselines, not as trials; of trials with equal values the best one does.
    """
    complete = [view for view in ranked(config.search, trials) if view.fixed is None]
    candidates: list[Candidate] = []
    seen: list[dict[str, Any]] = []
    for view in complete:
        if len(candidates) < config.retrain.top_k and view.values not in seen:
            seen.append(view.values)
            name = f"trial {view.number}"
            candidates.append(
                Candidate(name, trial_name(view.number), "candidate", view.number, _in_full(config, view.values))
            )
    for name, distill in ((PUBLISHED, DistillConfig()), (NO_DISTILLATION_NAME, NO_DISTILLATION)):
        values = {"distill": distill.model_dump(mode="json")}
        candidates.append(Candidate(name, name.replace(" ", "-"), "baseline", None, _in_full(config, values)))
    return candidates


def _in_full(config: Config, values: dict[str, Any]) -> Config:
    full: dict[str, Any] = {**values, "data.folds": list(Budget.of(config).final_folds)}
    if config.retrain.epochs is not None:
        full["train.epochs"] = config.retrain.epochs
    return single(config, full)
