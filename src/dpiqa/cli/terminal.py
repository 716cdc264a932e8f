"""Names and errors on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement


def visible(text: str) -> str:
    r"""Text that cannot steer a terminal: what is not printable, such as the escape character, becomes `\x1b`."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in str(text))


def sentence(error: BaseException) -> str:
    """The message of an error on one line, and of one that the system gave the file and the reason."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return visible(" ".join(text.split()))


@contextmanager
def wrong_usage(option: str | None = None) -> Iterator[None]:
    """Makes a sentence and status 2 of what cannot be read, is not there or makes no sense.

    Args:
        option: The one option or argument that can be to blame, if it is one.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise typer.BadParameter(sentence(error), param_hint=option) from None


def shorten(path: str, width: int) -> str:
    """A path that fits a width in cells, by leaving out what is in its middle: the end says which photo it is."""
    from rich.cells import cell_len, chop_cells

    if cell_len(path) <= width or width < 2:
        return path
    name = path[max(path.rfind("/"), 0) :]
    end = name if cell_len(name) < width else chop_cells(path[::-1], width - 1)[0][::-1]
    start = chop_cells(path, max(width - 1 - cell_len(end), 1))[0] if cell_len(end) < width - 1 else ""
    return f"{start}…{end}"


class PathCell:
    """A path in a table, shortened to what the column has, with why it has no score."""

    def __init__(self, path: str, error: str | None):
        self._path = visible(path)
        self._error = None if error is None else visible(error)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement
        from rich.text import Text

        return Measurement(12, console.measure(Text(self._full(self._path))).maximum)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        # One cell is left for the colon after it.
        yield Text(self._full(shorten(self._path, options.max_width - (self._error is not None))), overflow="fold")

    def _full(self, path: str) -> str:
        return path if self._error is None else f"{path}: {self._error}"
