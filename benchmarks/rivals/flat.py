"""A space for searchers that know no conditions and no simplexes: coordinates that every setting has.

Weights of a simplex are the k - 1 shares of a broken stick, as our own model has them. An entry whose condition does
not hold keeps its coordinate, and is not trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from owkd.config import Config
from search.space import entries, published_point, resolve


class FlatSpace:
    """Coordinates of a search's space.

    Attributes:
        distributions: by coordinate
        published: coordinates of the published setting
    """

    def __init__(self, config: Config) -> None:
        self._space = config.search.space
        flat = {path: entry.model_copy(update={"when": {}}) for path, entry in self._space.items()}
        self._entries = [entry for entry in entries(flat).values() if entry.coordinates()]
        self.distributions: dict[str, BaseDistribution] = {
            name: known for entry in self._entries for name, known in entry.coordinates().items()
        }
        without = config.model_copy(update={"search": config.search.model_copy(update={"space": flat})})
        published = published_point(without).params
        self.published = {name: at for entry in self._entries for name, at in entry.to_coordinates(published).items()}

    def values(self, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        """The setting at these coordinates; those that are not named are the published ones."""
        at = {**self.published, **coordinates}
        params = {name: value for entry in self._entries for name, value in entry.from_coordinates(at).items()}
        return resolve(self._space, params)
