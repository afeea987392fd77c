"""The search: Optuna proposes, Ray trains, and one study on disk is the truth about every trial.

    space         what is searched, by dotted path of the configuration
    trials        what a trial is: job, messages, what it is worth, states
    samplers      what proposes trials             schedulers    what stops them early
    study         the Optuna study on disk         storage       folders and object stores
    runs          a run's folder: made, opened, locked, checked
    execution     jobs on machines, through Ray Tune
    results       Parquet                          tensorboard   event files
    retrain       the final stage                  planning      a search before it starts
    report        one HTML page                    reading       runs as things: listed, compared, deleted, read

    run_search.py    a search from its first check to its last trial
    recorder.py      what is written when something happens to a trial
    progress.py      the live view
    rerun.py         one trial once more

Imports between packages run one way; `tests/test_layers.py` holds their order.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.reading import Run, compare_runs, delete_run, list_runs
    from search.report import write_report
    from search.results import list_trials
    from search.retrain.stage import retrain as retrain_best
    from search.run_search import resume, search
    from search.runs import open_run
    from search.trials.listener import TrialListener

# Ray reads these when it is imported, which every module here does; whoever sets them otherwise is obeyed.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # workers use this very environment, also under `uv run`

__all__ = [
    "Run",
    "TrialListener",
    "compare_runs",
    "delete_run",
    "list_runs",
    "list_trials",
    "open_run",
    "resume",
    "retrain_best",
    "search",
    "write_report",
]

_HOMES = {
    "Run": ("search.reading", "Run"),
    "TrialListener": ("search.trials.listener", "TrialListener"),
    "compare_runs": ("search.reading", "compare_runs"),
    "delete_run": ("search.reading", "delete_run"),
    "list_runs": ("search.reading", "list_runs"),
    "list_trials": ("search.results", "list_trials"),
    "open_run": ("search.runs", "open_run"),
    "resume": ("search.run_search", "resume"),
    "retrain_best": ("search.retrain.stage", "retrain"),
    "search": ("search.run_search", "search"),
    "write_report": ("search.report", "write_report"),
}
"""loaded when asked for: together they take seconds to import"""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
