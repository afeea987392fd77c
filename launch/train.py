"""Single trainings from the command line: a teacher per fold, a student per fold, or one trial of a run again."""

from contextlib import suppress
from pathlib import Path

from rich.table import Table

from launch import library
from launch.output.console import console, epoch_lines
from launch.output.summary import continued_by_the_same_command
from owkd.config import FOLD_PLACEHOLDER, NO_DISTILLATION, TEST_METRICS, VALIDATION, Config
from owkd.device import use_threads
from owkd.errors import OwkdError, UserError
from owkd.files import require_writable
from owkd.models.checkpoint import read_info, record_against_student
from owkd.training.loop import Epoch, Report
from owkd.training.members import validate_members
from owkd.training.reduction import in_words
from owkd.training.run import Run, run
from owkd.training.teacher import phases, require_batches
from search.space.parameters import single
from search.teaching import leads_in_words, leads_on_fold, spread_of, verdict_in_words


@continued_by_the_same_command()
def train_teachers(config: Config, out: str, *, against_student: bool = False) -> list[Path]:
    """Trains the teacher of every fold that the configuration uses. Raises `UserError` before the first one starts.

    `against_student`: sets each beside a student without distillation, also one that is trained already.
    """
    folds = config.fold_names()
    if len(folds) > 1 and FOLD_PLACEHOLDER not in out:
        raise UserError(
            f"--out must hold {FOLD_PLACEHOLDER} for several folds ({', '.join(folds)}), but got {out!r}; write "
            f"something like teachers/{FOLD_PLACEHOLDER}.safetensors"
        )
    require_batches(config)
    files = {fold: Path(out.replace(FOLD_PLACEHOLDER, fold)) for fold in folds}
    for path in files.values():
        if path.exists() and not (against_student and read_info(path).against_student is None):
            raise UserError(f"{path} exists already; remove it or choose another --out")
        require_writable(path)
    epochs = sum(phase.recipe.epochs for phase in phases(config))
    for fold, path in files.items():
        if not path.exists():
            report = epoch_lines(f"teacher {fold}", epochs)
            library.train_teacher(config, path, fold=fold, on_epoch=report, on_note=_print_line)
        console.print(f"teacher of {fold}: {path}")
        if against_student:
            set_against_student(config, fold, path)
    return list(files.values())


def set_against_student(config: Config, fold: str, teacher: Path) -> None:
    """Trains a student of the configured size without distillation, prints the teacher's lead and records it.

    It learns for as many epochs as the teacher's longest phase, and its best epoch counts, as the teacher's does. Where
    it was stopped, it continues from `<teacher without suffix>.student/`, which is removed at the end.
    """
    epochs = max(phase.recipe.epochs for phase in phases(config))
    alone = single(config, {"distill": NO_DISTILLATION.model_dump(mode="json"), "train.epochs": epochs})
    folder = teacher.with_suffix(".student")
    use_threads(config.train.threads)
    student = run(alone, epoch_lines(f"student {fold}", epochs), fold=fold, directory=folder)
    ours, theirs = (
        validate_members(file, config.data, config.train, fold, config.train.device)
        for file in (teacher, student.checkpoint)
    )
    leads = leads_on_fold(ours, theirs, spread_of(config))
    record_against_student(teacher, {"epochs": epochs, "leads": [lead.to_dict() for lead in leads]})
    for file in (student.checkpoint, folder / "last.pt"):
        file.unlink()
    with suppress(OSError):  # somebody keeps something there
        folder.rmdir()
    for sentence in (verdict_in_words(leads), leads_in_words(leads)):
        _print_line(sentence)


@continued_by_the_same_command()
def train_students(config: Config, out: Path) -> dict[str, Run]:
    """Trains one student per fold under `out/<fold>/`, continuing where an earlier training stopped."""
    for fold in config.data.folds:
        require_writable(out / fold / "last.pt")
    runs = {}
    for fold in config.data.folds:
        report = epoch_lines(f"student {fold}", config.train.epochs)
        runs[fold] = library.distill(config, out / fold, fold=fold, on_epoch=report, on_note=_print_line)
    epochs = config.train.epochs
    table = Table(title=f"Students, validation at the kept epoch ({in_words(config.search.reduction, epochs, epochs)})")
    for column in ("fold", "epoch", *TEST_METRICS, "checkpoint"):
        table.add_column(column, justify="left" if column in ("fold", "checkpoint") else "right", overflow="fold")
    for fold, result in runs.items():
        metrics = result.best.metrics
        values = (f"{metrics[f'{VALIDATION}{name}']:.3f}" for name in TEST_METRICS)
        table.add_row(fold, str(result.best.epoch), *values, str(result.checkpoint))
    console.print(table)
    return runs


def _print_line(line: str) -> None:
    console.print(line, soft_wrap=True)


@continued_by_the_same_command()
def rerun_trial(run: str, number: int, out: Path | None) -> None:
    """Reruns one trial and reports whether its numbers are the same, bit for bit.

    Raises `OwkdError` when they are not, `UserError` when there is no such trial.
    """
    from search.rerun import rerun
    from search.runs.layout import trial_name
    from search.storage.address import Address

    folder = out or Path("reruns") / Address.of(run).name / trial_name(number)
    require_writable(folder / "last.pt")
    result = rerun(run, number, folder, report=_epoch_lines(f"trial {number}"))
    for change in result.other_versions:
        console.print(f"not as in the run: {change}", soft_wrap=True)
    if result.replayed:
        console.print(f"{result.replayed} epochs came from checkpoints in {folder}", soft_wrap=True)
    if result.difference is not None:
        raise OwkdError(f"trial {number} of {run} was not reproduced: {result.difference}")
    console.print(
        f"equal: {result.values} numbers of {result.epochs} epochs are those of trial {number} of {run}, bit for bit; "
        f"checkpoints: {folder}",
        soft_wrap=True,
    )


def _epoch_lines(title: str) -> Report:
    def report(epoch: Epoch) -> None:
        lead = f"{title} {epoch.fold} seed {epoch.seed}"
        metrics = epoch.metrics
        console.print(
            f"{lead}  epoch {epoch.epoch}  loss {metrics['loss/total']:.3f}  val mAP {metrics['val/mAP']:.3f}",
            soft_wrap=True,
        )

    return report
