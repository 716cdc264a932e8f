"""`dpiqa prepare` and `dpiqa distort`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .extras import missing_extra
from .rating_scale import check, rating_scale


def prepare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="NAME=FOLDER for a released set (biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013), or a "
            ".csv, .jsonl or .parquet file of path,mos.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the Parquet files and the card.")],
    push_to: Annotated[str | None, typer.Option(help="Hub data set to upload it to, ORG/NAME; private.")] = None,
    mos_range: Annotated[
        tuple[str, str] | None,
        typer.Option(callback=check, metavar="LOW HIGH", help="Lowest and highest of a table's rating scale."),
    ] = None,
    split_by: Annotated[
        str | None, typer.Option(help='"scene" keeps near-identical photos on one side of a cut.')
    ] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Leave out images that are missing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what was prepared there before.")] = False,
) -> None:
    """Turn a data set as its authors release it into Parquet files with a data set card."""
    from datasets import disable_progress_bars

    from ..data import DataSource, load_iqa_splits
    from ..data.prepare import prepare_dataset, push_dataset

    scale = rating_scale(mos_range)
    disable_progress_bars()
    try:
        source = DataSource.parse(data, scale)
        splits = load_iqa_splits(source, split_by=split_by, allow_missing=allow_missing)
        counts = prepare_dataset(splits, output, overwrite=overwrite)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    except ModuleNotFoundError as error:
        raise missing_extra(error, "eval") from None
    print(f"{output}: " + ", ".join(f"{split} {count}" for split, count in counts.items()))
    if push_to:
        print(push_dataset(output, push_to))


def distort(
    images: Annotated[list[str], typer.Argument(metavar="PHOTOS...", help="Pristine photos: files and folders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the distorted photos and their labels.")],
    max_side: Annotated[int, typer.Option(min=64, help="Photos are made smaller to this longer side first.")] = 512,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write to a folder that holds files.")] = False,
) -> None:
    """Make a synthetic test set from your own photos: 25 kinds of distortion at five levels each.

    `dpiqa evaluate --data OUTPUT` then says how consistently a model's scores fall with the level.
    """
    from ..data.distortions import make_distorted_set
    from ..scoring.image_files import find_images

    try:
        paths = find_images(images).paths
        if not paths:
            raise ValueError("no photos found")
        count = make_distorted_set(paths, output, max_side=max_side, overwrite=overwrite)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="PHOTOS") from None
    print(f"{output}: {count} of {len(paths)} photos, each with its distorted versions")
