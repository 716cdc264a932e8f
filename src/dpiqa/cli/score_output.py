"""Rows to where the user wants them, and what ends a run of `dpiqa score` early."""

from __future__ import annotations

import io
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ..counting import counted
from .commands import discard_stdout, stopped_in_order
from .score_table import print_scores
from .terminal import sentence, visible

if TYPE_CHECKING:
    from ..scoring.score_files import EarlierRows, Reserved, ScoreFile
    from ..scoring.scorer import Scorer

    Row = dict[str, Any]


def status_of(scored: int, failed: int, earlier: EarlierRows, strict: bool) -> int:
    """The exit status after so many photos were scored, and so many photos or maps failed, beside earlier rows."""
    scored += earlier.num_done - earlier.num_failed
    return 1 if scored == 0 or (strict and failed + earlier.num_failed) else 0


def summary_of(rows: CountedRows, earlier: EarlierRows, scorer: Scorer) -> list[str]:
    """What a run has done, for its last line."""
    parts = [f"{rows.scored} scored by {scorer.backend.name} in {scorer.backend.dtype}"]
    parts += [counted(rows.failed, "error")] if rows.failed else []
    parts += [f"{earlier.num_done} kept from before"] if earlier.num_done else []
    return parts


def with_progress(work: Iterable[Any], total: int | None) -> Generator[Any]:
    """Photos as they come, with a bar on a terminal; the total may be unknown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(work, total=total)


class CountedRows:
    """Rows that count themselves; sorted ones also come, as far as they are, when scoring ends early."""

    def __init__(self, rows: Iterable[Row], sort: bool):
        self._rows = rows
        self._sort = sort
        self.scored = self.failed = 0

    def __iter__(self) -> Iterator[Row]:
        if not self._sort:
            yield from map(self._counted, self._rows)
            return
        rows: list[Row] = []
        try:
            for row in self._rows:
                rows.append(self._counted(row))
        finally:
            yield from sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0)))

    def _counted(self, row: Row) -> Row:
        self.scored += row["error"] is None
        self.failed += row["error"] is not None
        return row


@contextmanager
def reserved_output(output: Path | None, overwrite: bool, resume: bool) -> Iterator[Reserved]:
    """Takes the file for this run, if there is one; what stands against it is wrong usage."""
    from ..scoring.score_files import EarlierRows, Reserved, reserve

    if output is None:
        yield Reserved(Path(), EarlierRows())
        return
    with ExitStack() as closed:
        with _refused_output():
            reserved = closed.enter_context(reserve(output, overwrite=overwrite, resume=resume))
        yield reserved


@contextmanager
def _refused_output() -> Iterator[None]:
    try:
        yield
    except (ValueError, FileExistsError) as error:
        raise typer.BadParameter(sentence(error), param_hint="--output") from None


@contextmanager
def row_writer(output: Path | None, reserved: Reserved, scorer: Scorer) -> Iterator[ScoreFile]:
    """Opens what rows are written to: the file, or a table on a terminal, or CSV in a pipe."""
    from ..scoring.rows import CsvWriter
    from ..scoring.score_files import ScoreFile

    if output is not None:
        backend = scorer.backend
        model = {
            "fingerprint": scorer.fingerprint,
            "model": f"{backend.source} with {backend.name} in {backend.dtype}",
        }
        with ExitStack() as closed:
            with _refused_output():
                file = closed.enter_context(reserved.writer(model))
            yield file
    elif sys.stdout.isatty():
        _reconfigure_stdout(errors="backslashreplace")
        rows: list[Row] = []
        try:
            yield ScoreFile(SimpleNamespace(write=rows.append))
        finally:
            print_scores(rows, scorer.config.interval_half_width)
    else:
        _reconfigure_stdout(encoding="utf-8")
        yield ScoreFile(CsvWriter(sys.stdout))
        sys.stdout.flush()


def _reconfigure_stdout(**options: Any) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**options)


@contextmanager
def one_sentence(output: Path | None) -> Iterator[None]:
    """Says in one sentence what ends a run early, and where the rows until then are.

    Asked to stop by a signal, a run ends as if interrupted, so that its files are closed.
    """
    try:
        with stopped_in_order():
            yield
    except KeyboardInterrupt:
        stop("interrupted", 130, output)
    except SystemExit as error:
        stop("asked to stop", int(error.code or 1), output)
    except BrokenPipeError:  # as by `head`: nobody reads any more
        stop(None, 1, output)
    except OSError as error:
        stop(f"cannot write {output or 'the rows'}: {error.strerror or error}", 1, output)


def stop(reason: str | None, status: int, output: Path | None) -> NoReturn:
    """Ends a run with a reason, and says where the rows are that it has written."""
    from ..scoring.score_files import part_of

    if output is None:
        discard_stdout()
    if reason is not None:
        part = None if output is None else part_of(output)
        kept = ""
        if part is not None and part.exists():
            kept = f"; what was scored until then is in {part}: go on with --resume"
        print(visible(f"{reason}{kept}"), file=sys.stderr)
    raise typer.Exit(status)
