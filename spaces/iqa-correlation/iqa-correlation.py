"""Agreement of image quality scores with mean opinion scores, as a metric for `evaluate`."""

import datasets
import evaluate

from dpiqa.evaluation.metrics import correlation_report

_DESCRIPTION = """\
SRCC, PLCC (of the scores as they are, and after the field's four-parameter logistic fit), KRCC and RMSE of predicted
image quality against mean opinion scores, each with a 95 % bootstrap interval.
"""
_INPUTS = """\
Args:
    predictions: scores of a model, one per photo.
    references: mean opinion scores of the same photos, higher is better.
    stds: standard deviations of the opinions, optional, for the outlier ratio.
    resamples: of the bootstrap; 0 leaves the intervals out.
Returns:
    For each of srcc, plcc, plcc_fitted, krcc, rmse, rmse_fitted (and outlier_ratio): its value under its name, and
    "<name>_low" and "<name>_high", the bounds of the interval. Always finite: constants have a correlation of 0.
"""
_CITATION = """\
@article{dpiqa, title={DP-IQA: Utilizing Diffusion Prior for Blind Image Quality Assessment in the Wild},
  journal={arXiv preprint arXiv:2405.19996}, year={2024}}
"""


class IqaCorrelation(evaluate.Metric):
    """`evaluate.load("iqa-correlation").compute(predictions=scores, references=mos)`."""

    def _info(self):
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def _compute(self, predictions, references, stds=None, resamples=1000):
        report = correlation_report(predictions, references, stds, resamples=resamples)
        figures = {name: metric.value for name, metric in report.items()}
        for name, metric in report.items():
            figures[f"{name}_low"] = metric.low
            figures[f"{name}_high"] = metric.high
        return figures
