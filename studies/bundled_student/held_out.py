"""The photos of BIQ2021 that no bundled student was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dpiqa.data import load_iqa_dataset
from dpiqa.data.scenes import scene_groups, scene_hashes

_SHARE = 0.1


def held_out_photos(data: Path) -> Any:
    """A tenth of the scenes outside the test split, as the script that trained the first one cut them."""
    photos = load_iqa_dataset(f"biq2021={data}").filter(lambda split: split != "test", input_columns="split")
    scenes = scene_groups(scene_hashes(photos["image"]))
    order = np.random.default_rng(0).permutation(scenes.max() + 1)
    return photos.select(np.flatnonzero(np.isin(scenes, order[: round(_SHARE * len(order))])))
