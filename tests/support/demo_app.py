"""Starts the app for a test, with its temporary folder where the test says."""

import gc
from contextlib import contextmanager
from pathlib import Path

import pytest

from dpiqa import Scorer


@contextmanager
def running(scorer: Scorer, folder: Path, **options):
    """Yields the app's address, with a slash at the end."""
    from dpiqa.demo import build_demo, launch_options

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        demo = build_demo(scorer, **options)
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
        try:
            yield url
        finally:
            demo.close()
            # What gradio leaves open is reported here, where tests expect it, and not in a later one.
            gc.collect()
