"""The final stage as Parquet, for readers who were not there.

results/retrain/models.parquet        one row a retrained model, and one a teacher and fold
results/retrain/comparison.parquet    one row a claim: how far the champion is ahead, and how sure that is
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from owkd.config import EPOCH_METRICS, TEST_METRICS
from search.results.parquet import write_table
from search.results.schema import Row
from search.retrain.candidates import Candidate, Model
from search.retrain.claims import Claim
from search.retrain.models.records import ModelRecord

MODEL_FIELDS: dict[str, pa.DataType] = {
    "configuration": pa.string(),
    "role": pa.string(),
    "champion": pa.bool_(),
    "trial": pa.int64(),
    "fold": pa.string(),
    "seed": pa.int64(),
    "seed_set": pa.string(),
    "state": pa.string(),
    "best_epoch": pa.int64(),
    "duration_s": pa.float64(),
    **{name: pa.float64() for name in EPOCH_METRICS},
    **{f"test/{name}": pa.float64() for name in TEST_METRICS},
    "parameters": pa.int64(),
    "checkpoint": pa.string(),
    "error_type": pa.string(),
    "error_text": pa.string(),
}
"""`seed_set` is choice or test, of a pilot pilot; `checkpoint` is relative to the run's folder. A teacher has no seed,
no checkpoint of the run's and no validation"""

COMPARISON_FIELDS: dict[str, pa.DataType] = {
    "champion": pa.string(),
    "baseline": pa.string(),
    "metric": pa.string(),
    "kind": pa.string(),
    "primary": pa.bool_(),
    "status": pa.string(),
    "look": pa.int64(),
    "champion_mean": pa.float64(),
    "baseline_mean": pa.float64(),
    "difference": pa.float64(),
    "interval_low": pa.float64(),
    "interval_high": pa.float64(),
    "degrees": pa.float64(),
    "p_value": pa.float64(),
    "error": pa.float64(),
    "champion_seeds": pa.int64(),
    "baseline_seeds": pa.int64(),
    "identities": pa.int64(),
    "folds": pa.int64(),
}
"""`kind`: split or people; `status`: shown, not shown or not tested, at this `look`, counted from 1; `error` and
`p_value` are one-sided, and the level of the interval is 1 - 2 error. Interval, degrees of freedom and p-value are null
where no test is possible, and identities where the test split is taken as it is"""


def model_row(model: Model, record: ModelRecord, *, champion: bool, checkpoint: str | None) -> Row:
    """One retrained model."""
    return {
        "configuration": model.candidate.name,
        "role": model.candidate.role,
        "champion": champion,
        "trial": model.candidate.trial,
        "fold": model.fold,
        "seed": model.seed,
        "seed_set": str(model.seed_set),
        "state": record.state,
        "best_epoch": record.epoch,
        "duration_s": record.duration_s,
        **{name: record.validation.get(name) for name in EPOCH_METRICS},
        **_test_columns(record),
        "checkpoint": checkpoint,
        "error_type": record.error_type,
        "error_text": record.error_text,
    }


def teacher_row(name: str, fold: str, record: ModelRecord) -> Row:
    """The teacher of one fold."""
    row = {"configuration": name, "role": name, "champion": False, "fold": fold, "state": "complete"}
    return row | _test_columns(record)


def write_models(results: Path, rows: Sequence[Row]) -> None:
    """Writes models.parquet in place of the one that is there."""
    write_table(results / "retrain" / "models.parquet", pa.schema(MODEL_FIELDS.items()), rows)


def write_comparison(results: Path, champion: Candidate, claims: Sequence[Claim]) -> None:
    """Writes comparison.parquet in place of the one that is there, in the order in which the claims are tested."""
    rows = [
        {
            "champion": champion.name,
            "baseline": claim.comparison.other,
            "metric": f"test/{claim.comparison.metric}",
            "kind": claim.kind,
            "primary": claim.primary,
            "status": claim.status,
            "look": claim.look,
            "champion_mean": claim.lead.champion,
            "baseline_mean": claim.lead.other,
            "difference": claim.lead.difference,
            "interval_low": claim.lead.low,
            "interval_high": claim.lead.high,
            "degrees": claim.lead.degrees,
            "p_value": claim.lead.p_value,
            "error": claim.lead.error,
            "champion_seeds": claim.lead.seeds[0],
            "baseline_seeds": claim.lead.seeds[1],
            "identities": claim.lead.identities,
            "folds": claim.lead.folds,
        }
        for claim in claims
    ]
    write_table(results / "retrain" / "comparison.parquet", pa.schema(COMPARISON_FIELDS.items()), rows)


def _test_columns(record: ModelRecord) -> Row:
    test = record.test
    columns: Row = {f"test/{name}": test.get(name) for name in TEST_METRICS}
    return columns | {"parameters": int(test["parameters"]) if test else None}
