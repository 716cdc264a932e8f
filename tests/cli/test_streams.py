"""Streams that are closed, full, or that nobody reads."""

import os
import shlex
import subprocess
import sys

import pytest

from support.commands import dpiqa
from support.images import encoded
from support.patience import PATIENCE

pytestmark = pytest.mark.slow  # fresh interpreters


def shell(arguments, redirections):
    """Runs the command with a shell's redirections."""
    command = f"{shlex.quote(sys.executable)} -m dpiqa {shlex.join(map(str, arguments))} {redirections}"
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("redirection", "reason"), [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize("arguments", [["--version"], ["env"], ["score", "--help"]], ids=" ".join)
def test_a_stdout_that_takes_nothing_is_one_sentence(arguments, redirection, reason):
    result = shell(arguments, redirection)
    assert (result.returncode, result.stderr) == (1, f"cannot write: {reason}\n")


def test_a_reader_that_left_is_no_error_to_talk_about():
    assert shell(["env"], "| true").stderr == ""


def test_scores_need_a_stdout_unless_they_go_to_a_file(tmp_path, quick_model, photo):
    (tmp_path / "photo.jpg").write_bytes(encoded(photo))
    arguments = ["score", tmp_path / "photo.jpg", *quick_model]
    result = shell(arguments, ">&-")
    assert (result.returncode, result.stderr) == (1, "cannot write the rows: Bad file descriptor\n")
    result = shell([*arguments, "-o", tmp_path / "scores.csv"], ">&-")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "scores.csv").read_text().count("\n") == 2


def test_what_is_said_to_a_closed_stderr_does_not_end_up_among_the_rows(tmp_path, quick_model, photo):
    (tmp_path / "photo.jpg").write_bytes(encoded(photo))
    result = shell(["score", tmp_path / "photo.jpg", *quick_model], "2>&-")
    assert result.stdout.count("\n") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "\x1b[2J.jpg"],
        ["score", ".", "--model", "\x1b[2J"],
        ["score", ".", "--device", "\x1b[2J"],
        ["score", ".", "--dtype", "\x1b[2J"],
        ["score", ".", "-o", "\x1b[2J/scores.csv"],
        ["convert", "\x1b[2J.pth", "--kind", "student", "-o", "new"],
        ["push", ".", "\x1b[2J"],
        ["prepare", "\x1b[2J.csv", "-o", "new"],
        ["distort", "\x1b[2J.jpg", "-o", "new"],
        ["distort", ".", "-o", "\x1b[2J"],
        ["evaluate", "--data", "\x1b[2J.csv", "-o", "new"],
        ["evaluate", "--data", "tid2013=\x1b[2J", "-o", "new"],
        ["\x1b[2J"],
    ],
    ids=lambda arguments: ascii(" ".join(arguments)),
)
def test_no_name_can_steer_the_terminal(tmp_path, monkeypatch, arguments, photo):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "\x1b[2J.pth").touch()
    (tmp_path / "empty\x1b[2J.jpg").touch()
    (tmp_path / "photo.jpg").write_bytes(encoded(photo.resize((64, 64))))
    os.mkfifo(tmp_path / "pipe\x1b[2J.jpg")
    result = dpiqa(*arguments)
    assert "\x1b" not in result.output
    assert "x1b[2J" in result.output or "is not installed" in result.output
