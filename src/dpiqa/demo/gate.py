"""What of gradio's web server strangers can reach."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import MAX_FOLDER_BYTES, MAX_REQUEST_BYTES, MAX_UPLOAD_BYTES
from .uploads import is_inside_upload_folder

# The page, its parts, and the queue. Everything else of gradio (fetching URLs on behalf of the browser, deep links,
# recordings, proxies, development) is not there.
_OPEN = re.compile(
    r"/|/(config|favicon\.ico|robots\.txt|theme\.css|manifest\.json)/?|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|app_id|startup-events|theme\.css|login_check|user|upload|upload_progress|cancel|reset"
    r"|heartbeat/\w+|queue/(join|data)|call/(v2/)?\w+(/\w+)?)/?"
)
_FILE = "/gradio_api/file="
_UPLOAD = "/gradio_api/upload"
_log = logging.getLogger(__name__)


_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class Gate:
    """Middleware that lets through what the app needs, within limits."""

    def __init__(self, app: ASGIApp):
        self.app = app
        # Bytes of uploads that are on their way; they count as if they were in the folder already.
        self._expected_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with the reason why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            num_bytes = _admit(scope, self._expected_bytes)
            exchange.bytes_left = num_bytes
            upload = num_bytes if _is_upload(scope) else 0
            self._expected_bytes += upload
            try:
                await self.app(scope, exchange.receive, exchange.send)
            finally:
                self._expected_bytes -= upload
        except _RefusedError as refusal:
            await exchange.answer(scope, refusal.status, refusal.reason)
        except Exception as error:
            # gradio fails on much that makes no sense; its tracebacks would put users' file names into the log.
            _log.warning("A request to %s failed: %s", scope["path"].split("=")[0], type(error).__name__)
            _log.debug("How it failed:", exc_info=True)
            await exchange.answer(scope, 400, "This request makes no sense to the app.")


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str):
        self.status, self.reason = status, reason


class _Exchange:
    """One request and its answer: counts what comes in, and knows whether the answer has begun."""

    def __init__(self, receive: Receive, send: Send):
        self._receive, self._send = receive, send
        self._has_begun = False
        self.bytes_left = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_left -= len(message.get("body", b""))
        if self.bytes_left < 0:
            raise _RefusedError(413, "The request is longer than it says.")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            message = {**message, "headers": [*message.get("headers", ()), _NO_SNIFFING]}
        await self._send(message)

    async def answer(self, scope: Scope, status: int, reason: str) -> None:
        # An answer that has begun is cut off by the server.
        if not self._has_begun:
            await PlainTextResponse(reason, status)(scope, self._receive, self.send)


def _is_upload(scope: Scope) -> bool:
    return _path(scope).rstrip("/") == _UPLOAD


def _path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _admit(scope: Scope, expected_bytes: int) -> int:
    """The number of bytes that a request may have.

    Raises:
        _RefusedError: When it is not let through.
    """
    path, headers = _path(scope), Headers(scope=scope)
    if "transfer-encoding" in headers:
        raise _RefusedError(411, "Send the request in one piece, with its length (Content-Length).")
    if path.startswith(_FILE):
        if not is_inside_upload_folder(path.removeprefix(_FILE)):
            raise _RefusedError(404, "No such file.")
    elif not _OPEN.fullmatch(path) or "\0" in path:
        raise _RefusedError(404, "Not found.")
    length = headers.get("content-length", "" if scope["method"] == "POST" else "0")
    if not (length.isascii() and length.isdecimal()):
        raise _RefusedError(411, "Say how long the request is (Content-Length).")
    num_bytes = int(length) if len(length) < 16 else 10**16
    limit = MAX_UPLOAD_BYTES if _is_upload(scope) else MAX_REQUEST_BYTES
    if num_bytes > limit:
        raise _RefusedError(413, f"At most {limit:,} bytes in one request.")
    if _is_upload(scope) and _folder_bytes() + expected_bytes + num_bytes > MAX_FOLDER_BYTES:
        raise _RefusedError(503, "Too many photos are being looked at just now: please try again in a few minutes.")
    return num_bytes


def _folder_bytes() -> int:
    total = 0
    for root, _, names in os.walk(get_upload_folder()):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                total += Path(root, name).lstat().st_size
    return total
