"""What all commands have in common: streams that are closed or full end them in one sentence."""

from __future__ import annotations

import os
import sys
from typing import Any

from typer.core import TyperGroup


class Commands(TyperGroup):
    """A group of commands that says when its output cannot be written, and ends with status 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command that the arguments name."""
        _open_closed_streams()
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                sys.stdout.flush()
        except OSError as error:
            if error.filename is not None:  # of a file, not of a stream
                raise
            discard_stdout()
            print(f"cannot write: {error.strerror}", file=sys.stderr)
            raise SystemExit(1) from None


def discard_stdout() -> None:
    """Sends what is still in the buffer of stdout nowhere: Python would try to write it once more on its way out."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Opens the streams that were closed before Python started.

    Else the first files that are opened become stdout and stderr. What is written to a closed stdout is an error; what
    is said to a closed stderr is lost.
    """
    if sys.stdout is None:
        sys.stdout = sys.__stdout__ = open(_descriptor(1, os.O_RDONLY), "w", encoding="utf-8")  # type: ignore[misc]
    if sys.stderr is None:
        sys.stderr = sys.__stderr__ = open(_descriptor(2, os.O_WRONLY), "w", encoding="utf-8")  # type: ignore[misc]


def _descriptor(number: int, flags: int) -> int:
    opened = os.open(os.devnull, flags)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return number
