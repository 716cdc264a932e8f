"""Loading what every command needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .terminal import sentence

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


def load_scorer(model: str | None, **options: Any) -> Scorer:
    """A scorer without bars and warnings of transformers; what is wrong with the model is wrong usage."""
    from transformers.utils import logging

    from ..scoring.scorer import Scorer

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        return Scorer.from_pretrained(model, **options)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(sentence(error), param_hint="--model, --device or --dtype") from None
