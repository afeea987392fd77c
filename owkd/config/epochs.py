"""How many epochs a training has, given what its trial sets and what the space may set."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from owkd.config.space_checks import proposed
from owkd.config.tree import Config, TrainConfig

SECTION, FIELD = "train", "train.epochs"


def epochs_of(config: Config, values: Mapping[str, Any]) -> int:
    """Epochs of a training with these values of fields, by dotted path; the configuration's where none sets them.

    Raises `pydantic.ValidationError` for a value that is no number of epochs.
    """
    section = values.get(SECTION, {"epochs": values.get(FIELD, config.train.epochs)})
    return TrainConfig.model_validate(section).epochs


def most_epochs(config: Config) -> int:
    """The most epochs that the search may train one part of a trial for; values that are mistakes do not count."""
    space = config.search.space
    searched = {name: space[name] for name in (SECTION, FIELD) if name in space}
    always = any(not entry.when for entry in searched.values())
    epochs = set() if always else {config.train.epochs}
    for name, entry in searched.items():
        for value in proposed(entry):
            with suppress(ValidationError):
                epochs.add(epochs_of(config, {name: value}))
    return max(epochs, default=config.train.epochs)
