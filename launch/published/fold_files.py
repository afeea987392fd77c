"""What a training and a test of one fold leave behind as files, and the table over folds."""

import csv
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from owkd.config import PUBLISHED_METRIC
from owkd.config.protocols import Protocol
from owkd.errors import CheckpointError
from owkd.evaluation.figures import accuracy_figure, cmc_figure, loss_figure, precision_recall_figure, save_png
from owkd.evaluation.protocol import Result, metrics
from owkd.files import written_whole
from owkd.training.loop import Epoch, Report

SHOWN = ("mAP", "rank-1", "rank-5", "rank-10", "rank-20", "mINP")
COUNTS = ("queries", "skipped")


@dataclass
class History:
    """The epochs of a training, in `history.csv` of a folder, which is whole after each of them.

    `phases` are names and lengths of stretches of training, each of which gets figures of its own.
    """

    folder: Path
    phases: Sequence[tuple[str, int]]
    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """One row an epoch: its phase, its number, and every metric."""
        return self.folder / "history.csv"

    def and_then(self, other: Report) -> Report:
        """A report that writes each epoch down and passes it on."""
        names = [name for name, length in self.phases for _ in range(length)]

        def report(epoch: Epoch) -> None:
            self.epochs.append(epoch.metrics)
            columns = dict.fromkeys(name for metrics in self.epochs for name in metrics)
            rows = zip(names, itertools.count(1), self.epochs, strict=False)
            lines = ({"phase": name, "epoch": number, **metrics} for name, number, metrics in rows)
            write_csv(self.file, ("phase", "epoch", *columns), lines)
            other(epoch)

        return report

    def read(self) -> None:
        """Takes back what an earlier training wrote. Raises `CheckpointError` where the file is gone."""
        if not self.file.is_file():
            raise CheckpointError(f"{self.file} is gone, though its training is done; remove the fold's folder")
        with self.file.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.epochs = [
            {name: float(value) for name, value in row.items() if value and name not in ("phase", "epoch")}
            for row in rows
        ]

    def conclude(self, title: str) -> None:
        """Writes best.json, accuracy.png and loss.png of the last phase, and figures named after each phase before it.

        The best epoch is the one whose weights were kept: the highest mAP, the earliest of equals.
        """
        start = 0
        for name, length in self.phases:
            part = self.epochs[start : start + length]
            start += length
            suffix = "" if name == self.phases[-1][0] else f"-{name}"
            heading = title if len(self.phases) == 1 else f"{title} ({name})"
            save_png(accuracy_figure(part, f"Validation: {heading}"), self.folder / f"accuracy{suffix}.png")
            save_png(loss_figure(part, f"Training loss: {heading}"), self.folder / f"loss{suffix}.png")
        best = max(range(start - len(part), start), key=lambda number: self.epochs[number][PUBLISHED_METRIC])
        write_json(self.folder / "best.json", {"epoch": best + 1, **self.epochs[best]})


def write_test(folder: Path, title: str, results: Mapping[Protocol, Result], facts: Mapping[str, Any]) -> None:
    """metrics.json, cmc.csv, per_identity_ap.csv, cmc.png and precision_recall.png of one fold's test split."""
    protocols = {
        protocol: metrics(result) | {"queries": result.queries, "skipped": result.skipped}
        for protocol, result in results.items()
    }
    cmc = (
        {"rank": rank, **{protocol: result.cmc[rank - 1] for protocol, result in results.items()}}
        for rank in range(1, 21)
    )
    write_csv(folder / "cmc.csv", ("rank", *results), cmc)
    identities = (row for protocol, result in results.items() for row in _per_identity(protocol, result))
    write_csv(folder / "per_identity_ap.csv", ("protocol", "identity", "queries", "average_precision"), identities)
    named = {str(protocol): result for protocol, result in results.items()}
    save_png(cmc_figure(named, f"CMC: {title}"), folder / "cmc.png")
    save_png(precision_recall_figure(named, f"Precision and recall: {title}"), folder / "precision_recall.png")
    # Last, because the table over folds takes this file for a finished test.
    write_json(folder / "metrics.json", {**facts, "protocols": protocols})


def write_summary(out: Path) -> list[dict[str, Any]]:
    """results.csv: every tested fold under `out`, by protocol, and the mean over folds -> its rows."""
    tested = {path.parents[1].name: _read_json(path) for path in sorted(out.glob("*/test/metrics.json"))}
    rows: list[dict[str, Any]] = []
    for protocol in next(iter(tested.values()))["protocols"]:
        folds = {fold: test["protocols"][protocol] for fold, test in tested.items()}
        names = [name for name in next(iter(folds.values())) if name not in COUNTS]
        mean = {name: sum(values[name] for values in folds.values()) / len(folds) for name in names}
        rows.extend({"protocol": protocol, "fold": fold, **values} for fold, values in folds.items())
        rows.append({"protocol": protocol, "fold": "mean", **mean})
    write_csv(out / "results.csv", list(rows[0]), rows)
    return rows


def summary_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """The main columns of `write_summary`, shares in percent."""
    table = Table(title=title)
    for name in ("protocol", "fold"):
        table.add_column(name)
    for name in SHOWN:
        table.add_column(name, justify="right")
    for row in rows:
        cells = (f"{100 * row[name]:.2f}" for name in SHOWN)
        table.add_row(row["protocol"], row["fold"], *cells, end_section=row["fold"] == "mean")
    return table


def write_csv(path: Path, columns: Sequence[str], rows: Any) -> None:
    """Writes mappings as lines of a CSV file, whole; what a row lacks stays empty."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes plain values as JSON, whole."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _per_identity(protocol: str, result: Result) -> list[dict[str, Any]]:
    people, inverse, queries = np.unique(result.identities, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, result.average_precision) / queries
    return [
        {"protocol": protocol, "identity": int(person), "queries": int(count), "average_precision": float(mean)}
        for person, count, mean in zip(people, queries, means, strict=True)
    ]


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
