"""What of gradio's web server strangers can reach."""

from __future__ import annotations

import asyncio
import logging
import re
import time

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import MAX_ARRIVAL, MAX_PAUSE, Limits
from .storage import bytes_on_disk
from .uploads import is_inside_upload_folder

# The page, its parts, and the queue. Everything else of gradio (fetching URLs on behalf of the browser, deep links,
# recordings, proxies, development) is not there. These routes are private to gradio, so that setup.py has an upper
# bound for it: a new minor version is allowed when tests/demo has passed with it.
_OPEN = re.compile(
    r"/|/(config|favicon\.ico|robots\.txt|theme\.css|manifest\.json)/?|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|app_id|startup-events|theme\.css|login_check|user|upload|upload_progress|cancel|reset"
    r"|heartbeat/\w+|queue/(join|data)|call/(v2/)?\w+(/\w+)?)/?"
)
_FILE = "/gradio_api/file="
_UPLOAD = "/gradio_api/upload"
_log = logging.getLogger(__name__)

# No policy of who may frame the page: huggingface.co does, and so may others.
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
# A file of a stranger, opened by itself, is a page without scripts and without an origin.
_FILE_HEADERS = [(b"content-security-policy", b"sandbox")]


class Gate:
    """Middleware that lets through what the app needs, within limits."""

    def __init__(self, app: ASGIApp, limits: Limits):
        self.app, self.limits = app, limits
        # Bytes of uploads that are on their way; they count as if they were in the folder already.
        self._expected_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with the reason why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        upload = 0
        try:
            exchange.bytes_left = num_bytes = _admit(scope, self.limits)
            upload = num_bytes if _is_upload(scope) else 0
            self._expected_bytes += upload
            if scope["method"] == "POST":
                await self._check_folder()
            await self.app(scope, exchange.receive, exchange.send)
        except _RefusedError as refusal:
            await exchange.refuse(refusal)
        except Exception as error:
            # gradio fails on much that makes no sense; its tracebacks would put users' file names into the log.
            _log.warning("A request to %r failed: %s", _path(scope).split("=")[0][:80], type(error).__name__)
            _log.debug("How it failed:", exc_info=True)
            await exchange.refuse(_RefusedError(400, "This request makes no sense to the app."))
        finally:
            self._expected_bytes -= upload

    async def _check_folder(self) -> None:
        # In a thread: there may be many files to count.
        on_disk = await run_in_threadpool(bytes_on_disk)
        if on_disk + self._expected_bytes > self.limits.max_folder_bytes:
            raise _RefusedError(
                503, "Too many photos are being looked at just now: please try again in a few minutes."
            )


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str):
        self.status, self.reason = status, reason


class _Exchange:
    """One request and its answer: counts what comes in and how long it takes, knows whether the answer has begun."""

    def __init__(self, scope: Scope, receive: Receive, send: Send):
        self._scope, self._receive, self._send = scope, receive, send
        self._deadline = time.monotonic() + MAX_ARRIVAL
        self._has_arrived = self._has_begun = self._is_stream = False
        self._refusal: _RefusedError | None = None
        self.bytes_left = 0

    async def receive(self) -> Message:
        if self._has_arrived:
            # What comes now is that the client hangs up, whenever it does.
            return await self._receive()
        try:
            async with asyncio.timeout(min(MAX_PAUSE, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(408, "The request takes too long to arrive.") from None
        self._has_arrived = not message.get("more_body", False)
        self.bytes_left -= len(message.get("body", b""))
        if self.bytes_left < 0:
            raise self._refused(413, "The request is longer than it says.")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._refusal is not None:
                # gradio took it for a fault of its own.
                raise self._refusal
            self._has_begun = True
            self._is_stream = "content-length" not in Headers(raw=message.get("headers", []))
            extra = _HEADERS + (_FILE_HEADERS if _path(self._scope).startswith(_FILE) else [])
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await self._send(message)

    async def refuse(self, refusal: _RefusedError) -> None:
        if self._has_begun:
            # A stream of events, in which gradio has said what is wrong, ends. Anything else is cut off by the server.
            if self._is_stream:
                await self._send({"type": "http.response.body"})
            return
        self._refusal = None
        # gradio's page shows the text of a failed upload, and the "detail" of a failed event.
        answer = (
            PlainTextResponse(refusal.reason, refusal.status)
            if _is_upload(self._scope)
            else JSONResponse({"detail": refusal.reason}, refusal.status)
        )
        await answer(self._scope, self._receive, self.send)

    def _refused(self, status: int, reason: str) -> _RefusedError:
        self._refusal = _RefusedError(status, reason)
        return self._refusal


def _is_upload(scope: Scope) -> bool:
    return _path(scope).rstrip("/") == _UPLOAD


def _path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _admit(scope: Scope, limits: Limits) -> int:
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
    limit = limits.max_upload_bytes if _is_upload(scope) else limits.max_request_bytes
    if num_bytes > limit:
        raise _RefusedError(413, f"At most {limit:,} bytes in one request.")
    return num_bytes
