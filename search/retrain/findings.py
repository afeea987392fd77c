"""What the models that were trained and tested come to: the comparison, and what may be said of the champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from owkd.config import Config
from owkd.errors import OwkdError
from search.retrain.candidates import Candidate
from search.retrain.champion import ChampionFolder
from search.retrain.claims import Claim, PlannedComparison, claims_in_order, design_in_words, planned_order
from search.retrain.comparison import CHAMPION, CONTROL, TEACHER, Comparison, ComparisonRow, called
from search.retrain.control import UNCLAIMED, ControlDecision
from search.retrain.models.looks import Look, Looks
from search.retrain.models.records import ModelRecord
from search.retrain.models.selection import Selection
from search.retrain.queries import QueryFiles
from search.runs.layout import RunFolder
from search.teaching import TeacherLead, spread_of
from search.trials.view import NO_DISTILLATION_NAME


@dataclass(frozen=True)
class Findings:
    """All that is known when the test split was opened for every model.

    Attributes:
        decision: whether there is a control, and why
        teachers: by fold
        look: that the claims are made at
    """

    folder: RunFolder
    config: Config
    decision: ControlDecision
    selection: Selection
    teachers: Mapping[str, ModelRecord]
    queries: QueryFiles
    looks: Looks
    look: Look

    def comparison(self, champion: Candidate) -> Comparison:
        """Of this champion. Raises `OwkdError` where models were tested on different images."""
        records, others = self.selection.records, self._others()
        measured: list[tuple[str, str, list[Mapping[str, float]]]] = [
            (TEACHER, "", [record.test for record in self.teachers.values() if record.test]),
            *(
                (name, each.name if name == CONTROL else "", list(records.tests(each).values()))
                for name, each in reversed(others.items())
            ),
            (CHAMPION, champion.name, list(records.tests(champion).values())),
        ]
        spreads = ((each.name, records.validation(each)) for each in self.selection.everybody())
        validation = [(name, spread) for name, spread in spreads if spread is not None]
        validation.sort(key=lambda each: (each[0] != champion.name, -each[1].mean))
        primary = PlannedComparison(self.config.retrain.claim.against, self.config.retrain.claim.metric)
        return Comparison(
            rows=tuple(ComparisonRow.of(name, detail, tests) for name, detail, tests in measured if tests),
            claims=self._claims(champion, others, primary),
            primary=primary,
            planned=tuple(others),
            validation=tuple(validation),
            notes=tuple(self._notes(champion, primary)),
            design=self._design(others),
            teacher=self._teacher_lead(),
        )

    def _others(self) -> dict[str, Candidate]:
        """What the champion is compared with, by the name in claims, in their order.

        The control comes last, as the comparison that takes most to show: what stands behind one that is not shown is
        not tested.
        """
        control = self.selection.control()
        others = {each.name: each for each in (*self.selection.baselines, *self.selection.matched_baselines())}
        return others if control is None else {**others, CONTROL: control}

    def _claims(
        self, champion: Candidate, others: Mapping[str, Candidate], primary: PlannedComparison
    ) -> tuple[Claim, ...]:
        """Of all that could be trained, and is not the champion itself."""
        records = self.selection.records
        tests = {name: records.tests(each) for name, each in others.items() if each is not champion}
        try:
            ours = self.queries.scores(records.tests(champion))
            theirs = {name: self.queries.scores(own) for name, own in tests.items() if own}
            order = planned_order(list(theirs), primary)
            earlier = self.looks.shown_before(self.look, champion.name)
            return claims_in_order(ours, theirs, order, primary, self.look.number, earlier)
        except ValueError as error:
            raise OwkdError(
                f"all models must have been tested on the same images, but {error}; restore the test split, remove "
                f"{self.queries.folder} and run the final stage again"
            ) from error

    def _design(self, others: Mapping[str, Candidate]) -> tuple[str, ...]:
        reason = "none of the control's candidates could be trained" if self.decision.is_on else self.decision.reason
        unsaid = {} if CONTROL in others else {UNCLAIMED: reason}
        return tuple(design_in_words([called(name) for name in others], unsaid))

    def _notes(self, champion: Candidate, primary: PlannedComparison) -> Iterator[str]:
        records = self.selection.records
        failed = [records.models[key].name for key, record in records.by_key.items() if record.state != "complete"]
        if failed:
            yield f"Not trained: {'; '.join(failed)}. Run the final stage again to try once more."
        if earlier := ChampionFolder(self.folder).opened_before(champion):
            yield (
                f"The test split was opened before, when the champion was {', then '.join(earlier)}. What was decided "
                "since may have followed its figures; an untouched comparison needs a split that nobody has seen."
            )
        yield from self._changes_of_plan(primary)

    def _changes_of_plan(self, primary: PlannedComparison) -> Iterator[str]:
        """What was planned otherwise when the test split was opened for the first time."""
        plan = self.looks.plan
        if plan is None:
            return
        if plan.primary != primary:
            yield (
                f"retrain.claim was changed after the test split had been opened: until then, the primary comparison "
                f"was that with {called(plan.primary.other)} in test {plan.primary.metric}. A comparison that was "
                "chosen when figures were known shows less than its interval says."
            )
        if self.decision.is_on and not plan.has_control:
            yield (
                "The control was added after the test split had been opened. A comparison that was added when figures "
                "were known shows less than its interval says."
            )

    def _teacher_lead(self) -> TeacherLead | None:
        """Over all test models without distillation; the teacher is one, so that its own luck is no part of it."""
        without = next(each for each in self.selection.baselines if each.name == NO_DISTILLATION_NAME)
        students = self.selection.records.tests(without)
        teachers = {fold: f"{TEACHER}/{fold}" for fold in self.teachers}
        if not students or not all(map(self.queries.has, teachers.values())):
            return None
        return self.queries.teacher_lead(teachers, students, spread_of(self.config))
