"""The Space: a page and an endpoint that compare scores with opinion scores, uploaded as a CSV file or pasted."""

import csv
import os
from dataclasses import asdict
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from dpiqa.evaluation.metrics import correlation_report

TITLE = "IQA correlation"
# What one request may cost: photos, bytes of a file, characters of a text; and how many requests wait for their turn.
MAX_ROWS = 10_000
MAX_BYTES = MAX_CHARACTERS = 1_000_000
MAX_QUEUE = 16
LAUNCH = {"max_file_size": MAX_BYTES, "ssr_mode": False, "footer_links": ["api"]}
HELP = (
    "One photo per line: its score, its mean opinion score (MOS, higher is better) and, if you have it, the standard "
    "deviation of the opinions. A line with the names `score`, `mos` and `std` may come first; then other columns are "
    f"passed over. Commas, semicolons, tabs and spaces separate columns. A request may have {MAX_ROWS:,} photos and "
    f"{MAX_BYTES / 1e6:g} MB. One request is computed at a time, and {MAX_QUEUE} may wait."
)
LABELS = {
    "srcc": "SRCC",
    "krcc": "KRCC",
    "plcc": "PLCC",
    "plcc_fitted": "PLCC fitted",
    "rmse": "RMSE",
    "rmse_fitted": "RMSE fitted",
    "outlier_ratio": "outlier ratio",
}


def read_columns(text: str) -> tuple[list[float], ...]:
    """Reads the columns score, MOS and, where there is one, standard deviation.

    Raises:
        ValueError: When there is nothing to read, too much of it, a column is missing, or a value is no number.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"At most {MAX_CHARACTERS:,} characters at a time, these are {len(text):,}.")
    lines = text.lstrip("\ufeff").strip().splitlines()
    if not lines:
        raise ValueError("Upload a CSV file, or paste one line per photo with its score and its MOS.")
    delimiter = next((mark for mark in "\t;," if mark in lines[0]), None)
    rows = list(csv.reader(lines, delimiter=delimiter)) if delimiter else [line.split() for line in lines]
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    first = [cell.strip().lower() for cell in rows[0]]
    if any(_is_number(cell) for cell in first):
        names, start = ["score", "mos", "std"][: len(first)], 0
    else:
        names, start = first, 1
    if not {"score", "mos"} <= set(names):
        found = ", ".join(first)
        raise ValueError(f"Expected a score and a MOS per line, or a first line that names them, found: {found[:200]}")
    if len(rows) - start > MAX_ROWS:
        raise ValueError(f"At most {MAX_ROWS:,} photos at a time, these are {len(rows) - start:,}.")
    places = [names.index(name) for name in ("score", "mos", "std") if name in names]
    columns: tuple[list[float], ...] = tuple([] for _ in places)
    for number, row in enumerate(rows[start:], start=start + 1):
        for place, column in zip(places, columns, strict=True):
            try:
                column.append(float(row[place]))
            except (IndexError, ValueError):
                found = " ".join(row)[:80]
                raise ValueError(f"Line {number}: expected a number as {names[place]}, found: {found}") from None
    return columns


def figures(text: str) -> dict:
    """Compares scores with opinion scores.

    Args:
        text: One line per photo: score, MOS and, optionally, standard deviation of the opinions.

    Returns:
        `photos`, and for each figure its `value`, the bounds `low` and `high` of its 95 % interval, and a `note`.
    """
    try:
        columns = read_columns(text)
        report = correlation_report(*columns)
    except (ValueError, csv.Error) as error:
        raise gr.Error(str(error), print_exception=False) from None
    return {"photos": len(columns[0])} | {name: asdict(metric) for name, metric in report.items()}


def build_app() -> gr.Blocks:
    """Builds the page."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, 600)) as app:
        gr.Markdown(f"# {TITLE}\nHow well scores of an image quality model agree with people's opinions.\n\n{HELP}")
        with gr.Row():
            with gr.Column(min_width=300):
                text = gr.Textbox(
                    label="Scores and MOS",
                    lines=10,
                    max_lines=20,
                    max_length=MAX_CHARACTERS,
                    placeholder="score,mos\n0.42,0.38",
                )
                file = gr.UploadButton("Upload a CSV file", file_types=[".csv", ".tsv", ".txt"])
                button = gr.Button("Compare", variant="primary")
            with gr.Column(min_width=300):
                summary = gr.Markdown()
                table = gr.Dataframe(headers=["figure", "value", "95 % from", "to"], interactive=False)

        def show(text: str) -> tuple[str, list]:
            found = figures(text)
            photos = found.pop("photos")
            notes = sorted({metric["note"] for metric in found.values() if metric["note"]})
            rows = [
                [label, *(f"{found[name][key]:.4f}" for key in ("value", "low", "high"))]
                for name, label in LABELS.items()
                if name in found
            ]
            return "\n\n".join([f"{photos:,} photos", *(f"Note: {note}." for note in notes)]), rows

        one_at_a_time = {"concurrency_id": "figures", "concurrency_limit": 1}
        button.click(show, text, [summary, table], api_visibility="private", **one_at_a_time)
        # Without gradio's preprocessing, which would fetch a URL.
        loaded = file.upload(_read_upload, file, text, preprocess=False, api_visibility="private")
        loaded.success(show, text, [summary, table], api_visibility="private", **one_at_a_time)
        gr.api(figures, api_name="figures", **one_at_a_time)
    return app.queue(max_size=MAX_QUEUE)


def _read_upload(file: dict | None) -> str:
    path = Path(os.path.realpath(str((file or {}).get("path", ""))))
    if not path.is_relative_to(os.path.realpath(get_upload_folder())) or not path.is_file():
        raise gr.Error("Only uploaded files are taken: no paths, no URLs.", print_exception=False)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise gr.Error("The file is no text in UTF-8: save it as CSV (UTF-8).", print_exception=False) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    build_app().launch(**LAUNCH)
