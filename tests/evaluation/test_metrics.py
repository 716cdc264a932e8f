"""Agreement with opinion scores, and how sure the figure is."""

import numpy as np
import pytest
from scipy.stats import bootstrap, kendalltau, pearsonr, spearmanr

from dpiqa.evaluation import metrics
from dpiqa.evaluation.metrics import correlation_report, fitted_plcc, logistic_fit, outlier_ratio, plcc


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    mos = rng.uniform(0, 1, 200)
    return mos + 0.1 * rng.standard_normal(200), mos


def test_figures_are_those_of_scipy(data):
    report = correlation_report(*data, resamples=0)
    for name, function in (("srcc", spearmanr), ("plcc", pearsonr), ("krcc", kendalltau)):
        assert report[name].value == pytest.approx(function(*data).statistic)
    assert report["rmse"].value == pytest.approx(np.sqrt(np.mean((data[0] - data[1]) ** 2)))


def test_intervals_hold_the_figure_and_repeat(data):
    report = correlation_report(*data, resamples=200)
    assert all(metric.low < metric.value < metric.high for metric in report.values())
    assert report == correlation_report(*data, resamples=200)


def test_photos_are_drawn_once_for_all_figures(data, monkeypatch):
    fits = []
    real = metrics.logistic_fit
    monkeypatch.setattr(metrics, "logistic_fit", lambda *columns: fits.append(columns) or real(*columns))
    correlation_report(*data, np.full(200, 0.1), half_width=0.1, resamples=7)
    assert len(fits) == 1 + 7


def test_intervals_are_those_of_scipys_bootstrap(data):
    low, high = bootstrap(
        data, plcc, paired=True, vectorized=False, n_resamples=50, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    metric = correlation_report(*data, resamples=50)["plcc"]
    assert (metric.low, metric.high) == pytest.approx((low, high))


def test_a_fit_that_starts_near_another_is_as_good():
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores, mos = rng.uniform(size=(2, 12))
        near, _ = logistic_fit(*rng.uniform(size=(2, 12)))
        curve, _ = logistic_fit(scores, mos, near if isinstance(near, metrics.Logistic) else None)
        line = np.polyval(np.polyfit(scores, mos, 1), scores)
        assert np.sum((curve(scores) - mos) ** 2) <= np.sum((line - mos) ** 2) + 1e-4


def test_intervals_shrink_with_more_photos(data):
    few = correlation_report(data[0][:40], data[1][:40], resamples=200)["srcc"]
    many = correlation_report(*data, resamples=200)["srcc"]
    assert many.high - many.low < few.high - few.low


def test_the_fit_straightens_a_logistic():
    mos = np.linspace(0.02, 0.98, 100)
    scores = 50 + 10 * np.log(mos / (1 - mos))
    curve, is_logistic = logistic_fit(scores, mos)
    assert is_logistic
    np.testing.assert_allclose(curve(scores), mos, atol=1e-3)
    assert fitted_plcc(scores, mos) > 0.9999 > plcc(scores, mos)


def test_the_slopes_are_those_of_the_logistic():
    x, parameters = np.linspace(-2, 2, 9), np.array([0.9, 0.1, 0.2, -0.7])
    slopes = metrics._logistic_slopes(x, *parameters)
    for column, step in enumerate(1e-6 * np.eye(4)):
        numeric = (metrics._logistic(x, *(parameters + step)) - metrics._logistic(x, *(parameters - step))) / 2e-6
        np.testing.assert_allclose(slopes[:, column], numeric, atol=1e-8)


def test_the_fit_finds_falling_curves_too():
    mos = np.linspace(0, 1, 50)
    assert fitted_plcc(-mos, mos) > 0.99


@pytest.mark.parametrize("scores", [np.full(10, 0.3), np.full(10, 0.3) + np.arange(10) * 1e-18])
def test_constant_scores_are_finite_and_explained(scores):
    report = correlation_report(scores, np.linspace(0, 1, 10), np.full(10, 0.1), resamples=20)
    assert all(np.isfinite([metric.value, metric.low, metric.high]).all() for metric in report.values())
    assert report["srcc"].value == 0
    assert "constant" in report["srcc"].note


def test_two_photos_are_enough():
    assert correlation_report([0.1, 0.2], [0.3, 0.9], resamples=20)["srcc"].value == pytest.approx(1)


def test_outliers_are_counted_in_standard_deviations():
    mos = np.linspace(0, 1, 100)
    scores = mos.copy()
    scores[50] = 0.9
    assert outlier_ratio(scores, mos, np.full(100, 0.15)) == pytest.approx(0.01)


def test_coverage_is_the_share_of_opinions_inside(data):
    covered = correlation_report(*data, half_width=0.1, resamples=0)["interval_coverage"].value
    assert covered == np.mean(np.abs(data[0] - data[1]) <= 0.1)


@pytest.mark.parametrize(
    ("scores", "mos", "message"),
    [
        ([0.1], [0.2], "two or more"),
        ([0.1, 0.2], [0.2], "same two or more"),
        ([0.1, float("nan")], [0.1, 0.2], "finite"),
    ],
)
def test_what_cannot_be_compared_is_an_error(scores, mos, message):
    with pytest.raises(ValueError, match=message):
        correlation_report(scores, mos)
