"""`dpiqa demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from .extras import missing_extra
from .terminal import sentence


def demo(
    model: Annotated[
        str | None,
        typer.Option(
            envvar="DPIQA_MODEL",
            help="Folder or Hub id of a student or a teacher.",
            show_default="the bundled student",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on. If others can reach it, the app has the limits of a public Space.",
            show_default="this machine only",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port.", show_default="the first free one from 7860")
    ] = None,
) -> None:
    """Open the app on this machine: score, rank and distort photos in a browser."""
    try:
        from ..demo import CannotListenError, serve
    except ModuleNotFoundError as error:
        if error.name not in ("gradio", "starlette"):
            raise
        raise missing_extra(error, "demo") from None
    try:
        serve(model, host=host, port=port)
    except CannotListenError as error:
        raise typer.BadParameter(sentence(error), param_hint="--host or --port") from None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(sentence(error), param_hint="--model") from None
