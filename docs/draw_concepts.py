"""Draws the diagrams of concepts.md: `python docs/draw_concepts.py`.

Sizes come from the configurations, so that a diagram cannot say something else than the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from dpiqa import DPIQAConfig, DPIQAStudentConfig, bundled_checkpoint
from dpiqa.models.configuration_dpiqa import BACKBONE_STRIDE

ASSETS = Path(__file__).parent / "assets"
INK, LINE, PAPER = "#1f2430", "#5b6472", "#f5f6f8"  # a light card, which reads well on a light and on a dark page
LETTERS = 1.3  # a page shows the pictures at about 60 % of their size
DATA, FROZEN, TRAINED, LOSS = "#ffffff", "#d5dae3", "#bfe3cc", "#f6d5b8"


def main() -> None:
    """Draws all diagrams into the assets."""
    plt.rcParams.update({"svg.hashsalt": "dpiqa", "font.size": 11, "font.family": "DejaVu Sans"})
    for draw in (teacher, adapters, distillation, student):
        figure = draw()
        figure.savefig(ASSETS / f"concept-{draw.__name__}.svg", metadata={"Date": None}, facecolor="none")
        plt.close(figure)


def teacher() -> plt.Figure:
    """The photo's way through the teacher."""
    config = DPIQAConfig()
    unet: dict = config.unet_config or {}
    channels, latent = unet["block_out_channels"], config.image_size // config.latent_stride
    # Every up block but the last one doubles the side.
    sides = [latent >> max(0, len(channels) - 2 - block) for block in range(len(channels))]
    outputs = [size(*output) for output in zip(reversed(channels), sides, strict=True)]
    figure, axes = card(12, 5.6)
    box(axes, 0.3, 2.3, 1.6, 1.0, f"photo\n{size(3, config.image_size)}", DATA)
    box(axes, 2.6, 2.3, 1.9, 1.0, "autoencoder's\nencoder", FROZEN)
    box(axes, 2.6, 0.4, 1.9, 1.0, "image adapter", TRAINED)
    box(axes, 2.6, 4.2, 1.9, 1.0, "text adapter", TRAINED)
    box(axes, 0.3, 4.2, 1.6, 1.0, f"{config.num_prompts:,} prompt\nembeddings", DATA)
    box(axes, 5.9, 1.5, 2.0, 2.6, f"UNet of\nStable Diffusion\n\none pass,\nstep {config.timestep}, no noise", TRAINED)
    box(axes, 8.9, 3.05, 2.7, 1.05, "quality feature\ndecoder", TRAINED)
    box(axes, 8.9, 1.5, 1.25, 1.0, f"feature map\n{size(config.feature_channels, config.feature_size)}", DATA, 9)
    box(axes, 10.55, 1.5, 1.05, 1.0, "score", DATA)
    arrow(axes, (1.9, 2.8), (2.6, 2.8))
    arrow(axes, (1.1, 2.3), (2.6, 0.9), bend=0.25)
    arrow(axes, (1.9, 4.7), (2.6, 4.7))
    arrow(axes, (4.5, 2.8), (5.9, 2.8), f"latents\n{size(unet['in_channels'], latent)}")
    arrow(axes, (4.5, 0.9), (6.4, 1.5), "a map for each\ndown block", bend=0.2, at=(5.9, 0.65))
    arrow(axes, (4.5, 4.7), (6.9, 4.1), "read in every\ncross-attention", bend=-0.2, at=(6.3, 4.98))
    arrow(axes, (7.9, 3.55), (8.9, 3.55))
    lines = ("outputs of the up blocks:", ", ".join(outputs[:2]), ", ".join(outputs[2:]))
    note(axes, 8.4, 4.72, "\n".join(lines), 9)
    arrow(axes, (9.5, 3.05), (9.5, 2.5))
    arrow(axes, (10.15, 2.0), (10.55, 2.0))
    legend(axes, 8.9, 0.3, (TRAINED, "trained"), (FROZEN, "stays as it is"), (DATA, "numbers"))
    return figure


def adapters() -> plt.Figure:
    """What the two adapters compute."""
    config = DPIQAConfig()
    unet: dict = config.unet_config or {}
    adapter: dict = config.image_adapter_config or {}
    width, factor = unet["cross_attention_dim"], adapter["downscale_factor"]
    side = config.image_size // factor
    figure, axes = card(12, 5.0)
    note(axes, 0.3, 4.62, "Text adapter", 12, "left", "bold")
    box(axes, 0.3, 3.2, 2.1, 0.95, f"embeddings E\n{config.num_prompts:,}x{width}", DATA)
    for x, name in ((3.1, "linear"), (4.8, "GELU"), (6.5, "linear")):
        box(axes, x, 3.2, 1.2, 0.95, name, TRAINED if name == "linear" else DATA)
    box(axes, 8.2, 3.2, 1.3, 0.95, f"x gamma\n({width} factors)", TRAINED, 9)
    axes.add_patch(Circle((10.5, 3.67), 0.22, facecolor=DATA, edgecolor=LINE))
    note(axes, 10.5, 3.67, "+", 13)
    for start, end in ((2.4, 3.1), (4.3, 4.8), (6.0, 6.5), (7.7, 8.2), (9.5, 10.28)):
        arrow(axes, (start, 3.67), (end, 3.67))
    arrow(axes, (1.35, 4.15), (10.5, 3.89), bend=-0.13)
    arrow(axes, (10.72, 3.67), (11.2, 3.67))
    note(axes, 11.25, 3.67, "UNet", 11, "left")
    note(axes, 0.3, 2.42, "Image adapter", 12, "left", "bold")
    box(axes, 0.3, 1.0, 1.5, 0.95, f"photo\n{size(3, config.image_size)}", DATA)
    box(axes, 2.3, 1.0, 1.9, 0.95, f"{factor}x{factor} pixels\nbecome channels", DATA, 9)
    arrow(axes, (1.8, 1.47), (2.3, 1.47))
    for level, channels in enumerate(adapter["channels"]):
        left = 4.7 + 1.85 * level
        box(axes, left, 1.0, 1.4, 0.95, f"convolutions\n{size(channels, side >> level)}", TRAINED, 9)
        arrow(axes, (left - (0.5 if level == 0 else 0.45), 1.47), (left, 1.47))
        arrow(axes, (left + 0.7, 1.0), (left + 0.7, 0.5))
        note(axes, left + 0.7, 0.3, f"down block {level + 1}", 9)
    return figure


def distillation() -> plt.Figure:
    """Two losses on the score and one on the feature map."""
    config = DPIQAConfig()
    feature_map = size(config.feature_channels, config.feature_size)
    figure, axes = card(12, 4.8)
    box(axes, 0.3, 2.4, 1.4, 1.0, "photo", DATA)
    box(axes, 2.7, 3.4, 2.2, 1.0, "teacher\n(runs once a photo)", FROZEN)
    box(axes, 2.7, 1.4, 2.2, 1.0, "student", TRAINED)
    box(axes, 5.9, 3.4, 1.9, 1.0, f"feature map\n{feature_map}", DATA)
    box(axes, 5.9, 2.0, 1.9, 1.0, f"feature map\n{feature_map}", DATA)
    box(axes, 5.9, 0.8, 1.9, 0.8, "score", DATA)
    box(axes, 8.9, 2.9, 2.8, 1.0, "distance of the\nfeature maps", LOSS)
    box(axes, 8.9, 1.4, 2.8, 1.0, "distance to the MOS,\nand order of pairs", LOSS)
    box(axes, 8.9, 0.3, 2.8, 0.7, "MOS, from people", DATA)
    arrow(axes, (1.7, 3.1), (2.7, 3.9), bend=-0.15)
    arrow(axes, (1.7, 2.7), (2.7, 1.9), bend=0.15)
    arrow(axes, (4.9, 3.9), (5.9, 3.9), "kept on\ndisk", at=(5.4, 4.35))
    arrow(axes, (4.9, 2.1), (5.9, 2.45))
    arrow(axes, (4.9, 1.7), (5.9, 1.2))
    arrow(axes, (7.8, 3.9), (8.9, 3.55))
    arrow(axes, (7.8, 2.5), (8.9, 3.2))
    arrow(axes, (7.8, 1.2), (8.9, 1.75))
    arrow(axes, (10.3, 1.0), (10.3, 1.4))
    legend(axes, 0.3, 0.35, (TRAINED, "trained"), (FROZEN, "stays as it is"), (LOSS, "loss"))
    return figure


def student() -> plt.Figure:
    """What the bundled student sees, and how it makes a score of it."""
    config = DPIQAStudentConfig.from_pretrained(bundled_checkpoint())
    cells = config.image_size // BACKBONE_STRIDE
    figure, axes = card(12, 4.0)
    scene(axes, 0.3, 1.3, 2.7, 1.8)
    note(axes, 1.65, 0.85, "a photo of any size")
    scene(axes, 3.9, 1.3, 1.8, 1.8)
    note(axes, 4.8, 0.72, f"resized to\n{config.image_size}x{config.image_size} pixels")
    box(axes, 6.5, 1.3, 1.6, 1.8, "EfficientNet-\nLite0", TRAINED)
    step = 1.8 / cells
    for cell in range(cells**2):
        corner = (8.75 + cell % cells * step, 1.3 + cell // cells * step)
        axes.add_patch(Rectangle(corner, step, step, facecolor=DATA, edgecolor=LINE, lw=0.6))
    note(axes, 9.65, 0.72, f"{cells}x{cells} local qualities\nand their weights")
    box(axes, 11.0, 1.85, 0.75, 0.7, "score", DATA, 10)
    for start, end in ((3.0, 3.9), (5.7, 6.5), (8.1, 8.75), (10.55, 11.0)):
        arrow(axes, (start, 2.2), (end, 2.2))
    note(axes, 3.45, 3.5, "the aspect ratio changes,\nand fine details are lost", 9)
    note(axes, 11.1, 2.95, "weighted\nmean", 9)
    return figure


def scene(axes: Axes, left: float, bottom: float, width: float, height: float) -> None:
    """A landscape that shows what resizing does: the sun is round in the first and narrow in the second."""

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * width, bottom + y * height

    axes.add_patch(Rectangle((left, bottom), width, height, facecolor="#bcd9f2", edgecolor=LINE))
    axes.add_patch(Ellipse(at(0.75, 0.74), 0.2 * width, 0.3 * height, facecolor="#f6c244"))
    axes.add_patch(Polygon([at(0, 0.35), at(0.3, 0.75), at(0.55, 0.4), at(0.55, 0), at(0, 0)], facecolor="#7d9fb5"))
    axes.add_patch(Polygon([at(0.35, 0.3), at(0.62, 0.55), at(1, 0.3), at(1, 0), at(0.2, 0)], facecolor="#5f8a72"))
    axes.add_patch(Rectangle((left, bottom), width, 0.25 * height, facecolor="#87b37a"))


def card(width: float, height: float) -> tuple[plt.Figure, Axes]:
    """A light card of this size in inches, which are the units of the axes."""
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    _rounded(axes, 0.04, 0.04, width - 0.08, height - 0.08, 0.2, facecolor=PAPER, edgecolor="none")
    return figure, axes


def box(
    axes: Axes, left: float, bottom: float, width: float, height: float, text: str, color: str, points: int = 11
) -> None:
    """A part of a model, or numbers."""
    _rounded(axes, left, bottom, width, height, 0.1, facecolor=color, edgecolor=LINE)
    note(axes, left + width / 2, bottom + height / 2, text, points)


def _rounded(
    axes: Axes, left: float, bottom: float, width: float, height: float, radius: float, **colors: Any
) -> None:
    style = f"round,pad=0,rounding_size={radius}"
    axes.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle=style, **colors))


def note(
    axes: Axes, x: float, y: float, text: str, points: int = 10, align: str = "center", weight: str = "normal"
) -> None:
    """Text, vertically about y."""
    axes.text(x, y, text, ha=align, va="center", fontsize=LETTERS * points, color=INK, weight=weight, linespacing=1.35)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    *,
    bend: float = 0.0,
    at: tuple[float, float] | None = None,
) -> None:
    """What goes from one part to the next, with a text above its middle or elsewhere."""
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 13, "color": LINE, "lw": 1.4}
    axes.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=1, **look))
    if text:
        x, y = at or ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.42)
        note(axes, x, y, text, 9)


def legend(axes: Axes, left: float, bottom: float, *entries: tuple[str, str]) -> None:
    """What the colours mean, one below the other."""
    for index, (color, text) in enumerate(reversed(entries)):
        axes.add_patch(Rectangle((left, bottom + 0.35 * index), 0.2, 0.2, facecolor=color, edgecolor=LINE))
        note(axes, left + 0.28, bottom + 0.35 * index + 0.1, text, 9, "left")


def size(channels: int, side: int) -> str:
    """Channels and sides, as people write them."""
    return f"{channels}x{side}x{side}"


if __name__ == "__main__":
    main()
