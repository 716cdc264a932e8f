"""`dpiqa evaluate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .extras import missing_extra
from .rating_scale import check, rating_scale
from .terminal import sentence, visible

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(
            help="NAME=FOLDER for a released set (biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013), a table "
            "(photos.csv, with its rating scale photos.csv:1:5), a Hub data set, or a folder that `dpiqa prepare` or "
            "`dpiqa distort` wrote. Repeat the option for several."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results, plots and predictions.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help='Folder or Hub id of a model, or "bundled"; repeat the option for several.',
            show_default="bundled, unless there are --predictions",
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="CSV with scores of another tool (columns path,score). Repeat the option for several."),
    ] = None,
    split: Annotated[str, typer.Option(help="Photos to evaluate on: train, validation, test or all.")] = "test",
    seeds: Annotated[
        str, typer.Option(help="Seeds for data sets without an official split, such as 0-9 or 0,3,5.")
    ] = "0",
    mos_range: Annotated[
        tuple[str, str] | None,
        typer.Option(
            callback=check,
            metavar="LOW HIGH",
            help="Rating scale of tables and Hub data sets. For several scales write photos.csv:1:5.",
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out photos that are missing or damaged.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier evaluation.")
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=0, help="Number of bootstrap samples; 0 leaves the intervals out.")
    ] = 1000,
    device: Annotated[str, typer.Option(help="auto (cuda, else mps, else cpu), or a torch device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
) -> None:
    """Compare scores with opinion scores: SRCC, PLCC, KRCC, RMSE with 95 % intervals, tables and plots.

    Scores are kept in OUTPUT/cache. A later run with the same weights and photos uses them again: after an
    interruption, and with --overwrite too.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from transformers.utils import logging

    from ..data import DataSource
    from ..evaluation.consistency import is_distorted
    from ..evaluation.evaluate import evaluate as run

    numbers, scale = _numbers(seeds), rating_scale(mos_range)
    logging.disable_progress_bar()
    models = [None if name == "bundled" else name for name in (model or ([] if predictions else ["bundled"]))]
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            found = run(
                models,
                [one if is_distorted(one) else DataSource.parse(one, scale) for one in data],
                output,
                split=split,
                seeds=numbers,
                predictions=predictions or [],
                allow_missing=allow_missing,
                overwrite=overwrite,
                resamples=resamples,
                progress=progress,
                device=device,
                dtype=dtype,
            )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(sentence(error)) from None
    except ModuleNotFoundError as error:
        raise missing_extra(error, "eval") from None
    _print(found)
    console.print(_written(found, output), highlight=False, markup=False, soft_wrap=True)


def _print(found: Evaluation) -> None:
    """Columns on a terminal, Markdown in a pipe."""
    from rich.console import Console

    from ..evaluation import consistency, report

    results, tables = found
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


def _written(found: Evaluation, output: Path) -> str:
    files = ["results.md, results.json and a plot per model and data set in plots"] if found.results else []
    files += ["consistency.md"] if found.consistency else []
    return visible(f"Written to {output}: {', '.join(files)}; the scores are in {output / 'predictions'}.")


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if last < first:
            raise typer.BadParameter(f"{text!r}: expected seeds such as 0, 0-9 or 0,3,5.", param_hint="--seeds")
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))
