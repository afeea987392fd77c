"""Tables by SQL, as anybody reads them."""

from __future__ import annotations

import duckdb


def rows_of(sql: str) -> list[tuple]:
    relation = duckdb.sql(sql)
    assert relation is not None, "the statement gives no table"
    return relation.fetchall()
