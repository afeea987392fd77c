"""Rows of queries, as claims read them: with ties, and from before there were any."""

import pyarrow as pa
import pytest

from search.results.parquet import write_table
from search.retrain.queries import QueryFiles

ROWS = {
    "fold": ["Fold1"] * 2,
    "seed": [5] * 2,
    "query": [0, 1],
    "identity": [1, 2],
    "average_precision": [0.75, 0.5],
}


def test_rank_1_of_ties_is_a_share_and_old_files_say_it_by_their_rank(tmp_path) -> None:
    files = QueryFiles(tmp_path)
    for key, columns, seed in (
        ("new", {"first_match": [1.5, 1.0], "rank_1": [0.5, 1.0]}, 5),
        ("old", {"first_match": [2, 1]}, 6),
    ):
        table = pa.table({**ROWS, "seed": [seed] * 2, **columns})
        write_table(files.path(key), table.schema, table.to_pylist())
    scores = files.scores(["new", "old"])["rank-1"]
    assert scores.values[0].tolist() == [[0.5, 1.0], [0.0, 1.0]]
    assert scores.per_seed.tolist() == pytest.approx([0.75, 0.5])
