"""Everybody who searches a landscape, by name: ours, Optuna's samplers, and the field's best from outside.

ledger.py        what a search has to show: one rule for all of what is handed on
virtual_time.py  searches by ask and tell, an epoch of each trial a tick
asha.py          Ray's ASHA around any searcher
ours.py          our study, samplers and schedulers
optunas.py       Optuna's samplers
flat.py          a space for those that know no conditions and no simplexes
qlognei.py       BoTorch
smac3.py         SMAC3
syne.py          Syne Tune

Each has the same two slots, the same budget of epochs, the published setting as its first trial and, with ASHA, the
same rungs. Those from outside are in the extra `bench`; where it is not installed, they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from benchmarks.landscapes import Landscape
from benchmarks.rivals import optunas, ours
from benchmarks.rivals.ledger import Outcome
from benchmarks.rivals.optunas import OptunaSearcher
from benchmarks.rivals.virtual_time import search

Rival = Callable[[Landscape], Outcome]

YARDSTICK = "Optuna TPE, ASHA"
"""budgets are compared to what it reaches"""


@dataclass(frozen=True)
class Outside:
    """A rival from another package, which is imported when it searches.

    Attributes:
        package: without which it is left out
        module: of this package
        maker: name of the searcher there
        asha: whether Ray's ASHA stops its trials; those that decide for themselves have none
        settings: what the maker takes beside landscape and configuration
        by_default: whether it takes part where nobody names it; one that is dear does not
    """

    package: str
    module: str
    maker: str
    asha: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    by_default: bool = True

    def __call__(self, land: Landscape) -> Outcome:
        maker = getattr(import_module(f"benchmarks.rivals.{self.module}"), self.maker)
        return search(land, partial(maker, **self.settings), asha=self.asha)

    @property
    def is_installed(self) -> bool:
        return find_spec(self.package) is not None


def own(sampler: str = "auto", scheduler: str = "asha") -> Rival:
    """Ours."""
    return partial(ours.search, sampler=sampler, scheduler=scheduler)


def _optuna(name: str, sampler: str, stopped_as: optunas.StoppedAs) -> dict[str, Rival]:
    make = partial(OptunaSearcher, sampler=getattr(optunas, sampler), stopped_as=stopped_as)
    return {
        f"Optuna {name}, ASHA": partial(search, make=make, asha=True),
        f"Optuna {name}": partial(search, make=make, asha=False),
    }


RIVALS: dict[str, Rival] = {
    "owkd": own(),
    **_optuna("TPE", "tpe", "pruned"),
    **_optuna("GP", "gp", "value"),
    **_optuna("CMA-ES", "cmaes", "value"),
    **_optuna("random", "random", "pruned"),
}
OUTSIDE = {
    "BoTorch qLogNEI, ASHA": Outside("botorch", "qlognei", "BoTorchSearcher", asha=True),
    "BoTorch qLogNEI": Outside("botorch", "qlognei", "BoTorchSearcher"),
    "SMAC3": Outside("smac", "smac3", "SmacSearcher"),
    "Syne Tune CQR": Outside("syne_tune", "syne", "SyneTuneSearcher", settings={"method": "CQR"}, by_default=False),
    "Syne Tune BOHB": Outside("syne_tune", "syne", "SyneTuneSearcher", settings={"method": "BOHB"}),
}
RIVALS |= OUTSIDE
ONE_OBJECTIVE = {name for name in RIVALS if name.startswith(("Optuna CMA-ES", "SMAC3", "Syne Tune"))}
"""those that know no more, or no constraints"""


def rival(name: str) -> Rival:
    """By its name, or `owkd SAMPLER, SCHEDULER`. Raises `KeyError` for a name that nobody has."""
    if name in RIVALS:
        return RIVALS[name]
    settings = name.removeprefix("owkd ").split(", ")
    if not name.startswith("owkd ") or len(settings) != 2:
        raise KeyError(f"a rival must be one of {', '.join(RIVALS)}, or `owkd SAMPLER, SCHEDULER`, but got {name!r}")
    return own(*settings)


def can_search(name: str, landscape: type[Landscape]) -> bool:
    """Whether a rival knows as many objectives as the landscape has."""
    return len(landscape.objectives) == 1 or name not in ONE_OBJECTIVE


def installed_rivals() -> list[str]:
    """Everybody whose packages are here, but for those that take part only where they are named."""
    return [name for name in RIVALS if name not in OUTSIDE or (OUTSIDE[name].is_installed and OUTSIDE[name].by_default)]


__all__ = [
    "ONE_OBJECTIVE",
    "OUTSIDE",
    "RIVALS",
    "YARDSTICK",
    "Outcome",
    "Rival",
    "can_search",
    "installed_rivals",
    "own",
    "rival",
]
