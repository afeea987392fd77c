"""A driver of a run in a store, to be killed: `drive_in_a_store.py FOLDER RUN COMMAND TRIALS`."""

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from rich.console import Console

from launch.connection import local_ray
from owkd.config import parse_config
from search.execution.stage import Timings
from search.retrain.stage import FinalWork, retrain
from search.run_search import Work, resume, search
from search.storage.timings import StoreTimings
from tests.support.fake_training import fake_check, fake_config, fake_evaluate, fake_run

timings = Timings(store=StoreTimings(lease_s=3.0, beat_s=0.5, settle_s=0.2, push_s=0.5))
tmp, run, command, trials = Path(sys.argv[1]), *sys.argv[2:]
connect, work = partial(local_ray, cpus=2), Work(fake_run, fake_check, timings=timings)
if command == "search":
    raw = fake_config(tmp, trials=int(trials), sampler={"name": "tpe", "seed": 4})
    raw["retrain"] = {"top_k": 1, "seeds": 1, "epochs": 2, "control": True}
    search(parse_config(raw), run, connect=connect, console=Console(), work=work)
else:
    with connect():
        resume(run, connect=nullcontext, console=Console(), work=work)
        if command == "to the end":
            final = FinalWork(fake_run, fake_evaluate, timings=timings)
            retrain(run, connect=nullcontext, console=Console(), work=final)
