"""Tables by SQL, as anybody reads them."""

from __future__ import annotations

from pathlib import Path

import duckdb


def rows_of(sql: str) -> list[tuple]:
    relation = duckdb.sql(sql)
    assert relation is not None, "the statement gives no table"
    return relation.fetchall()


def figures_from_queries(run: Path) -> dict[tuple, tuple[float, float]]:
    """mAP and rank-1 of every tested model of a run, by configuration, fold and seed, from one row a query."""
    rows = rows_of(f"""
        SELECT configuration, fold, seed, avg(average_precision), avg(rank_1)
        FROM '{run}/results/retrain/queries/*.parquet' GROUP BY ALL
    """)
    return {tuple(model): (mean_average_precision, rank_1) for *model, mean_average_precision, rank_1 in rows}
