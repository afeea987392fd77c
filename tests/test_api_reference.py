"""`make docs` builds the API reference, and refuses to with a warning."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path, *modules: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "api_reference.py"), str(folder), *modules]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_page_shows_what_is_said_of_fields(tmp_path: Path) -> None:
    done = build(tmp_path, "owkd.config.search", "owkd.training.reduction", "search.trials.view")
    assert done.returncode == 0, done.stderr
    view, config = ((tmp_path / page).read_text() for page in ("search/trials/view.html", "owkd/config/search.html"))
    assert "how often it was started" in html.unescape(re.sub("<[^>]+>", "", view))  # a literal below a field
    assert "which are the trial’s threads too" in re.sub("<[^>]+>", "", config).replace("'", "’")  # of pydantic


def test_what_pdoc_warns_of_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text('"""A page."""\ndef f(x: "Nowhere") -> None:\n    """Does nothing."""\n')
    done = build(tmp_path, "broken")
    assert done.returncode == 1
    assert "Nowhere" in done.stderr
