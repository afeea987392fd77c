"""The notebook of the docs, from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "python.ipynb"


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    search = next(cell for cell in code if "launch.search(" in cell.source)
    assert "trial 0 complete" in printed(search)
    assert "best of" in printed(search)
    assert "mAP 0." in printed(code[-1])
    assert (tmp_path / "owkd-python" / "runs" / "python" / "retrain" / "champion" / "student.safetensors").is_file()


def test_it_is_shown_with_what_it_printed() -> None:
    """Whoever reads it on a page sees the outputs of a run, and no error among them."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(outputs) >= 8
    assert not [output for output in outputs if output.output_type == "error"]
    assert str(ROOT) not in NOTEBOOK.read_text(encoding="utf-8")
