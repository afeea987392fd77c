"""One console for every command, and how an epoch is shown on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from owkd.training.loop import Epoch, Report

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def epoch_lines(title: str, epochs: int, show: Callable[[str], None] | None = None) -> Report:
    """A line an epoch, alike in a terminal and in a log file; no longer than 80 characters for a short title."""
    width = len(str(epochs))
    write = show or (lambda line: console.print(line, soft_wrap=True))

    def report(epoch: Epoch) -> None:
        metrics = epoch.metrics
        note = "  (from checkpoint)" if epoch.replayed else ""
        write(
            f"{title}  epoch {epoch.epoch:>{width}}/{epochs}  loss {metrics['loss/total']:#6.4g}  "
            f"val mAP {metrics['val/mAP']:.3f}  rank-1 {metrics['val/rank-1']:.3f}  "
            f"{metrics['images_per_second']:.0f} img/s{note}"
        )

    return report
