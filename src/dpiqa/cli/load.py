"""Loading what every command needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from ..counting import counted
from .terminal import sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..scoring.image_files import FoundImages
    from ..scoring.scorer import Scorer


def load_scorer(
    model: str | None,
    *,
    option: str = "--model",
    backend: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> Scorer:
    """A scorer without bars and warnings of transformers; what cannot be loaded or used is wrong usage.

    Args:
        model: Folder or Hub id; None takes the bundled student.
        option: The option that named the model.
        backend: As `device` and `dtype`, see [`dpiqa.Scorer.from_pretrained`].
        device: Likewise.
        dtype: Likewise.
        **options: Its other arguments.
    """
    from ..scoring.backends.backend import DTYPES
    from ..scoring.backends.load import BACKENDS, EXPORTED, exported_class
    from ..scoring.scorer import Scorer

    _quiet_transformers()
    if device not in ("auto", "cpu"):
        from ..scoring.devices import pick_device

        with wrong_usage("--device"):
            pick_device(device)
    if backend is not None and backend not in ("auto", *BACKENDS):
        expected = ", ".join(BACKENDS)
        raise typer.BadParameter(f"expected auto, {expected}, got {visible(backend)}", param_hint="--backend")
    if backend in EXPORTED:
        try:
            dtypes = exported_class(backend).dtypes_here()
        except ImportError as error:
            raise typer.BadParameter(sentence(error), param_hint="--backend") from None
        if dtype not in ("auto", *dtypes):
            message = f"{backend} computes in {' or '.join(dtypes)} here, not in {visible(dtype)}"
            raise typer.BadParameter(message, param_hint="--dtype")
    if dtype not in ("auto", *DTYPES):
        raise typer.BadParameter(f"expected auto, {', '.join(DTYPES)}, got {visible(dtype)}", param_hint="--dtype")
    with wrong_usage(option):
        try:
            return Scorer.from_pretrained(model, backend=backend, device=device, dtype=dtype, **options)
        except ImportError as error:  # of what an export needs
            raise typer.BadParameter(sentence(error), param_hint="--backend") from None


def _quiet_transformers() -> None:
    """Says it in the environment as well: backends that can do without transformers need not import it."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if "transformers" in sys.modules:
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()


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
        hint = "; URLs are not fetched: download the photo first" if "://" in names else ""
        raise typer.BadParameter(f"no file or folder matches {names}{more}{hint}", param_hint=argument)
    return found


def _names_on_stdin() -> Iterator[str]:
    # As bytes: file names need not be text.
    for line in sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            yield os.fsdecode(line.removesuffix(b"\r"))


def skipped(found: FoundImages) -> str:
    """What was found and is no photo of its own; empty when there is nothing."""
    num_raw = sum(found.raw.values())
    parts = [f"{found.repeated} named again"] if found.repeated else []
    parts += [f"{counted(found.skipped - num_raw, 'other file')} skipped"] if found.skipped > num_raw else []
    if num_raw:
        parts.append(f"{counted(num_raw, 'RAW file')} ({', '.join(sorted(found.raw))}): export as JPEG first")
    return ", ".join(parts)
