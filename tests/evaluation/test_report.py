"""Results as tables: Markdown in files, plain columns on a terminal."""

import io

import pytest
from rich.console import Console

from dpiqa.evaluation.report import Result, to_markdown, to_tables


def result(part="test", errors=0, coverage=0.8, **more):
    names = ("srcc", "krcc", "plcc", "plcc_fitted", "rmse", "rmse_fitted", "interval_coverage")
    figures = {name: {"value": 0.5, "low": 0.4, "high": 0.6, "note": None} for name in names}
    return Result("student", "photos", part, 40, errors, metrics=figures | more, nominal_coverage=coverage)


def printed(results, width):
    console = Console(file=io.StringIO(), width=width)
    for table in to_tables(results):
        console.print(table, crop=False)
    return console.file.getvalue()


def test_every_column_of_the_markdown_has_its_own_name():
    columns = to_markdown([result()]).splitlines()[0].strip("| ").split(" | ")
    assert len(set(columns)) == len(columns)
    assert {"PLCC", "PLCC fitted", "RMSE", "RMSE fitted"} <= set(columns)


def test_coverage_stands_beside_what_the_configuration_promises():
    assert "covered (nominal)" in to_markdown([result()])
    assert "0.500 (0.80)" in to_markdown([result(coverage=0.8)])


def test_errors_and_outliers_have_a_column_only_where_there_are_any():
    outliers = {"value": 0.1, "low": 0, "high": 1, "note": None}
    assert "errors" not in to_markdown([result()])
    assert "| 40 | 3 |" in to_markdown([result(errors=3)])
    assert "outliers" not in to_markdown([result()])
    assert "outliers" in to_markdown([result(outlier_ratio=outliers)])


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_shows_every_figure_whole_and_no_markdown(width):
    text = printed([result("test, [raw] photos", errors=2)], width)
    words = text.split()
    assert words.count("0.500") == 7
    assert {"[0.400..0.600]", "(0.80)", "[raw]", "40", "2"} <= set(words)
    assert "|" not in text
