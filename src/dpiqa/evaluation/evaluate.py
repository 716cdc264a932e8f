"""Evaluating models on data sets: one pass over the images, figures with intervals, results that can be quoted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Rating, SplitRatings, load_ratings
from ..data.scenes import near_duplicates, scene_hashes
from ..models.images import ImageSource, open_image
from ..scoring.scorer import Scorer
from .consistency import Distorted, read_distorted, write_consistency
from .metrics import correlation_report
from .predictions import PredictionLog, match_predictions, read_predictions
from .report import Result, scatter_plot, write_results

_CHUNK = 64
BUNDLED = "bundled student"


@dataclass(frozen=True)
class DataSource:
    """A data set to evaluate on.

    Attributes:
        name: "koniq10k" or another of [`dpiqa.data.RELEASES`], a table's path, or a folder of `dpiqa distort`.
        root: Folder of the release.
        mos_range: For tables: the MOS that become 0 and 1.
    """

    name: str
    root: str | None = None
    mos_range: tuple[float, float] | None = None

    @classmethod
    def parse(cls, text: str) -> DataSource:
        """Reads "koniq10k=/data/koniq", "photos.csv" or, with its rating scale, "photos.csv:1:5"."""
        name, _, root = text.partition("=")
        scale = re.fullmatch(r"(.+?):(-?[\d.]+):(-?[\d.]+)", name)
        if scale:
            return cls(scale[1], root or None, (float(scale[2]), float(scale[3])))
        return cls(name, root or None)

    @property
    def label(self) -> str:
        """Short name for tables and files."""
        return Path(self.name).stem


def evaluate(
    models: Sequence[str | None],
    data: Sequence[DataSource],
    output: str | os.PathLike[str],
    *,
    split: str = "test",
    seeds: Sequence[int] = (0,),
    predictions: Sequence[str | Path] = (),
    allow_missing: bool = False,
    resamples: int = 1000,
    **scorer_options: Any,
) -> list[Result]:
    """Scores data sets with models and compares the scores with the opinion scores.

    Every photo is decoded once for all models. Scores are kept in `output/predictions/<data>/<model>.csv` and used
    again when the evaluation is repeated or was cut off; delete a file to score again.

    Args:
        models: Folders or Hub ids; None is the student inside the package.
        data: The data sets. For a folder of `dpiqa distort`, which has no opinion scores, the result is the table
            `consistency.md` in place of correlations.
        output: Folder for `results.json`, `results.md`, scatter plots and predictions.
        split: "train", "validation" or "test". An official test split is also reported without the photos whose scene
            stands in another split, and by the authors' subsets.
        seeds: Of splits that are not official; figures are medians over them.
        predictions: CSV files of other tools with a column of photos and one of scores, for the same table.
        allow_missing: See [`dpiqa.data.load_iqa_dataset`].
        resamples: Of the bootstrap intervals.
        **scorer_options: Arguments of [`dpiqa.Scorer`], such as `device`.

    Returns:
        One [`Result`] per model, data set and part.

    Raises:
        FileNotFoundError: When a data set or a predictions file is not there.
        ValueError: When two models or two data sets have the same name, or photos lack predictions.
    """
    output = Path(output)
    run = _Run({_model_name(model): model for model in models}, predictions, output / "predictions", scorer_options)
    if len(run.models) < len(models) or len({source.label for source in data}) < len(data):
        raise ValueError("Two models or two data sets have the same name: rename one of the folders.")
    results = []
    distorted: dict[str, tuple[list[Distorted], dict[str, dict[str, float]]]] = {}
    for source in data:
        levels = read_distorted(source.name)
        if levels is not None:
            distorted[source.label] = levels, run.scores(source.label, {row.name: row.path for row in levels})
            continue
        splits = _load_splits(source, seeds, allow_missing)
        chosen = [_in_split(one, split) for one in splits]
        if not chosen[0]:
            raise ValueError(f"{source.label} has no photos in its {split} split.")
        scores = run.scores(source.label, {rating.name: rating.path for rows in chosen for rating in rows})
        parts = _parts(splits[0], chosen[0], split) if splits[0].official else {}
        for model, by_photo in scores.items():
            base = Result(model, source.label, split, 0, 0)
            options: dict[str, Any] = {"half_width": run.half_width(model), "resamples": resamples}
            whole = [_figures(base, rows, by_photo, splits[0], **options) for rows in chosen]
            results.append(replace(_median(whole), seeds=[] if splits[0].official else list(seeds)))
            for part, rows in parts.items():
                results.append(_figures(replace(base, part=part), rows, by_photo, splits[0], **options))
            scored = [rating for rating in chosen[0] if np.isfinite(by_photo[rating.name])]
            output.mkdir(parents=True, exist_ok=True)
            scatter_plot(
                [by_photo[rating.name] for rating in scored],
                splits[0].normalised(scored),
                f"{model} on {source.label}, {split}",
                output / f"{source.label}--{model}.png".replace(" ", "-"),
            )
    if run.given.keys() - run.matched:
        raise ValueError(f"{', '.join(run.given.keys() - run.matched)}: no photo of these data sets is in the file.")
    write_results(results, output)
    write_consistency(distorted, output)
    return results


class _Run:
    """The models of an evaluation and their scores so far; models are loaded when they are first needed."""

    def __init__(
        self,
        models: dict[str, str | None],
        predictions: Sequence[str | Path],
        folder: Path,
        scorer_options: dict[str, Any],
    ):
        self.models = models
        self.given = {Path(path).stem: read_predictions(path) for path in predictions}
        self.matched: set[str] = set()
        self.folder = folder
        self.scorer_options = scorer_options
        self.scorers: dict[str, Scorer] = {}

    def scorer(self, model: str) -> Scorer:
        if model not in self.scorers:
            self.scorers[model] = Scorer.from_pretrained(self.models[model], **self.scorer_options)
        return self.scorers[model]

    def half_width(self, model: str) -> float | None:
        """Of the interval of a calibrated model."""
        return self.scorer(model).model.config.interval_half_width if model in self.models else None

    def scores(self, data: str, photos: Mapping[str, Path]) -> dict[str, dict[str, float]]:
        """Scores of these photos by model, then by photo; NaN where a photo cannot be scored."""
        logs = {model: PredictionLog(self.folder / data / f"{model}.csv") for model in self.models}
        missing = {model: photos.keys() - log.scores.keys() for model, log in logs.items()}
        todo = [name for name in photos if any(name in names for names in missing.values())]
        if todo:
            sizes = [self.scorer(model).processor.size for model in self.models]
            side = max(max(size["height"], size["width"]) for size in sizes)
            for opened in _opened({name: photos[name] for name in todo}, side):
                for model, log in logs.items():
                    new = {name: photo for name, photo in opened.items() if name in missing[model]}
                    log.add(_score(self.scorer(model), new))
        scores = {model: log.scores for model, log in logs.items()}
        for name, given in self.given.items():
            matched = match_predictions(given, photos, f"{name}.csv")
            if matched:
                self.matched.add(name)
                scores[name] = matched
        return scores


def _model_name(model: str | None) -> str:
    return BUNDLED if model is None else Path(model).name


def _load_splits(source: DataSource, seeds: Sequence[int], allow_missing: bool) -> list[SplitRatings]:
    """One per seed; one alone where the split is official."""
    splits: list[SplitRatings] = []
    for seed in seeds:
        splits.append(
            load_ratings(source.name, source.root, seed=seed, mos_range=source.mos_range, allow_missing=allow_missing)
        )
        if splits[0].official:
            break
    return splits


def _in_split(loaded: SplitRatings, split: str) -> list[Rating]:
    return [rating for rating, its_split in zip(loaded.ratings, loaded.splits, strict=True) if its_split == split]


def _opened(photos: Mapping[str, Path], side: int) -> Iterator[dict[str, ImageSource | None]]:
    """Chunks of photos, decoded in parallel; None for one that cannot be opened."""

    def open_or_none(path: Path) -> ImageSource | None:
        try:
            return open_image(path, cover=(side, side))
        except (OSError, ValueError, MemoryError):
            return None

    names = list(photos)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(names), _CHUNK):
            chunk = names[start : start + _CHUNK]
            yield dict(zip(chunk, pool.map(open_or_none, [photos[name] for name in chunk]), strict=True))


def _score(scorer: Scorer, photos: Mapping[str, ImageSource | None]) -> dict[str, float]:
    opened = {name: photo for name, photo in photos.items() if photo is not None}
    scores = dict(zip(opened, scorer(list(opened.values())), strict=True))
    return {name: scores[name].score if name in scores else float("nan") for name in photos}


def _parts(loaded: SplitRatings, chosen: Sequence[Rating], split: str) -> dict[str, list[Rating]]:
    """Parts of an official split: without scenes that stand in other splits, and the authors' subsets."""
    # The validation split was cut from train, or is used like it.
    others = [r.path for r, s in zip(loaded.ratings, loaded.splits, strict=True) if s != split]
    twins, _ = near_duplicates(scene_hashes([rating.path for rating in chosen]), scene_hashes(others))
    known = set(twins.tolist())
    parts = {f"{split} without scenes of train": [r for row, r in enumerate(chosen) if row not in known]}
    for subset in sorted({rating.subset for rating in chosen if rating.subset}):
        parts[subset] = [rating for rating in chosen if rating.subset == subset]
    return {part: rows for part, rows in parts.items() if len(rows) > 1}


def _figures(
    base: Result,
    rows: Sequence[Rating],
    scores: Mapping[str, float],
    loaded: SplitRatings,
    *,
    half_width: float | None,
    resamples: int,
) -> Result:
    scored = [rating for rating in rows if np.isfinite(scores[rating.name])]
    if len(scored) < 2:
        raise ValueError(
            f"{base.model} scored {len(scored)} of the {len(rows)} photos of {base.data}, {base.part}: needs 2."
        )
    std = [rating.std / loaded.std_range for rating in scored if rating.std is not None]
    report = correlation_report(
        [scores[rating.name] for rating in scored],
        loaded.normalised(scored),
        std if len(std) == len(scored) else None,
        half_width=half_width,
        resamples=resamples,
    )
    metrics = {name: asdict(metric) for name, metric in report.items()}
    return replace(base, photos=len(scored), errors=len(rows) - len(scored), metrics=metrics)


def _median(results: Sequence[Result]) -> Result:
    """The first result with medians in place of its figures."""
    metrics = {}
    for name, metric in results[0].metrics.items():
        figures = [result.metrics[name] for result in results]
        metrics[name] = metric | {key: float(np.median([f[key] for f in figures])) for key in ("value", "low", "high")}
    return replace(results[0], metrics=metrics)
