"""Photos from URLs, for callers that ask for it; nothing else in the package opens a connection for an image."""

from __future__ import annotations

from urllib.error import URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from .images import ImageError

MAX_DOWNLOAD_BYTES = 100_000_000
_TIMEOUT_SECONDS = 20
_HTTP_ERRORS = (HTTPErrorProcessor, HTTPDefaultErrorHandler)


def is_url(source: object) -> bool:
    """Whether a source is a string with a scheme, which a path never is."""
    return isinstance(source, str) and "://" in source


def download_image(url: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES) -> bytes:
    """Downloads the file behind a URL.

    Do not offer this to strangers: a server would fetch from its own network whatever they name.

    Args:
        url: An http or https URL; redirects to these are followed.
        max_bytes: Refuse longer files.

    Returns:
        The bytes, for [`dpiqa.open_image`].

    Raises:
        ImageError: When the scheme is another one, the server does not deliver, or the file is too long.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ImageError(url, "only http and https URLs are fetched.")
    try:
        with _opener().open(Request(url, headers={"User-Agent": "dpiqa"}), timeout=_TIMEOUT_SECONDS) as response:
            data: bytes = response.read(max_bytes + 1)
    except (URLError, OSError, ValueError) as error:
        raise ImageError(url, f"could not be fetched ({getattr(error, 'reason', error)}).") from error
    if len(data) > max_bytes:
        raise ImageError(url, f"longer than the {max_bytes:,} bytes allowed.")
    return data


def _opener() -> OpenerDirector:
    """Like urllib's own, without its readers of file, ftp and data URLs, which a redirect could name."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPRedirectHandler, *_HTTP_ERRORS):
        opener.add_handler(handler())
    return opener
