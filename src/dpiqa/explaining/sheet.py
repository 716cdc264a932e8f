"""A sheet of paper with panels in rows and columns, in the shape of a photo (needs matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from PIL import Image

# Inches. A panel is as wide as this, and as high as the photo's shape asks for, within limits.
_WIDTH, _LOWEST, _HIGHEST = 2.2, 1.3, 3.9
_GAP, _MARGIN, _HEADING, _TITLE, _BELOW = 0.2, 0.3, 0.65, 0.28, 0.6
_TOP, _FOOTER = 0.75, 0.25
# Points.
_LARGEST, _LARGE, _MIDDLE, _SMALL = 16, 13, 10.5, 9
_LONGEST_TITLE, _LONGEST_NAME = 26, 50
_INK, _GREY = "#1f2430", "#5b6472"


class Sheet:
    """Panels in rows and columns, with headings over them.

    Args:
        photo: Whose shape the panels have.
        rows: How many rows of panels.
        columns: How many columns.

    Attributes:
        figure: The figure of matplotlib.
    """

    def __init__(self, photo: Image.Image, rows: int, columns: int):
        self._photo_size = photo.size
        self._panel_height = float(np.clip(_WIDTH * photo.height / photo.width, _LOWEST, _HIGHEST))
        self._row_height = _HEADING + _TITLE + self._panel_height + _BELOW
        height = 2 * _MARGIN + _TOP + rows * self._row_height + _FOOTER
        self._size = (2 * _MARGIN + columns * (_WIDTH + _GAP) - _GAP, height)
        self.figure = Figure(figsize=self._size, facecolor="white")

    def title(self, name: str, note: str) -> None:
        """Writes over all rows what the sheet is of."""
        top = self._size[1] - _MARGIN
        name = shortened(name, _LONGEST_NAME, end=_LONGEST_NAME // 2)
        note = shortened(note, 2 * _LONGEST_NAME, end=_LONGEST_NAME)
        self._text(_MARGIN, top, name, size=_LARGEST, weight="bold", va="top")
        self._text(_MARGIN, top - 0.33, note, size=_MIDDLE, color=_GREY, va="top")

    def heading(self, row: int, column: int, title: str, explanation: str) -> None:
        """Writes over a row, from a column on, what its panels show."""
        left, top = self._cell(row, column)
        self._text(left, top, title, size=_LARGE, weight="bold", va="top")
        self._text(left, top - 0.27, explanation, size=_SMALL, color=_GREY, va="top")

    def footer(self, text: str) -> None:
        """Writes one line below all rows."""
        self._text(_MARGIN, _MARGIN, text, size=_SMALL)

    def picture(self, row: int, column: int, picture: Image.Image | np.ndarray, title: str, below: str = "") -> None:
        """Shows a picture of any resolution in the photo's shape, with a title above and a note below."""
        axes = self._panel_axes(row, column, title, below)
        width, height = self._photo_size
        axes.imshow(np.asarray(picture), extent=(0, width, height, 0), interpolation="bicubic")

    def bars(
        self,
        row: int,
        column: int,
        words: Sequence[str],
        values: np.ndarray,
        colours: Colormap,
        title: str,
        below: str,
    ) -> None:
        """Draws a bar for each word to the left or to the right of a line; values are fractions, shown in percent."""
        axes = self._panel_axes(row, column, title, below)
        reach = max(float(np.abs(values).max()), 1e-6)
        axes.set(ylim=(len(words) - 0.4, -0.6), xlim=(-3.4 * reach, 1.9 * reach))
        axes.axvline(0, color=_INK, linewidth=0.8)
        for place, (word, value) in enumerate(zip(words, values, strict=True)):
            axes.barh(place, value, height=0.7, color=colours(0.1 if value < 0 else 0.9))
            axes.text(-3.4 * reach, place, shortened(word, 16), size=_SMALL, color=_INK, va="center", parse_math=False)
            axes.text(max(value, 0) + 0.08 * reach, place, percent(value), size=_SMALL, color=_GREY, va="center")

    def scale_below(self, row: int, column: int, colours: Colormap, low: str, high: str) -> None:
        """Draws a scale of colours below a panel, between what its ends stand for."""
        left, bottom = self._panel(row, column)
        self._scale(left, bottom - 0.2, colours, low, high)

    def scale_above(self, row: int, colours: Colormap, low: str, high: str) -> None:
        """Draws a scale of colours at the right end of the row's heading."""
        self._scale(self._size[0] - _MARGIN - _WIDTH, self._cell(row, 0)[1] - 0.16, colours, low, high)

    def _scale(self, left: float, bottom: float, colours: Colormap, low: str, high: str) -> None:
        start, end = left + 0.85, left + _WIDTH - 0.85
        axes = self._axes(start, bottom, end - start, 0.1)
        axes.imshow(np.linspace(0, 1, 256)[None], cmap=colours, aspect="auto")
        axes.set_axis_off()
        self._text(start - 0.06, bottom, low, size=_SMALL, color=_GREY, ha="right")
        self._text(end + 0.06, bottom, high, size=_SMALL, color=_GREY)

    def _cell(self, row: int, column: int) -> tuple[float, float]:
        """Left and top of a cell, from the lower left of the sheet."""
        return _MARGIN + column * (_WIDTH + _GAP), self._size[1] - _MARGIN - _TOP - row * self._row_height

    def _panel(self, row: int, column: int) -> tuple[float, float]:
        """Left and bottom of the panel in a cell."""
        left, top = self._cell(row, column)
        return left, top - _HEADING - _TITLE - self._panel_height

    def _panel_axes(self, row: int, column: int, title: str, below: str) -> Axes:
        left, bottom = self._panel(row, column)
        axes = self._axes(left, bottom, _WIDTH, self._panel_height)
        axes.set_axis_off()
        self._text(left, bottom + self._panel_height + 0.07, shortened(title, _LONGEST_TITLE), size=_MIDDLE)
        self._text(left, bottom - 0.07, below, size=_SMALL, color=_GREY, va="top")
        return axes

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        across, up = self._size
        return self.figure.add_axes((left / across, bottom / up, width / across, height / up))

    def _text(self, left: float, bottom: float, text: str, color: str = _INK, **style: Any) -> None:
        # Words come from a checkpoint: a $ in them begins no formula.
        across, up = self._size
        self.figure.text(left / across, bottom / up, text, color=color, parse_math=False, **style)


def percent(fraction: float) -> str:
    """A difference in percent with its sign, with the digits that say something."""
    digits = 0 if abs(fraction) >= 0.0995 else 1 if abs(fraction) >= 0.00095 else 2
    return f"{100 * fraction:+.{digits}f} %".replace("-", "\N{MINUS SIGN}")


def shortened(text: str, length: int, end: int = 0) -> str:
    """A text of printable characters, not longer than this many; its last `end` characters stay."""
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= length else f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


__all__ = ["Sheet", "percent", "shortened"]
