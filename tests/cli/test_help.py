"""What `--help` shows."""

import pytest

from support.commands import dpiqa, said, usage_error


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


def test_every_paragraph_is_as_wide_as_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    shown = dpiqa("score", "--help").output
    assert "Photos that cannot be scored become rows with an error." in shown


def test_export_to_int8_names_the_option_with_the_photos():
    error = usage_error("export", "--format", "onnx", "-o", "out", "--quantize", "int8")
    assert "name at least 50 photos to calibrate on: --photos FOLDER" in error
