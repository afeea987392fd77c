"""docs/evidence.md, rendered from the run's tables: no figure on it can be older than the run, or another one's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.evidence.stages import DRAWERS, STAGES, Log, read_log
from benchmarks.measure import table
from owkd.config import Config
from owkd.files import written_whole
from owkd.formatting import format_duration
from search.report.gather import RunData, gather, grouped
from search.report.text import candidates, headline, status
from search.results.schema import Row

COMMAND = "make evidence"
WHERE = {"split": "(a) on this test split", "people": "(b) for characters of this kind"}


def write_page(run: Path, page: Path) -> None:
    """Writes the page of a run whose final stage is done."""
    text = render(gather(run), read_log(run.parents[1]))
    with written_whole(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(data: RunData, log: Log) -> str:
    """The page as Markdown."""
    parts = [
        "# Does searching pay? Evidence on real images",
        f"<!-- `{COMMAND}` writes this page from the tables of its run; a change by hand will be lost -->",
        "## The teacher's lead",
        *_teacher(data),
        "## What may be claimed",
        *(f"> {sentence}" for sentence in headline(data)),
        _claims(data.tests),
        _models(data),
        "## How it was done",
        *_design(data, log),
        "## What this does not show",
        _limits(data.config),
    ]
    return "\n\n".join(parts) + "\n"


def _teacher(data: RunData) -> list[str]:
    tested = [row for row in data.models if row["seed_set"] != "choice" and row["test/mAP"] is not None]
    by_role = grouped(tested, "configuration")
    teacher, student = by_role["teacher"], by_role["no distillation"]
    rows = []
    for fold in data.config.data.folds:
        ours, theirs = ([row["test/mAP"] for row in models if row["fold"] == fold] for models in (teacher, student))
        rows.append([fold, points(fmean(ours)), spread(theirs), points(fmean(ours) - fmean(theirs), signed=True)])
    return [
        "Test mAP in points. The student is one of the size that is distilled, trained without a teacher on its own "
        "schedule; the mean and the standard deviation are over its test seeds.",
        table(["fold", "teacher", "student, no distillation", "lead"], rows),
    ]


def _claims(tests: Sequence[Row]) -> str:
    """Every comparison of each kind, in the order in which it was tested."""
    rows = [
        [
            WHERE[row["kind"]],
            f"**{row['baseline']}**" if row["primary"] else row["baseline"],
            row["metric"].removeprefix("test/"),
            points(row["champion_mean"]),
            points(row["baseline_mean"]),
            points(row["difference"], signed=True),
            interval(row["interval_low"], row["interval_high"]),
            "-" if row["p_value"] is None else f"{row['p_value']:.3g}",
            row["status"],
        ]
        for row in tests
    ]
    columns = ["claim", "champion against", "metric", "champion", "other", "lead", "95 % interval", "p, one-sided", ""]
    return "\n\n".join(
        [
            "In points; the primary comparison is bold. A comparison is tested as long as all before it were shown "
            "([claim.md](claim.md)).",
            table(columns, rows),
        ]
    )


def _models(data: RunData) -> str:
    rows = [[row["name"], row["map"], row["rank1"], row["parameters"], str(row["models"])] for row in candidates(data)]
    return table(["model", "test mAP", "rank-1", "parameters", "models"], rows)


def _design(data: RunData, log: Log) -> list[str]:
    config = data.config
    space = ", ".join(f"`{name}`" for name in config.search.space)
    took = ", ".join(f"{stage} {format_duration(log.seconds[stage])}" for stage in STAGES if stage in log.seconds)
    versions = ", ".join(f"{name} {number}" for name, number in data.manifest["versions"].items())
    return [
        "Omniglot's 242 characters of eight alphabets are the identities, those who drew them are the cameras ([where it "
        "is from](../benchmarks/evidence/omniglot/README.md)). A quarter of the characters is the validation part of both "
        "folds and is tested in neither. Of the others half is trained on and half is tested on, and the other way round. "
        f"Students see the drawings of {len(DRAWERS)} people, the teachers those of all twenty, of the same characters.",
        f"The search ({config.search.sampler.name}, {config.search.scheduler.name}) trained on both folds and searched "
        f"{space}: {status(data)}. Of it, {config.retrain.top_k} candidates went into the choice on fresh seeds. "
        f"{config.retrain.seeds} other fresh seeds a fold are the test; nothing was decided on the test split.",
        f"`{COMMAND}`, configuration `benchmarks/evidence/evidence.yaml`; {' and '.join(log.machines)}; "
        f"{format_duration(sum(log.seconds.values()))} of the wall clock ({took}). {versions}.",
    ]


def _limits(config: Config) -> str:
    return "\n".join(
        [
            "- **Characters are no people**, and ink is no infrared. The images are real and the comparison is the one that "
            "the project makes for people; how large a lead is for people, this page cannot say.",
            "- **One teacher a fold.** One that taught better or worse would leave more or less to search.",
            f"- **Small networks, short trainings**: {config.train.epochs} epochs at {config.data.image_size} pixels, so "
            "that all of it takes two processor cores and about an hour.",
            "- **Other training images and other galleries** are not sampled: [claim.md](claim.md).",
            "- **The design was chosen on validation characters** of these data sets ([decisions.md](decisions.md)), "
            "which are tested on in no fold.",
        ]
    )


def points(fraction: float, *, signed: bool = False) -> str:
    """In points of one digit."""
    return f"{100 * fraction:+.1f}" if signed else f"{100 * fraction:.1f}"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation, in points."""
    return points(fmean(values)) + (f" ± {points(stdev(values))}" if len(values) > 1 else "")


def interval(low: float | None, high: float | None) -> str:
    """In points."""
    return "-" if low is None or high is None else f"{points(low, signed=True)} to {points(high, signed=True)}"
