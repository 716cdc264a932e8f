"""`dpiqa export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .commands import stopped_in_order
from .load import find_photos
from .terminal import sentence, wrong_usage


class Format(StrEnum):
    """What a student can be exported for."""

    onnx = "onnx"
    openvino = "openvino"


class Quantization(StrEnum):
    """What it can be quantised to."""

    int8 = "int8"


def export(
    format: Annotated[Format, typer.Option("--format", help="The runtime to export for.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the export, new or empty.")],
    model: Annotated[
        str | None, typer.Option(help="Folder or Hub id of a student.", show_default="the bundled student")
    ] = None,
    quantize: Annotated[
        Quantization | None, typer.Option(help="Use 8 bits for weights and activations; needs --photos.")
    ] = None,
    photos: Annotated[
        list[str] | None,
        typer.Option(help="Photos, folders or patterns to compare scores on; at least 50 photos for int8."),
    ] = None,
) -> None:
    """Write a student for ONNX Runtime or OpenVINO, and compare its scores with PyTorch's.

    `dpiqa score --model FOLDER` then scores with it. Nothing is written when the scores are too far from
    PyTorch's: by more than 0.0001 in float32, or with a rank correlation (SRCC) under 0.995 in int8.
    """
    from ..checkpoints import bundled_checkpoint
    from ..scoring.export import export_student

    if quantize is not None and not photos:
        raise typer.BadParameter("name at least 50 photos to calibrate on: --photos FOLDER", param_hint="--quantize")
    found = find_photos(photos, "--photos").paths if photos else []
    with stopped_in_order(), wrong_usage():
        try:
            agreements = export_student(
                model or bundled_checkpoint(),
                format.value,
                output,
                quantize=None if quantize is None else quantize.value,
                photos=found,
            )
        except ImportError as error:
            raise typer.BadParameter(sentence(error), param_hint="--format") from None
    for agreement in agreements:
        print(agreement)
    print(f"{output}: written")
