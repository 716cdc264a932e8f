"""Scores as HTML: plain, for eyes and for screen readers; whatever a user typed is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ..scoring.scorer import Score
from .scored_uploads import DistortedPhoto, ScoredUpload

EMPTY = '<p class="dpiqa-empty">The score will be here.</p>'


def score_card(scored: ScoredUpload, coverage: float) -> str:
    """A score with its interval and percentile, or why there is none.

    Args:
        scored: The upload.
        coverage: Share in [0, 1] of photos whose mean opinion is in their interval.
    """
    score = scored.score
    if score.error is not None:
        return error_card(score.error)
    lines = [f"{score.width} x {score.height} pixels"]
    if score.percentile is not None:
        percent = math.floor(score.percentile)
        lines.insert(0, f"Better than <b>{percent} %</b> of the photos that the model learned from.")
    if score.interval is not None:
        low, high = score.interval
        share = f"for {100 * coverage:g} % of such photos"
        lines.insert(-1, f"Mean opinion of people: <b>{low:.2f}</b> to <b>{high:.2f}</b> {share}.")
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    return f'<section class="dpiqa-card" role="status">{_number(score)}{_meter(score)}{paragraphs}</section>'


def error_card(reason: str) -> str:
    """Why a photo has no score, and what to do."""
    return (
        f'<section class="dpiqa-card dpiqa-error" role="alert"><h3>This photo has no score</h3>'
        f"<p>{escape(reason)}</p><p>Please try another file, or save the photo again as JPEG or PNG.</p></section>"
    )


def ranking_notes(ranked: Sequence[ScoredUpload], max_shown: int) -> str:
    """What the pictures of a ranking do not say: how many are not shown, and which photos have no score."""
    failed = [item for item in ranked if item.score.error is not None]
    num_scored = len(ranked) - len(failed)
    if num_scored <= max_shown:
        return _error_list(failed)
    return f"<p>The best {max_shown} of {num_scored:,} photos are shown. The CSV has all.</p>{_error_list(failed)}"


def _error_list(failed: Sequence[ScoredUpload]) -> str:
    if not failed:
        return ""
    items = "".join(f"<li><b>{escape(item.name)}</b>: {escape(item.score.error or '')}</li>" for item in failed)
    return f'<section class="dpiqa-card dpiqa-error" role="alert"><h3>No score</h3><ul>{items}</ul></section>'


def curve_card(distorted: DistortedPhoto) -> str:
    """The score before and after, and the curve between."""
    change = distorted.score.score - distorted.original.score
    effect = f"takes {-change:.3f} away" if change <= 0 else f"adds {change:.3f}"
    return (
        f'<section class="dpiqa-card" role="status">{_number(distorted.score)}'
        f"<p>Without distortion it is <b>{distorted.original.score:.3f}</b>: the distortion {effect}.</p>"
        f"{_curve(distorted.curve)}"
        "</section>"
    )


def map_legend(limits: tuple[float, float]) -> str:
    """What the colours of a quality map mean.

    Args:
        limits: Scores at the two ends of the colours, as of [`dpiqa.scoring.quality_maps.colour_range`].
    """
    low, high = limits
    return (
        '<div class="dpiqa-legend"><p>In the quality map, <b>purple</b> is a low local quality, <b>white</b> is in '
        "between, and <b>green</b> is a high one. Smooth parts can be purple without any damage.</p>"
        '<div class="dpiqa-colours"></div>'
        f"<p><span>bad: {low:.2f} or less</span><span>good: {high:.2f} or more</span></p></div>"
    )


def _number(score: Score) -> str:
    return f'<p class="dpiqa-score"><b>{score.score:.3f}</b> <span>of 1, higher is better</span></p>'


def _meter(score: Score) -> str:
    def position(value: float) -> float:
        return round(100 * min(max(value, 0.0), 1.0), 1)

    low, high = score.interval or (score.score, score.score)
    left, width = position(low), position(high) - position(low)
    return (
        '<div class="dpiqa-meter" aria-hidden="true">'
        f'<i style="left:{left}%;width:{width:.1f}%"></i><b style="left:{position(score.score)}%"></b></div>'
    )


def _curve(curve: list[tuple[float, float]]) -> str:
    """An SVG line of the score (0 to 1) against the strength (0 to 100 %)."""
    points = [(40 + 250 * share, 110 - 100 * min(max(score, 0.0), 1.0)) for share, score in curve]
    line = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    levels = "".join(
        f'<line x1="40" x2="290" y1="{110 - 100 * level}" y2="{110 - 100 * level}"/>'
        f'<text x="34" y="{114 - 100 * level}" text-anchor="end">{level:g}</text>'
        for level in (0, 0.5, 1)
    )
    shares = "".join(
        f'<text x="{40 + 250 * share:.0f}" y="126" text-anchor="middle">{share:.0%}</text>' for share in (0, 0.5, 1)
    )
    label = "Score against strength: " + ", ".join(f"{share:.0%} {score:.3f}" for share, score in curve)
    return (
        f'<svg class="dpiqa-curve" viewBox="0 0 310 142" role="img" aria-label="{label}">{levels}{shares}'
        '<text x="165" y="140" text-anchor="middle">from no distortion (0%) to the one you set (100%)</text>'
        f'<polyline points="{line}"/>{dots}</svg>'
    )
