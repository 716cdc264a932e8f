"""Running the app, for oneself or in public."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import uvicorn
from transformers.utils import logging

from ..scoring.scorer import Scorer
from .connections import ImpatientProtocol
from .limits import FORMATS, LOCAL, MAX_CONNECTIONS, PUBLIC, Limits
from .storage import PREFIX, remove_folders_of_the_dead
from .web import build_web_app

_FIRST_PORT, _NUM_PORTS = 7860, 100


class CannotListenError(OSError):
    """The port is taken or may not be used, or the host is not this machine."""


def serve(
    model: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    limits: Limits | None = None,
) -> None:
    """Loads a model and serves the app until it is interrupted.

    Uploads and results live in a temporary folder, which goes when the server stops. What a server that was killed
    left behind goes when the next one starts.

    Args:
        model: Folder or Hub id of a student or a teacher; None takes the variable DPIQA_MODEL, else the student
            inside the package.
        host: Address to listen on; None takes GRADIO_SERVER_NAME, else this machine only.
        port: None takes GRADIO_SERVER_PORT, else the first free one from 7860.
        limits: How much the app takes. None takes [`dpiqa.demo.limits.LOCAL`] where nobody but this machine reaches
            the address, and [`dpiqa.demo.limits.PUBLIC`] elsewhere; behind a proxy, say which.

    Raises:
        CannotListenError: When the port is taken or may not be used, or the host is not this machine.
        OSError: When there is no such checkpoint.
        ValueError: When it is a checkpoint of another kind of model.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = port or int(os.environ.get("GRADIO_SERVER_PORT") or 0) or None
    if limits is None:
        limits = LOCAL if is_this_machine(host) else PUBLIC
    logging.disable_progress_bar()
    remove_folders_of_the_dead()
    with (
        _stopped_cleanly(),
        listen(host, port) as listener,
        tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder,
    ):
        os.environ["GRADIO_TEMP_DIR"] = folder
        source = model or os.environ.get("DPIQA_MODEL") or None
        scorer = Scorer.from_pretrained(source, max_pixels=limits.max_pixels, formats=FORMATS)
        server = build_server(scorer, limits)
        shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        print(f"The app is at http://{shown}:{listener.getsockname()[1]} and stops on Ctrl-C.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def is_this_machine(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # another name, of whatever address
        return False


def build_server(scorer: Scorer, limits: Limits = PUBLIC) -> uvicorn.Server:
    """The web server of the app; its `run` takes the socket of [`listen`].

    Args:
        scorer: What scores.
        limits: How much the app takes, and how long it keeps it.
    """
    return uvicorn.Server(
        uvicorn.Config(
            build_web_app(scorer, limits),
            http=ImpatientProtocol,
            ws="none",
            log_level="warning",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=10,
        )
    )


def listen(host: str, port: int | None = None) -> socket.socket:
    """Opens the port.

    Args:
        host: Address or name of this machine.
        port: None is the first free one from 7860.

    Raises:
        CannotListenError: When the port is taken or may not be used, or the host is not this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = range(_FIRST_PORT, _FIRST_PORT + _NUM_PORTS) if port is None else [port]
    for number in ports:
        try:
            return socket.create_server((host, number), family=family, backlog=2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
                raise CannotListenError(f"Cannot listen on {host}, port {number}: {reason}.") from None
    found = f"Port {port} is taken" if port else f"Ports {_FIRST_PORT} to {_FIRST_PORT + _NUM_PORTS - 1} are taken"
    raise CannotListenError(f"{found} on {host}: choose another one.")


@contextlib.contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Makes every signal that asks to stop leave as if interrupted: the temporary folder is removed on the way out."""
    handlers: dict[int, Callable[..., Any]] = {signal.SIGTERM: lambda *_: sys.exit(0)}
    for name in ("SIGHUP", "SIGQUIT"):
        if hasattr(signal, name):
            # uvicorn takes SIGTERM while it runs, and lets requests end.
            handlers[getattr(signal, name)] = lambda *_: signal.raise_signal(signal.SIGTERM)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
