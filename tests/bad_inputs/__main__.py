"""Runs every case, or those whose name holds a word, and prints what is wrong and a table.

python -m tests.bad_inputs [WORD]
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bad_inputs.cases import read_cases
from tests.bad_inputs.commands import Commands
from tests.bad_inputs.judge import judged
from tests.bad_inputs.world import build_world


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    given, clear = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as home, Commands() as commands:
        world = Path(home) / "world"
        world.mkdir()
        build_world(world)
        for number, case in enumerate(each for each in read_cases() if word in f"{each.group}: {each.name}"):
            place = Path(home) / str(number)
            place.mkdir()
            wrong = judged(case, world, place, commands)
            given[case.group] += 1
            clear[case.group] += not wrong
            for each in wrong:
                print(f"{case.group}: {case.name}: {each}\n")
    for group in given:
        print(f"{group:20} {given[group]:4} cases, {clear[group]:4} clear")
    print(f"{'all':20} {given.total():4} cases, {clear.total():4} clear")
    return int(clear.total() < given.total())


if __name__ == "__main__":
    sys.exit(main())
