"""One row for each query of an evaluation, as a table: what a mean over queries is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from owkd.evaluation.protocol import Result
from owkd.files import written_whole

if TYPE_CHECKING:
    import pyarrow as pa


def query_rows(result: Result) -> pa.Table:
    """Q rows, one for each query that has a match, in the order of `Result`; their mean average precision is the mAP.

    Columns: `query`, counted from 0; `identity`; `camera`, or null; `average_precision`, in [0, 1]; `first_match`, the
    rank of the closest match, from 1; `rank_1`, whether the closest image is a match. Where images are equally far,
    these are means over their orders. Models that are evaluated on the same split have the same queries in the same
    order.
    """
    import pyarrow as pa

    cameras = pa.nulls(result.queries, pa.int64()) if result.cameras is None else pa.array(result.cameras, pa.int64())
    return pa.table(
        {
            "query": pa.array(np.arange(result.queries), pa.int64()),
            "identity": pa.array(result.identities, pa.int64()),
            "camera": cameras,
            "average_precision": pa.array(result.average_precision, pa.float64()),
            "first_match": pa.array(result.first_match, pa.float64()),
            "rank_1": pa.array(result.rank_1, pa.float64()),
        }
    )


def write_queries(result: Result, file: Path) -> None:
    """Writes `query_rows` as Parquet. The file appears whole; its folder is made where it is missing."""
    import pyarrow.parquet as pq

    with written_whole(file) as temporary:
        pq.write_table(query_rows(result), temporary, write_page_checksum=True)
