"""Builds the API reference with pdoc: `python docs/api_reference.py FOLDER [MODULE ...]`; `make docs` does it for all.

Every public module has a page, also one that its package's `__all__` does not name. A warning of pdoc's, such as a name
that does not resolve, is an error.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pdoc

ROOT = Path(__file__).parents[1]
PACKAGES = ("owkd", "search", "launch")
NAMED_TUPLE = r"Error parsing type annotation ForwardRef\(.*\) for [\w.]+\.__init__"
"""pdoc looks for the types of a NamedTuple's constructor outside its module; its fields have them right"""
REPEATED = r"The module specification '.*' adds a module named"
"""a package's page brings some of its modules along"""


def public_modules() -> Iterator[str]:
    """Names of all modules of the packages that no underscore hides."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                yield ".".join(parts)


def build(folder: Path, modules: list[str]) -> None:
    """Writes one page a module. Raises on whatever pdoc warns of."""
    for name in modules:
        module = import_module(name)
        for member in getattr(module, "__all__", ()):
            vars(module)[member] = getattr(module, member)  # also one that is imported when it is asked for
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        for known in (NAMED_TUPLE, REPEATED):
            warnings.filterwarnings("ignore", known, UserWarning)
        pdoc.render.configure(docformat="google", show_source=False)
        pdoc.pdoc(*modules, output_directory=folder)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    build(Path(sys.argv[1]), sys.argv[2:] or list(public_modules()))
