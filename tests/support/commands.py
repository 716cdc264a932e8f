"""The command as its users meet it, without the box that a terminal's width wraps."""

import csv
import io

from typer.testing import CliRunner

from dpiqa.cli import app


def dpiqa(*arguments, input=None, **options):
    """Runs the command in this process; its stdout is a pipe."""
    return CliRunner().invoke(app, [*map(str, arguments)], input=input, **options)


def usage_error(*arguments, input=None) -> str:
    """What the command says about a wrong use of it, which ends with status 2."""
    result = dpiqa(*arguments, input=input, standalone_mode=False)
    assert result.exception is not None, result.output
    assert getattr(result.exception, "exit_code", None) == 2, repr(result.exception)
    assert result.stdout == ""
    return result.exception.format_message()


def rows_of(result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout_bytes.decode(), newline="")))


def said(result) -> str:
    """All that a command printed, in one line, without the box that rich draws around an error."""
    return " ".join(result.output.replace("│", " ").split())
