"""`dpiqa score`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from ..scoring.scorer import Score, Scorer

_MAP_SIDE = 1024


def score(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUTS...", help="Photos, folders, patterns; - reads a list from stdin.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a student or a teacher.", show_default="the bundled student"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto (cuda, mps, cpu), or a torch device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Photos per forward pass; scores do not depend on it.", show_default="16; less for a teacher"
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads.", show_default="one per core")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .csv, .jsonl or .parquet file.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Folder for quality maps laid over the photos, as PNG.")] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Best photo first, errors last.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 when a photo cannot be scored.")
    ] = False,
) -> None:
    """Score photos: higher is better, 0 to 1 on the scale of human opinion scores.

    A table on a terminal, CSV in a pipe, a file with --output. Photos that cannot be scored become rows with an error.
    """
    from ..scoring.image_files import find_images
    from ..scoring.score_files import to_row

    try:
        found = find_images(_read_names(inputs))
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="INPUTS") from None
    if not found.paths:
        raise typer.BadParameter(f"no photos found ({found.skipped} other files skipped)", param_hint="INPUTS")

    with _writer(output) as write:
        scorer = _load(model, device=device, dtype=dtype, batch_size=batch_size, workers=workers)
        if maps is not None and getattr(scorer.model.config, "head", None) != "pooled":
            raise typer.BadParameter("only students with the pooled head have quality maps", param_hint="--maps")
        rows: Iterator[dict[str, Any]] = (to_row(path, result) for path, result in _score(scorer, found.paths, maps))
        if sort:
            rows = iter(sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0))))
        failed = 0
        for row in rows:
            failed += row["error"] is not None
            write(row)
    _summarise(len(found.paths), failed, found.skipped, output)
    raise typer.Exit(1 if strict and failed else 0)


def _read_names(inputs: list[str]) -> list[str]:
    names: list[str] = []
    for name in inputs:
        names += [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if name == "-" else [name]
    return names


def _load(model: str | None, **options: Any) -> Scorer:
    import torch
    from transformers.utils import logging

    from ..scoring.scorer import Scorer

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        return Scorer.from_pretrained(model, **options)
    except (OSError, ValueError, RuntimeError, torch.AcceleratorError) as error:
        raise typer.BadParameter(str(error), param_hint="--model, --device or --dtype") from None


def _score(scorer: Scorer, paths: list[str], maps: Path | None) -> Iterator[tuple[str, Score]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        scores = scorer.stream(paths, return_map=maps is not None)
        for path, result in progress.track(zip(paths, scores, strict=True), total=len(paths)):
            if maps is not None and result.quality_map is not None:
                _save_map(path, result.quality_map, scorer, maps)
            yield path, result


def _save_map(path: str, quality_map: np.ndarray, scorer: Scorer, maps: Path) -> None:
    from ..models.images import open_image
    from ..scoring.quality_maps import colour_range, overlay

    photo = open_image(path, cover=(_MAP_SIDE, _MAP_SIDE), max_pixels=scorer.max_pixels)
    photo.thumbnail((_MAP_SIDE, _MAP_SIDE))
    # The photo's path again below the folder, from here or else from the root, so that no ".." leads out of it.
    absolute = Path(os.path.abspath(path))
    base = Path.cwd() if absolute.is_relative_to(Path.cwd()) else Path(absolute.anchor)
    target = maps / absolute.relative_to(base).with_name(absolute.name + ".png")
    target.parent.mkdir(parents=True, exist_ok=True)
    limits = colour_range(scorer.model.config.score_quantiles)
    overlay(photo, quality_map, limits).save(target)


@contextmanager
def _writer(output: Path | None) -> Iterator[Any]:
    from ..scoring.score_files import CsvWriter, open_writer

    if output is not None:
        try:
            writer = open_writer(output)
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error), param_hint="--output") from None
        with writer:
            yield writer.write
    elif sys.stdout.isatty():
        rows: list[dict[str, Any]] = []
        yield rows.append
        _print_table(rows)
    else:
        with CsvWriter(sys.stdout) as writer:
            yield writer.write


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("score", "90 % interval", "percentile", "size", "photo", box=None, header_style="bold")
    for column in table.columns[:4]:
        column.justify = "right"
    for row in rows:
        if row["error"] is not None:
            table.add_row("[red]error[/red]", "", "", "", f"{row['path']}: {row['error']}")
            continue
        interval = "" if row["low"] is None else f"{row['low']:.2f} .. {row['high']:.2f}"
        percentile = "" if row["percentile"] is None else f"{row['percentile']:.0f}"
        size = f"{row['width']}x{row['height']}"
        table.add_row(f"{row['score']:.3f}", interval, percentile, size, row["path"])
    Console().print(table)


def _summarise(count: int, failed: int, skipped: int, output: Path | None) -> None:
    from rich.console import Console

    parts = [f"{count - failed} scored"]
    parts += [f"{failed} with errors"] if failed else []
    parts += [f"{skipped} other files skipped"] if skipped else []
    parts += [f"written to {output}"] if output else []
    Console(stderr=True).print(", ".join(parts), highlight=False)
