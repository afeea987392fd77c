"""Everybody who searches a landscape, by name: ours, Optuna's samplers, and the field's best from outside.

ledger.py        what a search has to show: one rule for all of what is handed on
virtual_time.py  searches by ask and tell, an epoch of each trial a tick
asha.py          Ray's ASHA around any searcher
ours.py          our study, samplers and schedulers
optunas.py       Optuna's samplers

Each has the same two slots, the same budget of epochs, the published setting as its first trial and, with ASHA, the
same rungs. Those from outside are in the extra `bench`; where it is not installed, they are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.landscapes import Landscape
from benchmarks.rivals import optunas, ours
from benchmarks.rivals.ledger import Outcome
from benchmarks.rivals.optunas import OptunaSearcher
from benchmarks.rivals.virtual_time import search

Rival = Callable[[Landscape], Outcome]

YARDSTICK = "Optuna TPE, ASHA"
"""budgets are compared to what it reaches"""


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
ONE_OBJECTIVE = {name for name in RIVALS if "CMA-ES" in name}
"""those that know no more"""


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
    """Everybody whose packages are here."""
    return list(RIVALS)


__all__ = ["ONE_OBJECTIVE", "RIVALS", "YARDSTICK", "Outcome", "Rival", "can_search", "installed_rivals", "own", "rival"]
