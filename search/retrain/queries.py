"""What the tested models scored on each query, as Parquet: what mAP and every claim are made of.

    results/retrain/queries/<configuration>-<fold>-seed-<s>.parquet    one row a query that has a match
    results/retrain/queries/teacher-<fold>.parquet                     the same of the teacher

A file appears whole, before the record of its model takes the test figures: a model that is known to be tested has its
rows. The folder holds the models that take part and no others, so that `*.parquet` is all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from search.results.parquet import read_table, write_table
from search.results.schema import Row
from search.retrain.candidates import Model
from search.retrain.claims import Scores
from search.teaching import ENSEMBLE, TeacherLead, teacher_lead

QUERY_FIELDS: dict[str, pa.DataType] = {
    "configuration": pa.string(),
    "role": pa.string(),
    "fold": pa.string(),
    "seed": pa.int64(),
    "seed_set": pa.string(),
    "query": pa.int64(),
    "identity": pa.int64(),
    "camera": pa.int64(),
    "average_precision": pa.float64(),
    "first_match": pa.float64(),
    "rank_1": pa.float64(),
}
"""a model by its columns in models.parquet, then `owkd.evaluation.query_rows`"""


def queries_of_model(model: Model) -> Row:
    """The columns that are equal in all rows of a model."""
    return {
        "configuration": model.candidate.name,
        "role": model.candidate.role,
        "fold": model.fold,
        "seed": model.seed,
        "seed_set": str(model.seed_set),
    }


def queries_of_teacher(name: str, fold: str) -> Row:
    """The same of the teacher of a fold, which has no seed."""
    return {"configuration": name, "role": name, "fold": fold}


class QueryFiles:
    """The files of one run, by the keys of models and teachers."""

    def __init__(self, results: Path) -> None:
        self.folder = results / "retrain" / "queries"

    def path(self, key: str) -> Path:
        """Where the rows of a model are, or will be."""
        return self.folder / f"{key.replace('/', '-')}.parquet"

    def has(self, key: str) -> bool:
        """Whether the rows of a model are there."""
        return self.path(key).is_file()

    def write(self, key: str, model: Row, queries: pa.Table) -> None:
        """Writes the rows of a model in place of those that are there."""
        rows = [{**model, **row} for row in queries.to_pylist()]
        write_table(self.path(key), pa.schema(QUERY_FIELDS.items()), rows)

    def scores(self, keys: Collection[str]) -> dict[str, Scores]:
        """What the models of one setting scored, by metric: mAP and rank-1.

        Raises `ValueError` when the models of a fold were tested on different queries.
        """
        table = pa.concat_tables([_scored(read_table(self.path(key))) for key in keys])
        fold = table["fold"].to_pylist()
        seed, query, identity = (table[name].to_numpy() for name in ("seed", "query", "identity"))
        values = {"mAP": table["average_precision"].to_numpy(), "rank-1": table["rank_1"].to_numpy()}
        return {metric: Scores.from_rows(fold, seed, query, identity, value) for metric, value in values.items()}

    def teacher_lead(self, teachers: Mapping[str, str], students: Collection[str], spread: float) -> TeacherLead:
        """How far this teacher, by its keys of each fold, is ahead of the models of a setting in mAP.

        spread: of a training's mAP, for a setting of a single seed
        """
        scores = self.scores(students)["mAP"]
        tables = [read_table(self.path(teachers[fold])).sort_by("query") for fold in sorted(teachers)]
        values = [table["average_precision"].to_numpy() for table in tables]
        return teacher_lead(ENSEMBLE, scores.identities, values, scores.values, spread)

    def keep(self, keys: Collection[str]) -> None:
        """Removes the rows of all other models: a search that went further may have another champion."""
        kept = {self.path(key) for key in keys}
        for path in self.folder.glob("*.parquet"):
            if path not in kept:
                path.unlink()


def read_queries(results: Path) -> pa.Table:
    """All rows of a run, in order of the files' names; none before a model was tested."""
    tables = [read_table(path) for path in sorted((results / "retrain" / "queries").glob("*.parquet"))]
    return pa.concat_tables([pa.schema(QUERY_FIELDS.items()).empty_table(), *tables], promote_options="default")


def _scored(table: pa.Table) -> pa.Table:
    """The columns that claims are made of. A file from before there was `rank_1` says it by the first match's rank."""
    if "rank_1" not in table.column_names:
        table = table.append_column("rank_1", pc.equal(table["first_match"], 1).cast(pa.float64()))
    return table.select(["fold", "seed", "query", "identity", "average_precision", "rank_1"])
