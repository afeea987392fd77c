"""`make docs` builds the API reference, and refuses to with a warning."""

from __future__ import annotations

import ast
import html
import os
import pydoc
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from search.trials.view import TrialView

ROOT = Path(__file__).parents[1]


def build(folder: Path, *modules: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "api_reference.py"), str(folder), *modules]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_page_shows_what_is_said_of_fields(tmp_path: Path) -> None:
    done = build(tmp_path, "owkd.config.search", "owkd.training.reduction", "search.trials.view")
    assert done.returncode == 0, done.stderr
    view, config = ((tmp_path / page).read_text() for page in ("search/trials/view.html", "owkd/config/search.html"))
    assert "how often it was started" in html.unescape(re.sub("<[^>]+>", "", view))
    assert "which are the trial’s threads too" in re.sub("<[^>]+>", "", config).replace("'", "’")  # of pydantic


def test_help_shows_what_is_said_of_attributes() -> None:
    """They stand in the docstring of their class: a string below a field is seen by no interpreter."""
    assert "how often it was started" in pydoc.plain(pydoc.render_doc(TrialView))
    below = [
        f"{path.relative_to(ROOT)}:{text.lineno}"
        for top in ("owkd", "search", "launch")
        for path in (ROOT / top).rglob("*.py")
        for owner in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(owner, ast.ClassDef) and ast.get_docstring(owner)
        for field, text in pairwise(owner.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if not ast.unparse(field.target).startswith("_")
    ]
    assert not below


def test_what_pdoc_warns_of_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text('"""A page."""\ndef f(x: "Nowhere") -> None:\n    """Does nothing."""\n')
    done = build(tmp_path, "broken")
    assert done.returncode == 1
    assert "Nowhere" in done.stderr
