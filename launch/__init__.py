"""How owkd is started: the command line, the demo, local Ray and clusters. Nothing imports this package.

commands     the commands' arguments and help
connection   a connection to Ray: of our own, or to a cluster
cluster      Ray clusters: started, given searches, watched, taken down
doctor       whether the nodes of a cluster can serve
published    the published command line and the published code's files
output       what commands print

cli.py           every command by name, and exit codes
demo.py          `owkd demo`
library.py       search, resume, retrain and single trainings, for Python
driver.py        search, resume, retrain for a terminal
init.py          a configuration for a data set and this machine
train.py         a teacher, a student, or a trial again
monitor.py       TensorBoard on a run
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch.library import distill, resume, retrain, search, train_teacher

__all__ = ["distill", "resume", "retrain", "search", "train_teacher"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'launch' has no attribute {name!r}")
    return getattr(import_module("launch.library"), name)
