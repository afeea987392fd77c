"""TensorBoard on a run's event files."""

import subprocess
import sys

from launch.output.console import console
from owkd.errors import OwkdError, UserError
from search.runs.layout import instead_of
from search.runs.sync import followed
from search.storage.address import Address

RELOAD_S = 5


def serve_tensorboard(run: str, host: str, port: int) -> None:
    """Runs TensorBoard until it is interrupted. Raises `UserError` for a run without event files."""
    with followed(run, "tensorboard", every_s=RELOAD_S) as folder:
        if not folder.is_dir():
            hint = instead_of(Address.of(run))
            raise UserError(f"a run must hold a tensorboard folder, but {run} has none; {hint}")
        console.print(f"TensorBoard on http://{host}:{port}/ (Ctrl-C ends it, not the search)", soft_wrap=True)
        where = ["--logdir", str(folder), "--host", host, "--port", str(port)]
        live = ["--reload_multifile", "true", "--reload_interval", str(RELOAD_S)]
        code = subprocess.run([sys.executable, "-m", "tensorboard.main", *where, *live], check=False).returncode
    if code:
        raise OwkdError(f"TensorBoard ended with exit code {code}; its messages are above")
