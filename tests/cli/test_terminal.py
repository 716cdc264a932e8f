"""What a terminal gets to see of file names."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from dpiqa.cli.terminal import PathCell, sentence, shorten, visible


def shown(path, error=None, width=40):
    console = Console(file=io.StringIO(), width=width)
    console.print(PathCell(path, error))
    return console.file.getvalue()


def test_a_name_cannot_steer_the_terminal():
    assert visible("a\x1b[2Jb\rc\u202ed.jpg") == r"a\x1b[2Jb\rc\u202ed.jpg"


def test_an_error_is_one_line():
    assert sentence(ValueError("no model\n  here")) == "no model here"


@pytest.mark.parametrize("name", ["[raw] a.jpg", "[/x].jpg", "[red]a.jpg"])
def test_markup_in_a_name_is_part_of_the_name(name):
    assert shown(name) == f"{name}\n"
    assert shown(name, "no such file", width=60) == f"{name}: no such file\n"


@pytest.mark.parametrize("path", ["photos/2024/summer/china.jpg", "写真/二〇二四年/夏休み/中国の寺院.jpg", "x" * 60])
@pytest.mark.parametrize("width", [12, 20, 25])
def test_a_long_path_keeps_its_end(path, width):
    short = shorten(path, width)
    assert cell_len(short) <= width
    assert "…" in short
    assert short.endswith(path[-5:])


def test_a_path_that_fits_is_left_alone():
    assert shorten("photos/china.jpg", 16) == "photos/china.jpg"


def test_the_name_stays_whole_where_it_fits():
    assert shorten("photos/2024/summer/china.jpg", 14) == "pho…/china.jpg"
