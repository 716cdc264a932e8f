"""The scripts in examples/, which are no package."""

import importlib.util
import sys
from pathlib import Path

import typer
from typer.testing import CliRunner

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(name):
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def wrong_use(name, *arguments):
    """What an example says about a wrong use, without the box that a terminal's width wraps."""
    example = typer.Typer()
    example.command()(load_example(name).main)
    error = CliRunner().invoke(example, arguments, standalone_mode=False).exception
    if isinstance(error, SystemExit):
        return str(error)
    assert error.exit_code == 2
    return error.format_message()
