"""The option of a rating scale."""

from __future__ import annotations

import typer


def rating_scale(given: tuple[str, str] | None) -> tuple[float, float] | None:
    """The numbers of `--mos-range LOW HIGH`.

    Raises:
        typer.BadParameter: When they are no numbers, as where one of the two was forgotten.
    """
    try:
        return None if given is None else (float(given[0]), float(given[1]))
    except ValueError:
        raise typer.BadParameter(
            f"expected two numbers, LOW and HIGH, such as 1 5; found {' '.join(given or ())}"
        ) from None


def check(given: tuple[str, str] | None) -> tuple[str, str] | None:
    """Callback of the option: what is wrong with it is said before other options are missed."""
    rating_scale(given)
    return given
