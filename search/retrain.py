"""The final stage: the best configurations in full, beside two baselines, and the test split opened once.

    retrain/<configuration>/seed-<s>/<fold>/    last.pt while it trains; then best.safetensors and metrics.json
    retrain/teacher/<fold>/metrics.json         the teacher on the test split
    retrain/champion/                           student.safetensors, config.yaml, metrics.json
    results/retrain/models.parquet              one row a model

The champion is the best of the search's top k by the mean of its best validation metric over folds and seeds. The
published weights are a baseline, not a candidate: the table shows where they stand, and says so when they are ahead.
Only when the champion is chosen is the test split opened, for every model and for the teacher. A model with a
metrics.json is done; any other goes on from its last.pt.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from rich.console import Console

from owkd.config import Config, with_values
from owkd.errors import DataError, OwkdError, UserError
from owkd.files import written_whole
from search.comparison import CHAMPION, NO_DISTILLATION_NAME, PUBLISHED, TEACHER, Comparison, ComparisonRow, Spread
from search.contenders import Contender, Model, Record, RetrainDesk, contenders, models_of
from search.engine import run_jobs
from search.examination import Evaluate, Paper, evaluate_model, examine
from search.folder import RunFolder, driving, open_run
from search.progress import Progress
from search.runner import Connect
from search.share import Share, share_of_cluster
from search.store import Row, write_table
from search.study import Study
from search.trainable import Train, train_student

METRICS = ("val/mAP", "val/rank-1", "val/mINP", "val/center_accuracy")
TEST_METRICS = ("mAP", "rank-1", "mINP", "parameters")

MODEL_FIELDS: dict[str, pa.DataType] = {
    "configuration": pa.string(),
    "role": pa.string(),
    "champion": pa.bool_(),
    "trial": pa.int64(),
    "fold": pa.string(),
    "seed": pa.int64(),
    "state": pa.string(),
    "best_epoch": pa.int64(),
    "duration_s": pa.float64(),
    **{name: pa.float64() for name in METRICS},
    **{f"test/{name}": pa.float64() for name in TEST_METRICS if name != "parameters"},
    "parameters": pa.int64(),
    "checkpoint": pa.string(),
    "error_type": pa.string(),
    "error_text": pa.string(),
}
"""`checkpoint` is relative to the run's folder; the teacher has one row a fold"""


@dataclass(frozen=True)
class FinalWork:
    """What the final stage calls of owkd."""

    train: Train = train_student
    evaluate: Evaluate = evaluate_model


@dataclass(frozen=True)
class Outcome:
    """What the final stage leaves."""

    folder: RunFolder
    comparison: Comparison
    champion: str
    """the configuration's name"""


def retrain(run: Path, *, connect: Connect, console: Console, work: FinalWork | None = None) -> Outcome:
    """Trains the contenders of a run, chooses the champion, and opens the test split.

    Raises `UserError` when the run has no complete trial or no test split, `OwkdError` when no champion can be
    trained, and `KeyboardInterrupt` after Ctrl-C; called again, it goes on where it was.
    """
    work = work or FinalWork()
    folder, config, manifest = open_run(run)
    with driving(folder):
        study = Study(folder.journal, folder.name, config)
        entrants = contenders(config, study.views())
        if all(entrant.role == "baseline" for entrant in entrants) and study.view(0).state != "complete":
            raise UserError(
                f"a run must have a complete trial to retrain, but {run} has none; do go on with it: owkd resume {run}"
            )
        _require_test_split(entrants[0].config)
        desk = RetrainDesk(models_of(config, entrants), folder.retrain, config.search.objectives[0].metric)
        final = FinalStage(folder, entrants, desk, work, console, manifest.get("fingerprints", {}))
        with connect():
            share = share_of_cluster(config)
            final.train(share, config.search.max_failures)
            champion = final.choose()
            tests = final.examine(share)
        return final.conclude(champion, tests)


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
        self.fingerprints = fingerprints
        self.entrants = entrants
        self.desk = desk
        self.work = work
        self.console = console
        self.config = entrants[0].config

    def train(self, share: Share, max_failures: int) -> None:
        """Trains every model that is not done."""
        total = len(self.desk.models)
        self.console.print(
            f"final stage of {self.folder.root}: {len(self.entrants)} configurations, {total} models, "
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
        with progress:
            self.desk.progress = progress
            run_jobs(
                self.desk,
                train=self.work.train,
                share=share,
                scheduler=None,
                max_failures=max_failures,
                scratch=self.folder.scratch,
            )
        self._write_models(None, {})

    def choose(self) -> Contender:
        """The candidate with the best mean validation metric of those whose models are all complete."""
        candidates = [entrant for entrant in self.entrants if entrant.role == "candidate"]
        whole = [entrant for entrant in candidates or self._published() if self._is_whole(entrant)]
        if not whole:
            failed = next((record for record in self.desk.records.values() if record.error_text), None)
            why = f"; the first failure: {failed.error_text}" if failed else ""
            raise OwkdError(f"no configuration could be trained on every fold with every seed{why}")
        return max(whole, key=lambda entrant: self._validation(entrant).mean)

    def examine(self, share: Share) -> dict[str, dict[str, float]]:
        """Test metrics of every complete model and of the teacher, by key; what is measured is not measured again."""
        papers: dict[str, tuple[Paper, Path, Record]] = {}
        for key, record in self.desk.records.items():
            model = self.desk.models[key]
            place = model.folder(self.folder.retrain)
            if record.state == "complete":
                papers[key] = Paper(place / "best.safetensors", model.fold), place, record
        for fold in self.config.data.folds:
            place = self.folder.retrain / TEACHER / fold
            teacher = self.config.teacher.checkpoint_for(fold)
            digest = str(self.fingerprints.get("teacher", {}).get(fold))
            record = Record.read(place, digest) or Record("complete", digest)
            papers[f"{TEACHER}/{fold}"] = Paper(teacher, fold), place, record
        missing = {key: paper for key, (paper, _, record) in papers.items() if not record.test}
        if missing:
            self.console.print(f"opening the test split for {len(missing)} models", soft_wrap=True)
        device = self.config.train.device
        measured = examine(missing, self.config.data, evaluate=self.work.evaluate, share=share, device=device)
        for key, metrics in measured.items():
            _, place, record = papers[key]
            record.test = metrics
            record.write(place)
        return {key: record.test for key, (_, _, record) in papers.items()}

    def conclude(self, champion: Contender, tests: Mapping[str, Mapping[str, float]]) -> Outcome:
        """Writes the champion and the tables."""
        self._write_models(champion, tests)
        comparison = self._comparison(champion, tests)
        models = [model for model in self.desk.models.values() if model.contender is champion]
        best = max(models, key=lambda model: self.desk.records[model.key].validation[self.desk.metric])
        record = self.desk.records[best.key]
        self.folder.champion.mkdir(parents=True, exist_ok=True)
        with written_whole(self.folder.champion / "student.safetensors") as temporary:
            shutil.copyfile(best.folder(self.folder.retrain) / "best.safetensors", temporary)
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
                "test": dict(tests[best.key]),
                "comparison": comparison.to_dict(),
            }
            temporary.write_text(json.dumps(found, indent=2), encoding="utf-8")
        return Outcome(self.folder, comparison, champion.name)

    def _comparison(self, champion: Contender, tests: Mapping[str, Mapping[str, float]]) -> Comparison:
        named = {entrant.name: entrant for entrant in self.entrants}
        lines = [
            (TEACHER, "", [tests[f"{TEACHER}/{fold}"] for fold in self.config.data.folds]),
            (NO_DISTILLATION_NAME, "", self._tests(named[NO_DISTILLATION_NAME], tests)),
            (PUBLISHED, "", self._tests(named[PUBLISHED], tests)),
            (CHAMPION, champion.name, self._tests(champion, tests)),
        ]
        rows = tuple(_row(name, detail, found) for name, detail, found in lines if found)
        whole = [entrant for entrant in self.entrants if self._is_whole(entrant)]
        whole.sort(key=lambda entrant: (entrant is not champion, -self._validation(entrant).mean))
        failed = [self.desk.models[key].name for key, record in self.desk.records.items() if record.state != "complete"]
        notes = [f"Not trained: {'; '.join(failed)}. Run the final stage again to try once more."] if failed else []
        return Comparison(rows, tuple((entrant.name, self._validation(entrant)) for entrant in whole), tuple(notes))

    def _tests(self, entrant: Contender, tests: Mapping[str, Mapping[str, float]]) -> list[Mapping[str, float]]:
        return [tests[key] for key, model in self.desk.models.items() if model.contender is entrant and key in tests]

    def _published(self) -> list[Contender]:
        """What a search without any other complete trial falls back to."""
        return [entrant for entrant in self.entrants if entrant.name == PUBLISHED]

    def _records(self, entrant: Contender) -> list[Record | None]:
        return [self.desk.records.get(key) for key, model in self.desk.models.items() if model.contender is entrant]

    def _is_whole(self, entrant: Contender) -> bool:
        return all(record is not None and record.state == "complete" for record in self._records(entrant))

    def _validation(self, entrant: Contender) -> Spread:
        return Spread.of([record.validation[self.desk.metric] for record in self._records(entrant) if record])

    def _write_models(self, champion: Contender | None, tests: Mapping[str, Mapping[str, float]]) -> None:
        rows = [
            self._model_row(model, self.desk.records[key], champion, tests.get(key, {}))
            for key, model in self.desk.models.items()
            if key in self.desk.records
        ]
        for fold in self.config.data.folds:
            found = tests.get(f"{TEACHER}/{fold}")
            if found:
                row = {"configuration": TEACHER, "role": TEACHER, "champion": False, "fold": fold, "state": "complete"}
                rows.append(row | _test_columns(found))
        write_table(self.folder.results / "retrain" / "models.parquet", pa.schema(MODEL_FIELDS.items()), rows)

    def _model_row(self, model: Model, record: Record, champion: Contender | None, test: Mapping[str, float]) -> Row:
        path = model.folder(self.folder.retrain) / "best.safetensors"
        return {
            "configuration": model.contender.name,
            "role": model.contender.role,
            "champion": model.contender is champion,
            "trial": model.contender.trial,
            "fold": model.fold,
            "seed": model.seed,
            "state": record.state,
            "best_epoch": record.epoch,
            "duration_s": record.duration_s,
            **{name: record.validation.get(name) for name in METRICS},
            **_test_columns(test),
            "checkpoint": str(path.relative_to(self.folder.root)) if path.is_file() else None,
            "error_type": record.error_type,
            "error_text": record.error_text,
        }


def _row(name: str, detail: str, found: Sequence[Mapping[str, float]]) -> ComparisonRow:
    accuracy = Spread.of([test["mAP"] for test in found])
    rank_1 = Spread.of([test["rank-1"] for test in found])
    return ComparisonRow(name, detail, accuracy, rank_1, int(found[0]["parameters"]), len(found))


def _test_columns(test: Mapping[str, float]) -> Row:
    columns: Row = {f"test/{name}": test.get(name) for name in TEST_METRICS if name != "parameters"}
    return columns | {"parameters": int(test["parameters"]) if test else None}


def _require_test_split(config: Config) -> None:
    """Sees that the folders are there, without opening them: better now than after hours of training."""
    for fold in config.data.folds:
        path = config.data.root / config.data.dataset / fold / "test"
        if not path.is_dir():
            raise DataError(f"the final stage must have a test split, but there is no {path}; do add it")
