"""Foreign bytes, damaged at random: what reads them returns something, or raises an error that names the file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from owkd.config import load_config
from owkd.data.images import load_images
from owkd.data.index import read_split
from owkd.errors import UserError
from owkd.models.checkpoint import load_model
from owkd.models.published_files import load_published
from search.results.listing import list_trials
from search.runs.manifest import open_run
from search.study.study import Study
from tests.bad_inputs.world import CONFIG, build_world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),  # about files that it reads all the same
]

Cut = tuple[float, float, bytes]
"""where damage begins and ends, as shares of a file, and what stands there instead"""
CUTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.02), st.binary(max_size=40)), min_size=1, max_size=4)
EXAMPLES = 300


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    build_world(folder)
    return folder


def damaged(before: bytes, cuts: list[Cut]) -> bytes:
    for start, length, inserted in cuts:
        first = int(start * len(before))
        before = before[:first] + inserted + before[first + int(length * len(before)) :]
    return before


def survives(read: Callable[[], Any], file: Path) -> None:
    """`read` takes what lies at `file`, or refuses it by its name."""
    refusal = ""
    try:
        read()
    except UserError as error:
        refusal = str(error)
    assert not refusal or file.name in refusal


def fuzzed(check: Callable[[bytes], None], whole: bytes) -> None:
    """Calls `check` with many damaged forms of `whole`."""

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(cuts=CUTS)
    @example(cuts=[(0.0, 1.0, b"")])
    @example(cuts=[(0.5, 1.0, b"")])
    @example(cuts=[(0.5, 0.0, bytes(64))])
    def run(cuts: list[Cut]) -> None:
        check(damaged(whole, cuts))

    run()


def test_our_model_files(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        survives(lambda: load_model(file), file)

    fuzzed(check, (world / "student.safetensors").read_bytes())


def test_the_head_of_our_model_files(world: Path, tmp_path: Path) -> None:
    """Where the names, shapes and offsets are: a short part of a long file."""
    file, whole = tmp_path / "student.safetensors", (world / "student.safetensors").read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")

    def check(head: bytes) -> None:
        file.write_bytes(head + whole[size:])
        survives(lambda: load_model(file), file)

    fuzzed(check, whole[:size])


def test_published_model_files(tmp_path: Path) -> None:
    file = tmp_path / "original.pth"
    torch.save({"state_dict": {"stem.weight": torch.ones(3, 4), "head.bias": torch.zeros(5)}}, file)
    whole = file.read_bytes()

    def check(content: bytes) -> None:
        file.write_bytes(content)
        survives(lambda: load_published(file), file)

    fuzzed(check, whole)


@pytest.mark.parametrize("form", ["png", "jpeg", "tiff", "bmp"])
def test_images(form: str, tmp_path: Path) -> None:
    split = tmp_path / "set" / "Fold1" / "train" / "allcam"
    ending = {"jpeg": "jpg"}.get(form, form)
    file = split / "1" / f"cam1_0001.{ending}"
    file.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form)

    def check(content: bytes) -> None:
        file.write_bytes(content)
        survives(lambda: load_images(read_split(tmp_path, "set", "Fold1", "train"), 16), file)

    fuzzed(check, buffer.getvalue())


def test_configurations(tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        survives(lambda: load_config(file), file)

    fuzzed(check, yaml.safe_dump(CONFIG).encode())


def test_a_run_with_any_journal(world: Path, tmp_path: Path) -> None:
    folder, config, _ = open_run(world / "runs" / "small")
    whole = folder.journal.read_bytes()
    file = tmp_path / "study.journal"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        survives(lambda: list(Study(file, folder.name, config).views()), file)

    fuzzed(check, whole)


def test_a_run_with_any_table(world: Path) -> None:
    run = world / "runs" / "small"
    file = sorted((run / "results" / "trials").glob("*.parquet"))[0]
    whole = file.read_bytes()

    def check(content: bytes) -> None:
        file.write_bytes(content)
        survives(lambda: list_trials(run), file)

    try:
        fuzzed(check, whole)
    finally:
        file.write_bytes(whole)
