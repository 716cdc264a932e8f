"""The Space: a page that compares uploaded scores with opinion scores."""

import csv
from pathlib import Path

import gradio as gr

from dpiqa.evaluation.metrics import correlation_report

MAX_PHOTOS = 20_000
NAMES = {
    "srcc": "SRCC",
    "krcc": "KRCC",
    "plcc": "PLCC",
    "plcc_fitted": "PLCC fitted",
    "rmse": "RMSE",
    "rmse_fitted": "RMSE fitted",
    "outlier_ratio": "outliers",
}
TITLE = "How well do scores agree with opinions?"
INTRODUCTION = f"""# {TITLE}
Upload a CSV file with one line per photo: a column `score` (a model's) and a column `mos` (people's mean opinion
score, higher is better). With a column `std`, the standard deviation of the opinions, you also get the share of
outliers.

SRCC and KRCC are rank correlations. PLCC and RMSE are those of the scores as they are. "Fitted" means that the
field's four-parameter logistic was fitted to these opinion scores first; the two must not be mixed. The bounds are
95 % intervals from resampling photos."""


def correlations(path: str | None, resamples: float) -> list[list[str | float]]:
    """Compares the columns `score` and `mos` of a CSV file.

    Args:
        path: The uploaded file.
        resamples: How often photos are drawn for the intervals.

    Returns:
        Rows of figure, value, low, high.

    Raises:
        gr.Error: When the file is no such table.
    """
    if path is None:
        raise gr.Error("Upload a CSV file first.")
    try:
        scores, mos, std = _read(Path(path))
        report = correlation_report(scores, mos, std, resamples=int(resamples))
    except (ValueError, csv.Error) as error:
        raise gr.Error(str(error), print_exception=False) from None
    for note in {metric.note for metric in report.values() if metric.note}:
        gr.Info(note)
    return [[NAMES[name], *(round(x, 4) for x in (m.value, m.low, m.high))] for name, m in report.items()]


def _read(path: Path) -> tuple[list[float], list[float], list[float] | None]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("This is no text file in UTF-8: expected a CSV file.") from None
    reader = csv.DictReader(text.splitlines())
    found = reader.fieldnames or []
    if not {"score", "mos"} <= set(found):
        raise ValueError(f"Expected columns score and mos, found {', '.join(found) or 'none'}.")
    columns: dict[str, list[float]] = {name: [] for name in ("score", "mos", "std") if name in found}
    for row in reader:
        for name, values in columns.items():
            try:
                values.append(float(row[name]))
            except (TypeError, ValueError):
                raise ValueError(f"Line {reader.line_num}: {name} is {row[name]!r}, expected a number.") from None
    if len(columns["mos"]) > MAX_PHOTOS:
        raise ValueError(f"Expected at most {MAX_PHOTOS} photos, found {len(columns['mos'])}.")
    return columns["score"], columns["mos"], columns.get("std")


def build_app() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title=TITLE) as app:
        gr.Markdown(INTRODUCTION)
        file = gr.File(label="CSV file", file_types=[".csv"])
        resamples = gr.Slider(0, 1000, 1000, step=100, label="Resamples; 0 leaves the intervals out")
        button = gr.Button("Compare", variant="primary")
        headers = ["figure", "value", "low", "high"]
        table = gr.Dataframe(headers=headers, interactive=False, label="Agreement")
        button.click(correlations, [file, resamples], table, api_name="correlations")
    return app


if __name__ == "__main__":
    build_app().launch(max_file_size="10mb")
