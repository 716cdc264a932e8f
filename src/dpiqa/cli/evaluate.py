"""`dpiqa evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(
            help="NAME=FOLDER for a released set (biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013), a CSV "
            "with its rating scale (photos.csv:1:5), or a folder of `dpiqa distort`. Several: repeat the option."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results, plots and predictions.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help='Folder or Hub id, or "bundled"; repeat for several.', show_default="bundled, without --predictions"
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None, typer.Option(help="CSV of another tool (path,score), for the same table; repeatable.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seeds: Annotated[str, typer.Option(help="Of splits that are not official, such as 0-9 or 0,3,5.")] = "0",
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Leave out images that are missing.")] = False,
    resamples: Annotated[int, typer.Option(min=0, help="Of the bootstrap; 0 leaves the intervals out.")] = 1000,
    device: Annotated[str, typer.Option(help="auto (cuda, mps, cpu), or a torch device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
) -> None:
    """Compare scores with opinion scores: SRCC, PLCC, KRCC, RMSE with 95 % intervals, tables and plots.

    Scores are kept in OUTPUT/predictions and used again when the command is repeated.
    """
    from transformers.utils import logging

    from ..data import DataSource
    from ..evaluation.evaluate import evaluate as run

    logging.disable_progress_bar()
    models = [None if name == "bundled" else name for name in (model or ([] if predictions else ["bundled"]))]
    try:
        run(
            models,
            [DataSource.parse(source) for source in data],
            output,
            split=split,
            seeds=_numbers(seeds),
            predictions=predictions or [],
            allow_missing=allow_missing,
            resamples=resamples,
            device=device,
            dtype=dtype,
        )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    except ModuleNotFoundError as error:
        raise typer.BadParameter(f'{error.name} is not installed: pip install "dpiqa[eval]".') from None
    for name in ("results.md", "consistency.md"):
        if (output / name).exists():
            print((output / name).read_text(encoding="utf-8"))


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
