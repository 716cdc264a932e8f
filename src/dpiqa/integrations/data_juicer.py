"""A filter by score for Data-Juicer, under the name `dpiqa_image_quality_filter`.

Importing this module registers it. For a recipe, write a file that does so and name it in `custom_operator_paths`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from data_juicer.ops.base_op import OPERATORS, Filter
from data_juicer.utils.constant import Fields
from PIL import ImageFile

from ..scoring.scorer import Scorer
from .lowest_score import worst_tenth

NAME = "dpiqa_image_quality_filter"
STATS = "dpiqa_image_quality_scores"


@OPERATORS.register_module(NAME)
class ImageQualityFilter(Filter):
    """Keeps samples whose photos have scores in a range.

    The scores of a sample's photos are in its stats, as `dpiqa_image_quality_scores`: in units of MOS normalised to
    [0, 1], higher is better, and NaN for a photo that cannot be scored, which is never in the range. A sample without
    photos is kept. It computes on the CPU, in one thread for each of Data-Juicer's processes.

    Args:
        model: Folder or Hub id of a checkpoint; None takes the bundled student.
        min_score: Lowest score to keep; None takes what a tenth of the checkpoint's training photos score less than.
        max_score: Highest score to keep; None keeps every higher one.
        any_or_all: "any" keeps a sample when one of its photos is in the range, "all" when all of them are.
        **kwargs: What every filter of Data-Juicer takes, such as `image_key`, `image_bytes_key` and `reversed_range`.

    Raises:
        ValueError: When `any_or_all` is neither of them, or the checkpoint has no percentiles and no score is named.
    """

    _batched_op = True

    def __init__(
        self,
        model: str | None = None,
        min_score: float | None = None,
        max_score: float | None = None,
        any_or_all: str = "any",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if any_or_all not in ("any", "all"):
            raise ValueError(f'Expected "any" or "all" as any_or_all, got {any_or_all!r}.')
        self.max_score = max_score
        self.decide = any_or_all
        self.scorer = Scorer.from_pretrained(model, device="cpu", workers=1)
        self.min_score = worst_tenth(self.scorer) if min_score is None else min_score
        # Data-Juicer knows what it has computed already by the attributes that are values, which this one is.
        self.fingerprint = self.scorer.fingerprint

    def compute_stats_batched(self, samples: dict[str, list[Any]], context: bool = False) -> dict[str, list[Any]]:
        """Adds the scores to the stats of samples that do not have them."""
        todo = [row for row, stats in enumerate(samples[Fields.stats]) if STATS not in stats]
        photos = {row: list(self._photos(samples, row)) for row in todo}
        images = (photo for row in todo for photo in photos[row])
        with _whole_photos_only(), closing(self.scorer.stream(images)) as results:
            for row in todo:
                samples[Fields.stats][row][STATS] = [next(results).score for _ in photos[row]]
        return samples

    def process_batched(self, samples: dict[str, list[Any]]) -> Iterator[bool]:
        """Says for each sample whether it is kept."""
        return (self._is_kept(stats[STATS]) for stats in samples[Fields.stats])

    def _photos(self, samples: dict[str, list[Any]], row: int) -> Iterator[Any]:
        """A sample's photos: their bytes where it has them, else their paths."""
        paths = samples[self.image_key][row] or []
        data = samples[self.image_bytes_key][row] if self.image_bytes_key in samples else None
        for path, its_bytes in zip(paths, data or [None] * len(paths), strict=True):
            yield its_bytes or path

    def _is_kept(self, scores: list[float | None]) -> bool:
        in_range = [self._is_in_range(score) for score in scores]
        return not in_range or (any(in_range) if self.decide == "any" else all(in_range))

    def _is_in_range(self, score: float | None) -> bool:
        if score is None or math.isnan(score):  # NaN may have become null on its way through a file
            return False
        return self.get_keep_boolean(score, self.min_score, self.max_score)


@contextmanager
def _whole_photos_only() -> Iterator[None]:
    """Data-Juicer lets Pillow decode damaged files in part, for which dpiqa gives no scores."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


__all__ = ["ImageQualityFilter"]
