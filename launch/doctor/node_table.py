"""The nodes of a cluster as a table: what each is, has and lacks."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from launch.doctor.node_checks import NodeReport
from launch.doctor.node_facts import FAILED
from launch.doctor.preflight import ClusterReport

GOOD = Text("ok", "green")
FILES = ("data", "teacher", "storage")


def node_table(report: ClusterReport) -> Table:
    """A row a node; what is at fault is red."""
    table = Table(title="What every node reports", box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("node", "owkd", "torch", "GPUs", "disk", *FILES, "clock"):
        table.add_column(name, overflow="fold", no_wrap=name != "GPUs")
    for node in report.nodes:
        table.add_row(*_cells(node, {fault.column for fault in report.faults_of(node)}))
    return table


def _cells(node: NodeReport, faulty: set[str]) -> list[Text]:
    if node.facts is None:
        return [Text(node.name, "red"), Text("no answer", "red")]
    facts = node.facts
    versions = facts["versions"]
    kinds = sorted({f"{name} {memory / 2**30:.0f} GiB" for name, memory in facts["gpus"]})
    gpus = f"{len(facts['gpus'])} x {', '.join(kinds)}" if kinds else "none"
    free = f"{min(facts['disk_free'].values()) / 2**30:.0f} GiB"
    cells = [
        Text(node.name),
        _cell(versions["owkd"], "owkd" in faulty),
        _cell(_torch(versions), bool(faulty & {"torch", "cuda"})),
        _cell(gpus, "GPUs" in faulty),
        _cell(free, "disk" in faulty),
    ]
    cells += [_file_cell(facts["files"], kind, kind in faulty) for kind in FILES]
    return [*cells, _cell(f"{node.skew_s:+.1f} s", "clock" in faulty)]


def _torch(versions: dict[str, str]) -> str:
    """`2.13.0`, or `2.13.0, CUDA 13.0`; what follows a + in torch's version is the same."""
    cuda, torch = versions.get("cuda", "none"), versions["torch"].partition("+")[0]
    return torch if cuda == "none" else f"{torch}, CUDA {cuda}"


def _file_cell(files: dict[str, str], kind: str, faulty: bool) -> Text:
    values = [value for name, value in files.items() if name.partition(" ")[0] == kind]
    if not values:
        return Text("-")
    if faulty:
        return Text("no" if any(value.startswith(FAILED) for value in values) else "differs", "red")
    return GOOD


def _cell(text: str, faulty: bool) -> Text:
    return Text(text, "red" if faulty else "")
