"""What all commands have in common: streams that are closed or full end them in one sentence."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer import Exit
from typer.core import TyperGroup


class Commands(TyperGroup):
    """A group of commands that says when its output cannot be written, and ends with status 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command that the arguments name."""
        # What Pillow finds odd in a file, such as broken EXIF, costs no score; what does, is an error of the photo.
        warnings.filterwarnings("ignore", module=r"PIL\.")
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

    def invoke(self, ctx: Any) -> Any:
        """Runs a command; one that is interrupted says so, with status 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise Exit(130) from None


@contextmanager
def stopped_in_order() -> Iterator[None]:
    """Turns the signals that would end the process at once into SystemExit, so that what is open is cleaned up."""
    stops = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    # What is ignored, as SIGHUP under nohup, stays so.
    stops = [number for number in stops if signal.getsignal(number) is signal.SIG_DFL]
    for number in stops:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in stops:
            signal.signal(number, signal.SIG_DFL)


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
