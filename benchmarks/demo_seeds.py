"""Whether the demo's gain is there: the whole `owkd demo` with several seeds, and the champion's leads in each.

    python -m benchmarks.demo_seeds --seeds 0 1 2 3 4 --out DIR    prints the table of docs/demo.md

A seed changes people, teacher, search and test seeds. A demo that is done is not run again, and one that was stopped
goes on; its wall time is that of all calls together. The figures are those that each demo's final stage stored.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from benchmarks import measure
from owkd.files import written_whole
from search.luck.seeds import SeedSet
from search.retrain.claims.order import KINDS
from search.retrain.comparison import CHAMPION, TEACHER, Spread
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED

COMMAND = "python -m benchmarks.demo_seeds"
METRIC = "test/mAP"
BASELINES = (PUBLISHED, NO_DISTILLATION_NAME)
INSTRUCTION_LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")
"""environment variables that keep torch from instructions that the processor has"""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What one demo came to.

    Attributes:
        wall_s: of all calls together
        scores: test mAP of the teacher, of both baselines and of the champion
        leads: rows of comparison.parquet in test mAP, by baseline and kind of claim; those that could be made
    """

    seed: int
    wall_s: float
    scores: Mapping[str, Spread]
    leads: Mapping[tuple[str, str], Row]

    def is_above(self, baseline: str, kind: str) -> bool:
        """Whether the whole interval of a lead is above 0."""
        lead = self.leads.get((baseline, kind), {})
        return lead.get("interval_low") is not None and lead["interval_low"] > 0


def run_demo(seed: int, folder: Path) -> float:
    """Runs a demo to its end below `folder`, or continues it -> wall seconds of all calls together."""
    out, record = folder / f"seed-{seed}", folder / f"seed-{seed}.json"
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {"wall_s": 0.0, "done": False}
    if known["done"]:
        return float(known["wall_s"])
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "import launch.cli; launch.cli.main()", "demo", "--out", str(out)]
    start = time.monotonic()
    try:
        subprocess.run([*command, "--seed", str(seed)], check=True)
        known["done"] = True
    finally:
        known["wall_s"] += time.monotonic() - start
        with written_whole(record) as temporary:
            temporary.write_text(json.dumps(known), encoding="utf-8")
    return float(known["wall_s"])


def outcome(seed: int, wall_s: float, run: Path) -> Outcome:
    """What the final stage of a run stored."""
    final = run / "results" / "retrain"
    models = pq.read_table(final / "models.parquet").to_pylist()
    names = {TEACHER: TEACHER, **{name: name for name in BASELINES}}
    names |= {row["configuration"]: CHAMPION for row in models if row["champion"]}
    scores: dict[str, list[float]] = {}
    for row in models:
        name = names.get(row["configuration"])
        if name is not None and row[METRIC] is not None and row["seed_set"] in (None, str(SeedSet.TEST)):
            scores.setdefault(name, []).append(row[METRIC])
    claims = pq.read_table(final / "comparison.parquet").to_pylist()
    leads = {(row["baseline"], row["kind"]): row for row in claims if row["metric"] == METRIC}
    return Outcome(seed, wall_s, {name: Spread.of(values) for name, values in scores.items()}, leads)


def report(outcomes: Sequence[Outcome]) -> str:
    """Two tables, and how many demos show what."""
    names = (TEACHER, NO_DISTILLATION_NAME, PUBLISHED, CHAMPION)
    columns = ["seed", *names, "wall time"]
    scores = [
        [str(each.seed), *(str(each.scores.get(name, "")) for name in names), f"{each.wall_s / 60:.1f} min"]
        for each in outcomes
    ]
    heads = [f"{baseline}, {kind}" for baseline in BASELINES for kind in KINDS]
    leads = [
        [str(each.seed), *(_lead(each.leads.get((baseline, kind))) for baseline in BASELINES for kind in KINDS)]
        for each in outcomes
    ]
    return "\n\n".join(
        [
            "Test mAP, mean ± standard deviation over test seeds:",
            measure.table(columns, scores),
            f"The champion's lead in test mAP, in points, with its {_level(outcomes)} interval:",
            measure.table(["seed", *heads], leads),
            *(_counted(outcomes, kind) for kind in KINDS),
            f"Median wall time {statistics.median(each.wall_s for each in outcomes) / 60:.1f} min.",
        ]
    )


def _lead(row: Row | None) -> str:
    if row is None:
        return "not compared"
    if row["interval_low"] is None:
        return f"{100 * row['difference']:+.1f}"
    return f"{100 * row['difference']:+.1f} ({100 * row['interval_low']:+.1f} to {100 * row['interval_high']:+.1f})"


def _level(outcomes: Sequence[Outcome]) -> str:
    errors = {row["error"] for each in outcomes for row in each.leads.values()}
    return " or ".join(f"{100 * (1 - 2 * error):.3g} %" for error in sorted(errors)) or "missing"


def _counted(outcomes: Sequence[Outcome], kind: str) -> str:
    counts = {name: sum(each.is_above(name, kind) for each in outcomes) for name in BASELINES}
    both = sum(all(each.is_above(name, kind) for name in BASELINES) for each in outcomes)
    parts = ", ".join(f"over {name} {count}" for name, count in counts.items())
    return f"Claim on {kind}: interval above 0 in {both} of {len(outcomes)} demos over both ({parts})."


def main() -> None:
    """Runs the demos one after the other and prints their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of the demos (default: 0 to 4)")
    parser.add_argument("--out", type=Path, default=Path("demo-seeds"), help="where the demos are kept")
    arguments = parser.parse_args()
    outcomes = []
    for seed in arguments.seeds:
        wall_s = run_demo(seed, arguments.out)
        outcomes.append(outcome(seed, wall_s, arguments.out / f"seed-{seed}" / "runs" / "demo"))
    seeds = " ".join(map(str, arguments.seeds))
    print(f"\n`{COMMAND} --seeds {seeds}`; {_machine()}.\n")
    print(report(outcomes))


def _machine() -> str:
    """The machine, and the instructions that torch was allowed to use."""
    limits = [
        f"{name}={os.environ[name]}" for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA") if name in os.environ
    ]
    return ", ".join([measure.machine(), f"torch computes with {torch.backends.cpu.get_cpu_capability()}", *limits])


if __name__ == "__main__":
    main()
