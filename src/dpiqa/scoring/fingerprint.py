"""Names of networks by their content, so that nothing that another network computed is taken for theirs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn

from ..models.images import PIXELS_VERSION


def fingerprint(network: nn.Module, *settings: Any) -> str:
    """Names a network by its content.

    Args:
        network: Its parameters and buffers count, with their names, types and shapes.
        *settings: Whatever else its output depends on, as JSON.

    Returns:
        32 hexadecimal digits of SHA-256 over the weights, the settings and the version of the code that makes pixels
        of photos.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    digest.update(json.dumps([PIXELS_VERSION, *settings], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


__all__ = ["fingerprint"]
