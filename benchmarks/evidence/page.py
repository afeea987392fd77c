"""docs/evidence.md, rendered from the run's tables: no figure on it can be older than the run, or another one's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.evidence.stages import DRAWERS, STAGES, Log, read_log
from benchmarks.measure import table
from owkd.files import written_whole
from owkd.formatting import format_duration
from search.report.gather import RunData, gather
from search.report.text import candidates, claims, headline, status, teaching
from search.results.schema import grouped
from search.retrain.claims import points

COMMAND = "make evidence"
IMAGES = """\
Omniglot's 242 characters of eight alphabets are the identities, those who drew them are the cameras
([where it is from](../benchmarks/evidence/omniglot/README.md)). A quarter of the characters is the validation part of
both folds and is tested in neither. Of the others, half is trained on and half is tested on, and the other way round.
Students see the drawings of {drawers} people, the teachers those of all twenty, of the same characters."""
LIMITS = """\
- **Characters are no people**, and ink is no infrared. The images are real and the comparison is the one that
  the project makes for people; how large a lead is for people, this page cannot say.
- **One teacher a fold.** One that taught better or worse would leave more or less to search.
- **Small networks, short trainings**: {epochs} epochs at {size} pixels, so that all of it takes two processor cores and
  about an hour.
- **Other training images and other galleries** are not sampled: [claim.md](claim.md).
- **The design was chosen on validation characters**, which are tested on in no fold, but for two early looks at image
  size and teacher on a division that was given up ([decisions.md](decisions.md))."""


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
        *_claims(data),
        _models(data),
        "## How it was done",
        *_design(data, log),
        "## What this does not show",
        LIMITS.format(epochs=data.config.train.epochs, size=data.config.data.image_size),
    ]
    return "\n\n".join(parts) + "\n"


def _teacher(data: RunData) -> list[str]:
    tested = [row for row in data.models if row["seed_set"] != "choice" and row["test/mAP"] is not None]
    by_role = grouped(tested, "configuration")
    teacher, student = by_role["teacher"], by_role["no distillation"]
    rows = []
    for fold in data.config.data.folds:
        ours, theirs = ([row["test/mAP"] for row in models if row["fold"] == fold] for models in (teacher, student))
        rows.append([fold, _spread(ours), _spread(theirs), points(fmean(ours) - fmean(theirs))])
    return [
        *teaching(data),
        "By fold, test mAP in points. The student is one of the size that is distilled, trained without a teacher by "
        "its own schedule; mean and standard deviation are over its test seeds.",
        table(["fold", "teacher", "student, no distillation", "lead"], rows),
    ]


def _claims(data: RunData) -> list[str]:
    """The sentence to quote, then every comparison of each kind, in the order in which it was tested."""
    assert data.comparison is not None
    columns = ("against", "metric", "kind", "lead", "interval", "status", "seeds", "people")
    rows = [[row[column] for column in columns] for row in claims(data)]
    level = f"{100 * (1 - 2 * data.claims[0]['error']):.3g} % interval"
    heads = ("champion against", "metric", "claim", "lead", level, "", "seeds", "identities")
    quoted, *more = headline(data)
    return [f"> {quoted}", *more, *data.comparison["others"], table(heads, rows), data.comparison["caveat"]]


def _models(data: RunData) -> str:
    rows = [[row["name"], row["map"], row["rank1"], row["parameters"], str(row["models"])] for row in candidates(data)]
    return table(["model", "test mAP", "rank-1", "parameters", "models"], rows)


def _design(data: RunData, log: Log) -> list[str]:
    search, retrain = data.config.search, data.config.retrain
    space = ", ".join(f"`{name}`" for name in search.space)
    took = ", ".join(f"{stage} {format_duration(log.seconds[stage])}" for stage in STAGES if stage in log.seconds)
    versions = ", ".join(f"{name} {number}" for name, number in data.manifest["versions"].items())
    return [
        IMAGES.format(drawers=len(DRAWERS)),
        f"Search ({search.sampler.name}, {search.scheduler.name}) on both folds over {space}: {status(data)}. Its best "
        f"{retrain.top_k} went into the choice on fresh seeds. {retrain.seeds} other fresh seeds a fold are the test; "
        "nothing was decided on the test split.",
        f"`{COMMAND}`, configuration `benchmarks/evidence/evidence.yaml`; {' and '.join(log.machines)}; "
        f"{format_duration(sum(log.seconds.values()))} of the wall clock ({took}). {versions}.",
    ]


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation, in points."""
    mean = points(fmean(values), signed=False)
    return mean + (f" ± {points(stdev(values), signed=False)}" if len(values) > 1 else "")
