"""`dpiqa evaluate`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..evaluation.consistency import Consistency
    from ..evaluation.report import Result


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(
            help="NAME=FOLDER for a released set (biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013), a table "
            "(photos.csv, with its rating scale photos.csv:1:5), a Hub data set, a folder of `dpiqa prepare` or of "
            "`dpiqa distort`. Repeat the option for several."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results, plots and predictions.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help='Folder or Hub id, or "bundled"; repeat the option for several.',
            show_default="bundled, without --predictions",
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None, typer.Option(help="CSV of another tool (path,score), for the same table; repeatable.")
    ] = None,
    split: Annotated[str, typer.Option(help="Photos to evaluate on: train, validation, test or all.")] = "test",
    seeds: Annotated[str, typer.Option(help="Seeds of splits that are not official, such as 0-9 or 0,3,5.")] = "0",
    mos_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Rating scale of tables and Hub data sets that do not name their own."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out photos that are missing or damaged.")
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=0, help="Number of bootstrap samples; 0 leaves the intervals out.")
    ] = 1000,
    device: Annotated[str, typer.Option(help="auto (cuda, mps, cpu), or a torch device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
) -> None:
    """Compare scores with opinion scores: SRCC, PLCC, KRCC, RMSE with 95 % intervals, tables and plots.

    Scores are kept in OUTPUT/cache and used again when the command is repeated with the same weights and photos.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from transformers.utils import logging

    from ..data import DataSource
    from ..evaluation.consistency import is_distorted
    from ..evaluation.evaluate import evaluate as run
    from ..evaluation.evaluate import evaluate_consistency

    numbers = _numbers(seeds)
    logging.disable_progress_bar()
    models = [None if name == "bundled" else name for name in (model or ([] if predictions else ["bundled"]))]
    distorted = [source for source in data if is_distorted(source)]
    rated = [source for source in data if source not in distorted]
    results: list[Result] = []
    tables: dict[str, list[Consistency]] = {}
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            if rated:
                results = run(
                    models,
                    [DataSource.parse(source, mos_range) for source in rated],
                    output,
                    split=split,
                    seeds=numbers,
                    predictions=predictions or [],
                    allow_missing=allow_missing,
                    resamples=resamples,
                    progress=progress,
                    device=device,
                    dtype=dtype,
                )
            if distorted:
                tables = evaluate_consistency(
                    models,
                    distorted,
                    output,
                    predictions=predictions or [],
                    progress=progress,
                    device=device,
                    dtype=dtype,
                )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f'{str(error.name).partition(".")[0]} is not installed: pip install "dpiqa[eval]".'
        ) from None
    _print(results, tables)
    console.print(_written(results, tables, output), highlight=False, markup=False, soft_wrap=True)


def _print(results: Sequence[Result], tables: dict[str, list[Consistency]]) -> None:
    """Columns on a terminal, Markdown in a pipe."""
    from rich.console import Console

    from ..evaluation import consistency, report

    console = Console()
    if not console.is_terminal:
        texts = [report.to_markdown(results)] if results else []
        print("\n".join(texts + ([consistency.to_markdown(tables)] if tables else [])))
        return
    shown = report.to_tables(results) + [
        report.terminal_table(title, consistency.COLUMNS, consistency.as_text(rows)) for title, rows in tables.items()
    ]
    for one in shown:
        console.print(one, crop=False)
        console.print()


def _written(results: Sequence[Result], tables: dict[str, list[Consistency]], output: Path) -> str:
    files = ["results.md, results.json and a plot (.png) per model and data set"] if results else []
    files += ["consistency.md"] if tables else []
    return f"Written to {output}: {', '.join(files)}; the scores are in {output / 'predictions'}."


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if last < first:
            raise typer.BadParameter(f"{text!r}: expected seeds such as 0, 0-9 or 0,3,5.", param_hint="--seeds")
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))
