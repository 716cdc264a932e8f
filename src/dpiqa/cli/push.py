"""`dpiqa push`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .terminal import sentence, visible, wrong_usage


def push(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            exists=True,
            file_okay=False,
            metavar="CHECKPOINT",
            help="Folder of a student or a teacher, with its card as README.md.",
        ),
    ],
    repo_id: Annotated[
        str,
        typer.Argument(
            metavar="REPO_ID", help="Model on the Hub, ORGANISATION/NAME; it is made when it does not exist."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every file and send none.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Put a checkpoint on the Hub: weights, configurations, model card, and the code that they need.

    Every file is checked before one is sent. You need a token: `hf auth login`, or the variable HF_TOKEN.
    """
    from transformers.utils import logging

    from ..hub.push import check_repo_id, push_to_hub

    logging.disable_progress_bar()
    with wrong_usage("REPO_ID"):
        check_repo_id(repo_id)
    with wrong_usage("CHECKPOINT"), refused_by_the_hub():
        files = push_to_hub(checkpoint, repo_id, dry_run=dry_run, private=private)
    for file in files:
        print(visible(f"{file.name:32}{file.num_bytes:>12,}  {file.found}"))
    outcome = "none was sent" if dry_run else f"all were sent: https://huggingface.co/{repo_id}"
    print(f"{len(files)} files are fit to be sent, {outcome}")


@contextmanager
def refused_by_the_hub() -> Iterator[None]:
    """Makes a sentence and status 1 of a Hub that cannot be reached or says no."""
    from huggingface_hub.utils import httpx

    try:
        yield
    except (httpx.HTTPError, ConnectionError) as error:
        print(f"the Hub did not take it: {sentence(error)}", file=sys.stderr)
        raise typer.Exit(1) from None
