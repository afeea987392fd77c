"""The final stage of a run, to be killed: `final_stage.py RUN`."""

import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from launch.connection import local_ray
from search.retrain.stage import FinalWork, retrain
from tests.support.fake_training import fake_evaluate, fake_run

connect, work = partial(local_ray, cpus=2), FinalWork(fake_run, fake_evaluate)
retrain(Path(sys.argv[1]), connect=connect, console=Console(), work=work)
