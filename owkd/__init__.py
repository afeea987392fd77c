"""OWKD: optimal weight-based knowledge distillation for person re-identification. Knows no Ray and no Optuna.

As a library:

    Model                a model in use: images in, embeddings out
    evaluate             how well a model finds people of a data set
    evaluate_embeddings  the same of embeddings, whoever made them
    load_config          a configuration from its YAML file
    parse_config         a configuration from plain values

Trainings and searches are started with `launch`, and read with `search.Run`.
"""

import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from owkd.hidden import hidden_in_words, what_hides

if TYPE_CHECKING:
    from owkd.config import Config, load_config, parse_config
    from owkd.errors import OwkdError
    from owkd.evaluation.evaluate import evaluate_dataset as evaluate
    from owkd.evaluation.protocol import evaluate_embeddings
    from owkd.inference import Model

_hiding = None if sys.argv[:1] == ["-m"] else what_hides(sys.path)  # `python -m owkd` looks for itself, and ends there
if _hiding is not None:  # said at once: what comes of it later names anything but the cause
    warnings.warn(hidden_in_words(_hiding), RuntimeWarning, stacklevel=2)

# OpenMP reads it when torch loads it. Threads that spin while they wait for each other, as is its default, cost many
# times what they save where other processes want the same cores. Whoever sets it otherwise is obeyed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = ["Config", "Model", "OwkdError", "evaluate", "evaluate_embeddings", "load_config", "parse_config"]

_HOMES = {
    "Config": ("owkd.config", "Config"),
    "Model": ("owkd.inference", "Model"),
    "OwkdError": ("owkd.errors", "OwkdError"),
    "evaluate": ("owkd.evaluation.evaluate", "evaluate_dataset"),
    "evaluate_embeddings": ("owkd.evaluation.protocol", "evaluate_embeddings"),
    "load_config": ("owkd.config", "load_config"),
    "parse_config": ("owkd.config", "parse_config"),
}
"""loaded when asked for: torch takes seconds to import"""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'owkd' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
