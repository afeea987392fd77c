"""One row a query: by hand, under every protocol, and back from its file."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from owkd.errors import DataError
from owkd.evaluation import evaluate_embeddings, query_rows
from owkd.evaluation.query_table import write_queries
from tests.support import slow_evaluation as slow

pytestmark = pytest.mark.numeric

# On a line: A at 0, B at 1, A at 2, B at 10, and C at 3, who has no match
LINE = np.array([[0.0], [1.0], [2.0], [10.0], [3.0]])
PEOPLE = np.array([7, 9, 7, 9, 8])
CAMERAS = np.array([1, 1, 2, 2, 3])


def test_rows_by_hand() -> None:
    # 0: B1 A2 | 1: A0 A2 C3 B10 (two are equally far, ahead of the match) | 2: C3 B1 A0 | 3: C3 A2 B1
    rows = query_rows(evaluate_embeddings(LINE, PEOPLE, "standard", CAMERAS)).to_pydict()
    assert rows == {
        "query": [0, 1, 2, 3],
        "identity": [7, 9, 7, 9],
        "camera": [1, 1, 2, 2],
        "average_precision": [1 / 2, 1 / 4, 1 / 3, 1 / 3],
        "first_match": [2, 4, 3, 3],
        "rank_1": [0, 0, 0, 0],
    }


@pytest.mark.parametrize("protocol", ["merged", "center", "standard", "camera"])
def test_rows_are_what_the_headline_numbers_are_made_of(protocol, rng) -> None:
    people = rng.integers(0, 6, 40)
    cameras = rng.integers(0, 3, 40)
    embeddings = rng.integers(0, 5, (40, 3)).astype(float)  # full of ties, all of them exact
    result = evaluate_embeddings(embeddings, people, protocol, cameras)
    rows = query_rows(result).to_pydict()
    plain = slow.evaluate(embeddings.tolist(), people.tolist(), protocol, cameras.tolist())
    assert len(rows["query"]) == result.queries > 0
    assert np.mean(rows["average_precision"]) == pytest.approx(result.mean_average_precision, abs=1e-15)
    assert sorted(rows["average_precision"]) == pytest.approx(sorted(plain.average_precision))
    assert np.mean(rows["rank_1"]) == pytest.approx(result.cmc[0])
    assert rows["first_match"] == pytest.approx(plain.first)
    assert (set(rows["camera"]) == {None}) == (protocol == "merged")


def test_cameras_stay_unknown_where_none_are_given() -> None:
    assert query_rows(evaluate_embeddings(LINE, PEOPLE, "standard"))["camera"].to_pylist() == [None] * 4
    with pytest.raises(DataError, match="cameras must be one number an embedding"):
        evaluate_embeddings(LINE, PEOPLE, "standard", CAMERAS[:3])


def test_a_centre_has_the_camera_of_its_image() -> None:
    # both images of a pair are equally central: the first is the centre
    rows = query_rows(evaluate_embeddings(LINE[:4], PEOPLE[:4], "center", np.array([5, 6, 7, 8])))
    assert rows["camera"].to_pylist() == [5, 6]


def test_the_file_holds_the_rows(tmp_path: Path) -> None:
    result = evaluate_embeddings(LINE, PEOPLE, "merged")
    file = tmp_path / "new" / "queries.parquet"
    write_queries(result, file)
    assert pq.read_table(file).equals(query_rows(result))
    assert [path.name for path in file.parent.iterdir()] == ["queries.parquet"]
