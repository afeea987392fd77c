"""Files of a user's that hide our packages: two of them, `search` and `launch`, have names that others use too."""

from collections.abc import Iterable
from pathlib import Path

from owkd.errors import UserError

PACKAGES = ("owkd", "search", "launch")
HOME = Path(__file__).resolve().parents[1]
"""the folder that holds ours"""


def what_hides(path: Iterable[str]) -> Path | None:
    """The first package or module, on a path as `sys.path` is, that Python imports in place of one of ours; else None.

    A folder without an `__init__.py` hides nothing.
    """
    folders = [Path(entry or ".").resolve() for entry in path]
    for name in PACKAGES:
        for folder in folders:
            found = next(
                (each for each in (folder / name / "__init__.py", folder / f"{name}.py") if each.is_file()), None
            )
            if found is not None:
                if folder == HOME:
                    break
                return found
    return None


def hidden_in_words(found: Path) -> str:
    """For people."""
    shown = found.parent if found.name == "__init__.py" else found
    return f"{shown} hides the package of owkd that has its name; rename it, or start from another folder"


def require_visible(path: Iterable[str]) -> None:
    """Raises `UserError` where a package of ours is hidden on a path as `sys.path` is."""
    found = what_hides(path)
    if found is not None:
        raise UserError(hidden_in_words(found))
