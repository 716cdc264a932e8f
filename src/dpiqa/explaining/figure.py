"""The picture of what a teacher reads in a photo (needs matplotlib)."""

from __future__ import annotations

import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from ..scoring.colours import BAD, GOOD, MIDDLING
from ..scoring.map_files import write_whole
from ..scoring.quality_maps import overlay, own_range
from ..scoring.score import Score
from .attention import PromptAttention, WordAttention
from .explanation import Explanation
from .feature_pictures import principal_colours
from .sheet import Sheet, percent

_DISTORTIONS_SHOWN = 5
# What the longest heading needs.
_COLUMNS_OF_HEADINGS = 5
_LESS_AND_MORE = colormaps["RdBu_r"]
_BAD_AND_GOOD = LinearSegmentedColormap.from_list("quality", [BAD, MIDDLING, GOOD])
_OPACITY = 0.65
# The share in percent of the places whose colours differ; those beyond have the colours at the ends.
_TOLD_APART = 99.5
_DPI = 150
_WHAT_NOT_TO_CONCLUDE = (
    "Attention says where a word is looked up, not why the score is high or low. Every word has a weight of its own, "
    "whatever the photo shows: compare the pictures of two photos."
)


def draw_explanation(explanation: Explanation) -> Figure:
    """Draws all of an explanation on one sheet, and says on it what each part shows.

    Args:
        explanation: What [`dpiqa.explaining.explanation.explain_photo`] returned.

    Returns:
        A figure of matplotlib. Its `savefig` needs no display.

    Raises:
        ValueError: When the student's score has no quality map.
    """
    attention = explanation.attention
    columns = max(2 + len(explanation.features), _COLUMNS_OF_HEADINGS)
    if attention is not None:
        columns = max(columns, 1 + len(attention.qualities.words), 1 + len(_most_attended(attention.distortions)))
    sheet = Sheet(explanation.photo, 1 if attention is None else 3, columns)
    sheet.title(explanation.photo_name, f"The teacher is {explanation.teacher_name}")
    _draw_scores(sheet, explanation)
    _draw_features(sheet, explanation)
    if attention is None:
        sheet.footer(
            f"The attention to the {explanation.num_prompts:,} prompts is left out: no prompt_grid in the teacher's "
            "config.json says their words."
        )
    else:
        sheet.footer(_WHAT_NOT_TO_CONCLUDE)
        _draw_attention(sheet, explanation.photo, attention, explanation.num_prompts)
    return sheet.figure


def save_explanation(explanation: Explanation, path: str | os.PathLike[str]) -> None:
    """Writes the picture of an explanation as PNG, whole or not at all.

    Raises:
        OSError: When the file cannot be written.
    """
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # The name of a photo may be in letters that matplotlib's font does not have: it draws boxes in their place.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        draw_explanation(explanation).savefig(picture, format="png", dpi=_DPI)
    write_whole(Path(path), picture.getvalue())


def _draw_scores(sheet: Sheet, explanation: Explanation) -> None:
    photo, student = explanation.photo, explanation.student_score
    if student.quality_map is None:
        raise ValueError("Expected a student's score with its quality map.")
    low, high = own_range(student.quality_map)
    note = (
        "Higher is better, on a scale of about 0 to 1.\n"
        "The student's map: in this photo, green is better and purple worse."
    )
    sheet.heading(0, 0, "The photo and its scores", note)
    sheet.picture(0, 0, photo, f"teacher: {explanation.score.score:.2f}", _percentile(explanation.score))
    picture = overlay(photo, student.quality_map, (low, high))
    sheet.picture(0, 1, picture, f"student: {student.score:.2f}")
    sheet.scale_below(0, 1, _BAD_AND_GOOD, f"low {low:.2f}", f"high {high:.2f}")


def _draw_features(sheet: Sheet, explanation: Explanation) -> None:
    note = (
        "Places of one colour look alike to the teacher at this level. No colour is good or bad: red, green and blue\n"
        "are the level's three strongest patterns, and have another meaning in the next picture."
    )
    sheet.heading(0, 2, "What the teacher reads at each level of its UNet", note)
    for level, features in enumerate(explanation.features):
        picture, share = principal_colours(features)
        channels, rows, columns = features.shape
        size = f"{rows}x{columns} places, {channels:,} features,\n{100 * share:.0f} % of their variance shown"
        sheet.picture(0, 2 + level, picture, f"level {level + 1}", size)


def _draw_attention(sheet: Sheet, photo: Image.Image, attention: PromptAttention, num_prompts: int) -> None:
    qualities, scenes, distortions = attention.qualities, attention.scenes, attention.distortions
    sheet.heading(
        1,
        0,
        "Which quality words light up where",
        f"The UNet's attention to the {num_prompts:,} prompts, added up by word. Red: more of it goes to the word "
        "here than in the whole photo. Blue: less.\nBelow each word: its attention in the whole photo, above (+) or "
        "below (\N{MINUS SIGN}) an equal share for every word.",
    )
    _draw_words(sheet, 1, photo, qualities, np.arange(len(qualities.words)))
    _draw_bars(sheet, 1, len(qualities.words), qualities, "quality words")
    shown = _most_attended(distortions)
    sheet.heading(
        2,
        0,
        "The distortion words with the most attention, and where",
        f"The first {len(shown)} of {len(distortions.words)} words. Colours and numbers are as in the row above.",
    )
    _draw_words(sheet, 2, photo, distortions, shown)
    _draw_bars(sheet, 2, len(shown), scenes, "scene words")


def _draw_words(sheet: Sheet, row: int, photo: Image.Image, attention: WordAttention, shown: np.ndarray) -> None:
    maps = attention.relative_maps[shown]
    reach = max(float(np.percentile(np.abs(maps), _TOLD_APART)), 1e-6)
    for column, (index, one) in enumerate(zip(shown, maps, strict=True)):
        share = f"{percent(attention.emphasis[index])} in the whole photo"
        sheet.picture(row, column, _lit(photo, one / reach), attention.words[index], share)
    amount = percent(reach).removeprefix("+")
    sheet.scale_above(row, _LESS_AND_MORE, f"{amount} less", f"{amount} more")


def _draw_bars(sheet: Sheet, row: int, column: int, attention: WordAttention, title: str) -> None:
    sheet.bars(
        row,
        column,
        attention.words,
        attention.emphasis,
        _LESS_AND_MORE,
        title,
        "above or below an equal share,\nin the whole photo",
    )


def _most_attended(attention: WordAttention) -> np.ndarray:
    return np.argsort(-attention.emphasis, kind="stable")[:_DISTORTIONS_SHOWN]


def _lit(photo: Image.Image, lights: np.ndarray) -> Image.Image:
    """Lays a map with values from -1 to 1 over its photo, in grey so that the colours are the map's."""
    levels = Image.fromarray(lights.astype(np.float32)).resize(photo.size, Image.Resampling.BICUBIC)
    colours = _LESS_AND_MORE((np.asarray(levels) + 1) / 2, bytes=True)[..., :3]
    return Image.blend(photo.convert("L").convert("RGB"), Image.fromarray(colours), _OPACITY)


def _percentile(score: Score) -> str:
    return "" if score.percentile is None else f"better than {math.floor(score.percentile)} %\nof its training photos"


__all__ = ["draw_explanation", "save_explanation"]
