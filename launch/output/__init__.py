"""What commands print.

console.py      the consoles of every command, and how an epoch is shown on them
failures.py     what a command says when it fails, and its exit code
streams.py      standard output and error of the process
summary.py      a command's outcome, and the commands that come next
final_stage.py  the result of the final stage
plan.py         the page of `owkd plan`
trials.py       the trials of a run
one_trial.py    one of them in full
runs.py         runs: listed, shown, compared, deleted
caches.py       what runs on a data set share
confirmation.py asking before something is deleted
evaluation.py   the evaluation of one checkpoint
datasets.py     what a preparation made, and the findings of a check

Only what is imported in a moment is a name of the package itself; the others load torch, Ray or pyarrow, and are
imported from their modules by the commands that need them.
"""

from launch.output.console import console, epoch_lines, errors
from launch.output.summary import print_next_commands, print_retrain_summary, print_search_summary

__all__ = [
    "console",
    "epoch_lines",
    "errors",
    "print_next_commands",
    "print_retrain_summary",
    "print_search_summary",
]
