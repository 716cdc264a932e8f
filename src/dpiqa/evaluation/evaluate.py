"""Evaluating models on data sets: one pass over the images, figures with intervals, results that can be quoted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data import DataSource, IQASplits, load_iqa_splits
from ..data.scenes import near_duplicates, scene_hashes
from ..models.images import ImageSource, open_image
from ..scoring.scorer import Scorer
from .consistency import Distorted, read_distorted, write_consistency
from .metrics import correlation_report
from .predictions import PredictionLog, match_predictions, read_predictions
from .report import Result, scatter_plot, write_results

_CHUNK = 64
BUNDLED = "bundled student"


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
        chosen = [one[split] for one in splits]
        if not len(chosen[0]):
            raise ValueError(f"{source.label} has no photos in its {split} split.")
        photos = {name: image for rows in chosen for name, image in zip(rows["name"][:], rows["image"], strict=True)}
        scores = run.scores(source.label, photos)
        parts = _parts(splits[0], chosen[0], split) if splits[0].official else {}
        for model, by_photo in scores.items():
            base = Result(model, source.label, split, 0, 0)
            options: dict[str, Any] = {"half_width": run.half_width(model), "resamples": resamples}
            whole = [_figures(base, rows, by_photo, **options) for rows in chosen]
            results.append(replace(_median(whole), seeds=[] if splits[0].official else list(seeds)))
            for part, rows in parts.items():
                results.append(_figures(replace(base, part=part), rows, by_photo, **options))
            scored = _scored(chosen[0], by_photo)
            output.mkdir(parents=True, exist_ok=True)
            scatter_plot(
                [by_photo[name] for name in scored["name"]],
                scored["mos"][:],
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

    def scores(self, data: str, photos: Mapping[str, Any]) -> dict[str, dict[str, float]]:
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
            matched = match_predictions(given, {name: _path(photo) for name, photo in photos.items()}, f"{name}.csv")
            if matched:
                self.matched.add(name)
                scores[name] = matched
        return scores


def _model_name(model: str | None) -> str:
    return BUNDLED if model is None else Path(model).name


def _load_splits(source: DataSource, seeds: Sequence[int], allow_missing: bool) -> list[IQASplits]:
    """One per seed; one alone where the split is official."""
    first = load_iqa_splits(source, seed=seeds[0], allow_missing=allow_missing)
    return [first] if first.official else [first, *(first.with_seed(seed) for seed in seeds[1:])]


def _opened(photos: Mapping[str, ImageSource], side: int) -> Iterator[dict[str, ImageSource | None]]:
    """Chunks of photos, decoded in parallel; None for one that cannot be opened."""

    def open_or_none(photo: ImageSource) -> ImageSource | None:
        try:
            return open_image(photo, cover=(side, side))
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


def _path(photo: Any) -> Path:
    return Path(photo["path"] if isinstance(photo, dict) else photo)


def _parts(loaded: IQASplits, chosen: Any, split: str) -> dict[str, Any]:
    """Parts of an official split: without scenes that stand in other splits, and the data set's groups."""
    # The validation split was cut from train, or is used like it.
    whole = loaded.photos["split"][:]
    hashes = scene_hashes(loaded.photos["image"])
    inside = np.array([its == split for its in whole])
    twins, _ = near_duplicates(hashes[inside], hashes[~inside])
    known = set(twins.tolist())
    parts = {f"{split} without scenes of train": chosen.select([r for r in range(len(chosen)) if r not in known])}
    groups = chosen["group"][:]
    for group in sorted({group for group in groups if group}):
        parts[group] = chosen.select([row for row, its in enumerate(groups) if its == group])
    return {part: rows for part, rows in parts.items() if len(rows) > 1}


def _scored(rows: Any, scores: Mapping[str, float]) -> Any:
    return rows.select([row for row, name in enumerate(rows["name"][:]) if np.isfinite(scores[name])])


def _figures(
    base: Result, rows: Any, scores: Mapping[str, float], *, half_width: float | None, resamples: int
) -> Result:
    scored = _scored(rows, scores)
    if len(scored) < 2:
        raise ValueError(
            f"{base.model} scored {len(scored)} of the {len(rows)} photos of {base.data}, {base.part}: needs 2."
        )
    std = scored["mos_std"][:]
    report = correlation_report(
        [scores[name] for name in scored["name"]],
        scored["mos"][:],
        None if None in std else std,
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
