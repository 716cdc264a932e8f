"""Features with hundreds of channels as pictures of three."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

# Shares of the places whose values are cut off at the dark and at the bright end.
_DARKEST, _BRIGHTEST = 2, 98


def principal_colours(features: np.ndarray) -> tuple[np.ndarray, float]:
    """Draws features by their first three principal components, as red, green and blue.

    Places with the same colour have similar features. Each component fills the whole range of its colour.

    Args:
        features: (channels, rows, columns).

    Returns:
        (rows, columns, 3) float32 in [0, 1], and the share in [0, 1] of the features' variance that the three
        components hold; 0 for features that are the same everywhere.
    """
    values = features.reshape(len(features), -1).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    variances, directions = eigh(values @ values.T)
    components = np.zeros((3, values.shape[1]))
    count = min(3, len(values))
    components[:count] = directions[:, ::-1][:, :count].T @ values
    # A component's sign is arbitrary: the few places that stand out are bright, on every machine.
    components *= np.where((components**3).sum(axis=1, keepdims=True) < 0, -1, 1)
    low, high = np.percentile(components, (_DARKEST, _BRIGHTEST), axis=1, keepdims=True)
    colours = np.clip((components - low) / np.maximum(high - low, 1e-12), 0, 1)
    total = variances.sum()
    share = float(variances[::-1][:count].sum() / total) if total > 0 else 0.0
    return colours.T.reshape(*features.shape[1:], 3).astype(np.float32), share


__all__ = ["principal_colours"]
