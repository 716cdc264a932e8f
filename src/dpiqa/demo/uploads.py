"""Uploaded photos: the only files that the app opens."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.utils import get_upload_folder

from ..models.images import OPENING_ERRORS, check_image
from .limits import Limits

_log = logging.getLogger(__name__)


class Upload(NamedTuple):
    """A file in the temporary folder, and the name that its owner gave it."""

    path: str
    name: str


def to_upload(file: Any) -> Upload:
    """A file of a confined request as an upload, not opened: that is for `dpiqa.open_image` to do.

    Raises:
        gradio.Error: When it is no file.
    """
    if not isinstance(file, dict) or not isinstance(file.get("path"), str):
        raise gr.Error("Expected an uploaded photo.", print_exception=False)
    return Upload(file["path"], file.get("orig_name") or "")


def to_uploads(files: Any, limits: Limits) -> list[Upload]:
    """The files of a confined request as uploads.

    All that is read of them is how many pixels they have: a request holds the one scorer until it is done.

    Raises:
        gradio.Error: When they are none, too many, or have too many pixels together.
    """
    found = len(files) if isinstance(files, list) else 0
    if not 1 <= found <= limits.max_photos:
        raise gr.Error(
            f"A request may have 1 to {limits.max_photos:,} photos, and this one has {found:,}.", print_exception=False
        )
    uploads = [to_upload(file) for file in files]
    megapixels = sum(_num_pixels(upload, limits.max_pixels) for upload in uploads) / 1e6
    if megapixels > limits.max_photos_pixels / 1e6:
        raise gr.Error(
            f"These photos have {megapixels:,.0f} megapixels together, and a request may have "
            f"{limits.max_photos_pixels / 1e6:,.0f}: please send fewer at a time, or smaller ones.",
            print_exception=False,
        )
    return uploads


def _num_pixels(upload: Upload, max_pixels: int) -> int:
    """What the header says; 0 for a file that the scorer refuses anyway."""
    try:
        width, height = check_image(upload.path, max_pixels=max_pixels)
    except OPENING_ERRORS:
        return 0
    return width * height


def is_inside_upload_folder(path: str) -> bool:
    """Whether a path, links followed, leads to a file in the temporary folder."""
    if "\0" in path:
        return False
    real = Path(os.path.realpath(path))
    return real.is_relative_to(os.path.realpath(get_upload_folder())) and real.is_file()


def confine(value: Any) -> Any:
    """Reduces every file in a request to an upload: what else it says about the file is dropped.

    Raises:
        gradio.Error: When a file is a URL, data in the request itself, or a path outside the temporary folder.
    """
    if isinstance(value, list):
        return [confine(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not {"path", "url"} & value.keys():
        return {key: confine(item) for key, item in value.items()}
    path = value.get("path")
    if not isinstance(path, str) or not is_inside_upload_folder(path):
        raise gr.Error("Only uploaded photos are taken: no paths, no URLs.", print_exception=False)
    name = os.path.basename(str(value.get("orig_name") or path))[:120]
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


class ConfinedBlocks(gr.Blocks):
    """Blocks that confine what comes in before gradio copies a file or fetches a URL."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Like that of every Blocks, on confined inputs.

        Raises:
            gradio.Error: When the inputs do not fit the event. gradio's own errors write what they got into the log.
        """
        try:
            if not block_fn.fn:
                raise LookupError("The page does this by itself.")
            return await super().preprocess_data(block_fn, confine(inputs), *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            _log.warning("An event got what it does not take: %s", type(error).__name__)
            raise gr.Error("This is not what the event takes.", print_exception=False) from None
