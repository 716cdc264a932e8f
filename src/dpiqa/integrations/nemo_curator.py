"""A filter by score for the image pipelines of NeMo Curator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nemo_curator.stages.base import ProcessingStage
from nemo_curator.tasks import ImageBatch, ImageObject

from ..scoring.scorer import Scorer
from .lowest_score import worst_tenth


@dataclass
class ImageQualityFilterStage(ProcessingStage[ImageBatch, ImageBatch]):
    """Keeps the photos of a batch that have at least a score.

    A photo that is kept has its score in `metadata["dpiqa_score"]`. A photo that cannot be scored is left out. Each
    worker computes on the CPU, in one thread.

    Args:
        model: Folder or Hub id of a checkpoint; None takes the bundled student.
        min_score: Lowest score to keep, in units of MOS normalised to [0, 1]; None takes what a tenth of the
            checkpoint's training photos score less than, and is an error (ValueError) where it has no percentiles.
    """

    model: str | None = None
    min_score: float | None = None
    name: str = "dpiqa_image_quality_filter"

    def inputs(self) -> tuple[list[str], list[str]]:
        return ["data"], []

    def outputs(self) -> tuple[list[str], list[str]]:
        return ["data"], []

    def setup(self, worker_metadata: Any = None) -> None:
        """Loads the model, once for each worker."""
        self.scorer = Scorer.from_pretrained(self.model, device="cpu", workers=1)
        self.lowest = worst_tenth(self.scorer) if self.min_score is None else self.min_score

    def process(self, task: ImageBatch) -> ImageBatch:
        """Scores a batch and returns it with the photos that are kept."""
        results = self.scorer([_photo(image) for image in task.data])
        kept = []
        for image, result in zip(task.data, results, strict=True):
            if result.score >= self.lowest:  # which NaN, the score of a photo with an error, is not
                image.metadata["dpiqa_score"] = result.score
                kept.append(image)
        return ImageBatch(
            dataset_name=task.dataset_name, data=kept, _stage_perf=task._stage_perf, _metadata=task._metadata
        )


def _photo(image: ImageObject) -> Any:
    """Its pixels where they are read already, else its path, which the Scorer reads at the scale that it needs."""
    return image.image_path if image.image_data is None else image.image_data


__all__ = ["ImageQualityFilterStage"]
