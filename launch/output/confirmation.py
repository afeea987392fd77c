"""Asking before something is deleted."""

import sys

import typer

from owkd.errors import UserError


def require_consent(question: str, *, sure: bool) -> None:
    """Asks on a terminal, unless `sure`. Raises `UserError` where nobody can be asked, or the answer is no."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise UserError("deleting must be confirmed, but nobody can be asked here; add --yes")
    if not typer.confirm(question):
        raise typer.Exit
