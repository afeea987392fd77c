"""Stands in for training, with a state that can only be right if every epoch came out of the one before it.

The metrics of an epoch hang on a chain of hashes over configuration, fold, seed and all epochs until then: a trial that
took up another trial's checkpoint, a torn one, or one of another epoch ends with other numbers. Each epoch that was
trained is also noted, once its checkpoint is there, in `<data.root>/trained.log`: an epoch in it twice was trained
although it was there already. Otherwise as `fake_training`, whose fates (`plan.json`) apply.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from owkd.config import Config
from owkd.errors import DivergedError, UserError
from owkd.files import make_folder, written_whole
from tests.support import fake_training
from tests.support.fake_training import Epoch, curve


def chained_run(
    config: Config,
    report: Callable[[Any], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
    noted: bool = True,
) -> Any:
    """Returns nothing: a worker reads no more than what is reported."""
    seed = config.train.seed if seed is None else seed
    make_folder(directory)
    state = directory / "last.pt"
    history = json.loads(state.read_text()) if state.exists() else []
    fate = fake_training._fate(config, directory)
    if noted:
        _note(config, "workers.log", f"{_trial(directory)} {os.getpid()}")
    for epoch in range(1, config.train.epochs + 1):
        replayed = epoch <= len(history)
        if not replayed:
            time.sleep(float(os.environ.get("FAKE_EPOCH_S", "0")))
            fake_training._misbehave(fate, epoch, directory)
            history.append(_next(config, history, fold, seed, fate))
            with written_whole(directory / "best.safetensors") as path:
                path.write_text(json.dumps(history[-1]))
            with written_whole(state) as path:
                path.write_text(json.dumps(history))
            if noted:
                _note(config, "trained.log", f"{_trial(directory)} {fold} {seed} {epoch}")
        if report is not None:
            report(Epoch(fold, seed, epoch, history[epoch - 1]["metrics"], replayed))


def alone(config: Config, trial: str, *, fold: str, directory: Path) -> list[dict[str, float]]:
    """Metrics of each epoch of one trial, trained by itself and never interrupted."""
    told: dict[int, dict[str, float]] = {}
    for _ in range(2):  # a crash that happens once is no end
        try:
            chained_run(
                config,
                lambda epoch: told.__setitem__(epoch.epoch, epoch.metrics),
                fold=fold,
                directory=directory / trial / fold,
                noted=False,
            )
            break
        except (DivergedError, UserError):
            break
        except RuntimeError:  # torch's out of memory is one too
            continue
    return [told[epoch] for epoch in sorted(told)]


def _next(config: Config, history: list[dict[str, Any]], fold: str, seed: int, fate: str) -> dict[str, Any]:
    before = history[-1]["chain"] if history else ""
    values = config.to_dict()
    text = json.dumps([before, values["distill"], values["train"], fold, seed], sort_keys=True)
    chain = hashlib.sha256(text.encode()).hexdigest()
    metrics = curve(config, fold, seed, len(history) + 1, 0.01 if fate == "bad" else 1.0)
    metrics["val/mAP"] += 0.01 * int(chain[:8], 16) / 2**32
    return {"chain": chain, "metrics": metrics}


def _trial(directory: Path) -> str:
    return next(part for part in directory.parts if part.startswith("trial-"))


def _note(config: Config, name: str, line: str) -> None:
    """One short line, which the kernel appends as a whole."""
    with (config.data.root / name).open("a") as log:
        log.write(f"{line}\n")
