"""Searches as Ray jobs: submitted, followed, listed. A job's driver runs on the head, with or without this machine."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from launch.cluster.head import connect_to_head
from launch.cluster.submission import make_submission
from launch.output.console import console
from owkd.errors import OwkdError, UserError

REFUSED = 2
"""exit code of a driver that was given something it cannot use"""
RAY_LOG_LINE = re.compile(r"^[-\d]+ [:,\d]+\s+INFO job_manager\.py:\d+ -- .*\n", re.MULTILINE)
"""what Ray's job server writes into a job's log"""


def submit_job(path: Path, arguments: Sequence[str], *, follow: bool = True) -> str:
    """Starts one `owkd` command as a job on the head -> the job's name; then prints its log until it ends.

    Raises `UserError` before anything is submitted, or when the job refuses its input; `OwkdError` when it fails.
    """
    submission = make_submission(arguments)
    with tempfile.TemporaryDirectory() as folder, connect_to_head(path, "submit") as head:
        submission.copy_files(Path(folder))
        client = head.job_client()
        command = submission.words[0]
        job: str = client.submit_job(
            entrypoint=shlex.join(["owkd", *submission.words, "--address", "auto"]),
            submission_id=f"{command}-{submission.run_name}-{secrets.token_hex(3)}",
            runtime_env={"working_dir": folder},
            metadata={"owkd": command, "run": submission.run_name},
        )
        console.print(f"job {job} runs on the head, with or without this terminal", soft_wrap=True)
        if follow:
            _follow(client, job, path)
    return job


def follow_job(path: Path, job: str | None) -> None:
    """Prints the whole log of a job, the newest unless one is named, until it ends. Raises as `submit_job`."""
    with connect_to_head(path, "status") as head:
        client = head.job_client()
        names = [known.submission_id for known in _submitted_jobs(client)]
        if not names:
            raise UserError(f"a job must be there to follow, but {path} has none; submit one")
        if job is not None and job not in names:
            raise UserError(f"the job must be one of {', '.join(names)}, but got {job}")
        _follow(client, job or names[0], path)


def print_status(path: Path) -> None:
    """Prints nodes, jobs, and the newest line of each job's log. Raises `UserError`, `OwkdError`."""
    with connect_to_head(path, "status") as head:
        console.print(_node_table(head.nodes()))
        client = head.job_client()
        jobs = _submitted_jobs(client)
        console.print(_job_table(client, jobs) if jobs else "no job was submitted yet")
    console.print(f"Follow one: owkd cluster status {path} --follow [--job JOB]", soft_wrap=True)


def _submitted_jobs(client: Any) -> list[Any]:
    """Newest first."""
    submitted = [job for job in client.list_jobs() if job.submission_id]
    return sorted(submitted, key=lambda job: -(job.start_time or 0))


def _follow(client: Any, job: str, path: Path) -> None:
    """Prints a job's log until the job ends; Ctrl-C leaves it running. Raises `UserError`, `OwkdError` as it ended."""

    async def print_log() -> None:
        async for text in client.tail_job_logs(job):
            console.print(RAY_LOG_LINE.sub("", text), end="", soft_wrap=True)

    try:
        asyncio.run(print_log())
    except KeyboardInterrupt:
        console.print(
            f"\nDetached; {job} is still running. Come back with: owkd cluster status {path} --follow --job {job}",
            soft_wrap=True,
        )
        raise
    info = client.get_job_info(job)
    if info.status.value == "SUCCEEDED":
        return
    outcome = f"{job}: {_state(info)}"
    if info.driver_exit_code == REFUSED:
        raise UserError(f"{outcome}; what must be corrected is above")
    raise OwkdError(f"{outcome}; {info.message or 'its log is above'}")


def _state(job: Any) -> str:
    return str(job.status.value).lower()


def _job_table(client: Any, jobs: Sequence[Any]) -> Table:
    table = Table(title="jobs, newest first", box=box.SIMPLE, pad_edge=False)
    for column in ("job", "state", "started", "progress"):
        table.add_column(column, overflow="fold")
    for job in jobs:
        lines = client.get_job_logs(job.submission_id).strip().splitlines()
        started = datetime.fromtimestamp((job.start_time or 0) / 1000).strftime("%m-%d %H:%M")
        table.add_row(job.submission_id, _state(job), started, lines[-1] if lines else "")
    return table


def _node_table(nodes: Sequence[dict[str, Any]]) -> Table:
    alive = sum(node["state"] == "ALIVE" for node in nodes)
    table = Table(title=f"{alive} nodes alive", box=box.SIMPLE, pad_edge=False)
    for column in ("node", "role", "state", "CPUs", "GPUs"):
        table.add_column(column)
    for node in nodes:
        resources = node.get("resources_total") or {}
        table.add_row(
            node["node_ip"],
            "head" if node["is_head_node"] else "worker",
            node["state"].lower(),
            f"{resources.get('CPU', 0):g}",
            f"{resources.get('GPU', 0):g}",
        )
    return table
