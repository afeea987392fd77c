"""Which entries of a space are searched together: those whose conditions (`when`) the values of others meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from owkd.config import SpaceEntry
from search.space.entries import entry_of
from search.space.entry import Entry, Space, same

MOST_POINTS = 4096
"""beyond so many, no search comes to the end of a space"""


def parents_first(space: Space) -> list[str]:
    """Names in an order in which every entry follows those that it depends on; the given order otherwise.

    Conditions on what is no entry, and those that lead back to themselves, are refused by `search.space.rules`; here
    they order nothing, so that whoever looks on in spite of mistakes meets no other.
    """
    order: list[str] = []
    begun: set[str] = set()

    def add(name: str) -> None:
        if name in space and name not in begun:
            begun.add(name)
            for parent in space[name].when:
                add(parent)
            order.append(name)

    for name in space:
        add(name)
    return order


def is_searched(entry: SpaceEntry | Entry, values: Mapping[str, Any]) -> bool:
    """Whether an entry is searched, given the values of those that it depends on; one without a value is none."""
    return all(
        parent in values and any(same(values[parent], value) for value in wanted)
        for parent, wanted in entry.when.items()
    )


def combinations(
    space: Space, names: Sequence[str], values_of: Callable[[Entry], Sequence[Any]] = lambda entry: entry.proposed()
) -> Iterator[dict[str, Any]]:
    """Everything that the named entries, and those that they depend on, propose together."""
    needed = [name for name in parents_first(space) if name in names or leads_to(space, name, names)]

    def extend(values: dict[str, Any], ahead: list[str]) -> Iterator[dict[str, Any]]:
        if not ahead:
            yield values
            return
        name, *rest = ahead
        if not is_searched(space[name], values):
            yield from extend(values, rest)
            return
        for value in values_of(entry_of(name, space[name])):
            yield from extend({**values, name: value}, rest)

    return extend({}, needed)


def every_point(space: Space) -> list[dict[str, Any]] | None:
    """Every point of a space, values by path; None where it has a real number, or more than `MOST_POINTS`."""
    if any(entry_of(name, space[name]).grid() is None for name in space):
        return None
    found = list(islice(combinations(space, list(space), lambda entry: entry.grid() or ()), MOST_POINTS + 1))
    return found if len(found) <= MOST_POINTS else None


def leads_to(space: Space, name: str, names: Sequence[str]) -> bool:
    """Whether one of `names` depends on an entry."""
    seen: set[str] = set()
    ahead = [parent for child in names if child in space for parent in space[child].when]
    while ahead:
        parent = ahead.pop()
        if parent == name:
            return True
        if parent in space and parent not in seen:
            seen.add(parent)
            ahead.extend(space[parent].when)
    return False
