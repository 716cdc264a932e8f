"""How many pixels are in memory at once, over all threads that open photos."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Two photos of 50 megapixels at once, or eight of 12; one that is larger than all of it goes alone.
PIXELS_AT_ONCE = 100_000_000


class PixelBudget:
    """Lets threads hold pixels, up to a number of them together; the others wait their turn.

    More than the whole budget is held alone. A thread that holds some already never waits for more: whoever waits
    holds nothing, so that those who hold can always go on.

    Args:
        pixels: How many may be held together.
    """

    def __init__(self, pixels: int):
        self.pixels = pixels
        self.renew()

    def renew(self) -> None:
        """Forgets who holds what: in a forked process those threads do not exist."""
        self._held = 0
        self._given_back = threading.Condition()
        self._turn = threading.Lock()
        self._mine = threading.local()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Holds pixels while the block runs, and waits until there is room for them."""
        nested = getattr(self._mine, "depth", 0)
        if nested:
            with self._given_back:
                self._held += pixels
        else:
            # Who waits for much keeps the turn, so that many small photos cannot keep a large one waiting for ever.
            with self._turn, self._given_back:
                self._given_back.wait_for(lambda: not self._held or self._held + pixels <= self.pixels)
                self._held += pixels
        self._mine.depth = nested + 1
        try:
            yield
        finally:
            self._mine.depth = nested
            with self._given_back:
                self._held -= pixels
                self._given_back.notify_all()


PIXEL_BUDGET = PixelBudget(PIXELS_AT_ONCE)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PIXEL_BUDGET.renew)
