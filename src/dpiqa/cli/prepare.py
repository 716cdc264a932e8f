"""`dpiqa prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .extras import missing_extra
from .push import refused_by_the_hub
from .rating_scale import check, rating_scale
from .terminal import sentence, visible, wrong_usage


def prepare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="NAME=FOLDER for a released set (biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013), or a "
            ".csv, .jsonl or .parquet file with the columns path,mos.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the Parquet files and the card.")],
    push_to: Annotated[
        str | None, typer.Option(help="Private data set on the Hub, ORG/NAME, to upload it to.")
    ] = None,
    mos_range: Annotated[
        tuple[str, str] | None,
        typer.Option(
            callback=check, metavar="LOW HIGH", help="Lowest and highest MOS of the rating scale of a table."
        ),
    ] = None,
    split_by: Annotated[
        str | None, typer.Option(help='"scene" keeps near-identical photos in the same split.')
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
    if push_to:
        _check_repo_id(push_to)
    try:
        source = DataSource.parse(data, scale)
        splits = load_iqa_splits(source, split_by=split_by, allow_missing=allow_missing)
        counts = prepare_dataset(splits, output, overwrite=overwrite)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(sentence(error)) from None
    except ModuleNotFoundError as error:
        raise missing_extra(error, "eval") from None
    print(visible(f"{output}: " + ", ".join(f"{split} {count}" for split, count in counts.items())))
    if push_to:
        with refused_by_the_hub():
            print(push_dataset(output, push_to))


def _check_repo_id(repo_id: str) -> None:
    from ..hub.push import check_repo_id

    with wrong_usage("--push-to"):
        check_repo_id(repo_id)
