"""Looks at the test split: with how many seeds each was taken, and what it showed; `retrain/looks.json`.

Seeds may be added when results are known, because every look has an error of its own (`search.power.looks`). For this
to hold, the seeds of a look are settled before the test split is opened for it, and a look that was interrupted is
ended with the same ones. A claim that was shown stays shown, with the interval of its look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from owkd.errors import UserError
from search.power import error_of_look
from search.retrain.claims import Claim, Lead, PlannedComparison
from search.runs.damage import DamagedRunError, read_json, reading, write_json

FILE = "looks.json"


@dataclass(frozen=True)
class Plan:
    """What was to be compared, as it stood when the test split was opened for a look.

    Attributes:
        has_control: whether random trials were to be among it
    """

    primary: PlannedComparison
    has_control: bool


@dataclass(frozen=True)
class Look:
    """One look at the test split.

    Attributes:
        number: 1 for the first
        seeds: test seeds of each setting, those of earlier looks included
        opened_at: since then its seeds are settled; None before the test split was opened for one of its models
        ended_at: when its claims were made; None before
        champion: name of the configuration that they are about
        shown: what it showed for the first time
        plan: None before the test split was opened for it, and in looks of earlier versions
    """

    number: int
    seeds: int
    opened_at: str | None = None
    ended_at: str | None = None
    champion: str | None = None
    shown: tuple[Claim, ...] = ()
    plan: Plan | None = None

    @property
    def error(self) -> float:
        """One-sided."""
        return error_of_look(self.number)


class Looks:
    """The looks of one run.

    Attributes:
        taken: those that were begun, the first one first; the last may not have ended
    """

    def __init__(self, retrain: Path) -> None:
        self._path = retrain / FILE
        if not self._path.is_file() and _has_claims(retrain / "champion" / "metrics.json"):
            raise DamagedRunError(self._path, "is missing, although the test split was opened")
        with reading(self._path):
            self.taken = [_look(plain) for plain in read_json(self._path)] if self._path.is_file() else []

    def next(self, configured: int, asked: int | None = None) -> Look:
        """The look to take now: the one under way, the last one again, or with more seeds a new one.

        configured: test seeds of the first look, unless others are `asked` for. Raises `UserError` for fewer seeds than
        were tested, and for others than those of a look under way.
        """
        last = self.taken[-1] if self.taken else Look(1, asked or configured)
        if asked is None or asked == last.seeds:
            return last
        if last.opened_at is None:
            return replace(last, seeds=self._more(asked))
        if last.ended_at is None:
            raise UserError(
                f"--seeds must be {last.seeds} until the look under way has ended, because the test split was opened "
                f"for it, but got {asked}; leave it out"
            )
        return Look(last.number + 1, self._more(asked))

    def keep(self, look: Look) -> None:
        """Writes a look down, in place of the one of its number."""
        self.taken = [*(other for other in self.taken if other.number != look.number), look]
        write_json(self._path, [{**asdict(each), "error": each.error} for each in self.taken])

    def about(self, champion: str, look: Look) -> Look:
        """The same look; a further one where it ended about another champion, as after a longer search."""
        return look if look.champion in (None, champion) else Look(self.taken[-1].number + 1, look.seeds)

    @property
    def plan(self) -> Plan | None:
        """What was planned when the test split was opened for the first time, as far as it is known."""
        return next((look.plan for look in self.taken if look.opened_at), None)

    def open(self, look: Look, plan: Plan) -> Look:
        """The test split is about to be opened for it; what was opened before stays as it is."""
        opened = look if look.opened_at else replace(look, opened_at=_now(), plan=plan)
        self.keep(opened)
        return opened

    def end(self, look: Look, champion: str, claims: Sequence[Claim]) -> None:
        """Its claims are made; those that it showed are kept, and stay as they were when it is taken again."""
        if look.ended_at is None:
            now, shown = _now(), [claim for claim in claims if claim.status == "shown" and claim.look == look.number]
            opened_at = look.opened_at or now
            self.keep(replace(look, opened_at=opened_at, ended_at=now, champion=champion, shown=tuple(shown)))

    def shown_before(self, look: Look, champion: str) -> tuple[Claim, ...]:
        """What earlier looks showed of this champion: of another one, they say nothing about it."""
        earlier = (other for other in self.taken if other.number < look.number and other.champion == champion)
        return tuple(claim for other in earlier for claim in other.shown)

    def _more(self, asked: int) -> int:
        tested = max((look.seeds for look in self.taken if look.opened_at), default=0)
        if asked <= tested:
            raise UserError(
                f"--seeds must be above the {tested} that were tested, but got {asked}; it counts these and the new"
            )
        return asked


def _has_claims(metrics: Path) -> bool:
    """Whether a final stage of this version has ended."""
    with reading(metrics):
        return metrics.is_file() and "claims" in read_json(metrics)["comparison"]


def _look(plain: dict[str, Any]) -> Look:
    fields = {name: plain[name] for name in Look.__dataclass_fields__ if name not in ("shown", "plan")}
    return Look(**fields, shown=tuple(map(_claim, plain["shown"])), plan=_plan(plain.get("plan")))


def _plan(plain: dict[str, Any] | None) -> Plan | None:
    return None if plain is None else Plan(PlannedComparison(**plain["primary"]), plain["has_control"])


def _claim(plain: dict[str, Any]) -> Claim:
    lead = {**plain["lead"], "seeds": tuple(plain["lead"]["seeds"])}
    return Claim(**{**plain, "comparison": PlannedComparison(**plain["comparison"]), "lead": Lead(**lead)})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
