"""`dpiqa score --report`."""

import pytest

from support.commands import dpiqa, rows_of, usage_error

pytest.importorskip("jinja2")
pytest.importorskip("imagehash")


@pytest.fixture
def folder(tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    photos[0].resize((320, 213)).save("photos/china.jpg")
    photos[1].resize((320, 213)).save("photos/flower.jpg")
    return tmp_path


@pytest.fixture
def run(folder, tiny_checkpoint):
    return lambda *options: dpiqa("score", "photos", *options, "--model", tiny_checkpoint)


def test_the_report_is_written_beside_the_rows(run, folder):
    result = run("--report", "report.html", "-o", "scores.csv")
    assert result.exit_code == 0, result.output
    assert "report written to report.html: open it in a browser" in result.stderr
    assert (folder / "scores.csv").exists()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Scores of 2 photos" in page
    assert "tiny-checkpoint" in page
    assert '"levels"' in page  # of the maps


def test_a_report_that_cannot_be_written_costs_no_rows(run, monkeypatch):
    monkeypatch.setattr("dpiqa.culling.report.burst_groups", _disk_full)
    result = run("--report", "report.html")
    assert result.exit_code == 1
    assert len(rows_of(result)) == 2
    assert "report not written: no space left" in result.stderr


def _disk_full(paths):
    raise OSError("no space left")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--report", "report.txt"], "cannot write .txt: expected .html"),
        (["--report", "old.html"], "old.html exists already"),
        (["--report", "report.html", "--resume", "-o", "scores.csv"], "cannot be combined with --resume"),
        (["--report", "report.html", "--engine", "ray"], "works with --engine local only"),
    ],
)
def test_wrong_use_is_told_before_anything_is_scored(folder, options, message):
    (folder / "old.html").write_text("mine")
    assert message in usage_error("score", "photos", *options)
    assert (folder / "old.html").read_text() == "mine"


def test_thumbnails_are_not_written_among_the_photos(folder, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("dpiqa.culling.thumbnails.MAX_INSIDE", 1)
    message = usage_error("score", "photos", "--report", "photos/report.html", "--model", tiny_checkpoint)
    assert "the thumbnails in photos/report_files would be among the photos" in message
    assert sorted(path.name for path in (folder / "photos").iterdir()) == ["china.jpg", "flower.jpg"]
