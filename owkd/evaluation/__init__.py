"""Ranking embedded images and reporting it: mAP, CMC, mINP and precision-recall under the protocols of the field."""

from owkd.config.protocols import PROTOCOLS, Protocol
from owkd.evaluation.protocol import (
    Result,
    center_validation_accuracy,
    evaluate_embeddings,
    metrics,
    spread,
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
    "spread",
]
