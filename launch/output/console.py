"""The consoles of every command: what is printed on them is text, whoever wrote it.

Nothing in a text is taken for markup, and control characters are made visible: error texts, names of folders and logs
of other machines come from outside. Colours are given as styles, never within a text.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

if TYPE_CHECKING:
    from owkd.training.loop import Epoch, Report

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""all that a terminal could obey, but for tab and new line; marks that reverse what is read; bytes that are no text"""


class OutputClosedError(Exception):
    """Whoever read our output is gone, as `head` is after its first lines: there is nobody left to work for."""


class PlainConsole(Console):
    """Prints text as it is; live views only where a person sits before a terminal that can show them."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(
            stderr=stderr,
            highlight=False,
            markup=False,
            emoji=False,
            force_interactive=_is_screen(sys.stderr if stderr else sys.stdout),
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string, as long as it will be shown."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of anything; those of the console itself, such as moves of the cursor, are left alone."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))

    def on_broken_pipe(self) -> None:
        """Raises `OutputClosedError`."""
        raise OutputClosedError


def visible(text: str) -> str:
    r"""A text with what a terminal would obey written out, as `\x1b`."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def _is_screen(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb").lower() not in ("dumb", "unknown")


console = PlainConsole()
errors = PlainConsole(stderr=True)


def print_note(line: str) -> None:
    """What a user should know, apart from the result."""
    errors.print(line, soft_wrap=True)


def print_step(text: str) -> None:
    """What a command is about to do, for whoever sits before a terminal while libraries load and files are read."""
    if errors.is_interactive:
        errors.print(text, style="dim", soft_wrap=True)


def print_prose(text: str) -> None:
    """Prose: broken between words on a terminal, one line anywhere else."""
    console.print(text, soft_wrap=not console.is_interactive)


def epoch_lines(title: str, epochs: int, show: Callable[[str], None] | None = None) -> Report:
    """A line an epoch, alike in a terminal and in a log file; no longer than 80 characters for a short title."""
    width = len(str(epochs))
    write = show or (lambda line: console.print(line, soft_wrap=True))

    def report(epoch: Epoch) -> None:
        metrics = epoch.metrics
        if epoch.note:
            write(f"{title}  {epoch.note}")
        note = "  (from checkpoint)" if epoch.replayed else ""
        write(
            f"{title}  epoch {epoch.epoch:>{width}}/{epochs}  loss {metrics['loss/total']:#6.4g}  "
            f"val mAP {metrics['val/mAP']:.3f}  rank-1 {metrics['val/rank-1']:.3f}  "
            f"{metrics['images_per_second']:.0f} img/s{note}"
        )

    return report
