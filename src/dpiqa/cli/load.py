"""Loading what every command needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from .terminal import visible, wrong_usage

if TYPE_CHECKING:
    from ..scoring.image_files import FoundImages
    from ..scoring.scorer import Scorer


def load_scorer(model: str | None, *, device: str = "auto", dtype: str = "auto", **options: Any) -> Scorer:
    """A scorer without bars and warnings of transformers; what cannot be loaded or used is wrong usage."""
    from transformers.utils import logging

    from ..scoring.scorer import DTYPES, Scorer, pick_device

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with wrong_usage("--device"):
        pick_device(device)
    if dtype not in ("auto", *DTYPES):
        raise typer.BadParameter(f"expected auto, {', '.join(DTYPES)}, got {visible(dtype)}", param_hint="--dtype")
    with wrong_usage("--model"):
        return Scorer.from_pretrained(model, device=device, dtype=dtype, **options)


def find_photos(inputs: list[str], argument: str) -> FoundImages:
    """The photos that an argument of a command names; `-` is a list on stdin."""
    from ..scoring.image_files import FoundImages

    found = FoundImages()
    for name in inputs:
        if name == "-":
            for line in _names_on_stdin():
                found.add(line, patterns=False)
        else:
            found.add(name)
    if not found.entries:
        raise typer.BadParameter(f"no photos found ({skipped(found) or 'nothing is there'})", param_hint=argument)
    if "-" not in inputs and not any(os.path.lexists(path) for path, _ in found.entries):
        names = ", ".join(visible(path) for path, _ in found.entries[:3])
        more = f" and {len(found.entries) - 3} more" if len(found.entries) > 3 else ""
        raise typer.BadParameter(f"no file or folder matches {names}{more}", param_hint=argument)
    return found


def _names_on_stdin() -> Iterator[str]:
    # As bytes: file names need not be text.
    for line in sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            yield os.fsdecode(line.removesuffix(b"\r"))


def skipped(found: FoundImages) -> str:
    """What of the walked folders is no photo."""
    num_raw = sum(found.raw.values())
    parts = [f"{found.skipped - num_raw} other files skipped"] if found.skipped > num_raw else []
    if num_raw:
        parts.append(f"{num_raw} RAW files ({', '.join(sorted(found.raw))}): export them as JPEG first")
    return ", ".join(parts)
