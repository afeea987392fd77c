"""The evaluation of one checkpoint on the console."""

from pathlib import Path

from rich.table import Table

from launch.output.console import console, print_note
from owkd.config import DataConfig
from owkd.config.protocols import RULES, Protocol, Refinement
from owkd.data.index import SplitName
from owkd.evaluation.evaluate import evaluate_checkpoint
from owkd.evaluation.protocol import Result, metrics, spread
from owkd.evaluation.query_table import write_queries
from owkd.files import require_writable
from owkd.models.checkpoint import model_file

CMC_RANKS = (1, 5, 10, 20)


def print_evaluation(
    checkpoint: Path,
    dataset: Path,
    fold: str,
    split: SplitName,
    protocol: Protocol,
    queries: Path | None = None,
    *,
    skip_unreadable: bool = False,
    refinement: Refinement | None = None,
) -> None:
    """Embeds a split and prints mAP, CMC and mINP; writes `query_rows` to the file `queries`, where one is named.

    Raises `DataError`, `CheckpointError`, and `UserError` where `queries` cannot be written, before the work.
    """
    if queries is not None:
        require_writable(queries, "--queries")
    checkpoint = model_file(checkpoint)
    data = DataConfig(root=dataset.parent, dataset=dataset.name)
    result, parameters = evaluate_checkpoint(
        checkpoint,
        data,
        fold=fold,
        split=split,
        protocol=protocol,
        skip_unreadable=skip_unreadable,
        say=print_note,
        refinement=refinement,
    )
    console.print(f"{checkpoint} on {dataset.name}/{fold}/{split}, {protocol} protocol:", soft_wrap=True)
    console.print(f"{RULES[protocol]}.", soft_wrap=True, highlight=False)
    console.print(_table(result, parameters))
    if refinement is not None:
        console.print(f"These figures are of lists that were changed: {refinement}.", soft_wrap=True, highlight=False)
    if result.warning is not None:
        console.print(f"warning: {result.warning}", soft_wrap=True)
    if queries is not None:
        write_queries(result, queries)
        console.print(f"{result.queries} queries: {queries}", soft_wrap=True)


def _table(result: Result, parameters: int) -> Table:
    measured, deviation = metrics(result), spread(result)
    table = Table("measure")
    table.add_column("value", justify="right")
    if deviation:
        table.add_column(f"± over {len(result.draws)} galleries", justify="right")
    for name in ("mAP", *(f"rank-{rank}" for rank in CMC_RANKS), "mINP"):
        table.add_row(name, f"{measured[name]:.4f}", *([f"{deviation[name]:.4f}"] if deviation else []))
    table.add_row("queries", str(result.queries))
    table.add_row("queries without a match", str(result.skipped))
    table.add_row("parameters", f"{parameters:,}")
    return table
