"""Searches as Ray jobs: submitted, followed, listed. What runs on the head goes on without this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from launch.cluster.file import read_cluster_file
from launch.cluster.up import tunnel
from launch.output.console import console
from owkd.config import Config, load_config
from owkd.errors import OwkdError, UserError
from search.storage.address import Address

COMMANDS = ("search", "resume", "retrain", "doctor")
REFUSED = 2
"""exit code of a driver that was given something it cannot use"""
OF_RAY = re.compile(r"^[-\d]+ [:,\d]+\s+INFO job_manager\.py:\d+ -- .*\n", re.MULTILINE)
"""what Ray's job server writes into a job's log"""
WORKERS_WAIT_S = 600.0
"""setting up a machine installs everything there"""
WORKERS_LOOK_S = 2.0


def submit(path: Path, arguments: Sequence[str], *, follow: bool = True) -> str:
    """Starts one `owkd` command as a job on the head -> the job's name; then shows its log until it ends.

    Raises `UserError` before anything is submitted, or when the job refuses its input; `OwkdError` when it fails.
    """
    words = list(arguments)
    if not words or words[0] not in COMMANDS:
        raise UserError(f"the command must be one of {', '.join(COMMANDS)}, but got {' '.join(words) or 'none'}")
    token = _token()
    with tempfile.TemporaryDirectory() as folder:
        name = _carry(words, Path(folder))
        with tunnel(path, "submit") as address:
            client = _client(address, token)
            job: str = client.submit_job(
                entrypoint=shlex.join(["owkd", *words, "--address", "auto"]),
                submission_id=f"{words[0]}-{name}-{secrets.token_hex(3)}",
                runtime_env={"working_dir": folder},
                metadata={"owkd": words[0], "run": name},
            )
            console.print(f"job {job} runs on the head, with or without this terminal", soft_wrap=True)
            if follow:
                _follow(client, job, path)
    return job


def attach(path: Path, job: str | None) -> None:
    """Shows the whole log of a job, the newest unless one is named, and goes on until it ends. Raises as `submit`."""
    with tunnel(path, "status") as address:
        client = _client(address, _token())
        known = _jobs(client)
        if not known:
            raise UserError(f"a job must be there to follow, but {path} has none; submit one")
        names = [found.submission_id for found in known]
        if job is not None and job not in names:
            raise UserError(f"the job must be one of {', '.join(names)}, but got {job}")
        _follow(client, job or names[0], path)


def status(path: Path) -> None:
    """Nodes, jobs, and the newest line of each job that runs. Raises `UserError`, `OwkdError`."""
    token = _token()
    with tunnel(path, "status") as address:
        console.print(_node_table(_nodes(address, token)))
        client = _client(address, token)
        known = _jobs(client)
        table = Table(title="jobs, newest first", box=box.SIMPLE, pad_edge=False)
        for column in ("job", "state", "started", "progress"):
            table.add_column(column, overflow="fold")
        for job in known:
            lines = client.get_job_logs(job.submission_id).strip().splitlines()
            begun = datetime.fromtimestamp((job.start_time or 0) / 1000).strftime("%m-%d %H:%M")
            table.add_row(job.submission_id, _state(job), begun, escape(lines[-1]) if lines else "")
        console.print(table if known else "no job was submitted yet")
    console.print(f"Follow one: owkd cluster status {path} --follow [--job JOB]", soft_wrap=True, markup=False)


def await_workers(path: Path) -> None:
    """Waits until machines of one's own have joined: a search that finds no worker is refused.

    As many as `min_workers` says, one when it is unset: a machine may be off. A cloud is not waited for: there a search
    itself asks for workers. Says so and returns when time is up. Raises `UserError` without a token, `OwkdError` when
    the head cannot be reached.
    """
    file = read_cluster_file(path)
    if file.kind != "local":
        return
    wanted = int(file.tree.get("min_workers", 1))
    token = _token()
    console.print(f"waiting for {wanted} of the workers, {WORKERS_WAIT_S / 60:.0f} minutes at most")
    deadline = time.monotonic() + WORKERS_WAIT_S
    with tunnel(path, "up") as address:
        while (joined := _joined(address, token)) < wanted and time.monotonic() < deadline:
            time.sleep(WORKERS_LOOK_S)
    late = "" if joined >= wanted else f"; a search needs one: look again with owkd cluster status {path}"
    console.print(f"workers that have joined: {joined}{late}", soft_wrap=True, markup=False)


def _joined(address: str, token: str) -> int:
    """Workers that are alive; 0 also while the head's job server is not up yet."""
    try:
        nodes = _nodes(address, token)
    except OwkdError:
        return 0
    return sum(node["state"] == "ALIVE" and not node["is_head_node"] for node in nodes)


def _carry(words: list[str], folder: Path) -> str:
    """Puts the configuration where the job gets it, and its name into the command -> the run's name.

    Raises `ConfigError` for what is wrong with the configuration, `UserError` for paths that mean nothing on the nodes.
    """
    place = words.index("--config") + 1 if "--config" in words[:-1] else 1 if words[0] == "search" else 0
    if place == 0:  # a run's folder, or nothing
        _require_absolute({"RUN": words[1]} if len(words) > 1 and not words[1].startswith("-") else {})
        return Address.of(words[1]).name if len(words) > 1 else "cluster"
    if len(words) <= place:
        raise UserError("owkd search must be given a configuration, but got none; name one: -- search CONFIG")
    file = Path(words[place])
    config = load_config(file)
    runs = _option(words, "--runs")
    if runs is None:
        raise UserError("--runs must name a folder or an object store that every node shares; add --runs FOLDER")
    _require_absolute({"--runs": runs, **_paths(config)})
    shutil.copyfile(file, folder / file.name)
    words[place] = file.name
    return _option(words, "--name") or config.name


def _paths(config: Config) -> dict[str, str]:
    """Every path of a configuration, by its field."""
    found = {
        "data.root": config.data.root,
        "data.cache": config.data.cache,
        "student.init_file": config.student.init_file,
    }
    found["teacher.targets.folder"] = config.teacher.targets.folder
    found["teacher.checkpoint"] = Path(config.teacher.checkpoint) if config.teacher.checkpoint else None
    return {name: str(path) for name, path in found.items() if path is not None}


def _require_absolute(paths: dict[str, str]) -> None:
    relative = [f"{name}={path}" for name, path in paths.items() if "://" not in path and not Path(path).is_absolute()]
    if relative:
        raise UserError(
            f"paths must be absolute, and as the nodes see them, but got {', '.join(relative)}; write them from / on"
        )


def _option(words: Sequence[str], name: str) -> str | None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None


def _token() -> str:
    """The cluster's token. Raises `UserError` that names this machine and the places where it is looked for."""
    given = os.environ.get("RAY_AUTH_TOKEN")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        token = given or path.read_text(encoding="utf-8").strip()
    except OSError:
        token = ""
    if not token:
        raise UserError(
            f"this machine ({socket.gethostname()}) must have the cluster's token, but RAY_AUTH_TOKEN is unset and "
            f"{path} holds none; copy ~/.ray/auth_token from the machine that started the cluster, or from its head"
        )
    return token


def _client(address: str, token: str) -> Any:
    """Ray's client of a job server. Raises `UserError` where it turns us away, `OwkdError` where nothing serves."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # Ray would prefer them to the address that it is given
        os.environ.pop(name, None)
    from ray.job_submission import JobSubmissionClient

    for name in ("ray", JobSubmissionClient.__module__):  # what it uploads, and that a log has ended
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return JobSubmissionClient(address, headers={"Authorization": f"Bearer {token}"})
    except (RuntimeError, ConnectionError) as error:
        text = " ".join(str(error).split())
        if "uthenticat" in text or "401" in text or "403" in text:
            raise UserError(
                f"the token of this machine ({socket.gethostname()}) must be the cluster's, but the head turned it "
                "away; copy ~/.ray/auth_token from the head"
            ) from error
        raise OwkdError(f"the head's job server must answer, but {text[-400:]}; install ray[default] there") from error


def _jobs(client: Any) -> list[Any]:
    """Jobs that were submitted, newest first."""
    found = [job for job in client.list_jobs() if job.submission_id]
    return sorted(found, key=lambda job: -(job.start_time or 0))


def _follow(client: Any, job: str, path: Path) -> None:
    """Shows a job's log until the job ends; Ctrl-C leaves it running. Raises `UserError`, `OwkdError` as it ended."""

    async def show() -> None:
        async for text in client.tail_job_logs(job):
            console.print(OF_RAY.sub("", text), end="", markup=False, soft_wrap=True)

    try:
        asyncio.run(show())
    except KeyboardInterrupt:
        console.print(
            f"\nDetached; {job} goes on. Come back with: owkd cluster status {path} --follow --job {job}",
            soft_wrap=True,
            markup=False,
        )
        raise
    info = client.get_job_info(job)
    if info.status.value == "SUCCEEDED":
        return
    said = f"{job}: {_state(info)}"
    if info.driver_exit_code == REFUSED:
        raise UserError(f"{said}; what must be mended stands above")
    raise OwkdError(f"{said}; {info.message or 'its log stands above'}")


def _state(job: Any) -> str:
    return str(job.status.value).lower()


def _nodes(address: str, token: str) -> list[dict[str, Any]]:
    """Every node that Ray knows of, by its state API."""
    request = urllib.request.Request(f"{address}/api/v0/nodes", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]["result"]
    except (OSError, KeyError, ValueError) as error:
        raise OwkdError(f"the head must list its nodes, but {error}") from error
    return sorted(found, key=lambda node: (not node["is_head_node"], node["node_ip"]))


def _node_table(nodes: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title=f"{sum(node['state'] == 'ALIVE' for node in nodes)} nodes alive", box=box.SIMPLE, pad_edge=False
    )
    for column in ("node", "role", "state", "CPUs", "GPUs"):
        table.add_column(column)
    for node in nodes:
        has = node.get("resources_total") or {}
        table.add_row(
            node["node_ip"],
            "head" if node["is_head_node"] else "worker",
            node["state"].lower(),
            f"{has.get('CPU', 0):g}",
            f"{has.get('GPU', 0):g}",
        )
    return table
