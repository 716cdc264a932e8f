"""A model together with the normalisation before it: bytes in, scores out."""

from __future__ import annotations

import torch
from torch import nn

from ..models.photo_reader import PhotoReader


class PixelNetwork(nn.Module):
    """What runs, and what is exported: nothing is left to do between a photo's bytes and this.

    Args:
        model: A student or a teacher, in eval mode.
        reader: Whose normalisation goes before it.
        dtype: What the model computes in.
    """

    def __init__(self, model: nn.Module, reader: PhotoReader, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.model = model
        self.dtype = dtype
        # The reader's table is a straight line in each channel.
        table = torch.from_numpy(reader.table().astype("float64"))
        slope = (table[255] - table[0]) / 255
        self.register_buffer("slope", slope.float().view(1, 3, 1, 1))
        self.register_buffer("offset", table[0].float().view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(batch, height, width, 3) uint8 -> scores (batch,), and quality maps (batch, rows, columns) if it has them.

        Both are float32.
        """
        values = pixels.permute(0, 3, 1, 2).float() * self.slope + self.offset
        output = self.model(values.to(self.dtype))
        return (output.score,) if output.quality_map is None else (output.score, output.quality_map)


__all__ = ["PixelNetwork"]
