"""Results of an evaluation as files for people and for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .metrics import logistic_fit

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

WHOLE_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Result:
    """The figures of one model on one set of photos.

    Attributes:
        model: Name of the model.
        data: Name of the data set.
        part: Which photos: a split, the test split without scenes of train, or one of its subsets.
        photos: How many; those without a score are not among them.
        errors: How many photos of this part have no score.
        seeds: Seeds of the splits; empty where the split is official. Figures are medians over them.
        metrics: See [`dpiqa.evaluation.metrics.correlation_report`]; each has `value`, `low`, `high`, `note`.
    """

    model: str
    data: str
    part: str
    photos: int
    errors: int
    seeds: list[int] = field(default_factory=list)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_results(results: Sequence[Result], output: Path) -> None:
    """Writes `results.json` and `results.md`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    (output / "results.md").write_text(to_markdown(results), encoding="utf-8")


def read_results(path: str | Path) -> list[Result]:
    """Reads a `results.json`, for a model card's `model-index`."""
    return [Result(**result) for result in json.loads(Path(path).read_text(encoding="utf-8"))]


def to_eval_results(results: Sequence[Result], model: str) -> list[EvalResult]:
    """SRCC, PLCC and RMSE of one model for the `model-index` of its card (`ModelCardData(eval_results=...)`).

    Args:
        results: From [`read_results`].
        model: Its name there.

    Raises:
        ValueError: When there is no result of this model.
    """
    from huggingface_hub import EvalResult

    rows = [result for result in results if result.model == model]
    if not rows:
        names = ", ".join(sorted({result.model for result in results}))
        raise ValueError(f"There is no result of {model!r}, only of {names}.")
    return [
        EvalResult(
            task_type="image-quality-assessment",
            dataset_type=result.data,
            dataset_name=f"{result.data}, {result.part}",
            dataset_split=result.part if result.part in WHOLE_SPLITS else None,
            metric_type=name,
            metric_name=name.upper(),
            metric_value=round(result.metrics[name]["value"], 4),
        )
        for result in rows
        for name in ("srcc", "plcc", "rmse")
    ]


def to_markdown(results: Sequence[Result]) -> str:
    """One row per result, then, with several data sets, the grid of models and data sets."""
    lines = [
        "| model | data | part | photos | SRCC [95 %] | KRCC | PLCC | fitted | RMSE | fitted | outliers | covered |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        metrics = result.metrics
        cells = [
            result.model,
            result.data,
            f"{result.part}, median of {len(result.seeds)} seeds" if len(result.seeds) > 1 else result.part,
            f"{result.photos} ({result.errors} without score)" if result.errors else str(result.photos),
            f"{_cell(metrics, 'srcc')} [{metrics['srcc']['low']:.3f}, {metrics['srcc']['high']:.3f}]",
            *(_cell(metrics, name) for name in ("krcc", "plcc", "plcc_fitted", "rmse", "rmse_fitted")),
            *(_cell(metrics, name) for name in ("outlier_ratio", "interval_coverage")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    notes = sorted({metric["note"] for result in results for metric in result.metrics.values() if metric["note"]})
    lines += ["", *(f"Note: {note}." for note in notes)] if notes else []
    data = list(dict.fromkeys(result.data for result in results))
    if len(data) > 1:
        whole = {(result.model, result.data): result for result in results if result.part in WHOLE_SPLITS}
        lines += ["", "SRCC by data set:", "", f"| model | {' | '.join(data)} |", "|---" * (len(data) + 1) + "|"]
        for model in dict.fromkeys(result.model for result in results):
            row = [_cell(whole[model, name].metrics, "srcc") if (model, name) in whole else "-" for name in data]
            lines.append(f"| {model} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def scatter_plot(scores: Sequence[float], mos: Sequence[float], title: str, path: Path) -> None:
    """Draws scores against MOS with the fitted curve (needs matplotlib)."""
    from matplotlib.figure import Figure

    x, y = np.asarray(scores), np.asarray(mos)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(x, y, s=8, alpha=0.4, color="#3b6fb6", edgecolors="none")
    curve, is_logistic = logistic_fit(x, y)
    line = np.linspace(x.min(), x.max(), 200)
    axes.plot(line, curve(line), color="#c0392b", label="fitted logistic" if is_logistic else "fitted line")
    axes.set(xlabel="score", ylabel="MOS, normalised", title=title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    return f"{metrics[name]['value']:.3f}" if name in metrics else "-"
