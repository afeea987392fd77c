"""The table of several demos says what each one's final stage stored, and a demo that is done is not run again."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks import demo_seeds
from search.results.parquet import write_table
from search.results.schema import Row
from search.retrain.tables import COMPARISON_FIELDS, MODEL_FIELDS

LEADS = {("published weights", "split"): (0.05, 0.01), ("no distillation", "split"): (0.04, -0.01)}


def table(path: Path, fields: dict[str, pa.DataType], rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.schema(fields.items()), [{**dict.fromkeys(fields), **row} for row in rows])


def stored_run(run: Path, leads: dict[tuple[str, str], tuple[float, float]]) -> Path:
    """A final stage: one choice model, two test models of each setting, and leads (difference, lower end)."""
    scores = {"published weights": (0.60, 0.62), "no distillation": (0.61, 0.63), "trial 4": (0.65, 0.67)}
    models: list[Row] = [
        {"configuration": name, "champion": name == "trial 4", "seed_set": "test", "test/mAP": score}
        for name, pair in scores.items()
        for score in pair
    ]
    models.append({"configuration": "trial 4", "champion": True, "seed_set": "choice"})
    models.append({"configuration": "teacher", "champion": False, "test/mAP": 0.7})
    claims: list[Row] = [
        {"baseline": name, "kind": kind, "metric": metric, "error": 0.02}
        | {"difference": difference, "interval_low": low, "interval_high": 2 * difference - low}
        for metric in ("test/mAP", "test/rank-1")
        for (name, kind), (difference, low) in leads.items()
    ]
    table(run / "results" / "retrain" / "models.parquet", MODEL_FIELDS, models)
    table(run / "results" / "retrain" / "comparison.parquet", COMPARISON_FIELDS, claims)
    return run


def test_the_table_says_what_the_final_stages_stored(tmp_path: Path) -> None:
    both = {(name, kind): (0.05, 0.01) for name, _ in LEADS for kind in ("split", "people")}
    outcomes = [
        demo_seeds.outcome(3, 300.0, stored_run(tmp_path / "a", LEADS)),
        demo_seeds.outcome(4, 400.0, stored_run(tmp_path / "b", both)),
    ]
    said = demo_seeds.report(outcomes)
    assert "| 3 | 0.7000 | 0.6200 ± 0.0141 | 0.6100 ± 0.0141 | 0.6600 ± 0.0141 | 5.0 min |" in said
    assert "96 % interval" in said
    assert "| 3 | +5.0 (+1.0 to +9.0) | not compared | +4.0 (-1.0 to +9.0) | not compared |" in said
    assert (
        "split: interval above 0 in 1 of 2 demos over both (over published weights 2, over no distillation 1)" in said
    )
    assert (
        "people: interval above 0 in 1 of 2 demos over both (over published weights 1, over no distillation 1)" in said
    )


def test_a_stopped_demo_goes_on_and_one_that_is_done_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    clock = iter([0.0, 10.0, 100.0, 107.0])

    def run(command: list[str], **options: Any) -> None:
        calls.append(command)
        if len(calls) == 1:
            raise subprocess.CalledProcessError(130, command)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with pytest.raises(subprocess.CalledProcessError):
        demo_seeds.run_demo(5, tmp_path)
    assert json.loads((tmp_path / "seed-5.json").read_text()) == {"wall_s": 10.0, "done": False}
    assert demo_seeds.run_demo(5, tmp_path) == 17.0
    assert demo_seeds.run_demo(5, tmp_path) == 17.0
    assert [command[-4:] for command in calls] == [["--out", str(tmp_path / "seed-5"), "--seed", "5"]] * 2
