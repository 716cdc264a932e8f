"""Starts the app for a test, with its temporary folder where the test says."""

import gc
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from dpiqa import Scorer


@contextmanager
def running(scorer: Scorer, folder: Path, **options):
    """Yields the app's address, with a slash at the end."""
    from dpiqa.demo.server import build_server, listen

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        server = build_server(scorer, **options)
        listener = listen("127.0.0.1")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
            # What gradio leaves open is reported here, where tests expect it, and not in a later one.
            gc.collect()
