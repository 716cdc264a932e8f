"""The `dpiqa` command. Each subcommand is one thin file; what it does is in the library."""

from collections.abc import Callable
from typing import Annotated

import typer

from ..version import __version__
from .commands import Commands
from .convert import convert
from .demo import demo
from .distort import distort
from .env import env
from .evaluate import evaluate
from .explain import explain
from .export import export
from .prepare import prepare
from .push import push
from .score import score
from .select import select
from .train import train

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"dpiqa {__version__}")
        raise typer.Exit


@app.callback()
def _dpiqa(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Say how good photos look, without a reference picture (blind image quality assessment)."""


def _add(*commands: Callable[..., None]) -> None:
    """Adds commands with help as wide as the terminal: typer keeps line ends in all but the first paragraph."""
    for command in commands:
        paragraphs = (command.__doc__ or "").split("\n\n")
        app.command(help="\n\n".join(" ".join(one.split()) for one in paragraphs))(command)


_add(score, select, evaluate)
app.add_typer(train, name="train")
_add(explain, prepare, distort, convert, export, push, demo, env)

__all__ = ["app"]
