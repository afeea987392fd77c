"""The quick start, word for word, as a new user would type it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "quickstart.md"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_of_the_quick_start_runs(tmp_path: Path):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```(sh|yaml)\n(.*?)```", text, flags=re.DOTALL)
    assert [kind for kind, _ in blocks].count("sh") == 5
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    for kind, block in blocks:
        if kind == "yaml":
            (tmp_path / "quick.yaml").write_text(block, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-euc", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    run = tmp_path / "runs" / "quick"
    for file in ("report.html", "retrain/champion/student.safetensors", "results/retrain/comparison.parquet"):
        assert (run / file).is_file(), file
    assert (tmp_path / "student.onnx").is_file()
    assert (tmp_path / "embeddings.parquet").is_file()
