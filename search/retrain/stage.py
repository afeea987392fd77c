"""The final stage: the best configurations in full, beside two baselines, and the test split opened once.

    retrain/<configuration>/seed-<s>/<fold>/    last.pt while it trains; then best.safetensors and metrics.json
    retrain/teacher/<fold>/metrics.json         the teacher on the test split
    retrain/champion/                           student.safetensors, config.yaml, metrics.json
    tensorboard/retrain-*/                      how each model learned
    results/retrain/*.parquet                   what `search.retrain.tables` says

The champion is the best of the search's top k by the mean of its best validation metric over folds and seeds. The
published weights are a baseline, not a candidate: the table shows where they stand, and says so when they are ahead.
Only when the champion is chosen is the test split opened, for every model and for the teacher. A model with a
metrics.json is done; any other goes on from its last.pt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from owkd.config import with_values
from owkd.errors import DataError, OwkdError, UserError
from owkd.files import written_whole
from search.execution.node_admission import Gate
from search.execution.resources import Share
from search.execution.stage import Prepare, prepare, slots_alone
from search.execution.tune import run_jobs
from search.execution.worker import Train, train_student
from search.progress import Progress
from search.retrain.candidates import Contender, Model, Record, RetrainDesk, contenders, models_of
from search.retrain.comparison import BASELINES, CHAMPION, PUBLISHED, TEACHER, Comparison, ComparisonRow, Spread
from search.retrain.significance import Pair, adjusted, paired_test
from search.retrain.tables import model_row, teacher_row, write_comparison, write_models
from search.retrain.test_evaluation import Evaluate, Paper, evaluate_model, examine, missing_test_splits
from search.run_search import Connect
from search.runs.layout import RunFolder
from search.runs.lock import driving
from search.runs.manifest import open_run
from search.storage.address import Address
from search.study.study import Study
from search.tensorboard.retrain import RetrainCurves

COMPARED = ("mAP", "rank-1")
"""test metrics in which the champion is compared with the baselines; the first one is what a search is about"""


@dataclass(frozen=True)
class FinalWork:
    """What the final stage calls of owkd."""

    train: Train = train_student
    evaluate: Evaluate = evaluate_model
    prepare: Prepare = slots_alone


@dataclass(frozen=True)
class Outcome:
    """What the final stage leaves."""

    folder: RunFolder
    comparison: Comparison
    champion: str
    """the configuration's name"""


@dataclass(frozen=True)
class _Seat:
    """A model in the examination: what is examined, and where the result goes."""

    paper: Paper
    place: Path
    record: Record


def retrain(run: Address | Path | str, *, connect: Connect, console: Console, work: FinalWork | None = None) -> Outcome:
    """Trains the contenders of a run, chooses the champion, and opens the test split.

    Raises `UserError` when the run has no complete trial or no test split, `OwkdError` when no champion can be
    trained, and `KeyboardInterrupt` after Ctrl-C; called again, it goes on where it was. A stage that is done is told
    from its records: nothing is trained or opened, and no Ray is needed.
    """
    work = work or FinalWork(prepare=prepare)
    folder, config, manifest = open_run(run, drive=True)
    with driving(folder):
        study = Study(folder.journal, folder.name, config)
        entrants = contenders(config, study.views())
        if all(entrant.role == "baseline" for entrant in entrants) and study.view(0).state != "complete":
            raise UserError(
                f"a run must have a complete trial to retrain, but {run} has none; do go on with it: owkd resume {run}"
            )
        desk = RetrainDesk(models_of(config, entrants), folder, config.search.leading_metric)
        final = FinalStage(folder, entrants, desk, work, console, manifest.get("fingerprints", {}))
        if final.is_done():
            return final.conclude(final.choose())
        if missing := missing_test_splits(config):
            raise DataError(f"the final stage must have a test split, but there is no {missing[0]}; do add it")
        with connect() as gate:
            # The published setting needs of the teacher whatever any other contender does.
            published = next(entrant.config for entrant in entrants if entrant.name == PUBLISHED)
            _, share = work.prepare(published, console)
            final.train(share, config.search.max_failures, gate)
            champion = final.choose()
            final.examine(share, gate)
        return final.conclude(champion)


class FinalStage:
    """The steps of the final stage, in their order: train, choose, examine, conclude."""

    def __init__(
        self,
        folder: RunFolder,
        entrants: Sequence[Contender],
        desk: RetrainDesk,
        work: FinalWork,
        console: Console,
        fingerprints: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.entrants = entrants
        self.desk = desk
        self.work = work
        self.console = console
        self.config = entrants[0].config
        self.teachers: dict[str, Record] = {}
        """by fold"""
        for fold in self.config.data.folds:
            digest = str(fingerprints.get("teacher", {}).get(fold))
            self.teachers[fold] = Record.read(self._teacher_folder(fold), digest) or Record("complete", digest)

    def is_done(self) -> bool:
        """Whether every model is trained and examined, and so is the teacher."""
        return len(self.desk.records) == len(self.desk.models) and not self._unexamined()

    def train(self, share: Share, max_failures: int, gate: Gate | None = None) -> None:
        """Trains every model that is not done."""
        total = len(self.desk.models)
        self.console.print(
            f"final stage of {self.folder.address}: {len(self.entrants)} configurations, {total} models, "
            f"{share.describe()}",
            soft_wrap=True,
        )
        progress = Progress(
            self.console,
            f"retrain {self.folder.name}",
            total=total,
            unit="models",
            metric=self.desk.metric,
            past={"complete": self.desk.done_before},
        )
        if self.desk.done_before == total:
            return
        curves = RetrainCurves(self.folder.tensorboard)
        with progress, closing(curves):
            self.desk.progress, self.desk.curves = progress, curves
            run_jobs(
                self.folder.kept(self.desk),
                train=self.work.train,
                share=share,
                scheduler=None,
                max_failures=max_failures,
                scratch=self.folder.scratch,
                gate=gate,
            )
        self._write_models()

    def choose(self) -> Contender:
        """The candidate with the best mean validation metric of those whose models are all complete."""
        candidates = [entrant for entrant in self.entrants if entrant.role == "candidate"]
        whole = [entrant for entrant in candidates or self._published() if self._is_whole(entrant)]
        if not whole:
            failed = next((record for record in self.desk.records.values() if record.error_text), None)
            why = f"; the first failure: {failed.error_text}" if failed else ""
            raise OwkdError(f"no configuration could be trained on every fold with every seed{why}")
        return max(whole, key=lambda entrant: self._validation(entrant).mean)

    def examine(self, share: Share, gate: Gate | None = None) -> None:
        """Opens the test split for every complete model and for the teacher, except those that it was opened for."""
        seats = self._unexamined()
        if not seats:
            return
        self.console.print(f"opening the test split for {len(seats)} models", soft_wrap=True)
        papers = {key: seat.paper for key, seat in seats.items()}
        device = self.config.train.device
        evaluate = self.work.evaluate
        found = examine(papers, self.config.data, evaluate=evaluate, share=share, device=device, gate=gate)
        for key, metrics in found:
            seat = seats[key]
            seat.record.test = metrics
            seat.record.write(seat.place)

    def conclude(self, champion: Contender) -> Outcome:
        """Writes the champion and the tables."""
        comparison = self._comparison(champion)
        self._write_models(champion)
        write_comparison(self.folder.results, champion, comparison.tests)
        models = [model for model in self.desk.models.values() if model.contender is champion]
        best = max(models, key=lambda model: self.desk.records[model.key].validation[self.desk.metric])
        record = self.desk.records[best.key]
        self.folder.champion.mkdir(parents=True, exist_ok=True)
        self.folder.take(self._checkpoint(best), self.folder.champion / "student.safetensors")
        with written_whole(self.folder.champion / "config.yaml") as temporary:
            values = {"train.seed": best.seed, "data.folds": [best.fold]}
            tree = with_values(champion.config, values).to_dict()
            temporary.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        with written_whole(self.folder.champion / "metrics.json") as temporary:
            found = {
                "configuration": champion.name,
                "fold": best.fold,
                "seed": best.seed,
                "epoch": record.epoch,
                "validation": record.validation,
                "test": record.test,
                "comparison": comparison.to_dict(),
            }
            temporary.write_text(json.dumps(found, indent=2), encoding="utf-8")
        return Outcome(self.folder, comparison, champion.name)

    def _unexamined(self) -> dict[str, _Seat]:
        """Complete models and teachers without test metrics, by key."""
        seats = {}
        for key, record in self.desk.records.items():
            model = self.desk.models[key]
            if record.state == "complete":
                paper = Paper(self.folder.where(self._checkpoint(model)), model.fold)
                seats[key] = _Seat(paper, model.folder(self.folder.retrain), record)
        for fold, record in self.teachers.items():
            paper = Paper(str(self.config.teacher.checkpoint_for(fold)), fold)
            seats[f"{TEACHER}/{fold}"] = _Seat(paper, self._teacher_folder(fold), record)
        return {key: seat for key, seat in seats.items() if not seat.record.test}

    def _comparison(self, champion: Contender) -> Comparison:
        named = {entrant.name: entrant for entrant in self.entrants}
        baselines = {name: self._tests(named[name]) for name in BASELINES}
        ours = self._tests(champion)
        lines: list[tuple[str, str, list[Mapping[str, float]]]] = [
            (TEACHER, "", [record.test for record in self.teachers.values()]),
            *((name, "", list(baselines[name].values())) for name in reversed(BASELINES)),
            (CHAMPION, champion.name, list(ours.values())),
        ]
        rows = tuple(_row(name, detail, found) for name, detail, found in lines if found)
        tests = [
            paired_test(name, metric, _values(ours, metric), _values(theirs, metric))
            for name, theirs in baselines.items()
            for metric in COMPARED
            if named[name] is not champion
        ]
        whole = [entrant for entrant in self.entrants if self._is_whole(entrant)]
        whole.sort(key=lambda entrant: (entrant is not champion, -self._validation(entrant).mean))
        validation = tuple((entrant.name, self._validation(entrant)) for entrant in whole)
        return Comparison(rows, adjusted([test for test in tests if test]), validation, tuple(self._notes(champion)))

    def _notes(self, champion: Contender) -> Iterator[str]:
        records = self.desk.records.items()
        failed = [self.desk.models[key].name for key, record in records if record.state != "complete"]
        if failed:
            yield f"Not trained: {'; '.join(failed)}. Run the final stage again to try once more."
        earlier = self.folder.champion / "metrics.json"
        if earlier.is_file():
            name = json.loads(earlier.read_text(encoding="utf-8"))["configuration"]
            if name != champion.name:
                yield (
                    f"The test split was opened before, when {name} was the champion. What was decided since may have "
                    "followed its figures; an untouched comparison needs a split that nobody has seen."
                )

    def _tests(self, entrant: Contender) -> dict[Pair, Mapping[str, float]]:
        """Test metrics of a contender's models that have them, by fold and seed."""
        models = [model for model in self.desk.models.values() if model.contender is entrant]
        records = {(model.fold, model.seed): self.desk.records.get(model.key) for model in models}
        return {pair: record.test for pair, record in records.items() if record and record.test}

    def _published(self) -> list[Contender]:
        """What a search without any other complete trial falls back to."""
        return [entrant for entrant in self.entrants if entrant.name == PUBLISHED]

    def _records(self, entrant: Contender) -> list[Record | None]:
        return [self.desk.records.get(key) for key, model in self.desk.models.items() if model.contender is entrant]

    def _is_whole(self, entrant: Contender) -> bool:
        return all(record is not None and record.state == "complete" for record in self._records(entrant))

    def _validation(self, entrant: Contender) -> Spread:
        return Spread.of([record.validation[self.desk.metric] for record in self._records(entrant) if record])

    def _write_models(self, champion: Contender | None = None) -> None:
        rows = []
        for key, model in self.desk.models.items():
            if key in self.desk.records:
                path = self._checkpoint(model)
                place = str(path.relative_to(self.folder.root)) if self.folder.holds(path) else None
                chosen = model.contender is champion
                rows.append(model_row(model, self.desk.records[key], champion=chosen, checkpoint=place))
        examined = {fold: record for fold, record in self.teachers.items() if record.test}
        rows.extend(teacher_row(TEACHER, fold, record) for fold, record in examined.items())
        write_models(self.folder.results, rows)

    def _teacher_folder(self, fold: str) -> Path:
        return self.folder.retrain / TEACHER / fold

    def _checkpoint(self, model: Model) -> Path:
        return model.folder(self.folder.retrain) / "best.safetensors"


def _values(tests: Mapping[Pair, Mapping[str, float]], metric: str) -> dict[Pair, float]:
    return {pair: test[metric] for pair, test in tests.items()}


def _row(name: str, detail: str, found: Sequence[Mapping[str, float]]) -> ComparisonRow:
    accuracy = Spread.of([test["mAP"] for test in found])
    rank_1 = Spread.of([test["rank-1"] for test in found])
    return ComparisonRow(name, detail, accuracy, rank_1, int(found[0]["parameters"]), len(found))
