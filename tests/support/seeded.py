"""Weights and pixels that follow from a tensor's name and shape alone, the same on every machine."""

import math
import zlib

import numpy as np
import torch
from torch.nn import functional as F


def tensor(key: str, shape: tuple[int, ...], gain: float) -> torch.Tensor:
    """A weight for this key: N(0, gain^2 / fan-in) for matrices, near 1 for scales and variances, near 0 else."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("gamma"):
        return gaussian(key, shape, 0.1)
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if len(shape) >= 2:
        values = (noise * (gain / math.sqrt(math.prod(shape[1:])))).astype(np.float32)
    elif key.endswith("running_var"):
        values = 1 + np.abs((noise * 0.05).astype(np.float32))
    elif key.endswith("weight"):
        values = 1 + (noise * 0.05).astype(np.float32)
    else:
        values = (noise * 0.02).astype(np.float32)
    return torch.from_numpy(values)


def gaussian(key: str, shape: tuple[int, ...], scale: float) -> torch.Tensor:
    """N(0, scale^2) for this key."""
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    return torch.from_numpy((noise * scale).astype(np.float32))


def pixels(seed: str) -> torch.Tensor:
    """(2, 3, 512, 512) in [0, 1]: uniform noise averaged over 16x16 blocks, bilinear back to 512."""
    noise = np.random.RandomState(zlib.crc32(seed.encode())).random_sample((2, 3, 512, 512)).astype(np.float32)
    blocks = F.avg_pool2d(torch.from_numpy(noise), 16)
    return F.interpolate(blocks, size=(512, 512), mode="bilinear", align_corners=False)
