"""Who says nothing does not keep a connection."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import MAX_IDLE


class ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP, which hangs up when the next request does not begin in time.

    uvicorn's own `timeout_keep_alive` starts after the first answer and ends at the next byte, so that a connection
    without a request, or with half of a request's head, stays open for ever.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._expect_another_than(None)

    def on_response_complete(self) -> None:
        """A request has its answer."""
        answered = self.cycle
        super().on_response_complete()
        self._expect_another_than(answered)

    def shutdown(self) -> None:
        """The server stops: pages that are open keep a connection for as long as they are shown."""
        super().shutdown()
        self.transport.close()

    def _expect_another_than(self, last: Any) -> None:
        def hang_up() -> None:
            if self.cycle is last:
                self.transport.close()

        self.loop.call_later(MAX_IDLE, hang_up)
