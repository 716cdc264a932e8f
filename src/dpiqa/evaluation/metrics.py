"""How well scores agree with opinion scores, with the uncertainty of the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import leastsq
from scipy.special import expit
from scipy.stats import kendalltau, rankdata

_CONSTANT = "the scores are constant: no correlation is defined, 0 stands for it"
_UNFITTED = "the logistic fit did not converge: a straight line stands for it"
_CONVERGED = (1, 2, 3, 4)  # as MINPACK says it
# Relative change at which the search for a curve ends. A resample's curve needs the digits that its bounds show only.
_TOLERANCE, _RESAMPLE_TOLERANCE = 1.5e-8, 1e-5


@dataclass(frozen=True)
class Metric:
    """One figure and its 95 % bootstrap interval.

    Attributes:
        value: The figure on all photos; always finite.
        low: 2.5 % quantile over resampled photos.
        high: 97.5 % quantile.
        note: What to know about it, or None.
    """

    value: float
    low: float
    high: float
    note: str | None = None


def srcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation; 0 when either side is constant."""
    return plcc(rankdata(scores), rankdata(mos))


def plcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's linear correlation of the scores as they are; 0 when either side is constant."""
    return _correlation(_pearson, scores, mos)


def krcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's rank correlation (tau-b); 0 when either side is constant."""
    return _correlation(lambda x, y: kendalltau(x, y).statistic, scores, mos)


def rmse(scores: ArrayLike, mos: ArrayLike) -> float:
    """Root mean squared error, in units of the MOS."""
    return float(np.sqrt(np.mean((np.asarray(scores, float) - np.asarray(mos, float)) ** 2)))


def fitted_plcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation after [`logistic_fit`], the field's convention for comparing methods."""
    return plcc(logistic_fit(scores, mos)[0](np.asarray(scores, float)), mos)


def fitted_rmse(scores: ArrayLike, mos: ArrayLike) -> float:
    """Root mean squared error after [`logistic_fit`]."""
    return rmse(logistic_fit(scores, mos)[0](np.asarray(scores, float)), mos)


def outlier_ratio(scores: ArrayLike, mos: ArrayLike, std: ArrayLike) -> float:
    """Share of photos whose score, after [`logistic_fit`], is more than two standard deviations from the MOS.

    The standard deviations are those of the photo's opinions (VQEG's definition).
    """
    fitted = logistic_fit(scores, mos)[0](np.asarray(scores, float))
    return _share_outside(fitted, np.asarray(mos, float), 2 * np.asarray(std, float))


@dataclass(frozen=True)
class Logistic:
    """A four-parameter logistic; call it with scores.

    Attributes:
        parameters: Top, bottom, middle and width, for standardised scores.
        mean: Mean of the scores that it was fitted to.
        spread: Their standard deviation.
    """

    parameters: tuple[float, ...]
    mean: float
    spread: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        return _logistic((scores - self.mean) / self.spread, *self.parameters)


def logistic_fit(
    scores: ArrayLike, mos: ArrayLike, near: Logistic | None = None
) -> tuple[Callable[[np.ndarray], np.ndarray], bool]:
    """Fits the four-parameter logistic that maps scores to the MOS scale (VQEG, FR-TV phase I, 2000).

    Args:
        scores: (photos,) scores.
        mos: (photos,) opinion scores.
        near: Where the search starts, when the curve of similar photos is known; this is much faster.

    Returns:
        The curve, and whether it is the logistic; where the fit fails or there is too little to fit, it is the
        straight line of least squares.
    """
    x, y = np.asarray(scores, float), np.asarray(mos, float)
    spread = x.std()
    if len(x) >= 5 and spread > 0:
        # Standardised scores, so that the fit does not depend on the scale of the tool that made them.
        z = (x - x.mean()) / spread
        rising = np.cov(z, y)[0, 1] >= 0
        top, bottom = (y.max(), y.min()) if rising else (y.min(), y.max())
        start = (top, bottom, 0.0, 1.0) if near is None else near.parameters
        tolerance = _TOLERANCE if near is None else _RESAMPLE_TOLERANCE
        # The search may try curves too steep for a float; they are not the best ones.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            best, *_, status = leastsq(
                lambda parameters: _logistic(z, *parameters) - y,
                start,
                Dfun=lambda parameters: _logistic_slopes(z, *parameters),
                ftol=tolerance,
                xtol=tolerance,
                maxfev=5000,
                full_output=True,  # in place of warnings
            )
        best = best if status in _CONVERGED else None
        # From another sample's curve the search can end on a flat one, which no straight line is worse than.
        if near is not None and (best is None or not np.sum((_logistic(z, *best) - y) ** 2) <= _error_of_line(z, y)):
            return logistic_fit(scores, mos)
        if best is not None and np.isfinite(best).all():
            return Logistic(tuple(map(float, best)), float(x.mean()), float(spread)), True
    slope = float(np.cov(x, y)[0, 1] / x.var(ddof=1)) if len(x) > 1 and spread > 0 else 0.0
    offset = float(y.mean() - slope * x.mean())
    return lambda values: slope * values + offset, False


def correlation_report(
    scores: ArrayLike,
    mos: ArrayLike,
    std: ArrayLike | None = None,
    *,
    half_width: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Metric]:
    """All of the field's figures, each with a 95 % interval from resampling photos.

    Args:
        scores: (photos,) finite scores of a model.
        mos: (photos,) opinion scores.
        std: (photos,) standard deviations of the opinions, for the outlier ratio.
        half_width: Half the width of the interval of each score, for the share of MOS that it covers.
        resamples: Number of bootstrap samples; 0 leaves the intervals out (low and high are then the value).
        seed: The seed of the bootstrap.

    Returns:
        "srcc", "plcc", "plcc_fitted", "krcc", "rmse", "rmse_fitted", and "outlier_ratio" and "interval_coverage" where
        `std` and `half_width` are given. PLCC and RMSE are of the scores as they are; "fitted" says that a logistic
        was fitted to these MOS first.

    Raises:
        ValueError: When the lengths differ, there are fewer than two photos, or a value is not finite.
    """
    columns = [np.asarray(scores, float), np.asarray(mos, float)]
    if std is not None:
        columns.append(np.asarray(std, float))
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1 or len(columns[0]) < 2:
        shapes = ", ".join(str(column.shape) for column in columns)
        raise ValueError(f"Expected scores and MOS of the same two or more photos, got shapes {shapes}.")
    if not all(np.isfinite(column).all() for column in columns):
        raise ValueError("Scores and MOS must be finite: leave out the photos that could not be scored.")
    figures, curve = _figures(*columns, half_width=half_width)
    converged = isinstance(curve, Logistic)
    constant = np.ptp(columns[0]) == 0 or np.ptp(columns[1]) == 0
    correlation_note, fit_note = _CONSTANT if constant else None, None if converged else _UNFITTED
    notes = dict.fromkeys(("srcc", "plcc", "krcc"), correlation_note)
    notes |= {"plcc_fitted": correlation_note or fit_note, "rmse_fitted": fit_note}
    bounds = {name: (value, value) for name, value in figures.items()}
    if resamples > 0 and np.ptp(columns[0]) > 0:
        near = curve if isinstance(curve, Logistic) else None
        bounds = _intervals(columns, half_width, near, resamples, seed)
    return {name: Metric(value, *bounds[name], notes.get(name)) for name, value in figures.items()}


def _figures(
    x: np.ndarray,
    y: np.ndarray,
    std: np.ndarray | None = None,
    *,
    half_width: float | None = None,
    near: Logistic | None = None,
) -> tuple[dict[str, float], Callable[[np.ndarray], np.ndarray]]:
    """All figures of these photos from a single fit, and its curve."""
    curve, _ = logistic_fit(x, y, near)
    fitted = curve(x)
    figures = {
        "srcc": srcc(x, y),
        "plcc": plcc(x, y),
        "plcc_fitted": plcc(fitted, y),
        "krcc": krcc(x, y),
        "rmse": rmse(x, y),
        "rmse_fitted": rmse(fitted, y),
    }
    if std is not None:
        figures["outlier_ratio"] = _share_outside(fitted, y, 2 * std)
    if half_width is not None:
        figures["interval_coverage"] = float(np.mean(np.abs(x - y) <= half_width))
    return figures, curve


def _intervals(
    columns: list[np.ndarray], half_width: float | None, near: Logistic | None, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """The 2.5 % and 97.5 % quantiles of every figure: photos are drawn once for all of them."""
    rng, count = np.random.default_rng(seed), len(columns[0])
    draws: list[dict[str, float]] = []
    for _ in range(resamples):
        rows = rng.integers(0, count, count)
        draws.append(_figures(*(column[rows] for column in columns), half_width=half_width, near=near)[0])
    values = {name: [draw[name] for draw in draws] for name in draws[0]}
    return {name: (float(np.quantile(its, 0.025)), float(np.quantile(its, 0.975))) for name, its in values.items()}


def _correlation(function: Callable[[np.ndarray, np.ndarray], float], scores: ArrayLike, mos: ArrayLike) -> float:
    x, y = np.asarray(scores, float), np.asarray(mos, float)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    value = float(function(x, y))
    return value if np.isfinite(value) else 0.0


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    # Unlike scipy's function it computes no p-value, which takes most of the time. Scores that differ in their last
    # digits only are constant, and may have no spread at all.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(x, y)[0, 1])


def _error_of_line(z: np.ndarray, y: np.ndarray) -> float:
    """Sum of squares that the straight line of least squares leaves, from standardised scores."""
    return float(np.sum((y - y.mean()) ** 2) - np.sum(z * (y - y.mean())) ** 2 / len(z))


def _share_outside(fitted: np.ndarray, mos: np.ndarray, distance: np.ndarray) -> float:
    return float(np.mean(np.abs(fitted - mos) > distance))


def _logistic(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    return bottom + (top - bottom) * expit((x - middle) / (abs(width) + 1e-12))


def _logistic_slopes(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    """(photos, 4) derivatives of [`_logistic`] by its parameters, for an exact search."""
    scale = abs(width) + 1e-12
    distance = (x - middle) / scale
    share = expit(distance)
    steepness = (top - bottom) * share * (1 - share) / scale
    return np.stack([share, 1 - share, -steepness, -steepness * distance * np.copysign(1, width)], axis=1)
