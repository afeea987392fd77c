"""Ranking embedded images and reporting it: mAP, CMC, mINP and precision-recall under four protocols."""

from owkd.evaluation.protocol import (
    PROTOCOLS,
    Protocol,
    Result,
    center_validation_accuracy,
    evaluate_embeddings,
    metrics,
)
from owkd.evaluation.query_table import query_rows

__all__ = [
    "PROTOCOLS",
    "Protocol",
    "Result",
    "center_validation_accuracy",
    "evaluate_embeddings",
    "metrics",
    "query_rows",
]
