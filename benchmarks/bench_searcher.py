"""Our searcher against Ray's own OptunaSearch, both with Ray's ASHA, on simulated trainings with a known optimum.

Each side is as it comes: ours with the sampler `auto`, Ray's as its documentation has it, which is Optuna's TPE. Beside
them stand ours with that same TPE, and Ray's with Optuna's Gaussian process, so that one sees what the sampler does and
what it is told. All have two slots, the same parametrisation, the same first trial (the published setting), the same
rungs, and the same budget: once so many epochs were trained, no further trial begins. Ray's hands on what
`ResultGrid.get_best_result` names; ours its best complete trial. What counts is the true value, without noise, of what
is handed on.

Ray's searcher leaves a trial that reports NaN running for ever. It is therefore measured twice: with NaN told as it is,
and with trainings that report 0 instead and end, as a careful user would write them.
"""

from __future__ import annotations

import logging
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks import measure, searchers, searchers_on_tune
from benchmarks.landscapes.distillation import Distillation
from benchmarks.searchers import Outcome, Sizes

COMMAND = "python -m benchmarks.bench_searcher"
QUICK = Sizes(seeds=2, budget=60)

Searcher = Callable[[int, Sizes], Outcome]


def rivals(tune: bool) -> dict[str, Searcher]:
    """By name; on real Ray Tune, or in virtual time."""
    where = searchers_on_tune if tune else searchers
    return {
        "owkd": where.ours,
        "OptunaSearch, NaN told as 0": partial(where.rays, nan_as=0.0),
        "OptunaSearch, NaN told as it is": partial(where.rays, nan_as=math.nan),
        "OptunaSearch with GPSampler, NaN told as 0": partial(where.rays, nan_as=0.0, gaussian=True),
        "owkd with tpe": partial(where.ours, sampler="tpe"),
    }


def report(sizes: Sizes, tune: bool = False) -> str:
    """The section: every searcher on every seed, in turns."""
    logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)  # warns of each NaN
    warnings.filterwarnings("ignore", "The reported value is ignored")  # Tune tells a last report twice
    found: dict[str, list[Outcome]] = {name: [] for name in rivals(tune)}
    with searchers_on_tune.connected(sizes.slots) if tune else nullcontext():
        for seed in range(sizes.seeds):
            for name, searcher in rivals(tune).items():
                found[name].append(searcher(seed, sizes))
    return summary(found, [Distillation.drawn(seed).optimum() for seed in range(sizes.seeds)], sizes)


def summary(found: Mapping[str, Sequence[Outcome]], optima: Sequence[float], sizes: Sizes) -> str:
    """The table: what is lost against the optimum, and the first searcher against each other one by seed."""
    first, *others = found
    lost = {
        name: [best - outcome.worth for best, outcome in zip(optima, outcomes, strict=True)]
        for name, outcomes in found.items()
    }
    rows = [
        [
            name,
            f"{statistics.median(outcome.worth for outcome in outcomes):.4f}",
            _quartiles(lost[name]),
            f"{statistics.median(b - o.found for b, o in zip(optima, outcomes, strict=True)):.4f}",
            f"{statistics.fmean(outcome.trials for outcome in outcomes):.0f}",
            f"{statistics.fmean(outcome.epochs for outcome in outcomes):.0f}",
            measure.duration(statistics.fmean(outcome.seconds for outcome in outcomes)),
        ]
        for name, outcomes in found.items()
    ]
    columns = [
        f"{sizes.seeds} seeds, {sizes.budget} epochs",
        "true value of the choice, median",
        "lost against the optimum, median (quartiles)",
        "lost by the best trial, median",
        "trials",
        "epochs",
        "time",
    ]
    lines = [f"Optimum: {statistics.median(optima):.4f} in the median.", measure.table(columns, rows)]
    lines += [compared(first, lost[first], name, lost[name]) for name in others]
    return "\n\n".join(lines)


def compared(first: str, lost: Sequence[float], other: str, lost_there: Sequence[float]) -> str:
    """Wins by seed, with both paired tests (two-sided)."""
    from scipy.stats import binomtest, wilcoxon

    gains = [there - here for here, there in zip(lost, lost_there, strict=True)]
    wins, ties = sum(gain > 0 for gain in gains), sum(gain == 0 for gain in gains)
    decided = len(gains) - ties
    text = f"{first} against {other}: better on {wins} of {len(gains)} seeds"
    if not decided:
        return f"{text}, all alike."
    return (
        f"{text} ({ties} alike), median gain {statistics.median(gains):+.4f}; sign test p = "
        f"{binomtest(wins, decided).pvalue:.3f}, Wilcoxon p = {wilcoxon(gains).pvalue:.3f}."
    )


def _quartiles(values: Sequence[float]) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.4f} ({low:.4f} to {high:.4f})"


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, help="problems, each searched once by everyone (default: 20; quick: 2)")
    parser.add_argument("--tune", action="store_true", help="on real Ray Tune instead of in virtual time: minutes")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else Sizes()
    sizes = replace(chosen, seeds=arguments.seeds or chosen.seeds)
    command = measure.command(COMMAND, arguments) + (f" --seeds {arguments.seeds}" if arguments.seeds else "")
    name = "bench_searcher on Ray Tune" if arguments.tune else "bench_searcher"
    measure.publish(name, report(sizes, arguments.tune), command, None, arguments.record)


if __name__ == "__main__":
    main()
