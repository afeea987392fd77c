"""A whole data set: every fold of it."""

from pathlib import Path

from owkd.data.checking.layout import scan_fold
from owkd.data.checking.people import check_people
from owkd.data.checking.pictures import Content, check_pictures, read_contents
from owkd.data.checking.report import Item, Report
from owkd.data.index import SPLITS, folders_in
from owkd.data.reading.survey import auto_window
from owkd.data.reading.window import Window, WindowSetting, normal
from owkd.errors import DataError


def dataset_folders(folder: Path) -> list[Path]:
    """The data sets in a folder: itself, when its children hold splits, or else the children that are data sets.

    Raises `DataError` when there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"a data set must be a folder, but got {folder}; give the folder that holds Fold1")
    if _is_dataset(folder):
        return [folder]
    inside = [child for child in folders_in(folder) if _is_dataset(child)]
    if not inside:
        raise DataError(
            f"a data set must hold folds with {', '.join(SPLITS)} in them, but {folder} does not; give the folder "
            "that holds Fold1"
        )
    return inside


def check_dataset(folder: Path, window: WindowSetting = "auto", *, binary: bool = False) -> Report:
    """Looks through every fold of the data set in `folder` (`<root>/<dataset>`), decoding every image.

    Images are decoded as a training with `data.window: <window>` decodes them, and are the same when their size and
    all pixels are, whatever the file format. `binary`: two grey levels are meant, as in drawings and silhouettes; else
    they are what is left of a camera's. Nothing is written. Raises `DataError` when `folder` is no data set at
    all; everything else is a finding.
    """
    folder = Path(folder)
    if not folder.is_dir() or not _is_dataset(folder):
        raise DataError(f"a data set must hold folds with {', '.join(SPLITS)} in them, but {folder} does not")
    report = Report(folder)
    known: dict[Window, dict[Path, Content]] = {}
    folds = {fold.name: list(scan_fold(report, fold)) for fold in folders_in(folder)}
    windows = {fold: _window_of(report, fold, items, window) for fold, items in folds.items()}
    for seen in dict.fromkeys(windows.values()):
        paths = [item.path for fold, items in folds.items() if windows[fold] == seen for item in items]
        known[seen] = read_contents(paths, seen)
    for fold, items in folds.items():
        check_pictures(report, fold, items, known[windows[fold]], windows[fold], binary)
        check_people(report, fold, items)
    return report


def _window_of(report: Report, fold: str, items: list[Item], window: WindowSetting) -> Window:
    """What a training on this fold would take; 8-bit images have no part in it."""
    if window != "auto":
        return normal(window)
    try:
        return auto_window([item.path for item in items if item.split == "train"])
    except DataError as error:
        report.add("fatal", "no_window", f"{fold}/train", str(error))
        return None


def _is_dataset(folder: Path) -> bool:
    return any((fold / split).is_dir() for fold in folders_in(folder) for split in SPLITS)
