"""Photos in messages."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 5


def first_few(names: Sequence[str]) -> str:
    """Names the first five, and shows that there are more."""
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
