"""The sections `search.sampler` and `search.scheduler`: one class for each kind, with the fields that it takes.

A new kind is a class here and its place in the union; what it does is `search/samplers/` or `search/schedulers/`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from owkd.config.metrics import LEADING_METRICS, MetricName
from owkd.config.node import Node, Seed


class SamplerSettings(Node):
    """What every sampler takes."""

    name: str
    seed: Seed = 0


class LearningSettings(SamplerSettings):
    """A sampler that begins with random trials."""

    startup_trials: PositiveInt | None = Field(
        default=None, description="random trials before anything is modelled; unset, 3 of gp and 10 of the others"
    )


class ParzenSettings(LearningSettings):
    """A sampler that may be TPE."""

    candidates: PositiveInt = Field(default=24, description="draws of tpe, the most promising of which is proposed")
    multivariate: bool = Field(default=True, description="tpe models parameters jointly")
    constant_liar: bool = Field(default=True, description="tpe counts running trials as poor, so that workers spread")


class AutoSettings(ParzenSettings):
    """what benchmarks say is best: gp"""

    name: Literal["auto"] = "auto"


class GpSettings(LearningSettings):
    """a Gaussian process, which learns from stopped trials too"""

    name: Literal["gp"] = "gp"


class TpeSettings(ParzenSettings):
    """a tree-structured Parzen estimator"""

    name: Literal["tpe"] = "tpe"


class CmaesSettings(LearningSettings):
    """an evolution strategy that adapts its covariance, for one objective"""

    name: Literal["cmaes"] = "cmaes"


class Nsga2Settings(SamplerSettings):
    """a genetic algorithm"""

    name: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Field(ge=2)] = Field(default=50, description="trials of a generation")


class RandomSettings(SamplerSettings):
    """independent draws"""

    name: Literal["random"] = "random"


SamplerConfig = Annotated[
    AutoSettings | GpSettings | TpeSettings | CmaesSettings | Nsga2Settings | RandomSettings,
    Field(discriminator="name"),
]
"""what proposes the parameters of the next trial"""


class SchedulerSettings(Node):
    """What every scheduler takes."""

    name: str
    metric: MetricName | None = Field(
        default=None, description=f"what decides: {', '.join(LEADING_METRICS)}; the first objective's, unset"
    )


class StoppingSettings(SchedulerSettings):
    """A scheduler that stops trials."""

    grace_epochs: PositiveInt = Field(default=3, description="epochs before a trial may be stopped")


class HalvingSettings(StoppingSettings):
    """A scheduler that compares trials at rungs."""

    reduction_factor: Annotated[int, Field(ge=2)] = Field(default=3, description="one in so many continues")


class AshaSettings(HalvingSettings):
    """asynchronous successive halving"""

    name: Literal["asha"] = "asha"


class HyperbandSettings(HalvingSettings):
    """several brackets of asha with later and later first rungs"""

    name: Literal["hyperband"] = "hyperband"


class MedianSettings(StoppingSettings):
    """the median rule"""

    name: Literal["median"] = "median"
    min_trials: PositiveInt = Field(default=5, description="trials to compare with before any is stopped")


class NoneSettings(SchedulerSettings):
    """every trial trains to its end"""

    name: Literal["none"] = "none"


SchedulerConfig = Annotated[
    AshaSettings | HyperbandSettings | MedianSettings | NoneSettings, Field(discriminator="name")
]
"""what stops a trial early"""
