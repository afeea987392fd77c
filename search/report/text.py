"""A run in sentences and small tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from owkd.formatting import format_duration, format_metric
from search.luck.seeds import SeedSet
from search.report.gather import RunData
from search.results.schema import Row, grouped
from search.retrain.claims import Kind, interval, points
from search.retrain.comparison import Spread
from search.runs.manifest import WITHIN
from search.trials.budget import Budget
from search.trials.states import FAILED

IN_FULL: dict[Kind, str] = {"split": "on this test split", "people": "for people of this kind"}

EARLIER_VERSION = (
    "An earlier version of owkd tested this champion, and its sentences follow as they were. They are weaker than they "
    "sound: the champion was chosen on the very models that were then compared, and the search's own seed was among "
    "theirs. So it was said of equally good settings in 7.3 % of simulated runs that chance alone is unlikely, where "
    "2.5 % were promised; and several folds were counted as if they had no people in common."
)


@dataclass(frozen=True)
class Cost:
    """Time that a search took, in seconds of one trial's slot.

    Attributes:
        gpu_s: of whole GPUs; None where no trial used one
        saved_s: what the pruned trials would have taken on top, at their own pace
    """

    spent_s: float
    gpu_s: float | None
    saved_s: float


def headline(data: RunData) -> list[str]:
    """The verdict: of the final stage where there is one, of the search otherwise."""
    if data.comparison is not None:
        return _final_stage(data.comparison)
    best = data.best
    if best is None:
        return ["No trial is complete yet: there is nothing to say."]
    value = format_metric(best["objective"])
    sentences = [f"The best complete trial so far is trial {best['trial']} with {data.metric} {value}."]
    if best["fixed"]:
        sentences.append(f"It is {best['fixed']}: no trial that the search proposed is better.")
    for row in sorted(data.trials, key=lambda row: int(row["trial"])):
        if row["fixed"] and row is not best and row["state"] == "complete":
            sentences.append(_beside(best, row))
    return [*sentences, _next_step(data)]


def _next_step(data: RunData) -> str:
    if WITHIN in data.manifest:
        around = data.folder.address.above
        return (
            f"These are random trials of the same cost as the search of {around}; owkd retrain {around} compares both."
        )
    return f"The final stage has not run; the test split is closed. The next step: owkd retrain {data.folder.address}"


def _final_stage(comparison: Mapping[str, Any]) -> list[str]:
    if "claims" in comparison:
        design = comparison.get("design", [])
        return [comparison["headline"], *comparison["missing"], *comparison["notes"], *design]
    return [EARLIER_VERSION, *comparison["verdict"], *comparison["notes"]]


def teaching(data: RunData) -> list[str]:
    """Whether the teacher has something to teach: on the test split where that was opened, and on validation."""
    tested = "" if data.comparison is None else data.comparison.get("teaching", "")
    return list(filter(None, (tested, *data.teaching)))


def _beside(best: Row, fixed: Row) -> str:
    """A fixed trial beside the best one."""
    name = f"{fixed['fixed'][0].upper()}{fixed['fixed'][1:]}"
    lead = 100 * abs(best["objective"] - fixed["objective"])
    return (
        f"{name} (trial {fixed['trial']}, {state_in_words(fixed['state'])}) reached "
        f"{format_metric(fixed['objective'])}: {lead:.1f} points apart, on the validation split that the search "
        "optimised."
    )


def status(data: RunData) -> str:
    """`16 of 20 trials are over: 9 complete, 7 pruned; 2 running`."""
    counts = Counter(row["state"] for row in data.trials)
    waiting = {name: counts.pop(name) for name in ("running", "interrupted") if name in counts}
    over = ", ".join(f"{count} {state_in_words(state)}" for state, count in counts.most_common())
    ahead = "".join(f"; {count} {name}" for name, count in waiting.items())
    total = max(data.config.search.trials, len(data.trials))
    return f"{sum(counts.values())} of {total} trials are over" + (f": {over}" if over else "") + ahead


def state_in_words(state: str) -> str:
    """A state as people say it."""
    return state.replace("_", " ")


def cost(data: RunData) -> Cost:
    """What the search took, and what pruning saved."""
    spent = sum(row["duration_s"] or 0.0 for row in data.trials)
    shares = [(row.get("gpu_share") or 0.0, row["duration_s"] or 0.0) for row in data.trials]
    gpu = sum(share * seconds for share, seconds in shares)
    saved = 0.0
    for row in data.trials:
        done = data.epochs.get(row["trial"], ())
        if row["state"] == "pruned" and done:
            saved += (full_length(data, row) - len(done)) * fmean(epoch["duration_s"] or 0.0 for epoch in done)
    return Cost(spent, gpu or None, saved)


def full_length(data: RunData, row: Row) -> int:
    """Epochs of a trial that is not stopped, over all folds and seeds."""
    budget, column = Budget.of(data.config), "param.train.epochs"
    values = {} if row.get(column) is None else {"train.epochs": row[column]}
    return budget.epochs(values) * budget.parts


def cost_in_words(data: RunData) -> str:
    """One sentence on time."""
    search = cost(data)
    whole = search.spent_s + search.saved_s
    share = f" ({100 * search.saved_s / whole:.0f} % of what every trial in full would have taken)" if whole else ""
    gpu = f", {format_duration(search.gpu_s)} of them on a GPU" if search.gpu_s is not None else ""
    return (
        f"The trials took {format_duration(search.spent_s)}{gpu}. Stopping poor trials early saved about "
        f"{format_duration(search.saved_s)}{share}."
    )


def failures(data: RunData) -> list[dict[str, Any]]:
    """Trials that failed or diverged, by cause: how many, which, and the last line of the error."""
    causes: dict[tuple[str, str], list[Row]] = {}
    for row in data.trials:
        if row["state"] in (*FAILED, "diverged"):
            causes.setdefault((row["state"], row["error_type"] or ""), []).append(row)
    return [
        {
            "state": state_in_words(state),
            "error": error,
            "count": len(rows),
            "trials": ", ".join(str(row["trial"]) for row in sorted(rows, key=lambda row: int(row["trial"]))[:20])
            + (", ..." if len(rows) > 20 else ""),
            "text": _last_line(rows[0]["error_text"]),
        }
        for (state, error), rows in sorted(causes.items(), key=lambda item: -len(item[1]))
    ]


def candidates(data: RunData) -> list[dict[str, Any]]:
    """The final stage's tested models by configuration: mean and spread on the test split, the champion first.

    They are those that the claims are made of: with the seeds that were trained on every fold.
    """
    tested = _on_every_fold([row for row in data.models if row.get("seed_set") != SeedSet.CHOICE])
    rows = [
        {
            "name": configuration_label(models[0]),
            "champion": bool(models[0]["champion"]),
            "map": _spread([row["test/mAP"] for row in models]),
            "rank1": _spread([row["test/rank-1"] for row in models]),
            "parameters": next((f"{row['parameters'] / 1e6:.2f} M" for row in models if row["parameters"]), ""),
            "models": len(models),
        }
        for models in grouped(tested, "configuration").values()
    ]
    return sorted(rows, key=lambda row: not row["champion"])


def _on_every_fold(models: Sequence[Row]) -> list[Row]:
    """Without seeds of a configuration that are not measured on all folds."""
    folds = len({row["fold"] for row in models})
    measured = [row for row in models if row["test/mAP"] is not None]
    times = Counter((row["configuration"], row["seed"]) for row in measured)
    return [row for row in measured if row["seed"] is None or times[row["configuration"], row["seed"]] == folds]


def claims(data: RunData) -> list[dict[str, Any]]:
    """The champion's leads as they are tested: in points, with their intervals and how they came out."""
    last = max((row.get("look") or 1 for row in data.claims), default=1)
    return [
        {
            "against": row["baseline"],
            "metric": metric_name(row),
            "kind": IN_FULL[row["kind"]],
            "lead": points(row["difference"]),
            "interval": "-" if row["interval_low"] is None else interval(row["interval_low"], row["interval_high"]),
            "status": row["status"] + ("" if (row.get("look") or 1) == last else f", look {row['look']}"),
            "seeds": f"{row['champion_seeds']} / {row['baseline_seeds']}",
            "people": "" if row["identities"] is None else str(row["identities"]),
        }
        for row in data.claims
    ]


def metric_name(claim: Row) -> str:
    """The test metric of a claim."""
    return str(claim["metric"]).removeprefix("test/")


def configuration_label(row: Row) -> str:
    """The configuration of a model for people."""
    return f"champion ({row['configuration']})" if row["champion"] else str(row["configuration"])


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return str(Spread.of(known)) if known else "-"


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[-1].strip() if lines else ""
