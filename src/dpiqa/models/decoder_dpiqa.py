"""The teacher's decoder: from the features of the UNet's up blocks to a feature map and a score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from .autocast import without_autocast
from .configuration_dpiqa import DPIQAConfig

_SQUEEZE = 16


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the means of all channels say."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // _SQUEEZE, bias=False)
        self.fc2 = nn.Linear(channels // _SQUEEZE, channels, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        scale = torch.sigmoid(self.fc2(F.relu(self.fc1(hidden.mean(dim=(2, 3))))))
        return hidden * scale[:, :, None, None]


class ResizedConv(nn.Conv2d):
    """Bicubic resize to a square, then a 3x3 convolution.

    Both are linear, so on maps smaller than the square the channels are mixed first, while there are few positions:
    the nine taps are convolved at the map's own size, and each is then resized and shifted into place. The result is
    the same up to rounding, for a fraction of the multiplications.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int):
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)
        self.size = size

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(batch, in_channels, height, width) -> (batch, out_channels, size, size)."""
        height, width = feature.shape[-2:]
        if height * width >= self.size**2:
            return super().forward(_resize(feature, self.size, self.size))
        taps = F.conv2d(feature, self.weight.permute(2, 3, 0, 1).reshape(-1, self.in_channels, 1, 1))
        taps = taps.unflatten(1, (3, 3, self.out_channels))
        hidden = torch.einsum("bdeoyx,Xex->bdoyX", taps, self._shifted_resize(width, feature))
        hidden = torch.einsum("bdoyX,Ydy->boYX", hidden, self._shifted_resize(height, feature))
        return hidden + self.bias[:, None, None]

    def _shifted_resize(self, length: int, like: torch.Tensor) -> torch.Tensor:
        """(size, 3, length): what tap d of a convolution over the zero-padded, resized axis reads of the axis."""
        identity = torch.eye(length, device=like.device)[None, None]
        padded = F.pad(_resize(identity, self.size, length)[0, 0], (0, 0, 1, 1))
        return torch.stack([padded[tap : tap + self.size] for tap in range(3)], dim=1).to(like.dtype)


def _resize(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if maps.shape[-2:] == (height, width):
        return maps
    return F.interpolate(maps, size=(height, width), mode="bicubic", align_corners=False)


class QualityFeatureDecoder(nn.Module):
    """The UNet's up block outputs -> feature map -> score (section 3.3)."""

    def __init__(self, in_channels: Sequence[int], config: DPIQAConfig):
        super().__init__()
        width = config.decoder_channels
        self.convs = nn.ModuleList(ResizedConv(channels, width, config.feature_size) for channels in in_channels)
        self.squeezes = nn.ModuleList(SqueezeExcitation(width) for _ in in_channels)
        self.fuse_conv = nn.Conv2d(width * len(in_channels), width, 3, padding=1)
        self.fuse_squeeze = SqueezeExcitation(width)
        widths = (width, width // 4, width // 16, config.feature_channels)
        self.map_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.mlp = nn.Sequential(
            nn.Linear(config.feature_channels * config.feature_size**2, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, 1),
        )

    def forward(self, features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (batch, in_channels[i], height_i, width_i), last up block first -> score (batch,), feature map."""
        levels = [
            squeeze(conv(feature)) for squeeze, conv, feature in zip(self.squeezes, self.convs, features, strict=True)
        ]
        feature_map = self.fuse_squeeze(self.fuse_conv(torch.cat(levels, dim=1)))
        for conv in self.map_convs:
            feature_map = F.relu(conv(feature_map))
        # Half precision has too few digits for a score: the MLP stays in float32, under autocast too.
        with without_autocast(feature_map.device.type):
            score = self.mlp(feature_map.flatten(1).to(self.mlp[0].weight.dtype))
        return score.squeeze(1).float(), feature_map


__all__ = ["QualityFeatureDecoder", "ResizedConv", "SqueezeExcitation"]
