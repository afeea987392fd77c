"""Layers point one way, launch -> search -> owkd, and a configuration can be read without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "owkd": {"ray", "optuna", "search", "launch"},
    "search": {"launch"},
}


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import, wherever it stands, and of import_module("...") too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.lineno, node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((a.lineno, str(a.value).partition(".")[0]) for a in node.args if isinstance(a, ast.Constant))


@pytest.mark.parametrize("package", FORBIDDEN)
def test_layer_imports_nothing_from_above(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 3
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imports(path.read_text(encoding="utf-8"))
        if name in FORBIDDEN[package]
    ]
    assert not found, "\n".join(found)


def test_the_scan_sees_imports_in_every_shape():
    source = """
import numpy, ray.tune
from optuna.samplers import TPESampler
from . import search
from owkd.errors import UserError

def late():
    from launch import cli
    return importlib.import_module("search.space")
"""
    assert [name for _, name in sorted(imports(source))] == ["numpy", "ray", "optuna", "owkd", "launch", "search"]


def test_launch_stands_on_search_and_owkd():
    """The layers are not just apart: what the top one imports from the project is in the two below."""
    files = sorted((ROOT / "launch").rglob("*.py"))
    assert files
    found = {name for path in files for _, name in imports(path.read_text(encoding="utf-8"))}
    assert "owkd" in found


def test_configuration_loads_without_heavy_packages():
    code = (
        "import sys, owkd.config\n"
        "assert 'owkd.config' in sys.modules\n"
        "heavy = {'torch', 'ray', 'optuna', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
