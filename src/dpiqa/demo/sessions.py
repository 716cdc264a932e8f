"""Clients that are gone do not stop the queue."""

from __future__ import annotations

import asyncio
from typing import Any

from gradio.utils import LRUCache


class Sessions(LRUCache[str, Any]):
    """What gradio has to say to its sessions; what it says to one that is not there is lost.

    gradio's own raises a KeyError then, in the task that works the queue off, and the app answers nobody any more. All
    that takes is a client that hangs up in the wrong moment, or a few events without a session.
    """

    def __missing__(self, session: str) -> asyncio.Queue[Any]:
        return asyncio.Queue()

    def __delitem__(self, session: str) -> None:
        # gradio goes on to remove the events of the session, which must happen.
        if session in self:
            super().__delitem__(session)
