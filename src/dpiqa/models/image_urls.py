"""Photos from URLs, for callers that ask for it; nothing else in the package opens a connection for an image."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from huggingface_hub.utils import httpx

from .images import ImageError

MAX_DOWNLOAD_BYTES = 100_000_000
_SILENCE_SECONDS = 20
_TOTAL_SECONDS = 120


def is_url(source: object) -> bool:
    """Whether a source is a string with a scheme, which a path never is."""
    return isinstance(source, str) and "://" in source


def download_image(url: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES) -> bytes:
    """Downloads the file behind a URL, in at most two minutes.

    Do not offer this to strangers: a server would fetch from its own network whatever they name.

    Args:
        url: An http or https URL; redirects to these are followed.
        max_bytes: Refuse longer files, as soon as they are longer.

    Returns:
        The bytes, for [`dpiqa.open_image`].

    Raises:
        ImageError: When the scheme is another one, the server does not deliver in time, or the file is too long.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ImageError(url, "only http and https URLs are fetched.")
    try:
        # In a thread of its own, since a notebook has an event loop already.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, _fetch(url, max_bytes)).result()
    except ImageError:
        raise
    except TimeoutError as error:
        raise ImageError(url, f"not delivered within {_TOTAL_SECONDS} seconds.") from error
    except Exception as error:  # on odd URLs and answers clients raise nearly anything
        raise ImageError(url, f"could not be fetched ({str(error) or type(error).__name__}).") from error


async def _fetch(url: str, max_bytes: int) -> bytes:
    data = bytearray()
    headers = {"User-Agent": "dpiqa", "Accept-Encoding": "identity"}
    # The client's own timeout is for each silence: a server that sends a byte now and then would never be cut off.
    async with (
        asyncio.timeout(_TOTAL_SECONDS),
        httpx.AsyncClient(headers=headers, timeout=_SILENCE_SECONDS, follow_redirects=True) as client,
        client.stream("GET", url) as response,
    ):
        if not response.is_success:
            raise ImageError(url, f"could not be fetched (status {response.status_code}).")
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > max_bytes:
                raise ImageError(url, f"longer than the {max_bytes:,} bytes allowed.")
    return bytes(data)
