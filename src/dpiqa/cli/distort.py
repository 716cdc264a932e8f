"""`dpiqa distort`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..counting import counted
from .load import find_photos, skipped
from .terminal import visible, wrong_usage


def distort(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTOS", help="Pristine photos: files, folders or patterns; - reads a list of paths from stdin."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the distorted photos and their labels.")],
    max_side: Annotated[
        int, typer.Option(min=64, help="Larger photos are first resized to this longer side, in pixels.")
    ] = 512,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write to a folder that holds files.")] = False,
) -> None:
    """Make a synthetic test set from your own photos: 25 kinds of distortion at five levels each.

    `dpiqa evaluate --data OUTPUT` then says how consistently a model's scores fall with the level.
    """
    from ..data.distortions import make_distorted_set

    found = find_photos(images, "PHOTOS")
    if not found.paths:
        raise typer.BadParameter(f"no photos found ({visible(str(found.entries[0][1]))})", param_hint="PHOTOS")
    for path, error in found.entries:
        if error is not None:
            print(visible(f"{path} is left out: {error}"), file=sys.stderr)
    if found.skipped:
        print(skipped(found), file=sys.stderr)
    with wrong_usage():  # the message names the photo or the folder
        count = make_distorted_set(found.paths, output, max_side=max_side, overwrite=overwrite)
    print(visible(f"{output}: {count} of {counted(len(found.entries), 'photo')}, each with its distorted versions"))
