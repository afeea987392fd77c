"""`owkd doctor`: a table of the nodes, then a verdict or a remedy for each fault."""

from __future__ import annotations

from rich.text import Text

from launch.connection import connection
from launch.doctor.node_facts import FAILED
from launch.doctor.node_table import node_table
from launch.doctor.preflight import examine_cluster, examine_this_machine, refuse_faults
from launch.output.console import console
from owkd.config import Config
from owkd.machine import visible_gpus
from search.storage.address import Address


def run_doctor(config: Config | None, address: str | None, runs: str) -> None:
    """Examines every node of a cluster, or this machine where no address is given.

    Raises `UserError`, after the table is printed, when a node has a fault; and when the cluster cannot be joined.
    """
    if address is None:
        report = examine_this_machine(config, Address.of(runs))
    else:
        with connection(address)():
            report = examine_cluster(config, Address.of(runs))
    console.print(node_table(report))
    for node in report.nodes:
        if node.facts is not None and not node.facts["machine"].startswith(FAILED):
            console.print(f"{node.name}: {node.facts['machine']}", soft_wrap=True, markup=False)
    if address is None and (hidden := visible_gpus()):
        console.print(hidden, soft_wrap=True, markup=False)
    refuse_faults(report)
    count = len(report.nodes)
    unchecked = "" if config else "; data and teachers were not looked at: --config FILE names them"
    sound = f" {count} node{'s' * (count > 1)} can serve{unchecked}"
    console.print(Text.assemble(("Sound:", "green"), sound), soft_wrap=True)
