"""Notes who opens files of a test split: an audit hook hears every open and every listing of its process.

Python cannot take an audit hook away again, so that it stays silent unless `watch` was called, and after `unwatch`.
Worker processes install it with the stand-ins below, which are then the real thing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from owkd.config import Config
from search.execution.worker import train_student
from search.retrain.test_evaluation import Evaluation, evaluate_model

EVENTS = ("open", "os.listdir", "os.scandir")
TEST_SPLIT = re.compile(r"Fold\d+[/-]test(?![a-z])")
"""its folder, and decoded images of it (`Fold1-test-32-...npy`)"""

_log: int | None = None
_doing = ""
_installed = False


def watch(log: Path, doing: str) -> None:
    """From now on, this process writes `<doing> <path>` to the log for everything that it opens of a test split."""
    global _log, _doing, _installed
    if _log is None:
        _log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _doing = doing
    if not _installed:
        sys.addaudithook(_hear)
        _installed = True


def unwatch() -> None:
    """Silence."""
    global _log
    if _log is not None:
        os.close(_log)
    _log = None


def watched_train(
    config: Config, report: Callable[[Any], None] | None = None, *, fold: str, directory: Path, seed: int | None = None
) -> Any:
    """`train_student`, watched."""
    watch(config.data.root / "opened.log", "a trial")
    return train_student(config, report, fold=fold, directory=directory, seed=seed)


def watched_evaluate(checkpoint: Path, data: Any, **named: Any) -> Evaluation:
    """`evaluate_model`, watched."""
    watch(data.root / "opened.log", "the test evaluation")
    return evaluate_model(checkpoint, data, **named)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _log is not None and event in EVENTS and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.fsdecode(arguments[0])
        if TEST_SPLIT.search(path):
            os.write(_log, f"{_doing} {path}\n".encode())
