"""Some of the trials of a run, and the best trial after as many epochs as a stopped one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from owkd.config import parse_config
from owkd.errors import UserError
from search.results.equal_epochs import best_after_as_many
from search.results.selection import select_trials


def row(number: int, state: str, objective: float | None, steps: Any = 4, **more: Any) -> dict[str, Any]:
    """A trial of four epochs."""
    own = {"trial": number, "state": state, "objective": objective, "feasible": True, "last_step": steps}
    return own | {"parts": 1, "parts_trained": steps / 4, "metric.parameters": 1.0, "param.distill.logit": 0.1} | more


ROWS = [
    row(2, "complete", 0.6, **{"param.distill.logit": 0.3, "metric.parameters": 9.0}),
    row(0, "complete", 0.5, **{"param.distill.logit": None, "metric.parameters": 3.0}),
    row(1, "pruned", 0.7, 2),
    row(3, "error", None, 0),
]
TRIALS = pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [2, 0, 1, 3]),
        ({"top": 2}, [2, 0]),
        ({"states": ["pruned", "error"]}, [1, 3]),
        ({"sort": "trial"}, [0, 1, 2, 3]),
        ({"sort": "-trial"}, [3, 2, 1, 0]),
        ({"sort": "objective"}, [2, 0, 1, 3]),
        ({"sort": "-objective"}, [0, 2, 1, 3]),
        ({"sort": "parameters", "top": 2}, [0, 2]),
        ({"sort": "logit"}, [1, 3, 2, 0]),
        ({"sort": "logit", "states": ["complete"], "top": 1}, [2]),
    ],
)
def test_trials_are_chosen(arguments: dict[str, Any], expected: list[int]) -> None:
    """A metric begins with its best and ranks no stopped trial among complete ones; what has no value is last."""
    assert select_trials(TRIALS, **arguments)["trial"].to_pylist() == expected


def test_columns_have_their_order_and_may_be_named_by_their_end() -> None:
    chosen = select_trials(TRIALS, columns=["logit", "trial", "logit"])
    assert chosen.column_names == ["param.distill.logit", "trial"]
    with pytest.raises(UserError, match=r"got logits; the nearest are .*param.distill.logit"):
        select_trials(TRIALS, sort="logits")


def test_the_best_trial_is_compared_after_as_many_epochs() -> None:
    """With the mean of the last two epochs, by hand; a trial of another length has nothing to compare with."""
    objective = {"metric": "val/mAP", "reduction": "mean of last 2"}
    config = parse_config({"data": {"root": "/d", "dataset": "D"}, "search": {"objectives": [objective]}})
    values = enumerate((0.2, 0.4, 0.5, 0.7), start=1)
    curve = [{"fold": "Fold1", "seed": 0, "step": step, "val/mAP": value} for step, value in values]
    rows = [*ROWS, row(4, "pruned", 0.1, 1), row(5, "pruned", 0.1, 2, parts_trained=0.25), row(6, "running", None, 1)]
    assert best_after_as_many(config.search, rows, curve) == {1: pytest.approx(0.3), 4: pytest.approx(0.2)}
    assert best_after_as_many(config.search, rows, [{**own, "val/mAP": None} for own in curve]) == {}
    assert best_after_as_many(config.search, rows[2:], curve) == {}
