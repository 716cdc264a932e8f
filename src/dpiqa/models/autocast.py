"""What must not run in half precision, under autocast either."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device_type: str) -> AbstractContextManager:
    """For layers that compute a score: in half precision it would have too few digits.

    Args:
        device_type: The type of their device, such as "cuda"; "meta" and others without autocast are as they are.
    """
    if not (torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


__all__ = ["without_autocast"]
