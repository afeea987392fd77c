"""The points of a space as a sampler needs them that measures distances: no number too many, none twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from search.space.entries import entries
from search.space.entry import Space


class Coordinates:
    """Optuna's parameters of a space <-> its coordinates. Entries must have no conditions."""

    def __init__(self, space: Space) -> None:
        self._entries = [entry for entry in entries(space).values() if entry.coordinates()]
        self.distributions: dict[str, BaseDistribution] = {
            name: known for entry in self._entries for name, known in entry.coordinates().items()
        }

    @property
    def params(self) -> dict[str, BaseDistribution]:
        """Optuna's parameters that have coordinates: all of the space but those of a single value."""
        return {name: known for entry in self._entries for name, known in entry.distributions().items()}

    def of(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Coordinates of a point."""
        return {name: value for entry in self._entries for name, value in entry.to_coordinates(params).items()}

    def to_params(self, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        """The point at these coordinates."""
        return {name: value for entry in self._entries for name, value in entry.from_coordinates(coordinates).items()}
