"""`dpiqa train teacher`, `student` and `distill`: the training scripts behind their own parsers."""

from __future__ import annotations

from importlib import import_module

import typer

train = typer.Typer(
    no_args_is_help=True,
    help="Train models on photos with opinion scores. Each command has its own --help.",
)
# A training script reads its command line itself, --help included.
_REST = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@train.command(context_settings=_REST, add_help_option=False)
def student(context: typer.Context) -> None:
    """Fine-tune a student, the bundled one or another, on your own rated photos."""
    _run("student", context.args)


@train.command(context_settings=_REST, add_help_option=False)
def teacher(context: typer.Context) -> None:
    """Train a teacher, from a Stable Diffusion or from another teacher."""
    _run("teacher", context.args)


@train.command(context_settings=_REST, add_help_option=False)
def distill(context: typer.Context) -> None:
    """Distil a teacher into a small student."""
    _run("distill", context.args)


def _run(name: str, arguments: list[str]) -> None:
    from huggingface_hub.errors import StrictDataclassError

    script = import_module(f"dpiqa.training.scripts.{name}")
    parser = script.make_parser(f"dpiqa train {name}")
    try:
        script.main(*parser.parse_args_into_dataclasses(arguments))
    except (ImportError, OSError, StrictDataclassError, ValueError) as error:
        parser.error(" ".join(str(error).split()))
