"""The app as a web application: gradio's page behind the gate."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from ..scoring.colours import CSS_VARIABLES
from ..scoring.scorer import Scorer
from .app import build_demo
from .gate import Gate
from .limits import MAX_SESSIONS, PUBLIC, Limits
from .storage import files_now, remove_older

_FONTS = ["system-ui", "sans-serif"]


def build_web_app(scorer: Scorer, limits: Limits = PUBLIC) -> FastAPI:
    """Builds what a web server such as uvicorn serves: the page and its endpoints, within limits.

    Args:
        scorer: What scores. In public it must have the limits of [`dpiqa.demo.limits`], as in [`dpiqa.demo.serve`].
        limits: How much it takes, and how long it keeps it.
    """
    demo = build_demo(scorer, limits)
    demo.state_session_capacity = MAX_SESSIONS

    @contextlib.asynccontextmanager
    async def clearing(_: FastAPI) -> AsyncIterator[None]:
        # What is there at the start are the examples.
        task = asyncio.create_task(_clear(limits, files_now()))
        yield
        task.cancel()

    # gradio reflects every origin, with credentials, unless the application around it says what it wants: none.
    outer = FastAPI(openapi_url=None, lifespan=clearing, middleware=[Middleware(CORSMiddleware)])
    return gr.mount_gradio_app(
        outer,
        demo,
        path="/",
        app_kwargs={"middleware": [Middleware(Gate, limits=limits)]},
        root_path=os.environ.get("GRADIO_ROOT_PATH", ""),
        max_file_size=limits.max_file_bytes,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        run_history=False,
        footer_links=["api"],
        # No fonts from other servers.
        theme=gr.themes.Default(primary_hue="green", font=_FONTS, font_mono=["ui-monospace", "monospace"]),
        head_paths=Path(__file__).with_name("head.html"),
        css=f".gradio-container {{ {CSS_VARIABLES} }}",
        css_paths=Path(__file__).with_name("style.css"),
    )


async def _clear(limits: Limits, keep: frozenset[Path]) -> None:
    while True:
        await asyncio.sleep(limits.delete_every)
        await run_in_threadpool(remove_older, limits.delete_after, keep)
