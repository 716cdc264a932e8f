"""Evaluating models on data sets: scores, figures with intervals, results that can be quoted."""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.progress import Progress
from rich.text import Text

from ..counting import counted
from ..data import DataSource
from ..data.naming import first_few
from ..data.schema import SPLITS
from ..scoring.rows import UnixLines
from ..scoring.scorer import Score, Scorer
from .consistency import Consistency, is_distorted, rank_consistency, read_distorted, write_consistency
from .metrics import correlation_report
from .predictions import match_predictions, read_predictions
from .rated import RatedSet
from .report import Result, scatter_plot, write_results
from .score_cache import score_photos

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)
BUNDLED = "bundled student"
# Folders in the output, and the files that are written last.
CACHE, PREDICTIONS, PLOTS = "cache", "predictions", "plots"
RESULTS = ("results.json", "results.md", "consistency.md")


class Evaluation(NamedTuple):
    """What an evaluation found.

    Attributes:
        results: One [`Result`] per model, rated data set and part.
        consistency: By "model on folder", for folders of `dpiqa distort`: one row per kind of distortion, then "all".
    """

    results: list[Result]
    consistency: dict[str, list[Consistency]]


def evaluate(
    models: Sequence[str | None],
    data: Sequence[DataSource | str],
    output: str | os.PathLike[str],
    *,
    split: str = "test",
    seeds: Sequence[int] = (0,),
    predictions: Sequence[str | Path] = (),
    allow_missing: bool = False,
    overwrite: bool = False,
    resamples: int = 1000,
    progress: Progress | None = None,
    **scorer_options: Any,
) -> Evaluation:
    """Scores data sets with models. Compares the scores with the opinion scores or, without those, with distortions.

    Scores are kept in `output/cache` by the content of the model and of the photo, and used again when the evaluation
    is repeated or was cut off.

    Args:
        models: Folders or Hub ids; None is the student inside the package.
        data: The data sets, or their descriptions (see [`dpiqa.data.DataSource`]), and folders of `dpiqa distort`.
        output: Folder for `results.json`, `results.md`, `consistency.md`, plots and predictions.
        split: "train", "validation", "test" or "all". Every split is also reported by group, and an official test
            split without the photos whose scene stands in another split.
        seeds: Seeds of splits that are not official; figures are medians over them.
        predictions: CSV files of other tools with a column of photos and one of scores, for the same tables.
        allow_missing: Whether photos that are missing or damaged are left out, with a warning. Otherwise a missing
            photo is an error, and a damaged one is counted in `Result.errors`.
        overwrite: Whether results in the folder may be replaced.
        resamples: How often photos are drawn for the bootstrap intervals; 0 leaves the intervals out.
        progress: Where the progress and what is evaluated are shown; the log when not given.
        **scorer_options: Arguments of [`dpiqa.Scorer`], such as `device`.

    Raises:
        FileExistsError: When the folder holds results, and `overwrite` is not given.
        FileNotFoundError: When a data set or a predictions file is not there.
        ModuleNotFoundError: When matplotlib, or imagehash for an official test split, is not installed.
        ValueError: When two models or two data sets have the same name, there is no such split, a folder of `dpiqa
            distort` is incomplete, photos lack predictions, or predictions are of none of the photos.
    """
    if split not in (*SPLITS, "all"):
        raise ValueError(f"Unknown split {split!r}: expected {', '.join(SPLITS)} or all.")
    if not seeds:
        raise ValueError("Expected at least one seed.")
    output = Path(output)
    _check_output(output, overwrite)
    folders = [Path(one) for one in data if not isinstance(one, DataSource) and is_distorted(one)]
    sources = [DataSource.of(one) for one in data if isinstance(one, DataSource) or not is_distorted(one)]
    if sources:
        import matplotlib.figure  # noqa: F401 - what is missing is missed before an hour of scoring
    labels = [folder.resolve().name for folder in folders]
    names = [*map(_model_name, models), *(Path(path).stem for path in predictions)]
    _check_names("models", names)
    _check_names("data sets", [*(source.label for source in sources), *labels])

    others = {Path(path).stem: read_predictions(path) for path in predictions}
    scorers = {
        name: Scorer.from_pretrained(model, **scorer_options)
        for name, model in zip(names[: len(models)], models, strict=True)
    }
    # Whatever is wrong with labels and predictions is found before anything is scored.
    rated = [_read(source, split, seeds, allow_missing, progress) for source in sources]
    distorted = dict(zip(labels, map(read_distorted, folders), strict=True))
    paths = {one.label: one.paths() for one, _ in rated}
    paths |= {label: {row.name: str(row.path) for row in rows} for label, rows in distorted.items()}
    matched = _matched(others, paths)

    scoring = _Scoring(scorers, output, progress)
    results: list[Result] = []
    for one, parts in rated:
        _say(one.in_words(), progress)
        scores = scoring.scores(one.label, one.photos["name"][:], one.photos["image"], left_out=allow_missing)
        for name, by_name in (scores | matched[one.label]).items():
            for part, rows in parts.items():
                base = Result(name, one.label, part, 0, 0, seeds=one.seeds)
                values = [[by_name[photo] for photo in its["name"][:]] for its in rows]
                if part != split and not all(sum(map(math.isfinite, its)) >= 2 for its in values):
                    continue
                figures = [
                    _figures(base, photos, its, scorers.get(name), resamples, allow_missing)
                    for photos, its in zip(rows, values, strict=True)
                ]
                results.append(_median(figures))
            title = f"{name} on {one.label}, {split}"
            _plot(one.chosen[0], by_name, title, output / PLOTS / one.label / f"{name}.png")
    tables: dict[str, list[Consistency]] = {}
    for label, rows in distorted.items():
        _say(f"{label}: {counted(len(rows), 'photo')} of `dpiqa distort`, which need no opinion scores.", progress)
        images = [{"bytes": None, "path": str(row.path)} for row in rows]
        scores = scoring.scores(label, [row.name for row in rows], images, left_out=True)
        for name, by_name in (scores | matched[label]).items():
            tables[f"{name} on {label}"] = rank_consistency(rows, by_name)

    for name in RESULTS:
        (output / name).unlink(missing_ok=True)
    if results:
        write_results(results, output)
    if tables:
        write_consistency(tables, output)
    return Evaluation(results, tables)


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
    _warn_of(_errors(photos["name"][:], found), data, len(photos), "They are counted as errors.")
    base = Result(model, data, part, 0, 0, seeds=list(seeds))
    return _figures(base, photos, [score.score for score in found], scorer, resamples, allow_missing=False)


@dataclass(frozen=True)
class _Scoring:
    """Models that score data sets, one after another.

    Attributes:
        scorers: The models by name.
        output: Where kept scores and predictions go.
        progress: Where the progress is shown.
    """

    scorers: Mapping[str, Scorer]
    output: Path
    progress: Progress | None

    def scores(
        self, label: str, names: Sequence[str], images: Sequence[Mapping[str, Any]], *, left_out: bool
    ) -> dict[str, dict[str, float]]:
        """The score of every photo, by model and name; NaN where it has none, which is said."""
        scores: dict[str, dict[str, float]] = {}
        errors: dict[str, str] = {}
        for model, scorer in self.scorers.items():
            description = f"{model} on {label}"
            found = score_photos(
                scorer, images, cache=self.output / CACHE, progress=self.progress, description=description
            )
            _write_predictions(self.output / PREDICTIONS / label / f"{model}.csv", names, found)
            scores[model] = {name: score.score for name, score in zip(names, found, strict=True)}
            errors |= _errors(names, found)
        _warn_of(errors, label, len(names), "They are left out." if left_out else "They are counted as errors.")
        return scores


def _check_output(output: Path, overwrite: bool) -> None:
    present = [name for name in RESULTS if (output / name).exists()]
    if present and not overwrite:
        raise FileExistsError(
            f"{output} holds results already ({', '.join(present)}): choose another folder, or replace them with "
            "--overwrite (in Python overwrite=True). Scores that are kept there are used again."
        )


def _check_names(kind: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Two {kind} have the name {twice[0]}: rename one of the files or folders.")


def _model_name(model: str | None) -> str:
    if model is None:
        return BUNDLED
    return Path(model).resolve().name if Path(model).is_dir() else Path(model).name


def _read(
    source: DataSource, split: str, seeds: Sequence[int], allow_missing: bool, progress: Progress | None
) -> tuple[RatedSet, dict[str, list[Dataset]]]:
    with _waiting(progress, f"reading {source.label}"):
        rated = RatedSet.read(source, split, seeds, allow_missing)
    with _waiting(progress, f"comparing scenes of {source.label}"):
        return rated, rated.parts()


def _matched(
    others: Mapping[str, Mapping[str, float]], paths: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Other tools' scores by data set, tool and photo; a tool that scored other photos only is an error."""
    matched = {
        label: {tool: match_predictions(by_photo, its, f"{tool}.csv") for tool, by_photo in others.items()}
        for label, its in paths.items()
    }
    matched = {label: {tool: its for tool, its in by_tool.items() if its} for label, by_tool in matched.items()}
    unused = [tool for tool in others if not any(tool in by_tool for by_tool in matched.values())]
    if unused:
        raise ValueError(f"{', '.join(unused)}: no photo of these data sets is in the file.")
    return matched


def _errors(names: Sequence[str], scores: Sequence[Score]) -> dict[str, str]:
    """Why photos have no score, by name."""
    return {name: score.error for name, score in zip(names, scores, strict=True) if score.error is not None}


def _warn_of(errors: Mapping[str, str], label: str, count: int, consequence: str) -> None:
    if errors:
        named = first_few([f"{name} ({error})" for name, error in errors.items()])
        photos = counted(count, "photo")
        logger.warning("%s: no score for %d of %s: %s. %s", label, len(errors), photos, named, consequence)


def _figures(
    base: Result, photos: Dataset, scores: Sequence[float], scorer: Scorer | None, resamples: int, allow_missing: bool
) -> Result:
    rows = [row for row, score in enumerate(scores) if math.isfinite(score)]
    if len(rows) < 2:
        raise ValueError(
            f"{base.model} scored {len(rows)} of the {counted(len(photos), 'photo')} of {base.data}, {base.part}: "
            "expected at least 2."
        )
    config = None if scorer is None else scorer.config
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
    """The first result with medians in place of its figures and counts."""
    metrics = {}
    for name, metric in results[0].metrics.items():
        # Deviations of the opinions may be missing in one of the splits.
        if not all(name in result.metrics for result in results):
            continue
        figures = [result.metrics[name] for result in results]
        metrics[name] = metric | {key: float(np.median([f[key] for f in figures])) for key in ("value", "low", "high")}
    photos, errors = (round(float(np.median([getattr(r, key) for r in results]))) for key in ("photos", "errors"))
    return replace(results[0], photos=photos, errors=errors, metrics=metrics)


def _write_predictions(path: Path, names: Sequence[str], scores: Sequence[Score]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(UnixLines(file))
        writer.writerow(("path", "score", "error"))
        for name, score in zip(names, scores, strict=True):
            writer.writerow((name, "" if score.error else f"{score.score:.6f}", score.error or ""))


def _plot(photos: Dataset, scores: Mapping[str, float], title: str, path: Path) -> None:
    pairs = [(scores[name], mos) for name, mos in zip(photos["name"], photos["mos"], strict=True)]
    finite = [pair for pair in pairs if math.isfinite(pair[0])]
    path.parent.mkdir(parents=True, exist_ok=True)
    scores_of_them, opinions = [pair[0] for pair in finite], [pair[1] for pair in finite]
    scatter_plot(scores_of_them, opinions, title, path)


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
        progress.console.print(Text(line), soft_wrap=True)
