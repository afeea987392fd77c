"""A configuration to start from, by a look at a data set and at this machine: `owkd init`.

Two set-ups: published sizes where there is a GPU; on CPUs alone, small networks that learn from nothing, as the demo
has them. Whatever depends on the data (fold, image size, batches, epochs) or on the machine (shares, trials at a time)
follows from them, and each line says why.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import Image

from owkd.data.checking.dataset import dataset_folders
from owkd.data.index import folders_in, read_split
from owkd.errors import DataError, UserError
from owkd.machine import GIB, Machine

SAMPLE = 50
"""images whose size is read"""
STEPS = 100
"""of a training from nothing on a CPU: the demo's students train 72, those of docs/evidence.md 110"""
LEAST_EPOCHS, MOST_EPOCHS = 6, 30
BATCH = 32


@dataclass(frozen=True)
class DataFacts:
    """What a configuration depends on of a data set.

    Attributes:
        folds: those that have all three splits
        images: to train on, in the first fold
        people: of them
        images_per_person: the median
        validation_images: in the first fold
        side: median of the shorter sides, pixels
    """

    folder: Path
    folds: tuple[str, ...]
    images: int
    people: int
    images_per_person: int
    validation_images: int
    side: int


@dataclass(frozen=True)
class Gpus:
    """Graphics cards of this machine.

    Attributes:
        memory: bytes of the smallest one
    """

    count: int
    memory: int


def look_at(data: Path) -> DataFacts:
    """What a data set is like: `<data>/Fold1/...`, or the one data set in `data`. Raises `DataError`, `UserError`."""
    datasets = dataset_folders(data)
    if len(datasets) > 1:
        raise UserError(
            f"DATA must be one data set, but {data} holds {', '.join(folder.name for folder in datasets)}; name one"
        )
    folder = datasets[0].absolute()
    folds = [fold.name for fold in folders_in(folder) if all((fold / split).is_dir() for split in ("train", "test"))]
    folds = [name for name in folds if (folder / name / "validation").is_dir()]
    if not folds:
        raise DataError(f"a fold must hold train, validation and test, but none in {folder} does; add what is missing")
    train, validation = (read_split(folder.parent, folder.name, folds[0], split) for split in ("train", "validation"))
    step = max(1, len(train.paths) // SAMPLE)
    each = Counter(train.identities.tolist())
    return DataFacts(
        folder,
        tuple(folds),
        images=len(train.paths),
        people=len(each),
        images_per_person=int(median(each.values())),
        validation_images=len(validation.paths),
        side=int(median(_side(file) for file in train.files[::step])),
    )


def starting_text(facts: DataFacts, machine: Machine, gpus: Gpus | None = None) -> str:
    """The configuration as a commented YAML file."""
    per_identity = 4 if facts.images_per_person >= 4 else 2
    batch = per_identity * max(2, min(BATCH // per_identity, facts.people))
    head = f"""\
# Made by `owkd init` for {facts.folder.name} and this machine. Change what you like:
# `owkd config` explains all fields, `owkd plan` names every mistake at once.
name: {re.sub(r"[^A-Za-z0-9._-]+", "-", facts.folder.name).strip("-._").lower() or "search"}
data:
  root: {_quoted(facts.folder.parent)}
  dataset: {_quoted(facts.folder.name)}
  folds: [{facts.folds[0]}] # {_of_folds(facts)}
"""
    return head + (_on_cpus(facts, machine, per_identity, batch) if gpus is None else _on_gpus(facts, machine, gpus))


def _on_cpus(facts: DataFacts, machine: Machine, per_identity: int, batch: int) -> str:
    size = 64 if facts.side >= 48 else 32
    steps = max(1, facts.images // batch)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, round(STEPS / steps)))
    grace = max(2, epochs // 9)
    return f"""\
  image_size: {size} # images are {facts.side} px (median); the smallest networks take few pixels
teacher:
  checkpoint: "teachers/{{fold}}.safetensors" # owkd teacher train writes it
  preset: nano # full-size networks take a GPU
  depths: [1, 1, 3, 1]
  schedule: joint # one phase; two_stage is the published way
  backbones: {{epochs: {3 * epochs}, learning_rate: 1.0e-3, batch_size: {batch}}} # three times a student's epochs
student: {{preset: nano}}
train:
  epochs: {epochs} # of {steps} steps: {facts.images} images of {facts.people} people
  batch_size: {batch}
  images_per_identity: {per_identity} # {facts.images_per_person} a person (median)
  learning_rate: 1.0e-3 # ten times the published one: they start from nothing
  gce_learning_rate: 3.0e-3
  stage_weight_learning_rate: 1.0e-3
  learning_rate_decay: cosine # a constant rate leaves the last epochs swinging
  threads: 1 # small networks are quicker on one
distill: {{gram: 0, spectrum: 0, gce_spectrum: 0}} # to save time
search:
  trials: 24 # two of them are the published weights and no distillation
  scheduler: {{name: asha, grace_epochs: {grace}, reduction_factor: 3}} # two of three stop after {grace} epochs
  resources: {{cpu: 1}} # so {machine.cpus} trials at a time on this machine
  space:
    distill.teacher_weights: {{type: simplex}} # original, attention, gce; sum 3
    distill.gce_gram: {{type: float, low: 1.0e-2, high: 1.0e+3, log: true}}
    distill.logit: {{type: float, low: 1.0e-3, high: 1.0, log: true}}
retrain: {{top_k: 2, smallest_lead: 0.02}} # test seeds follow: as many as show 2 points
"""


def _on_gpus(facts: DataFacts, machine: Machine, gpus: Gpus) -> str:
    size = 224 if facts.side >= 112 else 128
    share = 0.5 if gpus.memory >= 20 * GIB else 1
    at_a_time = int(gpus.count / share)
    cpu = max(1, machine.cpus // at_a_time)
    per_identity = 4 if facts.images_per_person >= 4 else 2
    batch = per_identity * max(2, min(BATCH // per_identity, facts.people))
    return f"""\
  image_size: {size} # images are {facts.side} px (median); 224 is published
teacher:
  checkpoint: "teachers/{{fold}}.safetensors" # owkd teacher train writes it
  preset: small # as published
  init: imagenet # fetched once; offline, name the file in init_file
student: {{preset: micro, init: imagenet}} # as published; pico and femto are narrower
train:
  epochs: 30 # as published; {facts.images} images of {facts.people} people
  batch_size: {batch} # published is 8
  images_per_identity: {per_identity} # {facts.images_per_person} a person (median)
  precision: bf16 # fp32 is published
search:
  trials: 60 # two of them are the published weights and no distillation
  scheduler: {{name: asha, grace_epochs: 3, reduction_factor: 3}} # two of three stop after 3 epochs
  resources: {{cpu: {cpu}, gpu: {share}}} # of {gpus.memory / GIB:.0f} GiB; a trial that exhausts it gets twice as much
  space:
    distill.teacher_weights: {{type: simplex}} # original, attention, gce; sum 3
    distill.stage_weights: {{type: simplex}} # four stages; sum 4
    distill.gram: {{type: float, low: 1.0e-6, high: 1.0e-2, log: true}}
    distill.logit: {{type: float, low: 1.0e-3, high: 1.0, log: true}}
retrain: {{top_k: 3, smallest_lead: 0.02}} # test seeds follow: as many as show 2 points
"""


def _of_folds(facts: DataFacts) -> str:
    if len(facts.folds) == 1:
        return "the one that it has"
    return f"of {', '.join(facts.folds)}; a trial trains on each that is named"


def _side(file: Path) -> int:
    try:
        with Image.open(file) as image:
            return min(image.size)
    except OSError as error:
        raise DataError(f"images must be readable, but {file}: {error}; owkd data check names all others") from error


def _quoted(text: Path | str) -> str:
    """A YAML scalar of any path."""
    return "'" + str(text).replace("'", "''") + "'"
