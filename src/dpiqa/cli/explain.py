"""`dpiqa explain`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .extras import missing_extra
from .load import load_scorer
from .terminal import visible, wrong_usage


def explain(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="One photo.")],
    model: Annotated[str, typer.Option(help="Folder or Hub id of a teacher, such as `dpiqa train teacher` makes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture, a .png file.")] = Path("explain.png"),
    student: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a student with quality maps.", show_default="the bundled student"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that exists.")] = False,
    device: Annotated[str, typer.Option(help="auto (cuda, mps, cpu), or a torch device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
) -> None:
    """Draw what a teacher reads in a photo: one picture with its features and its attention to the quality words.

    It shows the photo with its score, the quality map of a student, the features at each level of the teacher's UNet,
    and the places where each quality word and the most attended distortion words get attention. Attention says where
    a word is looked up, not why the score is high or low.
    """
    _check_output(output, photo, overwrite)
    try:
        from ..explaining.figure import save_explanation
    except ModuleNotFoundError as error:
        raise missing_extra(error, "eval") from None
    from ..explaining.explanation import explain_photo
    from ..models.images import check_image

    with wrong_usage("PHOTO"):
        check_image(photo)
    teacher = load_scorer(model, device=device, dtype=dtype)
    with wrong_usage():  # the message names the photo, the model or the picture
        explanation = explain_photo(photo, teacher, load_scorer(student, option="--student", device=device))
        save_explanation(explanation, output)
    score = explanation.score.score
    print(visible(f"{photo}: the teacher's score is {score:.3f}; what it reads is in {output}"))


def _check_output(output: Path, photo: Path, overwrite: bool) -> None:
    """Says what is wrong with the name of the picture before anything is computed."""
    # With os.path: pathlib raises on names that are too long, which are reported when the picture is written.
    problem = None
    if output.suffix.lower() != ".png":
        problem = "expected the name of a .png file"
    elif not os.path.isdir(output.parent):
        problem = "there is no such folder"
    elif os.path.isdir(output):
        problem = "this is a folder"
    elif os.path.exists(output) and os.path.exists(photo) and os.path.samefile(output, photo):
        problem = "this is the photo itself"
    elif os.path.exists(output) and not overwrite:
        problem = "it exists already: allow it to be replaced with --overwrite"
    if problem is not None:
        raise typer.BadParameter(visible(f"{output}: {problem}"), param_hint="--output")
