"""Data sets on the console: what a preparation made, and the findings of a check."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from rich.table import Table
from rich.text import Text

from launch.output.console import console
from owkd.data.checking import Finding, Report, check_dataset, dataset_folders
from owkd.data.preparing import (
    Arrangement,
    Division,
    Modality,
    arrange_folder,
    arrange_market,
    arrange_regdb,
    arrange_sysu,
    place,
)
from owkd.data.reading.window import WindowSetting
from owkd.errors import DataError, UserError

MOST_PATHS = 5


Source = Literal["sysu", "regdb", "market", "folder"]
DEFAULTS = {"modality": "thermal", "division": "official", "name": ""}
TAKEN_BY: Mapping[str, tuple[Source, ...]] = {
    "modality": ("sysu", "regdb"),
    "division": ("sysu",),
    "name": ("market", "folder"),
}
"""which data sets an option is for"""


def run_preparation(
    source: Source, raw: Path, folder: Path, seed: int, options: Mapping[str, str | None], *, binary: bool = False
) -> None:
    """A data set as distributed -> folds under `folder`, a table of them, whose division it is, and what a check finds.

    Raises `DataError`, and `UserError` for an option that the data set does not take.
    """
    for option, value in options.items():
        if value is not None and source not in TAKEN_BY[option]:
            raise UserError(
                f"--{option} must go with {' or '.join(TAKEN_BY[option])}, but got it with {source}; leave it out"
            )
    summary = place(_arranged(source, raw, seed, options), folder)
    counts = {
        fold: {split: (summary.identities[fold][split], images) for split, images in splits.items()}
        for fold, splits in summary.images.items()
    }
    console.print(_count_table(summary.folder, counts))
    console.print(f"{summary.linked} images linked, {summary.copied} copied, {summary.kept} there already")
    for line in (*summary.remarks, summary.note):
        console.print(line, soft_wrap=True)
    console.print(f"Checking {summary.folder}", soft_wrap=True)
    report = check_dataset(summary.folder, binary=binary)
    _print_findings(report)
    _require_sound(summary.folder, len(report.fatal))


def _arranged(source: Source, raw: Path, seed: int, options: Mapping[str, str | None]) -> Arrangement:
    chosen = {name: DEFAULTS[name] if value is None else value for name, value in options.items()}
    modality, division = cast(Modality, chosen["modality"]), cast(Division, chosen["division"])
    if source == "sysu":
        return arrange_sysu(raw, modality=modality, division=division, seed=seed)
    if source == "regdb":
        return arrange_regdb(raw, modality=modality, seed=seed)
    arrange = arrange_market if source == "market" else arrange_folder
    return arrange(raw, dataset=chosen["name"], seed=seed)


def window_setting(text: str) -> WindowSetting:
    """`data.window` as it is written on a command line. Raises `UserError`."""
    return "auto" if text == "auto" else window_of(text, "auto, ")


def window_of(text: str, others: str = "") -> tuple[float, float] | Literal["per_image"]:
    """A window as it is written on a command line; `others`: what may be written, too. Raises `UserError`."""
    if text == "per_image":
        return "per_image"
    try:
        low, high = map(float, text.strip("[] ").split(","))
    except ValueError:
        low = high = math.nan
    if not low < high < math.inf or low == -math.inf:
        raise UserError(
            f"--window must be {others}per_image or LOW,HIGH with LOW below HIGH, but got {text}; set it so"
        )
    return low, high


def run_dataset_check(folder: Path, window: WindowSetting = "auto", *, binary: bool = False) -> None:
    """Counts and findings of the data set in `folder`, or of each of them, as training with this window would see it.

    Raises `DataError`, after everything is printed, when a finding would spoil a result.
    """
    fatal = 0
    for dataset in dataset_folders(folder):
        report = check_dataset(dataset, window, binary=binary)
        counts = {
            fold: {split: (count.identities, count.images) for split, count in splits.items()}
            for fold, splits in report.counts.items()
        }
        console.print(_count_table(dataset, counts))
        _print_findings(report)
        fatal += len(report.fatal)
    _require_sound(folder, fatal)


def _print_findings(report: Report) -> None:
    for finding in sorted(report.findings, key=lambda finding: finding.severity != "fatal"):
        _print_finding(finding)
    if not report.findings:
        console.print("nothing found that would spoil a result")


def _require_sound(folder: Path, fatal: int) -> None:
    """Raises `DataError` where there is a fatal finding."""
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
