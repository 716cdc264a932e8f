"""What of gradio's web server strangers can reach."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

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


class Gate:
    """Middleware that lets through what the app needs, within limits."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with the reason why not."""
        refusal = _refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            status, reason = refusal
            await PlainTextResponse(reason, status)(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path.startswith(_FILE):
        return None if is_inside_upload_folder(path.removeprefix(_FILE)) else (404, "No such file.")
    if not _OPEN.fullmatch(path):
        return 404, "Not found."
    if scope["method"] != "POST":
        return None
    is_upload = path.rstrip("/") == _UPLOAD
    limit = MAX_UPLOAD_BYTES if is_upload else MAX_REQUEST_BYTES
    length = Headers(scope=scope).get("content-length", "")
    if not length.isdecimal():
        return 411, "Say how long the request is (Content-Length)."
    if int(length) > limit:
        return 413, f"At most {limit:,} bytes in one request."
    if is_upload and _folder_bytes() > MAX_FOLDER_BYTES:
        return 503, "Too many photos are being looked at just now: please try again in a few minutes."
    return None


def _folder_bytes() -> int:
    total = 0
    for root, _, names in os.walk(get_upload_folder()):
        for name in names:
            try:
                total += Path(root, name).lstat().st_size
            except FileNotFoundError:  # deleted meanwhile
                continue
    return total
