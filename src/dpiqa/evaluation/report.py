"""Results of an evaluation for people, on a terminal and in files, and for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .metrics import logistic_fit

if TYPE_CHECKING:
    from huggingface_hub import EvalResult
    from rich.console import RenderableType
    from rich.table import Table

WHOLE_SPLITS = ("train", "validation", "test", "all")
_FIGURES = {
    "SRCC [95 %]": "srcc",
    "KRCC": "krcc",
    "PLCC": "plcc",
    "PLCC fitted": "plcc_fitted",
    "RMSE": "rmse",
    "RMSE fitted": "rmse_fitted",
    "outliers": "outlier_ratio",
    "covered (nominal)": "interval_coverage",
}


@dataclass(frozen=True)
class Result:
    """The figures of one model on one set of photos.

    Attributes:
        model: Name of the model.
        data: Name of the data set.
        part: Which photos: a split, "all", the test split without scenes of train, or one group of a split.
        photos: How many; those without a score are not among them.
        errors: How many photos of this part have no score.
        seeds: Seeds of the splits; empty where the split is official. Figures and counts are medians over them.
        metrics: See [`dpiqa.evaluation.metrics.correlation_report`]; each has `value`, `low`, `high`, `note`.
        nominal_coverage: The share of MOS that the model's interval is meant to cover; None without an interval.
    """

    model: str
    data: str
    part: str
    photos: int
    errors: int
    seeds: list[int] = field(default_factory=list)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    nominal_coverage: float | None = None


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
    columns, rows = _rows(results)
    lines = markdown_table(["model", "data", *columns], rows)
    lines += ["", *_notes(results)] if _notes(results) else []
    data, grid = _grid(results)
    if len(data) > 1:
        lines += ["", "SRCC by data set:", "", *markdown_table(["model", *data], grid)]
    return "\n".join(lines) + "\n"


def to_tables(results: Sequence[Result]) -> list[RenderableType]:
    """The same for a terminal: a table per model and data set, the grid, and notes; rich prints each of them."""
    from rich.text import Text

    shown: list[RenderableType] = []
    for model, name in dict.fromkeys((result.model, result.data) for result in results):
        columns, rows = _rows([result for result in results if (result.model, result.data) == (model, name)])
        shown.append(terminal_table(f"{model} on {name}", columns, [row[2:] for row in rows]))
    data, grid = _grid(results)
    if len(data) > 1:
        shown.append(terminal_table("SRCC by data set", ["model", *data], grid))
    return [*shown, *(Text(note) for note in _notes(results))]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def terminal_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table for a terminal: the first column is text, the others are numbers, which break between words only."""
    from rich.table import Table
    from rich.text import Text

    # As Text: what stands in square brackets is markup to rich.
    table = Table(title=Text(title, "bold"), title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="dim")
    for number, column in enumerate(columns):
        words = [word for row in (columns, *rows) for word in row[number].split()]
        is_text = number == 0
        width = 8 if is_text else max(map(len, words))
        table.add_column(Text(column), justify="left" if is_text else "right", min_width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


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


def _rows(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Titles from "part" on, and a row per result, model and data first; empty columns are left out."""
    figures = {title: name for title, name in _FIGURES.items() if any(name in result.metrics for result in results)}
    has_errors = any(result.errors for result in results)
    rows = []
    for result in results:
        part = f"{result.part}, median of {len(result.seeds)} seeds" if len(result.seeds) > 1 else result.part
        cells = [result.model, result.data, part, str(result.photos), *([str(result.errors)] if has_errors else [])]
        rows.append(cells + [_cell(result, name) for name in figures.values()])
    return ["part", "photos", *(["errors"] if has_errors else []), *figures], rows


def _cell(result: Result, name: str) -> str:
    metric = result.metrics.get(name)
    if metric is None:
        return "-"
    cell = f"{metric['value']:.3f}"
    if name == "srcc":
        has_interval = metric["low"] < metric["high"]  # not without resamples, nor for constant scores
        return f"{cell} [{metric['low']:.3f}..{metric['high']:.3f}]" if has_interval else cell
    if name == "interval_coverage" and result.nominal_coverage is not None:
        return f"{cell} ({result.nominal_coverage:.2f})"
    return cell


def _notes(results: Sequence[Result]) -> list[str]:
    notes = {metric["note"] for result in results for metric in result.metrics.values()} - {None}
    return [f"Note: {note}." for note in sorted(notes)]


def _grid(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Data sets, and for each model its name and its SRCC on each of them."""
    data = list(dict.fromkeys(result.data for result in results))
    whole = {(r.model, r.data): f"{r.metrics['srcc']['value']:.3f}" for r in results if r.part in WHOLE_SPLITS}
    models = dict.fromkeys(result.model for result in results)
    return data, [[model, *(whole.get((model, name), "-") for name in data)] for model in models]
