"""Whatever the space: a proposal is inside it, and comes back from journal, table and configuration as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from owkd.config import Config, parse_config
from owkd.errors import ConfigError
from search.results.parquet import read_table, write_table
from search.results.schema import PARAM_TYPES
from search.space import parse_search_config
from search.space.entries import entry_of
from search.space.parameters import columns, flatten, from_columns, single
from search.study.study import Study
from search.trials.objective import Score
from search.trials.view import Ending
from tests.support.fake_training import fake_config

TRIALS = 7
FLOATS = ("distill.logit", "distill.gram", "train.weight_decay")
NUMBERS = st.floats(0, 1e9) | st.floats(1e-12, 1e-3) | st.decimals(0, 10, places=2).map(float)
STEPS = st.sampled_from([0.1, 0.3, 0.01, 1.0]) | st.decimals("0.01", 3, places=2).map(float)


def ranges(kind: str, numbers: st.SearchStrategy[Any], steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Most of them right ones: log or a step, or neither."""
    with_step = steps.map(lambda step: {"step": step})
    extra: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.just({"log": True}) | with_step
    ends = st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)
    return st.builds(lambda pair, more: {"type": kind, "low": pair[0], "high": pair[1], **more}, ends, extra)


FLOAT_RANGES = ranges("float", NUMBERS, STEPS)
INT_RANGES = ranges("int", st.integers(2, 2000), st.integers(1, 9))
SPACES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FLOATS, FLOAT_RANGES),
        "train.epochs": INT_RANGES,
        "distill.stage_weights": st.just({"type": "simplex"}),
        "train.precision": st.sampled_from(
            [{"type": "categorical", "choices": ["fp32", "bf16"]}, {"type": "fixed", "value": "bf16"}]
        ),
        "student.depths": st.just({"type": "categorical", "choices": [None, [1, 1, 2, 1], [1, 1, 1, 1]]}),
    },
)
SAMPLERS = st.sampled_from(
    [
        *({"name": name, "startup_trials": 2} for name in ("auto", "gp", "tpe", "cmaes")),
        {"name": "nsga2", "population": 2},
        {"name": "random"},
    ]
)


def config_of(home: Path, space: dict[str, Any], sampler: dict[str, Any]) -> Config | None:
    """None for a space that is refused where it is read."""
    try:
        return parse_search_config(fake_config(home, trials=TRIALS, space=space, sampler=sampler))
    except ConfigError:
        return None


def check(space: dict[str, Any], sampler: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config = config_of(home, space, sampler)
        if config is None:
            return
        study = Study(home / "study.journal", "fake", config)
        proposed = {}
        while (proposal := study.next()) is not None:
            proposed[proposal.number] = proposal.values
            if proposal.fixed is None:
                check_proposal(home, config, proposal.values)
            worth = 1 / (1 + proposal.number)
            study.started(proposal.number)
            study.report(proposal.number, 1, worth, score=Score(worth, {"val/mAP": worth}, 1, (worth,)))
            study.finish(proposal.number, Ending("complete"))
        again = Study(home / "study.journal", "fake", config)
        assert {view.number: view.values for view in again.views()} == proposed
        assert again.left_out == 0


def check_proposal(home: Path, config: Config, values: dict[str, Any]) -> None:
    for path, value in values.items():
        entry = entry_of(path, config.search.space[path])
        if entry.numbers == 1:
            assert entry.interval is not None
            assert entry.interval[0] <= value <= entry.interval[1]
        elif entry.values is not None:
            assert value in [list(each) if isinstance(each, tuple) else each for each in entry.values]
    trained = single(config, values)
    assert parse_config(trained.to_dict()) == trained
    types = columns(config)
    schema = pa.schema([(name, PARAM_TYPES[kind]) for name, kind in types.items()])
    write_table(home / "row.parquet", schema, [flatten(types, values)])
    (row,) = read_table(home / "row.parquet").to_pylist()
    assert from_columns(config, row) == {name: value for name, value in values.items() if value is not None}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
@given(SPACES, SAMPLERS)
def test_a_proposal_is_inside_and_comes_back(space: dict[str, Any], sampler: dict[str, Any]) -> None:
    check(space, sampler)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
@given(SPACES, SAMPLERS)
def test_two_thousand_of_them(space: dict[str, Any], sampler: dict[str, Any]) -> None:
    check(space, sampler)
