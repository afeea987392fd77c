"""What the programs beside this one share: a search of stand-ins below the folder that is their argument."""

import sys
from pathlib import Path

from rich.console import Console

from owkd.config import parse_config
from search.execution.stage import Timings
from search.run_search import Work, search
from tests.support.fake_training import fake_check, fake_config, fake_run

tmp = Path(sys.argv[1])
run = tmp / "runs" / "fake"


def go(connect, timings, folds=("Fold1",), epochs=4, **settings):
    config = fake_config(tmp, **settings)
    config["data"]["folds"] = folds
    config["train"]["epochs"] = epochs
    console = Console(width=200)
    work = Work(fake_run, fake_check, timings=Timings(retries=timings))
    search(parse_config(config), run, connect=connect, console=console, work=work)
