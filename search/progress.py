"""What a person sees while jobs run: a live view on a terminal, one line an event anywhere else.

The same view serves the search (jobs are trials) and the final stage (jobs are models).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from owkd.formatting import format_clock
from search.trials.job import Message
from search.trials.listener import ActiveJob, EpochRecord, JobListener
from search.trials.states import STATES, State
from search.trials.view import Ending

HEARTBEAT_S = 60.0
"""where there is no terminal, a job's epoch is printed when nothing else was for so long"""
REFRESH_PER_S = 4
BORDER_ROWS = 9
"""lines of the live view that are no running job"""

STYLES: dict[State, str] = {
    "running": "cyan",
    "complete": "green",
    "pruned": "yellow",
    "diverged": "magenta",
    "out_of_memory": "red",
    "error": "red",
}


@dataclass
class _Running:
    about: str
    epochs: int
    step: int = 0
    objective: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class _Leader:
    name: str
    objective: float
    about: str


class Progress(JobListener[ActiveJob]):
    """Counts, running jobs, the best so far, and the time left. Use it as a context manager."""

    def __init__(
        self,
        console: Console,
        title: str,
        *,
        total: int | Callable[[], int],
        unit: str,
        metric: str,
        past: Mapping[State, int],
    ) -> None:
        """`total`: how many jobs there shall be; to be called where that is not known before the last"""
        self._console = console
        self._title = title
        self._how_many = total
        self._unit = unit
        self._metric = metric
        self._ended: Counter[State] = Counter(past)
        self._running: dict[str, _Running] = {}
        self._leader: _Leader | None = None
        self._begun = time.monotonic()
        self._printed_at = self._begun
        self._epochs = 0
        self._ended_now = 0
        self._epochs_of_ended = 0
        self._live: Live | None = None
        self._waiting = ""

    @property
    def _total(self) -> int:
        return self._how_many if isinstance(self._how_many, int) else self._how_many()

    def __enter__(self) -> Self:
        self._begun = self._printed_at = time.monotonic()
        if self._console.is_interactive:
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=REFRESH_PER_S,
            )
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        else:
            self._print(f"{self._tally()}, elapsed {format_clock(time.monotonic() - self._begun)}")

    def job_started(self, job: ActiveJob) -> None:
        self._running[job.name] = _Running(job.about, job.epochs)
        self._waiting = ""
        again = f" again, attempt {job.attempt}" if job.attempt > 1 else ""
        self._line(f"{job.name} started{again}: {job.about}" if job.about else f"{job.name} started{again}")

    def epoch_recorded(self, job: ActiveJob, epoch: EpochRecord) -> None:
        running = self._running[job.name]
        running.step, running.objective, running.best = epoch.step, epoch.objective, epoch.best
        self._epochs += epoch.is_new
        if epoch.note:
            self._line(f"{job.name} epoch {epoch.step}: {epoch.note}", style="yellow", always=True)
        if time.monotonic() - self._printed_at > HEARTBEAT_S:
            values = f"{self._metric} {epoch.objective:.4f}, best {epoch.best:.4f}"
            self._line(f"{job.name} epoch {epoch.step}/{job.epochs}: {values}")

    def job_ended(self, job: ActiveJob, ending: Ending) -> None:
        running = self._running.pop(job.name, None)
        self._ended[ending.state] += 1
        self._ended_now += 1
        steps = running.step if running else 0
        self._epochs_of_ended += steps
        score = "" if job.objective is None else f", {self._metric} {job.objective:.4f}{job.stopped_at}"
        reason = _last_line(ending.error_text or job.stop_reason)
        self._line(f"{job.name} {_words(ending.state)} after epoch {steps}{score}{reason} ({self._tally()})")

    def job_crashed(self, job: ActiveJob, message: Message) -> None:
        self._line(f"{job.name} crashed{_last_line(message.error_text or '')}", style="red", always=True)

    def job_interrupted(self, job: ActiveJob, reason: str) -> None:
        self._running.pop(job.name, None)
        self._line(f"{job.name} interrupted: {reason}; it will go on elsewhere", style="yellow", always=True)

    def waiting(self, reason: str) -> None:
        """Nothing runs, though there is work: shown until the next job starts."""
        self._waiting = f"waiting for a worker: {reason}"
        self._line(self._waiting)

    def leader(self, name: str, objective: float, about: str) -> None:
        """The best job that is over."""
        if self._leader is None or self._leader.name != name:
            self._line(f"best so far: {name}, {self._metric} {objective:.4f}, {about}")
        self._leader = _Leader(name, objective, about)

    def render(self) -> RenderableType:
        """The live view as it is now."""
        done = sum(self._ended.values())
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_column(justify="right", no_wrap=True)
        head.add_row(Text(self._title, style="bold"), Text(self._times(), style="dim"))
        bar = Table.grid(expand=True, padding=(0, 1))
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        bar.add_row(_bar(self._total, done, "green"), f"{done}/{self._total} {self._unit}")
        waiting = [Text(self._waiting, style="yellow")] if self._waiting else []
        return Group(head, bar, self._counts(), *waiting, self._jobs(), self._best())

    def _counts(self) -> Text:
        shown = {state: self._ended[state] for state in STATES} | {"running": len(self._running)}
        parts = [
            Text(f"{count} {_words(state)}", style=STYLES[state] if count else "dim")
            for state, count in shown.items()
            if count or state in ("running", "complete")
        ]
        return Text("  ").join(parts)

    def _jobs(self) -> RenderableType:
        room = max(1, self._console.size.height - BORDER_ROWS)
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, min_width=10)
        for _ in range(3):
            table.add_column(justify="right", no_wrap=True)
        if self._console.size.width >= 140:
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
        for name, job in list(self._running.items())[:room]:
            now = "starting" if job.objective is None else f"{job.objective:.4f}"
            best = "" if job.best is None else f"best {job.best:.4f}"
            cells: list[RenderableType] = [name, _bar(job.epochs, job.step, "cyan"), f"{job.step}/{job.epochs}", now]
            cells.append(best)
            if self._console.size.width >= 140:
                cells.append(Text(job.about, style="dim"))
            table.add_row(*cells)
        hidden = len(self._running) - room
        return Group(table, Text(f"and {hidden} more", style="dim")) if hidden > 0 else table

    def _best(self) -> RenderableType:
        if self._leader is None:
            return Text("")
        best = f"{self._leader.name}  {self._metric} {self._leader.objective:.4f}"
        return Group(
            Text.assemble(("best ", "bold"), (best, "bold green")),
            Text(f"     {self._leader.about}", overflow="ellipsis", no_wrap=True),
        )

    def _tally(self) -> str:
        """Where things stand, for a line of its own; its time stands before it."""
        best = f", best {self._leader.name} {self._leader.objective:.4f}" if self._leader else ""
        left = self._left_s()
        ahead = f", about {format_clock(left)} left" if left else ""
        return f"{sum(self._ended.values())}/{self._total} {self._unit}{best}{ahead}"

    def _times(self) -> str:
        left = self._left_s()
        ahead = f"  left about {format_clock(left)}" if left else ""
        return f"elapsed {format_clock(time.monotonic() - self._begun)}{ahead}"

    def _left_s(self) -> float | None:
        """By the epochs of this session: those behind, those ahead; a job to come is as long as those that ended."""
        waiting = self._total - sum(self._ended.values()) - len(self._running)
        longest = max((job.epochs for job in self._running.values()), default=0)
        typical = self._epochs_of_ended / self._ended_now if self._ended_now else longest
        ahead = waiting * typical + sum(max(0.0, min(typical, job.epochs) - job.step) for job in self._running.values())
        if not self._epochs or ahead <= 0:
            return None
        return ahead * (time.monotonic() - self._begun) / self._epochs

    def _line(self, text: str, style: str = "", always: bool = False) -> None:
        """An event: shown where there is no live view that shows it anyway, or when it must not be missed."""
        if self._live is None:
            self._print(text)
        elif always:
            self._live.console.print(Text(text, style=style))

    def _print(self, text: str) -> None:
        self._printed_at = time.monotonic()
        stamp = format_clock(self._printed_at - self._begun)
        self._console.print(Text(f"{stamp}  {text}"), soft_wrap=True)


@contextmanager
def spinning(console: Console, text: str) -> Iterator[None]:
    """Shows that something is being done: a spinner on a terminal that can show one, nothing anywhere else."""
    with console.status(text) if console.is_interactive else nullcontext():
        yield


def _bar(total: int, done: int, style: str) -> ProgressBar:
    return ProgressBar(total, done, complete_style=style, finished_style=style)


def _words(state: State) -> str:
    return state.replace("_", " ")


def _last_line(text: str) -> str:
    """The last line of an error text: in a traceback, the one that names the error."""
    lines = text.strip().splitlines()
    return f": {lines[-1]}" if lines else ""
