"""The numbers that a run recorded, and whether two runs recorded the same, bit for bit; of runs of any version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from search.rerun import NOT_COMPARED

NOT_METRICS = {"trial", "attempt", "fold", "seed", "epoch", "step", "ended_at", "host", *NOT_COMPARED}
NOT_OF_A_MODEL = {"configuration", "role", "champion", "state", "checkpoint", "error_type", "error_text"}
PARAM = "param."


@dataclass(frozen=True)
class Recorded:
    """The numbers of one run."""

    params: dict[int, dict[str, Any]]
    """of each trial"""
    epochs: dict[int, dict[tuple[Any, ...], dict[str, float]]]
    """metrics of each trial by fold, seed and epoch"""
    models: dict[tuple[Any, ...], dict[str, float]] = field(default_factory=dict)
    """metrics of retrained models by configuration, fold and seed"""


@dataclass(frozen=True)
class Compared:
    """What became of one trial, model or teacher."""

    name: str
    values: int
    """numbers that were compared"""
    difference: str | None = None
    """the first"""


def read_run(run: Path) -> Recorded:
    """The tables of a run, of any version."""
    recorded = Recorded({}, {})
    for row in _rows(run / "results" / "trials"):
        recorded.params[row["trial"]] = {name: value for name, value in row.items() if name.startswith(PARAM)}
        recorded.epochs[row["trial"]] = {}
    for row in _rows(run / "results" / "epochs"):
        key = row["fold"], row["seed"], row["epoch"]
        recorded.epochs[row["trial"]][key] = _metrics(row, NOT_METRICS)
    for row in _rows(run / "results" / "retrain", "models.parquet"):
        key = row["configuration"], row["fold"], row["seed"]
        recorded.models[key] = _metrics(row, NOT_METRICS | NOT_OF_A_MODEL)
    return recorded


def compare_runs(before: Recorded, now: Recorded, *, every_trial: bool) -> list[Compared]:
    """One result for each trial and each retrained model of `before`.

    With `every_trial`, each must be on the other side, with all its epochs; else what only one side has is passed over.
    A model whose configuration was retrained with other seeds on the other side has nothing to be compared with: 0.2.0
    took fresh ones.
    """
    results = []
    twins = {number: _twin(number, before, now) for number in sorted(before.params)}
    for number, twin in twins.items():
        if twin is not None:
            result = _compare(f"trial {number}", before.epochs[number], now.epochs[twin], every_trial)
        else:
            result = Compared(f"trial {number}", 0, "no trial has its parameters" if every_trial else None)
        results.append(result)
    for key, metrics in before.models.items():
        configuration = str(key[0])
        if configuration.startswith("trial ") and twins.get(int(configuration.split()[1])) is None:
            continue
        if key not in now.models and any(other[0] == key[0] for other in now.models):
            results.append(Compared(f"{' '.join(map(str, key))} (other seeds there)", 0))
            continue
        theirs = {key: now.models[key]} if key in now.models else {}
        results.append(_compare(" ".join(map(str, key)), {key: metrics}, theirs, every_trial))
    return results


def compare_teachers(before: Path, now: Path) -> list[Compared]:
    """The weights of the teachers that lie in two folders."""
    results = []
    for file in sorted(before.glob("teacher-*.safetensors")):
        ours, theirs = load_file(file), load_file(now / file.name)
        differing = [name for name in ours if name not in theirs or not np.array_equal(ours[name], theirs[name])]
        values = sum(tensor.size for tensor in ours.values())
        results.append(Compared(file.stem, values, f"{differing[0]} differs" if differing else None))
    return results


def same_bits(before: float, now: float) -> bool:
    """Also NaN is NaN, and -0.0 is not 0.0."""
    return float(before).hex() == float(now).hex()


def _twin(number: int, before: Recorded, now: Recorded) -> int | None:
    """The trial with the same parameters: that of the same number, or the first."""
    wanted = before.params[number]
    return next((other for other in (number, *now.params) if now.params.get(other) == wanted), None)


def _compare(
    name: str,
    before: Mapping[tuple[Any, ...], Mapping[str, float]],
    now: Mapping[tuple[Any, ...], Mapping[str, float]],
    every_key: bool,
) -> Compared:
    values = 0
    if every_key and before.keys() != now.keys():
        return Compared(name, 0, f"{len(before)} epochs or models -> {len(now)}")
    for key in before.keys() & now.keys():
        for metric, value in before[key].items():
            values += 1
            other = now[key].get(metric)
            if other is None or not same_bits(value, other):
                return Compared(name, values, f"{' '.join(map(str, key))}: {metric} {value!r} -> {other!r}")
    return Compared(name, values)


def _rows(folder: Path, pattern: str = "*.parquet") -> list[dict[str, Any]]:
    tables = [pq.read_table(file) for file in sorted(folder.glob(pattern))]
    if not tables:
        return []
    rows: list[dict[str, Any]] = pa.concat_tables(tables, promote_options="permissive").to_pylist()
    return rows


def _metrics(row: Mapping[str, Any], skipped: set[str]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in skipped and value is not None}
