"""The page to cull by, as far as it can be read without a browser."""

import contextlib
import json
import re

import numpy as np
import pytest

from dpiqa.culling import thumbnails
from dpiqa.culling.report import Report, Scale
from dpiqa.scoring.score import Score
from support.pictures import landscape

pytest.importorskip("jinja2")
pytest.importorskip("imagehash")

SCALE = Scale(score_quantiles=[0.1, 0.5, 0.9], interval_half_width=0.15)
HOSTILE = "</script><img src=x onerror=alert(1)>&amp;.jpg"


@pytest.fixture
def picture():
    return landscape(480, 320)


@pytest.fixture
def saved(tmp_path, picture):
    """Saves a photo under a name and returns its path."""

    def saved(name, image=picture):
        path = tmp_path / "photos" / name.replace("/", "_")
        path.parent.mkdir(exist_ok=True)
        image.save(path, "JPEG")
        return str(path)

    return saved


@pytest.fixture
def write(tmp_path):
    """Writes a page of (path, score) and returns its text."""

    def write(*photos, name="report.html", **options):
        with Report(tmp_path / name, options.pop("num_photos", len(photos)), SCALE, **options) as report:
            for path, score in photos:
                report.add(path, score)
            report.finish()
        return (tmp_path / name).read_text(encoding="utf-8")

    return write


def photos_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page).group(1))["photos"]


def test_the_best_photo_is_first_and_errors_are_last(write, saved):
    worse, better = landscape(480, 320, seed=3), landscape(480, 320, seed=4)
    page = write(
        ("missing.jpg", Score(float("nan"), error="no such file")),
        (saved("worse.jpg", worse), Score(0.3)),
        (saved("better.jpg", better), Score(0.8, 97.5, (0.65, 0.95))),
    )
    photos = photos_of(page)
    assert [photo["name"] for photo in photos] == ["better.jpg", "worse.jpg", "missing.jpg"]
    assert [photo["percentile"] for photo in photos] == [97.5, None, None]
    assert photos[2]["error"] == "no such file"
    assert "±0.150" in page


def test_the_photos_of_a_burst_stand_behind_its_best_one(write, saved, picture):
    page = write(
        (saved("burst-1.jpg"), Score(0.4)),
        (saved("other.jpg", landscape(480, 320, seed=5)), Score(0.6)),
        (saved("burst-2.jpg", picture.resize((240, 160))), Score(0.9)),
    )
    photos = photos_of(page)
    assert [photo["name"] for photo in photos] == ["burst-2.jpg", "burst-1.jpg", "other.jpg"]
    assert [photo.get("burst") for photo in photos] == [
        {"number": 1, "size": 2, "isBest": True},
        {"number": 1, "size": 2, "isBest": False},
        None,
    ]


def test_a_name_cannot_leave_the_data(write, saved):
    page = write((saved(HOSTILE), Score(0.5)))
    assert "<img" not in page
    assert page.count("</script>") == 2
    (photo,) = photos_of(page)
    assert photo["name"] == HOSTILE.replace("/", "_")


def test_a_model_whose_name_is_not_utf8_is_named(write, saved):
    assert r"stud\xffent" in write((saved("a.jpg"), Score(0.5)), model="stud\udcffent")


def test_the_name_of_the_page_can_be_as_long_as_names_may_be(write, saved, tmp_path):
    name = f"{'n' * 250}.html"
    write((saved("a.jpg"), Score(0.5)), name=name)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]


def test_a_link_is_relative_and_never_a_script(write, saved):
    (photo,) = photos_of(write((saved("javascript:alert(1)?#.jpg"), Score(0.5))))
    assert photo["link"] == "./photos/javascript%3Aalert%281%29%3F%23.jpg"


def test_few_thumbnails_are_inside_the_page(write, saved, tmp_path):
    (photo,) = photos_of(write((saved("a.jpg"), Score(0.5))))
    url, width, height = photo["thumbnail"]
    assert url.startswith("data:image/jpeg;base64,")
    assert (width, height) == (320, 213)
    assert not (tmp_path / "report_files").exists()


def test_many_thumbnails_are_in_a_folder_beside_it(write, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(thumbnails, "MAX_INSIDE", 1)
    photos = photos_of(write((saved("a.jpg"), Score(0.5)), (saved("b.jpg"), Score(0.4))))
    assert all((tmp_path / photo["thumbnail"][0]).is_file() for photo in photos)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "report.html", "report_files"]


def test_a_run_that_ends_early_leaves_nothing(tmp_path, saved):
    with contextlib.suppress(KeyboardInterrupt), Report(tmp_path / "report.html", 1000, SCALE) as report:
        report.add(saved("a.jpg"), Score(0.5))
        assert len(list(tmp_path.glob(".*_files/*"))) == 1
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_an_older_report_is_replaced_only_when_that_is_allowed(write, saved, tmp_path):
    photo = (saved("a.jpg"), Score(0.5))
    write(photo, num_photos=1000)
    with pytest.raises(FileExistsError, match=r"report\.html exists already"):
        write(photo)
    (tmp_path / "report.html").unlink()
    with pytest.raises(FileExistsError, match="report_files exists already"):
        write(photo, num_photos=1000)
    write(photo, overwrite=True)
    assert not (tmp_path / "report_files").exists()


def test_files_of_somebody_else_are_never_removed(write, saved, tmp_path):
    mine = tmp_path / "report_files" / "000001.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    photo = (saved("a.jpg"), Score(0.5))
    with pytest.raises(FileExistsError, match=r"holds other files, such as 000001\.jpg"):
        write(photo, num_photos=1000, overwrite=True)
    write(photo, overwrite=True)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "message"), [("report.pdf", "expected .html"), ("missing/report.html", "there is no folder")]
)
def test_a_page_that_cannot_be_written_is_refused_at_once(tmp_path, name, message):
    with pytest.raises((ValueError, OSError), match=message):
        Report(tmp_path / name, 1, SCALE)


def test_a_photo_that_went_away_is_shown_without_its_picture(write, tmp_path):
    (photo,) = photos_of(write((str(tmp_path / "gone.jpg"), Score(0.5))))
    assert photo["thumbnail"] is None
    assert "gone.jpg" in photo["missing"]


def test_a_full_disk_is_told_and_does_not_pass_for_photos_that_went_away(write, saved, monkeypatch):
    monkeypatch.setattr(thumbnails.Thumbnails, "save", _disk_full)
    with pytest.raises(OSError, match="no space left"):
        write((saved("a.jpg"), Score(0.5)), (saved("b.jpg"), Score(0.4)))


def _disk_full(*_):
    raise OSError("no space left")


def test_a_map_is_kept_between_its_own_ends(write, saved):
    quality_map = np.array([[0.25, 0.75], [0.5, 0.25]], np.float32)
    (photo,) = photos_of(write((saved("a.jpg"), Score(0.5, quality_map=quality_map))))
    assert photo["map"] == {"columns": 2, "low": 0.25, "high": 0.75, "levels": "AP+AAA=="}


def test_nothing_of_the_page_is_elsewhere(write, saved):
    page = write((saved("a.jpg"), Score(0.5)))
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=["']|@import|url\(|https?://""", page)
