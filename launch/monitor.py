"""TensorBoard on a run's event files."""

import subprocess
import sys
from pathlib import Path

from launch.console import console
from owkd.errors import OwkdError, UserError


def serve_tensorboard(run: Path, host: str, port: int) -> None:
    """Runs TensorBoard until it is interrupted. Raises `UserError` for a folder without event files."""
    folder = run / "tensorboard"
    if not folder.is_dir():
        raise UserError(f"{run} must hold a tensorboard folder, but has none; do give the folder of a run")
    console.print(f"TensorBoard on http://{host}:{port}/ (Ctrl-C ends it; the search goes on)", soft_wrap=True)
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", host, "--port", str(port)]
    code = subprocess.run([*command, "--reload_multifile", "true", "--reload_interval", "5"], check=False).returncode
    if code:
        raise OwkdError(f"TensorBoard ended with exit code {code}; its messages stand above")
