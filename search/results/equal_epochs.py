"""Figures over fewer epochs beside those of the best trial after as many: what stopped trials may be compared with."""

from __future__ import annotations

from collections.abc import Sequence

from owkd.config import SearchConfig
from search.results.schema import Row
from search.trials.objective import ObjectiveAccumulator


def whole_epochs(row: Row) -> int | None:
    """Epochs over all parts of a trial that trains to its end; None of one that has not trained yet."""
    return round(row["parts"] * row["last_step"] / row["parts_trained"]) if row["parts_trained"] else None


def best_complete(trials: Sequence[Row]) -> Row | None:
    """The best complete trial that keeps every constraint, of rows as `list_trials` orders them."""
    return next((row for row in trials if row["state"] == "complete" and row["feasible"]), None)


def best_after_as_many(search: SearchConfig, trials: Sequence[Row], epochs_of_best: Sequence[Row]) -> dict[int, float]:
    """What the best trial was worth after as many epochs, by the number of each trial that is not complete.

    trials: as `list_trials` orders them; epochs_of_best: rows of the epochs table of `best_complete`

    A trial is left out where its parts are of another length than the best one's, so that equal steps are not equally
    far; all are where a metric is not in the table.
    """
    best = best_complete(trials)
    if best is None:
        return {}
    values = _after_each_step(search, epochs_of_best)
    return {
        row["trial"]: values[row["last_step"]]
        for row in trials
        if row["state"] != "complete"
        and row["objective"] is not None
        and row["last_step"] in values
        and whole_epochs(row) == whole_epochs(best)
    }


def _after_each_step(search: SearchConfig, epochs: Sequence[Row]) -> dict[int, float]:
    """The first objective if the trial had ended at this step."""
    alone = search.model_copy(update={"objectives": search.objectives[:1], "constraints": ()})
    accumulator = ObjectiveAccumulator(alone)
    values = {}
    for row in sorted(epochs, key=lambda row: int(row["step"])):
        metrics = {name: row[name] for name in accumulator.names if row.get(name) is not None}
        if len(metrics) < len(accumulator.names):
            return {}
        score = accumulator.add((row["fold"], row["seed"]), metrics)
        values[int(row["step"])] = score.values[search.leading_metric]
    return values
