"""Running the app, for oneself or in public."""

from __future__ import annotations

import os
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
from .limits import MAX_FILE_BYTES, MAX_SESSIONS

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

    Uploads and results live in a temporary folder, which goes when the server stops.

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
    scorer = Scorer.from_pretrained(model or os.environ.get("DPIQA_MODEL") or None)
    # Asked to stop, leave as if interrupted: the temporary folder is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="dpiqa-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        build_demo(scorer).launch(server_name=host, server_port=port, **launch_options())
