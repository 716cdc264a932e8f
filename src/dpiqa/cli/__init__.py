"""The `dpiqa` command. Each subcommand is one thin file; what it does is in the library."""

import typer

from .convert import convert
from .demo import demo
from .env import env
from .evaluate import evaluate
from .prepare import distort, prepare
from .score import score

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Blind image quality assessment: how good does a photo look?",
)
app.command()(score)
app.command()(evaluate)
app.command()(prepare)
app.command()(distort)
app.command()(convert)
app.command()(demo)
app.command()(env)

__all__ = ["app"]
