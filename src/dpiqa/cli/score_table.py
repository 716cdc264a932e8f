"""Scores on a terminal: all rows where they fit, and else what stands out."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..counting import counted
from .terminal import PathCell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    Row = dict[str, Any]

MAX_ROWS = 40
_ENDS, _ERRORS = 10, 5
_BARS, _BAR_CELLS = 10, 40


def print_scores(rows: list[Row], half_width: float | None) -> None:
    """Prints a table of up to 40 rows; of more the best, the worst, how the scores spread, and the first errors.

    Args:
        rows: See [`dpiqa.scoring.rows.to_row`].
        half_width: Half the width of the interval, which all scores of a checkpoint share; None without one.
    """
    from rich.console import Console

    console = Console()
    if len(rows) <= MAX_ROWS:
        console.print(_table(rows, half_width))
        return
    for part in _overview(rows, half_width, "█" if console.encoding.startswith("utf") else "#"):
        console.print(part, highlight=False)


def _overview(rows: list[Row], half_width: float | None, block: str) -> Iterator[RenderableType]:
    scored = sorted((row for row in rows if row["error"] is None), key=lambda row: -row["score"])
    failed = [row for row in rows if row["error"] is not None]
    if 0 < len(scored) <= 2 * _ENDS:
        yield f"[bold]{counted(len(scored), 'score')}, the best first[/bold]"
        yield _table(scored, half_width)
    elif scored:
        yield f"[bold]The best {_ENDS} of {len(scored)}[/bold]"
        yield _table(scored[:_ENDS], half_width)
        yield f"\n[bold]The worst {_ENDS}[/bold]"
        yield _table(scored[-_ENDS:], half_width)
        yield "\n[bold]How many photos have which score[/bold]"
        yield from _histogram([row["score"] for row in scored], block)
    if failed:
        first = f", the first {_ERRORS}" if len(failed) > _ERRORS else ""
        yield f"\n[bold]{counted(len(failed), 'error')}{first}[/bold]"
        yield _table(failed[:_ERRORS], half_width)
    yield f"\nTo see all {len(rows)} rows, write a file (-o scores.csv) or use a pipe (| less)."


def _table(rows: list[Row], half_width: float | None) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("score" if half_width is None else f"score ±{half_width:.3f}", justify="right", no_wrap=True)
    table.add_column("percentile", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("photo")
    for row in rows:
        photo = PathCell(row["path"], row["error"])
        if row["error"] is not None:
            table.add_row("[red]error[/red]", "", "", photo)
            continue
        percentile = "" if row["percentile"] is None else f"{row['percentile']:.0f}"
        table.add_row(f"{row['score']:.3f}", percentile, f"{row['width']}x{row['height']}", photo)
    return table


def _histogram(scores: list[float], block: str) -> Iterator[str]:
    """Lines of blocks, the highest scores first; a step is the round number that makes about ten of them."""
    step = _step((max(scores) - min(scores)) / _BARS)
    bins = Counter(math.floor(score / step + 1e-9) for score in scores)
    decimals = max(-math.floor(math.log10(step) + 1e-9), 0)
    most = max(bins.values())
    for number in range(max(bins), min(bins) - 1, -1):
        low, high = number * step, (number + 1) * step
        bar = block * math.ceil(bins[number] / most * _BAR_CELLS)
        yield f"{low:6.{decimals}f} to {high:.{decimals}f}  {bar} {bins[number]}"


def _step(least: float) -> float:
    """The smallest of 0.01, 0.02, 0.05, 0.1, 0.2, ... that is not less."""
    exponent = math.floor(math.log10(max(least, 0.01)) + 1e-9)
    return next(step for step in (10**exponent * digit for digit in (1, 2, 5, 10)) if step >= least - 1e-9)
