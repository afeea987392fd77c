"""The file that describes a cluster: read, checked against its tool's schema, and for lines that need an edit."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from owkd.errors import ConfigError, UserError

Kind = Literal["aws", "local", "kuberay", "slurm"]
FILES: dict[Kind, str] = {"aws": "aws.yaml", "local": "local.yaml", "kuberay": "kuberay.yaml", "slurm": "slurm.sh"}
"""our own, in `launch/templates`"""

EDIT = "# EDIT"
PLACEHOLDER = re.compile(r"0{17}|\b192\.0\.2\.\d+|\bexample\.com\b")
"""values that can be nobody's: AWS ids of zeros, and addresses and names that are set aside for documentation"""


@dataclass(frozen=True)
class ClusterFile:
    """A file for `ray up`, one for KubeRay, or a batch script for Slurm.

    Attributes:
        tree: the file of `ray up`; the RayCluster of a KubeRay file; of a script nothing
    """

    path: Path
    text: str
    kind: Kind
    tree: dict[str, Any]


def template(kind: Kind) -> str:
    """Our own file of that kind, with placeholders."""
    return files("launch").joinpath("templates", FILES[kind]).read_text(encoding="utf-8")


def write_template(kind: Kind, path: Path) -> None:
    """Puts our file of that kind at `path`. Raises `UserError` when something is there already."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(kind))
    except FileExistsError:
        raise UserError(f"{path} must not exist, but does; name another file") from None
    except OSError as error:
        raise UserError(f"{path} must be a place to write to, but {error.strerror}; name another file") from error


def read_cluster_file(path: Path) -> ClusterFile:
    """Raises `UserError` for a file that is missing, no YAML, or of no kind that is known here."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("#!"):
            return ClusterFile(path, text, "slurm", {})
        documents = [tree for tree in yaml.safe_load_all(text) if tree is not None]
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} must be a readable YAML file, but {error}; write one: owkd cluster init local"
        ) from error
    for tree in documents:
        if isinstance(tree, dict) and tree.get("kind") == "RayCluster":
            return ClusterFile(path, text, "kuberay", tree)
    first = documents[0] if documents else None
    provider = first.get("provider") if isinstance(first, dict) else None
    kind = provider.get("type") if isinstance(provider, dict) else None
    if isinstance(first, dict) and kind in ("aws", "local"):
        return ClusterFile(path, text, kind, first)
    raise UserError(
        f"{path} must be a file of `ray up` with provider.type aws or local, or hold a RayCluster of KubeRay, but got "
        f"provider.type {kind}; start from a template: owkd cluster init local"
    )


def check_cluster_file(file: ClusterFile) -> None:
    """Raises `ConfigError` that names every line that needs an edit, and what the tool would refuse."""
    problems = [*unedited(file), *_refused_by_ray(file), *_missing_files(file)]
    if problems:
        raise ConfigError(problems, str(file.path))


def unedited(file: ClusterFile) -> Iterator[str]:
    """Lines that still hold what our template has: marked and unchanged, or with a value that can be nobody's."""
    ours = {_value(line) for line in template(file.kind).splitlines() if EDIT in line}
    for number, line in enumerate(file.text.splitlines(), start=1):
        value, mark, hint = line.partition(EDIT)
        if value.lstrip().startswith("#") and not value.startswith("#SBATCH"):
            continue
        if PLACEHOLDER.search(value):
            yield f"line {number} must hold a value of yours, but got `{value.strip()}`; set{_hint(hint)}"
        elif mark and _value(line) in ours:
            yield (
                f"line {number} must be looked at, but is as in the template: `{value.strip()}`; set{_hint(hint)}, "
                f"or delete the mark {EDIT} where it is right"
            )


def _value(line: str) -> str:
    return " ".join(line.partition(EDIT)[0].split())


def _hint(text: str) -> str:
    return f": {text.lstrip(': ').strip()}" if text.strip(": ") else " it"


def _refused_by_ray(file: ClusterFile) -> Iterator[str]:
    """What `ray up` would refuse before it does anything."""
    if file.kind in ("kuberay", "slurm"):
        return
    import click
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)  # it logs what it fills in
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            validate_config(prepare_config(copy.deepcopy(file.tree)))
    except jsonschema.ValidationError as error:
        where = ".".join(map(str, error.absolute_path)) or "the file"
        yield f"{where} must follow Ray's schema, but {error.message}; correct it"
    except (ValueError, KeyError, TypeError, RuntimeError, click.ClickException, SystemExit) as error:
        reason = output.getvalue().strip().splitlines()[-1:] or [str(error)]
        yield f"the file must be one that `ray up` takes, but {reason[0]}; correct it"


def _missing_files(file: ClusterFile) -> Iterator[str]:
    """Files of this machine that every node gets."""
    if file.kind in ("kuberay", "slurm"):
        return
    mounts = file.tree.get("file_mounts")
    for source in (mounts if isinstance(mounts, dict) else {}).values():
        path = Path(str(source)).expanduser()
        path = path if path.is_absolute() else file.path.parent / path
        if path.name == "auth_token" and not path.is_file():
            yield f"{source} must hold the token, but is missing; run: ray get-auth-token --generate > /dev/null"
        elif path.name == "dist" and not any(path.glob("owkd-*.whl")):
            yield f"{source} must hold a wheel of owkd, but has none; run: pip wheel --no-deps --wheel-dir dist ."
        elif not path.exists():
            yield f"file_mounts must name files that are here, but {source} is missing; put it there"
