"""Evaluating models on data sets: scores, figures with intervals, results that can be quoted."""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress
from rich.text import Text

from ..data import DataSource, IQASplits, load_iqa_splits
from ..data.scenes import near_duplicates, scene_hashes
from ..data.schema import SPLITS
from ..scoring.scorer import Score, Scorer
from .consistency import Consistency, rank_consistency, read_distorted, write_consistency
from .metrics import correlation_report
from .predictions import match_predictions, read_predictions
from .report import Result, scatter_plot, write_results
from .score_cache import score_photos

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)
BUNDLED = "bundled student"
# Folders in the output.
CACHE, PREDICTIONS = "cache", "predictions"


def evaluate(
    models: Sequence[str | None],
    data: Sequence[DataSource | str],
    output: str | os.PathLike[str],
    *,
    split: str = "test",
    seeds: Sequence[int] = (0,),
    predictions: Sequence[str | Path] = (),
    allow_missing: bool = False,
    resamples: int = 1000,
    progress: Progress | None = None,
    **scorer_options: Any,
) -> list[Result]:
    """Scores data sets with models and compares the scores with the opinion scores.

    Scores are kept in `output/cache` by the content of the model and of the photo, and used again when the evaluation
    is repeated or was cut off.

    Args:
        models: Folders or Hub ids; None is the student inside the package.
        data: The data sets, or their descriptions (see [`dpiqa.data.DataSource`]).
        output: Folder for `results.json`, `results.md`, scatter plots and predictions.
        split: "train", "validation", "test" or "all". Every split is also reported by group, and an official test
            split without the photos whose scene stands in another split.
        seeds: Seeds of splits that are not official; figures are medians over them.
        predictions: CSV files of other tools with a column of photos and one of scores, for the same table.
        allow_missing: Whether photos that are missing or damaged are left out. Otherwise a missing photo is an error,
            and a damaged one is counted in `Result.errors`.
        resamples: How often photos are drawn for the bootstrap intervals; 0 leaves the intervals out.
        progress: Where the progress and what is evaluated are shown; the log when not given.
        **scorer_options: Arguments of [`dpiqa.Scorer`], such as `device`.

    Returns:
        One [`Result`] per model, data set and part.

    Raises:
        FileNotFoundError: When a data set or a predictions file is not there.
        ModuleNotFoundError: When matplotlib, or imagehash for an official test split, is not installed.
        ValueError: When two models or two data sets have the same name, there is no such split, or photos lack
            predictions.
    """
    import matplotlib.figure  # noqa: F401 - what is missing is missed before an hour of scoring

    if split not in (*SPLITS, "all"):
        raise ValueError(f"Unknown split {split!r}: expected {', '.join(SPLITS)} or all.")
    if not seeds:
        raise ValueError("Expected at least one seed.")
    output, sources = Path(output), [DataSource.of(source) for source in data]
    given = {Path(path).stem: read_predictions(path) for path in predictions}
    named = _named([*models, *given], [source.label for source in sources], len(models))
    scorers = {name: Scorer.from_pretrained(model, **scorer_options) for name, model in named.items()}
    matched: set[str] = set()
    results: list[Result] = []
    for source in sources:
        with _waiting(progress, f"reading {source.label}"):
            cuts = _cuts(source, split, seeds, allow_missing)
        chosen = [cut.whole if split == "all" else cut[split] for cut in cuts]
        if not len(chosen[0]):
            raise ValueError(f"{source.label} has no photos in its {split} split.")
        seeds_used = [] if split == "all" or cuts[0].official else list(seeds)
        _say(_what(source.label, cuts[0], len(chosen[0]), split, seeds_used), progress)
        with _waiting(progress, f"comparing scenes of {source.label}"):
            parts = {split: chosen} | _parts(cuts, chosen, split)
        photos = _union(cuts[0].whole, chosen)
        scores: dict[str, dict[str, float]] = {}
        for name, scorer in scorers.items():
            found = score_photos(
                scorer,
                photos["image"],
                cache=output / CACHE,
                progress=progress,
                description=f"{name} on {source.label}",
            )
            _write_predictions(output / PREDICTIONS / source.label / f"{name}.csv", photos["name"][:], found)
            scores[name] = {photo: score.score for photo, score in zip(photos["name"][:], found, strict=True)}
        for name, by_photo in given.items():
            if found_there := match_predictions(by_photo, _paths(photos), f"{name}.csv"):
                matched.add(name)
                scores[name] = found_there
        for name, by_name in scores.items():
            scorer_or_none = scorers.get(name)
            for part, rows in parts.items():
                base = Result(name, source.label, part, 0, 0, seeds=seeds_used)
                values = [[by_name[photo] for photo in one["name"][:]] for one in rows]
                enough = [sum(map(math.isfinite, one)) >= 2 for one in values]
                if part != split and not all(enough):
                    continue
                figures = [
                    _figures(base, one, its, scorer_or_none, resamples, allow_missing)
                    for one, its in zip(rows, values, strict=True)
                ]
                results.append(_median(figures))
            _plot(chosen[0], by_name, f"{name} on {source.label}, {split}", output / f"{source.label}--{name}.png")
    if given.keys() - matched:
        raise ValueError(f"{', '.join(given.keys() - matched)}: no photo of these data sets is in the file.")
    write_results(results, output)
    return results


def evaluate_photos(
    scorer: Scorer,
    photos: Dataset,
    *,
    model: str,
    data: str,
    part: str = "test",
    seeds: Sequence[int] = (),
    resamples: int = 1000,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Scores rated photos and compares: the evaluation that ends a training.

    Args:
        scorer: The model as users get it.
        photos: Rows with the columns of [`dpiqa.data.IQASplits`].
        model: Its name in the result.
        data: Name of the data set.
        part: Which photos these are.
        seeds: Seed of the split, where it is not official.
        resamples: How often photos are drawn for the bootstrap intervals.
        cache: Folder where scores are kept; None keeps none.
        progress: Where the progress is shown.

    Returns:
        The figures. A photo that cannot be scored is counted in `errors`.

    Raises:
        ValueError: When fewer than two photos have a score.
    """
    found = score_photos(scorer, photos["image"], cache=cache, progress=progress, description=f"{model} on {data}")
    base = Result(model, data, part, 0, 0, seeds=list(seeds))
    return _figures(base, photos, [score.score for score in found], scorer, resamples, allow_missing=False)


def evaluate_consistency(
    models: Sequence[str | None],
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    predictions: Sequence[str | Path] = (),
    progress: Progress | None = None,
    **scorer_options: Any,
) -> dict[str, list[Consistency]]:
    """Scores folders that `dpiqa distort` made, and says how often a score falls when the distortion gets stronger.

    Args:
        models: Folders or Hub ids; None is the student inside the package.
        folders: What `dpiqa distort` wrote.
        output: Folder for `consistency.md`, predictions and kept scores.
        predictions: CSV files of other tools with a column of photos and one of scores, for tables of their own.
        progress: Where the progress is shown.
        **scorer_options: Arguments of [`dpiqa.Scorer`].

    Returns:
        By "model on folder", one row per kind of distortion, then "all".

    Raises:
        ValueError: When a folder is incomplete, two of them or two models have the same name, or a file of predictions
            lacks photos of a folder.
    """
    output, labels = Path(output), [Path(folder).resolve().name for folder in folders]
    given = {Path(path).stem: read_predictions(path) for path in predictions}
    named = _named([*models, *given], labels, len(models))
    tables: dict[str, list[Consistency]] = {}
    for folder, label in zip(folders, labels, strict=True):
        rows = read_distorted(Path(folder))
        _say(f"{label}: {len(rows)} photos of `dpiqa distort`, which need no opinion scores.", progress)
        for name, model in named.items():
            images = [{"bytes": None, "path": str(row.path)} for row in rows]
            title, scorer = f"{name} on {label}", Scorer.from_pretrained(model, **scorer_options)
            found = score_photos(scorer, images, cache=output / CACHE, progress=progress, description=title)
            names = [row.name for row in rows]
            _write_predictions(output / PREDICTIONS / label / f"{name}.csv", names, found)
            scores = {photo: score.score for photo, score in zip(names, found, strict=True)}
            tables[title] = rank_consistency(rows, scores)
        for name, by_photo in given.items():
            if scores := match_predictions(by_photo, {row.name: str(row.path) for row in rows}, f"{name}.csv"):
                tables[f"{name} on {label}"] = rank_consistency(rows, scores)
    write_consistency(tables, output)
    return tables


def _named(models: Sequence[str | None], labels: Sequence[str], count: int) -> dict[str, str | None]:
    """The first `count` models by name; the others are names already."""
    names = [_model_name(model) for model in models[:count]] + [str(name) for name in models[count:]]
    for kind, given in (("models", names), ("data sets", list(labels))):
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise ValueError(f"Two {kind} have the name {twice[0]}: rename one of the files or folders.")
    return dict(zip(names[:count], models[:count], strict=True))


def _model_name(model: str | None) -> str:
    if model is None:
        return BUNDLED
    return Path(model).resolve().name if Path(model).is_dir() else Path(model).name


def _cuts(source: DataSource, split: str, seeds: Sequence[int], allow_missing: bool) -> list[IQASplits]:
    """One per seed, from one reading; one alone where nothing is cut."""
    first = load_iqa_splits(source, seed=seeds[0], allow_missing=allow_missing)
    if first.official or split == "all":
        return [first]
    return [first, *(first.with_seed(seed) for seed in seeds[1:])]


def _what(label: str, cut: IQASplits, count: int, split: str, seeds: Sequence[int]) -> str:
    """One line that says what is evaluated, and how it was cut."""
    total = len(cut.whole)
    if split == "all":
        return f"{label}: all {total} photos."
    if not seeds:
        return f"{label}: {count} of {total} photos, the {split} split that the data set came with."
    many = f"seeds {', '.join(map(str, seeds))} (figures are medians)" if len(seeds) > 1 else f"seed {seeds[0]}"
    return f"{label}: {count} of {total} photos, a {split} split cut by {many}. --split all takes every photo."


def _parts(cuts: Sequence[IQASplits], chosen: Sequence[Dataset], split: str) -> dict[str, list[Dataset]]:
    """Parts of a split, for every seed: an official test split's unseen scenes, and the groups."""
    parts: dict[str, list[Dataset]] = {}
    whole = np.array(cuts[0].photos["split"][:])
    if split == "test" and cuts[0].official and (whole != "test").any():
        hashes = scene_hashes(cuts[0].photos["image"])
        known = set(near_duplicates(hashes[whole == "test"], hashes[whole != "test"])[0].tolist())
        parts["test, unseen scenes"] = [chosen[0].select([r for r in range(len(chosen[0])) if r not in known])]
    groups = [rows["group"][:] for rows in chosen]
    for group in sorted({group for its in groups for group in its if group}):
        parts[f"{split}, {group}"] = [
            rows.select([row for row, one in enumerate(its) if one == group])
            for rows, its in zip(chosen, groups, strict=True)
        ]
    return parts


def _union(whole: Dataset, chosen: Sequence[Dataset]) -> Dataset:
    names = {name for rows in chosen for name in rows["name"]}
    return whole.select([row for row, name in enumerate(whole["name"]) if name in names])


def _paths(photos: Dataset) -> dict[str, str]:
    paths = [image["path"] for image in photos["image"]]
    return {name: path or name for name, path in zip(photos["name"], paths, strict=True)}


def _figures(
    base: Result, photos: Dataset, scores: Sequence[float], scorer: Scorer | None, resamples: int, allow_missing: bool
) -> Result:
    rows = [row for row, score in enumerate(scores) if math.isfinite(score)]
    if len(rows) < 2:
        raise ValueError(
            f"{base.model} scored {len(rows)} of the {len(photos)} photos of {base.data}, {base.part}: expected at "
            "least 2."
        )
    config = None if scorer is None else scorer.model.config
    half_width = None if config is None else config.interval_half_width
    scored = photos.select(rows)
    std = scored["mos_std"][:]
    report = correlation_report(
        [scores[row] for row in rows],
        scored["mos"][:],
        None if None in std else std,
        half_width=half_width,
        resamples=resamples,
    )
    return replace(
        base,
        photos=len(rows),
        errors=0 if allow_missing else len(photos) - len(rows),
        metrics={name: asdict(metric) for name, metric in report.items()},
        nominal_coverage=None if config is None or half_width is None else config.interval_coverage,
    )


def _median(results: Sequence[Result]) -> Result:
    """The first result with medians in place of its figures."""
    metrics = {}
    for name, metric in results[0].metrics.items():
        # Deviations of the opinions may be missing in one of the splits.
        if not all(name in result.metrics for result in results):
            continue
        figures = [result.metrics[name] for result in results]
        metrics[name] = metric | {key: float(np.median([f[key] for f in figures])) for key in ("value", "low", "high")}
    return replace(results[0], metrics=metrics)


def _write_predictions(path: Path, names: Sequence[str], scores: Sequence[Score]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "score", "error"))
        for name, score in zip(names, scores, strict=True):
            writer.writerow((name, "" if score.error else f"{score.score:.6f}", score.error or ""))


def _plot(photos: Dataset, scores: Mapping[str, float], title: str, path: Path) -> None:
    pairs = [(scores[name], mos) for name, mos in zip(photos["name"], photos["mos"], strict=True)]
    finite = [pair for pair in pairs if math.isfinite(pair[0])]
    path.parent.mkdir(parents=True, exist_ok=True)
    scores_of_them, opinions = [pair[0] for pair in finite], [pair[1] for pair in finite]
    scatter_plot(scores_of_them, opinions, title, path.with_name(path.name.replace(" ", "-")))


@contextmanager
def _waiting(progress: Progress | None, description: str) -> Iterator[None]:
    """Shows that something goes on whose length nobody knows."""
    shown = progress or Progress(disable=True)
    task = shown.add_task(description, total=None)
    try:
        yield
    finally:
        shown.remove_task(task)


def _say(line: str, progress: Progress | None) -> None:
    if progress is None:
        logger.info(line)
    else:
        progress.console.print(Text(line))
