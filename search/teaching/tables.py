"""What teacher and student without distillation scored on the validation split, as Parquet.

    results/teaching/models.parquet     one row a model (of a fold and seed) and member of its ensemble
    results/teaching/queries.parquet    one row a query that has a match, of the same

Runs of 0.1.0 have neither, nor has a search that has not begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from owkd.config import EPOCH_METRICS, PUBLISHED_METRIC
from search.results.parquet import read_table, write_table
from search.results.schema import Row
from search.teaching.lead import TeacherLead, teacher_lead

if TYPE_CHECKING:
    from owkd.training.members import MemberScores

TEACHER = "teacher"
STUDENT = "no distillation"

KEY_FIELDS: dict[str, pa.DataType] = {
    "model": pa.string(),
    "fold": pa.string(),
    "seed": pa.int64(),
    "member": pa.string(),
}
"""`model` is teacher, which has no seed, or no distillation"""
MODEL_FIELDS = {**KEY_FIELDS, **{name: pa.float64() for name in EPOCH_METRICS}}
QUERY_FIELDS = {**KEY_FIELDS, "query": pa.int64(), "identity": pa.int64(), "average_precision": pa.float64()}


class TeachingTables:
    """The tables of one run."""

    def __init__(self, results: Path) -> None:
        self._models = results / "teaching" / "models.parquet"
        self._queries = results / "teaching" / "queries.parquet"

    def has(self, model: str, fold: str, seed: int | None = None) -> bool:
        """Whether a model is in the tables."""
        keys = {(row["model"], row["fold"], row["seed"]) for row in _rows(self._models)}
        return (model, fold, seed) in keys

    def add(self, model: str, fold: str, seed: int | None, scores: Mapping[str, MemberScores]) -> None:
        """Adds a model; its row in models.parquet comes last, and says that it is there."""
        key = {"model": model, "fold": fold, "seed": seed}
        queries: list[Row] = []
        for member, own in scores.items():
            pairs = zip(own.identities.tolist(), own.average_precision.tolist(), strict=True)
            queries += [
                {**key, "member": member, "query": query, "identity": identity, "average_precision": value}
                for query, (identity, value) in enumerate(pairs)
            ]
        models = [{**key, "member": member, **own.metrics} for member, own in scores.items()]
        for path, fields, rows in ((self._queries, QUERY_FIELDS, queries), (self._models, MODEL_FIELDS, models)):
            others = [row for row in _rows(path) if {name: row[name] for name in key} != key]
            write_table(path, pa.schema(fields.items()), [*others, *rows])

    def figures(self, model: str = TEACHER) -> dict[str, dict[str, float]]:
        """Validation mAP of a model by fold and member; of several seeds, that of the first."""
        found: dict[str, dict[str, float]] = {}
        for row in _rows(self._models):
            if row["model"] == model:
                found.setdefault(row["fold"], {}).setdefault(row["member"], row[PUBLISHED_METRIC])
        return found

    def leads(self, spread: float) -> tuple[TeacherLead, ...]:
        """The teacher's lead of each member, over all folds on which both are known; none before both are."""
        known = _rows(self._models)
        folds = sorted(self.figures(TEACHER).keys() & self.figures(STUDENT).keys())
        if not folds:
            return ()
        seeds = [{row["seed"] for row in known if row["model"] == STUDENT and row["fold"] == fold} for fold in folds]
        everywhere = sorted(set.intersection(*seeds))
        members = list(dict.fromkeys(row["member"] for row in known))
        table = read_table(self._queries)
        leads = []
        for member in members:
            own = table.filter(pc.equal(table["member"], member))
            teacher = [_of(own, TEACHER, fold, None) for fold in folds]
            student = [np.stack([_of(own, STUDENT, fold, seed)[1] for seed in everywhere]) for fold in folds]
            people, values = ([pair[i] for pair in teacher] for i in (0, 1))
            leads.append(teacher_lead(member, people, values, student, spread))
        return tuple(leads)


def _of(table: pa.Table, model: str, fold: str, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) identities and (Q,) average precision of a model, in the order of its queries."""
    chosen = pc.and_(pc.equal(table["model"], model), pc.equal(table["fold"], fold))
    if seed is not None:
        chosen = pc.and_(chosen, pc.equal(table["seed"], seed))
    rows = table.filter(chosen).sort_by("query")
    return rows["identity"].to_numpy(), rows["average_precision"].to_numpy()


def _rows(path: Path) -> list[Row]:
    return read_table(path).to_pylist() if path.is_file() else []
