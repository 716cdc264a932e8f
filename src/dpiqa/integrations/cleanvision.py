"""The issue `low_quality` for cleanvision, beside its rules for dark and blurry photos.

Importing this module registers it.

Example:
    >>> from cleanvision import Imagelab
    >>> import dpiqa.integrations.cleanvision
    >>> imagelab = Imagelab(data_path="photos")
    >>> imagelab.find_issues({"blurry": {}, "low_quality": {}})
    >>> imagelab.issues.sort_values("low_quality_score")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from cleanvision.dataset.base_dataset import Dataset
from cleanvision.dataset.fsspec_dataset import FSDataset
from cleanvision.issue_managers import register_issue_manager
from cleanvision.utils.base_issue_manager import IssueManager
from cleanvision.utils.utils import get_is_issue_colname, get_score_colname

from ..scoring.scorer import Scorer
from .lowest_score import worst_tenth

ISSUE = "low_quality"


@register_issue_manager(ISSUE)
class LowQualityIssueManager(IssueManager):
    """Finds photos whose score is low.

    `Imagelab.issues` gets `low_quality_score`, in units of MOS normalised to [0, 1], and
    `is_low_quality_issue`. A photo that cannot be scored has the score NaN and no issue; the reason is in
    `Imagelab.info["low_quality"]["errors"]`, by the index of the photo.

    The parameters of the issue, all optional:
        `threshold`: A score under it is an issue. The default is what a tenth of the checkpoint's training photos
            score less than; a checkpoint without percentiles (ValueError) needs one of its own.
        `scorer`: A [`dpiqa.Scorer`]; the bundled student if not given. It uses threads, so that `n_jobs` does not
            matter.
    """

    issue_name = ISSUE
    visualization = "individual_images"

    def __init__(self) -> None:
        super().__init__()
        self.params = self.get_default_params()

    def get_default_params(self) -> dict[str, Any]:
        return {"threshold": None, "scorer": None}

    def update_params(self, params: dict[str, Any]) -> None:
        unknown = params.keys() - self.params.keys()
        if unknown:
            raise ValueError(f"{ISSUE} has no parameter {', '.join(sorted(unknown))}: expected threshold or scorer.")
        self.params |= {name: value for name, value in params.items() if value is not None}

    def find_issues(self, *, params: dict[str, Any], dataset: Dataset, **_: Any) -> None:
        """Scores every photo of a data set; cleanvision calls it."""
        self.update_params(params)
        # Not kept, since an Imagelab is saved with its managers.
        scorer = self.params.pop("scorer") or Scorer.from_pretrained()
        results = list(scorer.stream(_photos(dataset)))
        scores = pd.Series([result.score for result in results], index=dataset.index)
        threshold = self.params["threshold"]
        is_issue = scores < (worst_tenth(scorer) if threshold is None else threshold)
        self.issues = pd.DataFrame({get_score_colname(ISSUE): scores, get_is_issue_colname(ISSUE): is_issue})
        errors = zip(dataset.index, results, strict=True)
        self.info[ISSUE] = {"errors": {index: result.error for index, result in errors if result.error is not None}}
        self.summary = pd.DataFrame([{"issue_type": ISSUE, **self._compute_summary(is_issue)}])


def _photos(dataset: Dataset) -> Iterator[Any]:
    """The bytes of files, which the Scorer checks and turns upright itself, and images where there are no files."""
    for index in dataset.index:
        if not isinstance(dataset, FSDataset):
            yield dataset[index]
        elif "file" in dataset.fs.protocol:
            yield index
        else:
            yield dataset.fs.cat_file(index)


__all__ = ["LowQualityIssueManager"]
