"""What is not installed, in words for a command line."""

from __future__ import annotations

import typer

from ..extras import how_to_install


def missing_extra(error: ModuleNotFoundError, extra: str) -> typer.BadParameter:
    """Wrong usage that names the package, and the extra of dpiqa that brings it."""
    package = str(error.name).partition(".")[0]
    return typer.BadParameter(f"{package} is not installed: {how_to_install(extra)}.")
