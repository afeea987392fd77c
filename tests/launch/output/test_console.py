"""What is printed is text: no markup, no control characters, no live view where nobody could see one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from launch.output.console import PlainConsole, visible

ROOT = Path(__file__).parents[3]
HOSTILE = "a [/red] [red]b[/red] [link=x]c[/link] :smile: \x1b[31md\x1b]0;title\x07 \x9b2J \u202egnp.exe \udcff\r"
SHOWN = r"a [/red] [red]b[/red] [link=x]c[/link] :smile: \x1b[31md\x1b]0;title\x07 \x9b2J \u202egnp.exe \udcff\r"
VIEW = """
from launch.output.console import console
from search.progress import Progress, spinning
from search.trials.listener import ActiveJob
from search.trials.view import Ending
with Progress(console, "search x", total=2, unit="trials", metric="val/mAP", past={}) as progress:
    progress.job_started(ActiveJob("trial-00000", "trial 0", "gram 1", 3))
    with spinning(console, "Drawing"):
        pass
"""


def table() -> Table:
    made = Table(title=HOSTILE, caption=HOSTILE)
    made.add_column(HOSTILE, no_wrap=True)
    made.add_row(HOSTILE)
    made.add_row(Text(HOSTILE))
    return made


def test_a_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console = PlainConsole()
    console.print(HOSTILE, soft_wrap=True)
    assert capsys.readouterr().out == SHOWN + "\n"


@pytest.mark.parametrize(
    "shown", [HOSTILE, Text(HOSTILE), table(), Rule(HOSTILE)], ids=["str", "Text", "Table", "Rule"]
)
def test_nothing_that_is_printed_reaches_the_terminal_as_a_command(
    shown: object, capsys: pytest.CaptureFixture[str]
) -> None:
    console = PlainConsole()
    console.width = 1000
    console.print(shown)
    said = capsys.readouterr().out
    assert "[/red] [red]b[/red] [link=x]c[/link] :smile:" in said
    assert r"\x1b[31m" in said
    assert visible(said) == said


def test_styles_are_still_colours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    PlainConsole().print(Text.assemble(("red", "red"), " \x1b[1m"))
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m \\x1b[1m\n"


@pytest.mark.parametrize(
    ("screen", "term", "live"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_a_live_view_is_for_a_terminal_that_can_show_one(screen: bool, term: str, live: bool) -> None:
    """Anywhere else lines are printed as things happen, whatever FORCE_COLOR asks for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FORCE_COLOR": "1", "TERM": term, "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    mine, theirs = pty.openpty() if screen else os.pipe()
    process = subprocess.Popen([sys.executable, "-c", VIEW], stdout=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while block := os.read(mine, 65536):
            said += block
    except OSError:  # how a terminal says that nobody holds its other end
        pass
    os.close(mine)
    assert process.wait(60) == 0
    assert (b"\x1b[?25l" in said) == live
    assert (b"trial 0 started: gram 1" in said) == (not live)
    assert live or len(said) < 500
