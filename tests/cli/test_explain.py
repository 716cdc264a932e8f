"""`dpiqa explain`."""

import sys

import pytest
from PIL import Image

from dpiqa import DPIQAImageProcessor
from support import teachers
from support.commands import dpiqa, usage_error


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    teachers.teacher_of_words().save_pretrained(folder)
    DPIQAImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture
def photo_file(save, photo):
    return save(photo, "photo.png")


def test_it_writes_one_picture(teacher, tiny_checkpoint, photo_file, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    result = dpiqa("explain", photo_file, "--model", teacher, "--student", tiny_checkpoint)
    assert result.exit_code == 0, result.output
    assert "what it reads is in explain.png" in result.stdout
    with Image.open(tmp_path / "explain.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
    assert {path.name for path in tmp_path.iterdir()} == {"explain.png", "photo.png", "tiny-checkpoint"}


def test_a_student_is_not_what_it_takes(tiny_checkpoint, photo_file, tmp_path):
    pytest.importorskip("matplotlib")
    models = ["--model", tiny_checkpoint, "--student", tiny_checkpoint]
    error = usage_error("explain", photo_file, *models, "-o", tmp_path / "explain.png")
    assert f"{tiny_checkpoint} is a student: expected a teacher" in error


def test_a_photo_that_is_not_there_is_named_before_anything_is_loaded(tmp_path):
    pytest.importorskip("matplotlib")
    error = usage_error("explain", tmp_path / "gone.jpg", "--model", "gone", "-o", tmp_path / "explain.png")
    assert "gone.jpg" in error


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("explain.pdf", "expected the name of a .png file"),
        ("gone/explain.png", "there is no such folder"),
        ("folder.png", "this is a folder"),
        ("photo.png", "this is the photo itself"),
        ("old.png", "it exists already: allow it to be replaced with --overwrite"),
    ],
)
def test_a_picture_that_cannot_be_written_is_said_before_anything_is_loaded(photo_file, save, tmp_path, name, message):
    save(Image.new("RGB", (1, 1)), "old.png")
    (tmp_path / "folder.png").mkdir()
    assert message in usage_error("explain", photo_file, "--model", "gone", "-o", tmp_path / name)


def test_overwriting_never_replaces_the_photo(photo_file):
    error = usage_error("explain", photo_file, "--model", "gone", "-o", photo_file, "--overwrite")
    assert "this is the photo itself" in error


def test_the_missing_extra_is_named(photo_file, tmp_path, monkeypatch):
    for module in ("dpiqa.explaining.figure", "dpiqa.explaining.sheet"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ("matplotlib", "matplotlib.colors"):
        monkeypatch.setitem(sys.modules, module, None)
    error = usage_error("explain", photo_file, "--model", "gone", "-o", tmp_path / "explain.png")
    assert 'matplotlib is not installed: pip install ".[eval]"' in error


def test_a_student_that_is_not_there_is_not_said_of_the_model(teacher, photo_file, tmp_path):
    pytest.importorskip("matplotlib")
    models = ["--model", teacher, "--student", "nowhere"]
    assert "Invalid value for --student" in usage_error("explain", photo_file, *models, "-o", tmp_path / "explain.png")


def test_a_name_that_no_file_can_have_is_wrong_usage(teacher, tiny_checkpoint, photo_file, tmp_path):
    pytest.importorskip("matplotlib")
    models = ["--model", teacher, "--student", tiny_checkpoint]
    name = f"{'a' * 300}.png"
    assert "File name too long" in usage_error("explain", photo_file, *models, "-o", tmp_path / name)
