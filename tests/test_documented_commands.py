"""The commands of README and docs, typed as they stand, where the names that they use mean something small."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from owkd.data.synthetic import write_dataset
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from tests.support.documented import PAGES, ROOT, WORD_FOR_WORD, commands, runner

SMALL = "--numEpoch 1 --preset nano --image-size 32 --device cpu"
CHAMPION = "runs/sysu-search/retrain/champion/student.safetensors"
MEANS = (
    (r"/data/SYSU-MM01\b", "raw"),
    (r"/data/thermal|(?<=--DBpath )P\b", "thermal"),
    (r"CHECKPOINT(?= --format published)", "micro.safetensors"),  # the published code knows no smaller networks
    (r"CHECKPOINT", CHAMPION),
    (r"(?<=published --out )DIR", "published"),
    (r"RAW DIR", "raw prepared"),
    (r"DATASET|DIR", "thermal/SYSU-MM01_thermal"),
    (r"FOLDER", "thermal/SYSU-MM01_thermal/Fold1/test"),
    (r"#12$", "#1"),
    (r"^(owkd run .*)", rf"\1 {SMALL}"),
)
"""what the pages' names stand for here, and networks that train in a moment"""
REFUSED = ("owkd cluster check",)
"""exit code 2, for the file still waits for its edits"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with both published data sets, in small, and the README's configuration, with small networks."""
    for name in ("DBPerson-Recog-DB1_thermal", "SYSU-MM01_thermal"):
        write_dataset(tmp_path / "thermal", identities=16, images=4, size=32, dataset=name)
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert text is not None
    raw = yaml.safe_load(text[1])
    raw["data"].update(root="thermal", image_size=32)
    short = {"epochs": 1, "batch_size": 8}
    raw["teacher"].update(preset="nano", schedule="joint", backbones=short)
    raw["student"]["preset"] = "nano"
    raw["train"].update(epochs=2, batch_size=8, device="cpu", precision="fp32", threads=1)
    raw["search"].update(trials=3, resources={"cpu": 1, "gpu": 0}, scheduler={"name": "none"})
    raw["retrain"].update(top_k=1, seeds=1, epochs=1)
    (tmp_path / "sysu.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    save_model(WseNet(architecture("micro"), 4, 64, "student"), tmp_path / "micro.safetensors")
    return tmp_path


@pytest.fixture
def raw(place: Path) -> None:
    """SYSU-MM01 as distributed, of eight people."""
    rng = np.random.default_rng(0)
    for camera in (3, 6):
        for person in range(1, 17):
            folder = place / "raw" / f"cam{camera}" / f"{person:04d}"
            folder.mkdir(parents=True)
            for number in (1, 2):
                pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:04d}.jpg")
    (place / "raw" / "exp").mkdir()
    for name, people in (("train_id", range(1, 9)), ("val_id", range(9, 11)), ("test_id", range(11, 17))):
        (place / "raw" / "exp" / f"{name}.txt").write_text(",".join(map(str, people)))


def typed_here(page: str) -> list[str]:
    """The commands of a page that nothing else runs."""
    return [command for command in commands(page) if (row := runner(page, command)) and row.file == WORD_FOR_WORD]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize("page", [*filter(typed_here, PAGES)])
def test_the_commands_of_a_page_run(page: str, place: Path) -> None:
    if page == "docs/data.md":
        (place / "thermal" / "SYSU-MM01_thermal").rename(place / "away")  # it is what `prepare` makes
    for command in typed_here(page):
        meant = command
        for name, thing in MEANS:
            meant = re.sub(name, thing, meant)
        owkd = [sys.executable, "-c", "from launch.cli import main; main()", *shlex.split(meant)[1:]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(owkd, cwd=place, env=environment, capture_output=True, text=True, check=False)
        expected = 2 if meant in REFUSED else 0
        assert done.returncode == expected, f"{page}: {command}\n{meant}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
