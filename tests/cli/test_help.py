"""What `--help` shows."""

import pytest

from support.commands import dpiqa, said


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("score", "score [OPTIONS] {INPUTS}..."),
        ("distort", "distort [OPTIONS] {PHOTOS}..."),
        ("prepare", "prepare [OPTIONS] {DATA}"),
        ("convert", "convert [OPTIONS] {CKPT}"),
        ("push", "push [OPTIONS] {CHECKPOINT} {REPO_ID}"),
    ],
)
def test_the_line_of_usage_names_arguments_once(command, usage):
    shown = said(dpiqa(command, "--help"))
    assert usage in shown
    assert "...}" not in shown
