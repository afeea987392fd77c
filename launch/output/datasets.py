"""Data sets on the console: what a preparation made, and the findings of a check."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from launch.output.console import console
from owkd.data.checking import Finding, check_dataset, dataset_folders
from owkd.data.prepare import prepare_sysu
from owkd.data.reading.window import WindowSetting
from owkd.errors import DataError, UserError

MOST_PATHS = 5


def run_preparation(raw: Path, folder: Path, seed: int) -> None:
    """SYSU-MM01 as distributed -> two folds under `folder`, and a table of them. Raises `DataError`."""
    summary = prepare_sysu(raw, folder, seed=seed)
    counts = {
        fold: {split: (summary.identities[fold][split], images) for split, images in splits.items()}
        for fold, splits in summary.images.items()
    }
    console.print(_count_table(summary.folder, counts))
    console.print(f"{summary.linked} images linked, {summary.copied} copied, {summary.kept} there already")
    if summary.without_infrared:
        console.print(f"{len(summary.without_infrared)} listed people have no infrared image and are in no fold")
    console.print(summary.note, soft_wrap=True)
    console.print(f"Check it with: owkd data check {summary.folder}", soft_wrap=True)


def window_setting(text: str) -> WindowSetting:
    """`data.window` as it is written on a command line. Raises `UserError`."""
    if text == "auto":
        return "auto"
    if text == "per_image":
        return "per_image"
    try:
        low, high = map(float, text.strip("[] ").split(","))
    except ValueError:
        low = high = math.nan
    if not low < high < math.inf or low == -math.inf:
        raise UserError(f"--window must be auto, per_image or LOW,HIGH with LOW below HIGH, but got {text}; set it so")
    return low, high


def run_dataset_check(folder: Path, window: WindowSetting = "auto") -> None:
    """Counts and findings of the data set in `folder`, or of each of them, as training with this window would see it.

    Raises `DataError`, after everything is printed, when a finding would spoil a result.
    """
    fatal = 0
    for dataset in dataset_folders(folder):
        report = check_dataset(dataset, window)
        counts = {
            fold: {split: (count.identities, count.images) for split, count in splits.items()}
            for fold, splits in report.counts.items()
        }
        console.print(_count_table(dataset, counts))
        for finding in sorted(report.findings, key=lambda finding: finding.severity != "fatal"):
            _print_finding(finding)
        if not report.findings:
            console.print("nothing found that would spoil a result")
        fatal += len(report.fatal)
    if fatal:
        count = "1 finding" if fatal == 1 else f"{fatal} findings"
        raise DataError(
            f"a data set must be free of what spoils a result, but {folder} has {count} of that kind; correct what is "
            "marked fatal above"
        )


def _count_table(dataset: Path, counts: Mapping[str, Mapping[str, tuple[int, int]]]) -> Table:
    table = Table(title=str(dataset))
    for name in ("fold", "split"):
        table.add_column(name)
    for name in ("people", "images"):
        table.add_column(name, justify="right")
    for fold, splits in counts.items():
        for split, (people, images) in splits.items():
            table.add_row(fold, split, str(people), str(images))
        table.add_section()
    return table


def _print_finding(finding: Finding) -> None:
    color = "red" if finding.severity == "fatal" else "yellow"
    severity = (finding.severity, f"bold {color}")
    console.print(Text.assemble(severity, f"  {finding.where}: {finding.text}"), soft_wrap=True)
    for path in finding.paths[:MOST_PATHS]:
        console.print(f"    {path}", soft_wrap=True)
    if len(finding.paths) > MOST_PATHS:
        console.print(f"    and {len(finding.paths) - MOST_PATHS} more")
