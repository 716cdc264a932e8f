"""The table of scores on a terminal."""

import io

import pytest
from rich.console import Console

from dpiqa.cli import score_table


def row(path, score=None, error=None):
    return {"path": path, "score": score, "percentile": 50.0, "width": 640, "height": 427, "error": error}


@pytest.fixture
def printed(monkeypatch):
    def printed(rows, half_width=0.154, encoding="utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
        monkeypatch.setattr("rich.console.Console", lambda: Console(file=stream, width=80))
        score_table.print_scores(rows, half_width)
        stream.seek(0)
        return stream.read()

    return printed


MANY = [row(f"photos/{number:03d}.jpg", number / 100) for number in range(100)]


def test_the_interval_is_in_the_header_once(printed):
    text = printed([row("a.jpg", 0.5), row("b.jpg", 0.25)])
    assert text.count("±0.154") == 1
    assert "0.500" in text
    assert "±" not in printed([row("a.jpg", 0.5)], half_width=None)


def test_rows_that_fit_are_all_shown_in_their_order(printed):
    text = printed(MANY[: score_table.MAX_ROWS])
    places = [text.index(f"{number:03d}.jpg") for number in range(score_table.MAX_ROWS)]
    assert places == sorted(places)


def test_of_many_rows_the_best_and_the_worst_are_shown(printed):
    text = printed(MANY)
    best, worst = text.split("The worst 10")
    assert [f"{number:03d}.jpg" in best for number in (99, 90, 89)] == [True, True, False]
    assert [f"{number:03d}.jpg" in worst for number in (10, 9, 0)] == [False, True, True]
    assert "To see all 100 rows, write a file (-o scores.csv)" in text
    assert len(text.splitlines()) < 50


def test_the_histogram_counts_every_photo(printed):
    lines = [line for line in printed(MANY).splitlines() if " to " in line]
    assert [line.split()[0] for line in lines] == [f"{tenth / 10:.1f}" for tenth in range(9, -1, -1)]
    assert all(line.endswith("█ 10") for line in lines)


def test_a_terminal_without_blocks_gets_signs(printed):
    assert "### 10" in printed(MANY, encoding="ascii")


def test_equal_scores_have_a_histogram(printed):
    assert "0.50 to 0.51" in printed([row(f"{number}.jpg", 0.5) for number in range(50)])


def test_of_many_errors_the_first_are_shown(printed):
    text = printed(MANY + [row(f"bad{number}.jpg", error="no such file") for number in range(7)])
    assert "7 errors, the first 5" in text
    assert "bad4.jpg: no such file" in text
    assert "bad5.jpg" not in text


def test_a_few_scores_among_errors_have_a_heading_too(printed):
    text = printed(MANY[:3] + [row(f"bad{number}.jpg", error="no such file") for number in range(50)])
    assert text.splitlines()[0] == "3 scores, the best first"


def test_nothing_but_errors(printed):
    text = printed([row(f"{number}.jpg", error="no such file") for number in range(50)])
    assert "50 errors, the first 5" in text
    assert text.count("percentile") == 1


def test_a_long_path_is_shortened_in_its_middle(printed):
    text = printed([row("photos/" + "folder/" * 20 + "china.jpg", 0.5)])
    assert "…/china.jpg" in text
    assert len(text.splitlines()) == 2
