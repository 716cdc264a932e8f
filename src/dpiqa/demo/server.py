"""Running the app, for oneself or in public."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from transformers.utils import logging

from ..scoring.scorer import Scorer
from .app import build_demo
from .gate import Gate
from .limits import FORMATS, MAX_FILE_BYTES, MAX_PIXELS, MAX_SESSIONS

_FOLDER = "dpiqa-demo-"
_FONTS = ["system-ui", "sans-serif"]


def launch_options() -> dict[str, Any]:
    """Arguments that the app's `launch` must be given: limits, the gate, and how it looks."""
    return {
        "max_file_size": MAX_FILE_BYTES,
        "app_kwargs": {"middleware": [Middleware(Gate)]},
        "state_session_capacity": MAX_SESSIONS,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
        "footer_links": ["api"],
        # No fonts from other servers.
        "theme": gr.themes.Default(primary_hue="green", font=_FONTS, font_mono=["ui-monospace", "monospace"]),
        "head_paths": Path(__file__).with_name("head.html"),
        "css_paths": Path(__file__).with_name("style.css"),
    }


def serve(model: str | None = None, *, host: str | None = None, port: int | None = None) -> None:
    """Loads a model and serves the app until it is interrupted.

    Uploads and results live in a temporary folder, which goes when the server stops. What a server that was killed
    left behind goes when the next one starts.

    Args:
        model: Folder or Hub id of a student or a teacher; None takes the variable DPIQA_MODEL, else the student
            inside the package.
        host: Address to listen on; None takes GRADIO_SERVER_NAME, else this machine only.
        port: None takes GRADIO_SERVER_PORT, else the first free one from 7860.

    Raises:
        OSError: When there is no such checkpoint, or the port is taken.
        ValueError: When it is a checkpoint of another kind of model.
    """
    logging.disable_progress_bar()
    source = model or os.environ.get("DPIQA_MODEL") or None
    scorer = Scorer.from_pretrained(source, max_pixels=MAX_PIXELS, formats=FORMATS)
    # Asked to stop, leave as if interrupted: the temporary folder is removed on the way out.
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))
    _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        build_demo(scorer).launch(server_name=host, server_port=port, **launch_options())


def _remove_leftovers() -> None:
    """Removes the temporary folders of servers that run no more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        process = folder.name.removeprefix(_FOLDER).partition("-")[0]
        # In containers a new server often has the number of the old one.
        if process.isdecimal() and (int(process) == os.getpid() or not _is_running(int(process))):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    with contextlib.suppress(PermissionError):  # it runs, as another user's
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
