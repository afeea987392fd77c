"""Every mistake that would keep a search from starting, at once."""

from __future__ import annotations

from pathlib import Path

from owkd.config import Reading
from owkd.errors import ConfigError, UserError
from search.runs.inputs import look_at_inputs, too_little
from search.runs.manifest import refuse_existing
from search.storage.address import Address
from search.study.warm_start import read_earlier


def find_mistakes(reading: Reading, runs: Path | str) -> list[str]:
    """Those of the configuration, of what the search stands on, and of where its run is to be."""
    messages = list(reading.problems)
    if reading.partial is None:
        return messages
    config, missing = reading.partial.config, reading.partial.missing
    if not any(path == "search" or path.startswith(("search.space", "search.trials")) for path in missing):
        messages.extend(too_little(config.search))
    messages.extend(look_at_inputs(config, _unknown(missing))[1])
    try:
        read_earlier(config)
    except ConfigError as error:
        messages.extend(error.problems)
    if "name" not in missing:
        try:
            refuse_existing(Address.of(runs) / config.name)
        except UserError as error:
            messages.append(str(error))
    return list(dict.fromkeys(messages))


def _unknown(missing: tuple[str, ...]) -> set[str]:
    """Sections whose own mistakes leave it open what the search stands on."""
    unknown = {path.partition(".")[0] for path in missing} & {"data", "student"}
    return unknown | ({"teacher"} if {"teacher", "teacher.checkpoint"} & set(missing) else set())
