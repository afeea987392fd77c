"""`owkd demo`, with fewer people and epochs: the story from the data to where everything lies, and called again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.demo import run_demo
from owkd.data.synthetic import DATASET, write_dataset
from owkd.errors import UserError

ROOT = Path(__file__).parents[1]
PROGRAM = Path(__file__).parent / "programs" / "scaled_demo.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_tells_the_whole_story_and_goes_on_where_it_was(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "launch" / "demo.yaml").read_text(encoding="utf-8"))
    raw["teacher"]["backbones"]["epochs"] = raw["train"]["epochs"] = 1
    raw["search"].update(trials=4, scheduler={"name": "none"})
    raw["retrain"].update(seeds=2, choice_budget=2)
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")

    told = demo(tmp_path)
    chapters = [line for line in told.splitlines() if line[:3] in ("1/4", "2/4", "3/4", "4/4")]
    assert len(chapters) == 4
    assert "4 of 4 trials: 4 complete" in told
    assert "champion (trial" in told or "champion (published" in told
    run = tmp_path / "out" / "runs" / "demo"
    for command in ("report", "trials", "monitor", "resume"):
        assert f"owkd {command} {run}" in told
    assert (run / "retrain" / "champion" / "student.safetensors").is_file()
    recorded = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))["config"]
    assert recorded["train"]["seed"] == recorded["search"]["sampler"]["seed"] == 7
    drawn = write_dataset(tmp_path / "drawn", identities=16, images=4, size=32, seed=7)
    assert {path.relative_to(drawn): path.read_bytes() for path in drawn.rglob("*.png")} == {
        path.relative_to(tmp_path / "out" / "data" / DATASET): path.read_bytes()
        for path in (tmp_path / "out" / "data").rglob("*.png")
    }

    models = sorted((run / "retrain").rglob("best.safetensors"))
    assert len(models) == 2 + 6  # two trials on one choice seed; champion and two baselines on two test seeds
    written = [path.stat().st_mtime_ns for path in models]
    again = demo(tmp_path)
    assert "trained already" in again
    assert [path.stat().st_mtime_ns for path in models] == written


def test_a_demo_goes_on_with_its_own_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReachedError(Exception):
        pass

    def reach(*given: Any, **options: Any) -> None:
        raise ReachedError

    monkeypatch.setattr("launch.demo.write_dataset", reach)
    for seed, raised in ((1, ReachedError), (1, ReachedError), (2, UserError)):
        with pytest.raises(raised):
            run_demo(tmp_path / "out", seed)


def demo(folder: Path) -> str:
    """Runs the demo below a folder with its configuration in the one that is given -> what it printed."""
    command = [sys.executable, str(PROGRAM), str(folder), "demo", "--out", str(folder / "out"), "--seed", "7"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
