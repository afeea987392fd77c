"""Layers point one way, launch -> search -> owkd, and so do the packages of each; what starts often starts light."""

import ast
import graphlib
import importlib
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


def search_reads(source: str) -> Iterator[int]:
    """Lines that read a field `search` or `retrain` of anything; calls (`re.search(...)`) are not fields."""
    tree = ast.parse(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("search", "retrain") and id(node) not in called:
            yield node.lineno


def test_training_knows_nothing_of_the_search_around_it():
    files = [path for path in sorted((ROOT / "owkd").rglob("*.py")) if "config" not in path.parts]
    assert ROOT / "owkd/training/run.py" in files
    reads = [
        f"{path.relative_to(ROOT)}:{line}" for path in files for line in search_reads(path.read_text(encoding="utf-8"))
    ]
    assert not reads, f"these read the section of a search: {', '.join(reads)}"


def test_the_scan_sees_a_section_that_is_read():
    source = "import re\nre.search('a', 'b')\nnames = config.search.costs\nfolds = self.config.retrain\n"
    assert sorted(search_reads(source)) == [3, 4]


LIGHT = {
    "owkd.config": {"torch", "ray", "optuna", "matplotlib", "pandas", "search"},
    "launch.cli": {"torch", "ray", "scipy", "optuna", "matplotlib", "pandas", "pyarrow"},
    "launch.cluster": {"torch", "ray", "optuna", "matplotlib", "pandas"},
}
"""what loads in a moment, and the packages that it must not load"""


@pytest.mark.parametrize("module", LIGHT)
def test_it_loads_without_heavy_packages(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not LIGHT[module] & loaded


LAYERS = {
    "search": (
        ("report", "planning", "reading"),
        ("pilot",),
        ("retrain",),
        ("run_search", "rerun"),
        ("recorder", "checkup"),
        ("teaching",),
        ("results", "tensorboard", "schedulers"),
        ("execution",),
        ("study",),
        ("samplers", "runs"),
        ("progress",),
        ("trials",),
        ("storage", "space", "power", "luck"),
    ),
    "launch": (
        ("cli",),
        ("commands",),
        ("demo",),
        ("driver", "train", "init"),
        ("library",),
        ("doctor",),
        ("cluster", "published", "monitor", "connection"),
        ("configuration",),
        ("output",),
    ),
}
"""packages and modules right below a folder, from top to bottom; those of one line know nothing of each other"""


def package_imports(top: str) -> Iterator[tuple[str, str, str]]:
    """Where, importer and imported of every import between what lies right below a folder; type-only ones included."""
    for path in sorted((ROOT / top).rglob("*.py")):
        own = path.relative_to(ROOT / top).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and own != "__init__":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                for parts in (name.split(".") for name in names):
                    if parts[0] == top and parts[1] != own:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", own, parts[1]


def modules_and_packages(top: str) -> set[str]:
    """What can be imported from right below a folder, by name."""
    below = (path for path in (ROOT / top).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
    return {path.name.removesuffix(".py") for path in below} - {"__init__"}


@pytest.mark.parametrize(("top", "fewest"), [("search", 50), ("launch", 30)])
def test_packages_stand_in_layers(top: str, fewest: int) -> None:
    """Each knows only what is below it, so that there is no circle either."""
    floor = {name: number for number, names in enumerate(LAYERS[top]) for name in names}
    assert set(floor) == modules_and_packages(top)
    arrows = list(package_imports(top))
    assert len(arrows) > fewest
    wrong = [f"{where}: {own} knows {other}" for where, own, other in arrows if floor[own] >= floor[other]]
    assert not wrong, "\n".join(wrong)


def module_graph(top: str) -> dict[str, set[str]]:
    """The modules below a folder, by dotted name, each with those that it imports; type-only imports included."""
    names = {}
    for path in (ROOT / top).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= {each if each in names else node.module for each in imported} & set(names)
    return graph


@pytest.mark.parametrize("top", LAYERS)
def test_modules_import_each_other_in_no_circle(top: str) -> None:
    graph = module_graph(top)
    assert sum(map(len, graph.values())) > len(graph)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert set(order) == set(graph)


def test_a_package_fits_into_one_look():
    assert len(list((ROOT / "search").glob("*.py"))) <= 5
    crowded = {path.name: len(list(path.glob("*.py"))) for path in (ROOT / "search").iterdir() if path.is_dir()}
    assert max(crowded.values()) in range(5, 10), crowded


PACKAGES = [f"{top}/{path.parent.name}" for top in LAYERS for path in sorted((ROOT / top).glob("*/__init__.py"))]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_is_in_it(package: str) -> None:
    """Its docstring names each of its modules, and `__all__` what others may use."""
    folder = ROOT / package
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    contents = ast.get_docstring(tree) or ""
    missing = [path.name for path in folder.glob("*.py") if path.name != "__init__.py" and path.name not in contents]
    assert not missing
    module = importlib.import_module(package.replace("/", "."))
    assert len(module.__all__) > 0
    assert all(hasattr(module, name) for name in module.__all__)
