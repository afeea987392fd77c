"""The sections `search` and `retrain`: what is searched, by what, for what, and the stage that ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from owkd.config.metrics import (
    COST_METRICS,
    METRICS,
    PUBLISHED_METRIC,
    Direction,
    MetricName,
)
from owkd.config.node import AddressText, EachOnce, Node, Seed
from owkd.config.strategies import AshaSettings, AutoSettings, SamplerConfig, SchedulerConfig

REDUCTION = re.compile(r"auto|best|last|mean of last ([1-9]\d*)")
SPREAD = 0.015
"""standard deviation of a training's test mAP over seeds, where nobody measured it"""
CONSTRAINT = re.compile(rf"\s*({'|'.join(map(re.escape, METRICS))})\s*(<=|>=)\s*(\S+)\s*")


class EntryData(Node):
    """What every entry of a search space may say."""

    when: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="other entries and the values that they must have for this one to be searched; "
        "otherwise the field keeps the configuration's value",
    )

    @field_validator("when", mode="before")
    @classmethod
    def _listed(cls, conditions: Any) -> Any:
        if not isinstance(conditions, dict):
            return conditions
        return {name: value if isinstance(value, list | tuple) else [value] for name, value in conditions.items()}


class FloatRange(EntryData):
    """A real number in [low, high]."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.low, self.high, self.log, self.step)
        return self


class IntRange(EntryData):
    """A whole number in [low, high]."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: PositiveInt | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.low, self.high, self.log, self.step)
        return self


class Choice(EntryData):
    """One of some values."""

    type: Literal["categorical"]
    choices: tuple[Any, ...] = Field(min_length=1)


class Fixed(EntryData):
    """One value for every trial: takes a field out of a search without leaving it out of the tables."""

    type: Literal["fixed"]
    value: Any


class Simplex(EntryData):
    """Non-negative weights with a fixed sum, drawn uniformly: distill.teacher_weights or distill.stage_weights."""

    type: Literal["simplex"]


SpaceEntry = Annotated[FloatRange | IntRange | Choice | Fixed | Simplex, Field(discriminator="type")]


class ObjectiveConfig(Node):
    """One thing that a trial is evaluated by. With `reduction`, the epochs of a fold become one number."""

    metric: MetricName = PUBLISHED_METRIC
    mode: Direction | None = Field(default=None, description="max for val/*, min for costs, when unset")
    reduction: str = Field(
        default="auto",
        description="auto: mean of the last 3 epochs, of fewer where less than 6 are trained; last; mean of last N; "
        "best: the epoch where the first objective is best, for all objectives. That epoch's model is kept, with the "
        "others the last one's",
    )

    @property
    def direction(self) -> Direction:
        """Which way is better."""
        return self.mode or METRICS[self.metric].direction

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not REDUCTION.fullmatch(self.reduction):
            raise ValueError(
                f"reduction must be auto, best, last, or `mean of last N` with N of 1 or more, but got "
                f"{self.reduction!r}"
            )
        natural = METRICS[self.metric].direction
        if self.mode not in (None, natural):
            raise ValueError(f"mode must be {natural} for {self.metric}, but got {self.mode!r}; drop it")
        return self


class ResourcesConfig(Node):
    """What one trial takes of a machine."""

    cpu: PositiveFloat = Field(default=1.0, description="CPUs, which are the trial's threads too")
    gpu: NonNegativeFloat | Literal["auto"] = Field(
        default="auto", description="share of a GPU; auto: what one trial needs, measured before the first"
    )


class SearchConfig(Node):
    """The search over everything that `space` names."""

    trials: PositiveInt = Field(
        default=20, description="in all; the first two are the published weights and no distillation"
    )
    seeds: Annotated[tuple[Seed, ...], EachOnce] | None = Field(
        default=None, min_length=1, description="a trial trains with each of them on each fold; train.seed when unset"
    )
    race: bool = Field(
        default=True,
        description="a trial stops that can hardly come up to the best: at the end of a fold or seed when luck does "
        "not explain how far it is behind, and, where the scheduler stops any, earlier by how complete ones rose",
    )
    max_concurrent: PositiveInt | None = Field(default=None, description="trials at a time; what fits when unset")
    max_failures: Annotated[int, Field(ge=0)] = Field(default=2, description="restarts of a trial that crashes")
    warm_start: AddressText | None = Field(
        default=None, description="an earlier run, a folder or an address, whose finished trials teach the sampler"
    )
    sampler: SamplerConfig = Field(
        default=AutoSettings(),
        description="What proposes the parameters of the next trial. What Optuna could change is pinned here.",
    )
    scheduler: SchedulerConfig = Field(default=AshaSettings(), description="What stops a trial early.")
    objectives: tuple[ObjectiveConfig, ...] = Field(
        default=(ObjectiveConfig(),),
        min_length=1,
        description=f"what a trial is evaluated by: {', '.join(METRICS)}; and a reduction of epochs",
    )
    constraints: tuple[str, ...] = Field(default=(), description="such as `latency_ms <= 5`; others are infeasible")
    resources: ResourcesConfig = ResourcesConfig()
    space: dict[str, SpaceEntry] = Field(
        default_factory=dict,
        description="what is searched, by dotted field, such as distill.logit: {type: float, low: 0.001, high: 1}",
    )

    @field_validator("sampler", "scheduler", mode="before")
    @classmethod
    def _named(cls, section: Any, info: ValidationInfo) -> Any:
        """A section that names no kind is of the default one."""
        if not isinstance(section, Mapping) or "name" in section or info.field_name is None:
            return section
        return {"name": cls.model_fields[info.field_name].default.name, **section}

    @field_validator("constraints")
    @classmethod
    def _readable(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        for text in constraints:
            parse_constraint(text)
        return constraints

    @property
    def leading_metric(self) -> str:
        """The metric of the first objective: it ranks trials, and says which epoch's model is kept."""
        return self.objectives[0].metric

    @property
    def reduction(self) -> str:
        """How epochs become one number; a trial is evaluated by one model, so there is one for all objectives."""
        return self.objectives[0].reduction

    @property
    def deciding_metric(self) -> str:
        """What the scheduler stops trials by."""
        return self.scheduler.metric or self.leading_metric

    @property
    def judged_metrics(self) -> tuple[str, ...]:
        """What is known of every finished trial: objectives, then what constraints name."""
        constrained = (parse_constraint(text)[0] for text in self.constraints)
        return tuple(dict.fromkeys((*(objective.metric for objective in self.objectives), *constrained)))

    @property
    def costs(self) -> tuple[str, ...]:
        """Judged metrics that no epoch changes."""
        return tuple(metric for metric in self.judged_metrics if metric in COST_METRICS)


class ClaimConfig(Node):
    """The comparison that the final stage is about, declared before the search; the others follow in a fixed order."""

    against: Literal["published weights", "no distillation"] = Field(
        default="published weights", description="what the champion is to be better than"
    )
    metric: Literal["mAP", "rank-1"] = Field(default="mAP", description="on the test split")


class RetrainConfig(Node):
    """The final stage."""

    top_k: PositiveInt = Field(
        default=3, description="best trials of the search, among which the champion is chosen on fresh seeds"
    )
    choice_budget: PositiveInt | None = Field(
        default=None,
        description="trainings on every fold that the choice spends, in rounds of the better half; what two seeds a "
        "round take when unset, and never less than one seed takes",
    )
    smallest_lead: float = Field(
        default=0.02,
        ge=0.001,
        lt=1,
        description="the lead in test mAP that shall not be missed, 0.02 being 2 points: it is shown with 80 %",
    )
    spread: float | None = Field(
        default=None,
        gt=0,
        le=0.2,
        description="standard deviation of a training's test mAP over seeds on one fold, as `owkd plan --pilot` "
        f"measures it; {SPREAD} when unset",
    )
    seeds: PositiveInt | None = Field(
        default=None,
        description="test seeds, fresh ones: models of the champion and of both baselines on each fold; when unset, as "
        "many as smallest_lead takes at this spread, at most 40",
    )
    claim: ClaimConfig = ClaimConfig()
    control: bool | Literal["auto"] = Field(
        default="auto",
        description="on, off or auto: whether random trials under the same scheduler are given as many epochs as the "
        "search's were, and the best of them is chosen and tested like the champion; auto: where that is expected to "
        "take no more epochs than the rest of the final stage. Without it nobody can say whether the sampler did "
        "better than random trials of the same cost",
    )
    epochs: PositiveInt | None = Field(default=None, description="train.epochs when unset")
    folds: Annotated[tuple[str, ...], EachOnce] | None = Field(
        default=None, min_length=1, description="data.folds when unset"
    )


def parse_constraint(text: str) -> tuple[str, Literal["<=", ">="], float]:
    """`latency_ms <= 5` -> metric, comparison and bound. Raises `ValueError`."""
    match = CONSTRAINT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return match[1], match[2], float(match[3])  # type: ignore[return-value]  # the pattern names no others
    except ValueError:
        raise ValueError(
            f"a constraint must read METRIC <= NUMBER or METRIC >= NUMBER with METRIC one of "
            f"{', '.join(METRICS)}, but got {text!r}"
        ) from None


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, but got low={low} and high={high}")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 on a log scale, but got low={low}")
    if log and step is not None:
        raise ValueError("log and step exclude each other; drop one")
