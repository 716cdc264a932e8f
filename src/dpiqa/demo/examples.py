"""Photos to try the app with: scikit-learn's two, and a spoiled twin of each."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..data.distortions import Strengths, distort_mixed
from ..models.images import open_image

LABEL = "Or one of these: photographs by danielbuechele and vultilion (CC BY 2.0), and two that we spoiled"
_BLURRED = Strengths(blur=60)
_BAD_CAMERA = Strengths(jpeg=90, noise=30, shrink=80)


def write_examples(folder: Path) -> list[Path]:
    """Writes the examples; the spoiled ones have quality maps with purple in them.

    Args:
        folder: Where they go.

    Returns:
        Their paths, none where scikit-learn is not installed.
    """
    spec = importlib.util.find_spec("sklearn")  # which importing takes a second
    if spec is None or spec.origin is None:
        return []
    photos = Path(spec.origin).parent / "datasets" / "images"
    china, flower = open_image(photos / "china.jpg"), open_image(photos / "flower.jpg")
    pictures = {
        "china": china,
        "flower": flower,
        "blurred": distort_mixed(china, _BLURRED),
        "bad_camera": distort_mixed(flower, _BAD_CAMERA),
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.jpg" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        picture.save(path, quality=95)
    return paths
