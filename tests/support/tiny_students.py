"""Students small enough for tests."""

from pathlib import Path

import torch

from dpiqa import DPIQAImageProcessor, DPIQAStudent, DPIQAStudentConfig

# Offsets and sizes of EfficientNet stay, widths and depths shrink.
TINY_EFFICIENTNET = {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320, "hidden_act": "relu6"}


def tiny_config(**kwargs):
    defaults = {
        "efficientnet_config": TINY_EFFICIENTNET,
        "squeeze_excite": False,
        "padding": "same",
        "head": "pooled",
        "hidden_size": 16,
        "image_size": 64,
    }
    return DPIQAStudentConfig(**(defaults | kwargs))


def save_tiny(folder: Path) -> Path:
    """A checkpoint that is always the same."""
    torch.manual_seed(0)
    DPIQAStudent(tiny_config()).eval().save_pretrained(folder)
    DPIQAImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder
