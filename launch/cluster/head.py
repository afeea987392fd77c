"""The head of a running cluster, reached from this machine.

Its job server listens on the head only; `ray dashboard` forwards it here through SSH, to 127.0.0.1.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.cluster.ray_command import RAY, ray_environment, read_ray_file
from owkd.errors import OwkdError, UserError


@dataclass(frozen=True)
class ClusterTimings:
    """How long a cluster is waited for, seconds.

    Attributes:
        tunnel_s: until the head is reached
        workers_s: until the workers have joined: setting up a machine installs everything there
    """

    tunnel_s: float = 60.0
    workers_s: float = 600.0
    workers_poll_s: float = 2.0


TIMINGS = ClusterTimings()


@dataclass(frozen=True)
class Head:
    """The job server and the state API of a cluster.

    Attributes:
        address: of this machine: http://127.0.0.1:PORT
    """

    address: str
    token: str

    def job_client(self) -> Any:
        """Ray's client of the job server. Raises `UserError` where it refuses the token, `OwkdError` where nothing
        serves.
        """
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # Ray would prefer them to the address that it is given
            os.environ.pop(name, None)
        from ray.job_submission import JobSubmissionClient

        for name in ("ray", JobSubmissionClient.__module__):  # what it uploads, and that a log has ended
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            return JobSubmissionClient(self.address, headers=self._headers())
        except (RuntimeError, ConnectionError) as error:
            text = " ".join(str(error).split())
            if "uthenticat" in text or "401" in text or "403" in text:
                raise UserError(
                    f"the token of this machine ({socket.gethostname()}) must be the cluster's, but the head refused "
                    "it; copy ~/.ray/auth_token from the head"
                ) from error
            raise OwkdError(
                f"the head's job server must answer, but {text[-400:]}; install ray[default] there"
            ) from error

    def nodes(self) -> list[dict[str, Any]]:
        """Every node that Ray knows of, the head first. Raises `OwkdError`."""
        request = urllib.request.Request(f"{self.address}/api/v0/nodes", headers=self._headers())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                nodes: list[dict[str, Any]] = json.load(answer)["data"]["result"]["result"]
        except (OSError, KeyError, ValueError) as error:
            raise OwkdError(f"the head must list its nodes, but {error}") from error
        return sorted(nodes, key=lambda node: (not node["is_head_node"], node["node_ip"]))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def connect_to_head(path: Path, command: str, timings: ClusterTimings = TIMINGS) -> Iterator[Head]:
    """The head of the cluster that a file describes, reachable for as long as this is entered.

    Raises `UserError` for a file of KubeRay and without a token, `OwkdError` when the head cannot be reached.
    """
    read_ray_file(path, command)
    token = read_token()
    with _tunnel(path, timings.tunnel_s) as address:
        yield Head(address, token)


def read_token() -> str:
    """The cluster's token. Raises `UserError` that names this machine and the places where it is looked for."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        token = os.environ.get("RAY_AUTH_TOKEN") or path.read_text(encoding="utf-8").strip()
    except OSError:
        token = ""
    if not token:
        raise UserError(
            f"this machine ({socket.gethostname()}) must have the cluster's token, but RAY_AUTH_TOKEN is unset and "
            f"{path} holds none; copy ~/.ray/auth_token from the machine that started the cluster, or from its head"
        )
    return token


@contextmanager
def _tunnel(path: Path, wait_s: float) -> Iterator[str]:
    """The head's job server at an address of this machine. Raises `OwkdError` when the head cannot be reached."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*RAY, "dashboard", str(path), "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=ray_environment(),
    )
    try:
        _await_port(process, path, port, wait_s)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # ssh is a child of it
        process.wait()


def _await_port(process: subprocess.Popen[bytes], path: Path, port: int, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    output = ""
    if process.poll() is not None and process.stdout is not None:
        output = ": " + " ".join(process.stdout.read().decode(errors="replace").split())[-400:]
    raise OwkdError(f"the head of {path} could not be reached{output}\nIs it up? owkd cluster up {path}")
