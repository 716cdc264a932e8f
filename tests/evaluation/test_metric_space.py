"""The metric for `evaluate` loads from its folder, offline."""

from pathlib import Path

import evaluate
import numpy as np
import pytest

from dpiqa.evaluation.metrics import correlation_report

FOLDER = Path(__file__).parents[2] / "spaces" / "iqa-correlation"


@pytest.fixture(scope="module")
def metric():
    return evaluate.load(str(FOLDER))


def test_it_gives_the_figures_of_the_package(metric):
    rng = np.random.default_rng(0)
    mos = rng.uniform(size=50)
    scores = mos + 0.1 * rng.standard_normal(50)
    figures = metric.compute(predictions=scores, references=mos, resamples=50)
    report = correlation_report(scores, mos, resamples=50)
    assert figures["srcc"] == pytest.approx(report["srcc"].value)
    assert figures["plcc_fitted_low"] == pytest.approx(report["plcc_fitted"].low)


def test_constant_predictions_are_finite(metric):
    figures = metric.compute(predictions=[0.5] * 5, references=[0.1, 0.2, 0.3, 0.4, 0.5], resamples=10)
    assert np.isfinite(list(figures.values())).all()
