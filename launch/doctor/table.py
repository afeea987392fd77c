"""`owkd doctor`: what every node of a cluster is and lacks, as a table, a verdict and a remedy for each fault."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from launch.doctor.node_checks import Node
from launch.doctor.node_facts import FAILED
from launch.doctor.preflight import Report, by_node, examine_cluster, examine_here, refuse_faults
from launch.local import connection
from launch.output.console import console
from owkd.config import Config
from search.storage.address import Address

GOOD = "[green]ok[/]"
FILES = ("data", "teacher", "storage")


def run_doctor(config: Config | None, address: str | None, runs: str) -> None:
    """Examines every node of a cluster, or this machine where no address is given.

    Raises `UserError`, after the table is printed, when a node has a fault; and when the cluster cannot be joined.
    """
    if address is None:
        report = examine_here(config, Address.of(runs))
    else:
        with connection(address)():
            report = examine_cluster(config, Address.of(runs))
    console.print(table(report))
    refuse_faults(report)
    count = len(report.nodes)
    unseen = "" if config else "; data and teachers were not looked at: --config FILE names them"
    console.print(f"[green]Sound:[/] {count} node{'s' * (count > 1)} can serve{unseen}", soft_wrap=True)


def table(report: Report) -> Table:
    """A row a node; what is at fault is red."""
    faults = by_node(report)
    found = Table(title="What every node says of itself", box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("node", "owkd", "torch", "GPUs", "disk", *FILES, "clock"):
        found.add_column(name, overflow="fold", no_wrap=name != "GPUs")
    for node in report.nodes:
        wrong = {fault.column for fault in faults[node.name]}
        found.add_row(*_cells(node, wrong))
    return found


def _cells(node: Node, wrong: set[str]) -> list[str]:
    if node.facts is None:
        return [f"[red]{escape(node.name)}[/]", "[red]no answer[/]"]
    facts = node.facts
    versions = facts["versions"]
    kinds = sorted({f"{name} {memory / 2**30:.0f} GiB" for name, memory in facts["gpus"]})
    gpus = f"{len(facts['gpus'])} x {', '.join(kinds)}" if kinds else "none"
    free = f"{min(facts['disk_free'].values()) / 2**30:.0f} GiB"
    cells = [
        escape(node.name),
        _marked(versions["owkd"], "owkd" in wrong),
        _marked(_torch(versions), bool(wrong & {"torch", "cuda"})),
        _marked(gpus, "GPUs" in wrong),
        _marked(free, "disk" in wrong),
    ]
    cells += [_file_cell(facts["files"], kind, kind in wrong) for kind in FILES]
    return [*cells, _marked(f"{node.skew_s:+.1f} s", "clock" in wrong)]


def _torch(versions: dict[str, str]) -> str:
    """`2.13.0`, `2.13.0, CUDA 13.0`: what follows a + in torch's version says the same."""
    cuda, torch = versions.get("cuda", "none"), versions["torch"].partition("+")[0]
    return torch if cuda == "none" else f"{torch}, CUDA {cuda}"


def _file_cell(files: dict[str, str], kind: str, wrong: bool) -> str:
    values = [value for name, value in files.items() if name.partition(" ")[0] == kind]
    if not values:
        return "-"
    if wrong:
        return "[red]no[/]" if any(value.startswith(FAILED) for value in values) else "[red]differs[/]"
    return GOOD


def _marked(text: str, wrong: bool) -> str:
    return f"[red]{escape(text)}[/]" if wrong else escape(text)
