"""Command lines as processes, a hundred in a minute: forked off one that has imported everything, or started anew."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import launch
import owkd
import search
from launch.cli import main

ROOT = Path(__file__).parents[2]
MAIN = "import launch.cli; launch.cli.main()"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code; negative for a signal, None when it had to be killed because it took too long
        text: standard output and standard error, in this order
    """

    code: int | None
    text: str


class Commands:
    """Runs commands. A context: it holds a process that has imported what commands import."""

    def __enter__(self) -> Commands:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.bad_inputs.commands"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.communicate()

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: Mapping[str, str | None],
        limit_s: float,
        *,
        fresh: bool = False,
    ) -> Ended:
        """Runs `owkd ARGUMENTS` in a folder; `fresh`: in an interpreter of its own."""
        out, err = folder.parent / "stdout", folder.parent / "stderr"
        if fresh:
            code = _run_fresh(arguments, folder, env, limit_s, out, err)
        else:
            assert self._server.stdin is not None
            assert self._server.stdout is not None
            order = [list(arguments), str(folder), dict(env), limit_s, str(out), str(err)]
            self._server.stdin.write(json.dumps(order) + "\n")
            self._server.stdin.flush()
            code = json.loads(self._server.stdout.readline())
        return Ended(code, out.read_text(errors="replace") + err.read_text(errors="replace"))


def _run_fresh(
    arguments: Sequence[str], folder: Path, env: Mapping[str, str | None], limit_s: float, out: Path, err: Path
) -> int | None:
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=folder,
            env={name: value for name, value in whole.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None


def _serve() -> None:
    """Forks for each order that comes in a line, and answers with how it ended."""
    for package in (launch, search, owkd):  # once, for all that are forked
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for line in sys.stdin:
        arguments, folder, env, limit_s, out, err = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            os.chdir(folder)
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for name, value in env.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            sys.argv = ["owkd", *arguments]
            _end_with(main)
        print(json.dumps(_wait(child, limit_s)), flush=True)


def _end_with(command: Callable[[], None]) -> None:
    """Ends this process as `command` ends it, but for taking down every module: a second of the processor's time."""
    code: object = 1
    try:
        command()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _wait(child: int, limit_s: float) -> int | None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    _serve()
