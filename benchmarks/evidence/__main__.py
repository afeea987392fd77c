"""Does searching pay on real images? Data, a teacher a fold, search, control, choice, test and report, as one command.

    python -m benchmarks.evidence                    into the folder `evidence`, and docs/evidence.md from it
    python -m benchmarks.evidence --out FOLDER       elsewhere
    python -m benchmarks.evidence --until teachers   no further: data, teachers, search, retrain or report

Called again, it goes on where it was stopped, also in the middle of a training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.evidence.page import write_page
from benchmarks.evidence.stages import STAGES, go_through
from launch.output.console import console

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--out", type=Path, default=Path("evidence"), help="folder of the run (default: evidence)")
    arguments.add_argument("--page", type=Path, default=PAGE, help="page to write (default: docs/evidence.md)")
    arguments.add_argument("--until", choices=STAGES, default=STAGES[-1], help="last stage")
    chosen = arguments.parse_args()
    run = go_through(chosen.out, until=chosen.until)
    if chosen.until == STAGES[-1]:
        write_page(run, chosen.page)
        console.print(f"written: {chosen.page}", soft_wrap=True)


if __name__ == "__main__":
    main()
