"""`dpiqa select`: prints, copies or links the best photos, and leaves the photos as they are."""

import errno
import os
from xml.etree import ElementTree

import pytest

from dpiqa.scoring.engines.score_folder import ScoreFolder
from dpiqa.scoring.rows import as_text
from support.commands import dpiqa, said, usage_error
from support.releases import save_pictures
from support.shards import write_parquet

SCORES = {"a.png": 0.5, "sub/b.png": 0.9, "sub/c.png": 0.7, "d.png": 0.9, "broken.png": None}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four photos, a broken one, and the file of their scores; the folder that commands start in."""
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    save_pictures(tmp_path / "photos", [name for name, score in SCORES.items() if score])
    (tmp_path / "photos" / "broken.png").touch()
    lines = [f"photos/{name},{score or ''},{'' if score else 'empty'}\n" for name, score in SCORES.items()]
    (tmp_path / "scores.csv").write_text("path,score,error\n" + "".join(lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(*options, end="\n"):
    """The paths on stdout without their common folder."""
    result = dpiqa("select", "scores.csv", *options)
    assert result.exit_code == 0, result.output
    return [path.removeprefix("photos/") for path in result.stdout.split(end)[:-1]]


class TestChoice:
    def test_the_best_come_first_and_of_equal_scores_the_first_in_the_alphabet(self, folder):
        assert printed("--top", 3) == ["d.png", "sub/b.png", "sub/c.png"]

    @pytest.mark.parametrize(("share", "count"), [("1%", 1), ("50%", 2), ("100%", 4)])
    def test_a_share_is_rounded_and_at_least_one_photo(self, folder, share, count):
        assert len(printed("--top", share)) == count

    def test_the_lowest_score(self, folder):
        assert printed("--min-score", 0.7) == ["d.png", "sub/b.png", "sub/c.png"]
        assert printed("--top", "25%", "--min-score", 0.95) == []

    def test_half_a_photo_goes_to_the_even_number(self, folder):
        (folder / "scores.csv").write_text("path,score\n" + "".join(f"{n}.png,0.{n}\n" for n in range(6)))
        assert len(printed("--top", "42%")) == 3  # of 2.52
        assert len(printed("--top", "75%")) == 4  # of 4.5

    def test_the_folder_of_scores_that_ray_writes(self, folder):
        ScoreFolder("scores").begin({"fingerprint": "abc", "model": "a student"})
        columns = {"path": ["photos/a.png", "photos/broken.png", "photos/d.png"], "score": [0.5, None, 0.9]}
        write_parquet(folder / "scores" / "1.parquet", columns)
        result = dpiqa("select", "scores/", "--top", 2)
        assert result.stdout == "photos/d.png\nphotos/a.png\n"
        assert "2 of 2 photos selected, 1 photo without a score" in said(result)

    def test_names_that_are_no_text_are_found_again(self, folder):
        (folder / "photos" / "a.png").rename(folder / "photos" / "a\udcff.png")
        name = as_text("photos/a\udcff.png")
        (folder / "scores.csv").write_text(f"path,score\n{name},0.5\n")
        assert dpiqa("select", "scores.csv", "--top", 1).stdout_bytes == b"photos/a\xff.png\n"
        (folder / name).touch()  # a file that is called so itself
        assert dpiqa("select", "scores.csv", "--top", 1).stdout_bytes == b"photos/a\\xff.png\n"

    def test_names_with_line_ends_can_be_told_apart(self, folder):
        assert printed("--top", 2, "-0", end="\0") == ["d.png", "sub/b.png"]

    def test_photos_without_a_score_are_counted(self, folder):
        assert "1 of 4 photos selected, 1 photo without a score" in said(dpiqa("select", "scores.csv", "--top", 1))

    def test_photos_are_scored_where_no_file_is_named(self, folder, tiny_checkpoint):
        result = dpiqa("select", "photos", "--top", 2, "--model", tiny_checkpoint)
        assert result.exit_code == 0, result.output
        assert len(result.stdout.splitlines()) == 2
        assert "2 of 4 photos selected, 1 photo without a score" in said(result)

    def test_of_a_burst_the_best_is_selected(self, folder):
        pytest.importorskip("imagehash")
        twin = (folder / "photos" / "a.png").read_bytes()
        (folder / "photos" / "d.png").write_bytes(twin)
        assert printed("--best-of-burst") == ["d.png", "sub/b.png", "sub/c.png"]

    def test_a_photo_with_two_rows_is_there_once(self, folder):
        with (folder / "scores.csv").open("a") as file:
            file.write("photos/d.png,0.9,\nphotos/odd.png,nan,\n")
        assert printed("--top", "100%", "--copy-to", "best") == []
        assert printed("--top", "100%") == ["d.png", "sub/b.png", "sub/c.png", "a.png"]

    def test_a_file_without_any_score(self, folder):
        (folder / "scores.csv").write_text("path,score,error\nphotos/broken.png,,empty\n")
        assert dpiqa("select", "scores.csv", "--top", 1).exit_code == 1

    @pytest.mark.parametrize("score", ["nan", "inf", "-inf"])
    def test_what_is_no_number_is_no_score(self, folder, score):
        (folder / "scores.csv").write_text(f"path,score\nphotos/a.png,{score}\nphotos/d.png,0.5\n")
        assert printed("--top", 2) == ["d.png"]
        assert "1 sidecar written, 1 photo without a score" in said(dpiqa("select", "scores.csv", "--xmp"))

    def test_a_photo_with_several_rows_is_one_photo(self, folder):
        lines = "photos/d.png,0.9\nphotos/../photos/d.png,0.9\nphotos/d.png,0.9\nphotos/a.png,0.5\n"
        (folder / "scores.csv").write_text("path,score\n" + lines)
        assert printed("--top", 2) == ["d.png", "a.png"]

    def test_a_file_that_a_spreadsheet_saved(self, folder):
        (folder / "scores.csv").write_text("\ufeffpath,score\nphotos/a.png,0.5\n", encoding="utf-8")
        assert printed("--top", 1) == ["a.png"]


class TestDestination:
    def names_in(self, folder):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def test_copies_keep_their_folders_contents_and_times(self, folder):
        result = dpiqa("select", "scores.csv", "--top", 2, "--copy-to", "best")
        assert "2 of 4 photos selected, copied to best" in said(result)
        assert result.stdout == ""
        assert self.names_in(folder / "best") == ["d.png", "sub/b.png"]
        photo, copy = folder / "photos" / "d.png", folder / "best" / "d.png"
        assert copy.read_bytes() == photo.read_bytes()
        assert int(copy.stat().st_mtime) == int(photo.stat().st_mtime)

    def test_what_is_there_already_is_kept(self, folder):
        dpiqa("select", "scores.csv", "--top", 1, "--copy-to", "best")
        assert "copied to best (1 of them before)" in said(
            dpiqa("select", "scores.csv", "--top", 2, "--copy-to", "best")
        )

    @pytest.mark.parametrize("option", ["--copy-to", "--link-to"])
    def test_another_file_in_the_place_stops_it_before_anything_is_written(self, folder, option):
        (folder / "best" / "sub").mkdir(parents=True)
        (folder / "best" / "sub" / "b.png").write_text("precious")
        error = usage_error("select", "scores.csv", "--top", 2, option, "best")
        assert "best/sub/b.png exists already and is another file" in error
        assert self.names_in(folder / "best") == ["sub/b.png"]
        assert (folder / "best" / "sub" / "b.png").read_text() == "precious"

    def test_links_lead_to_the_photos(self, folder):
        assert "linked from best" in said(dpiqa("select", "scores.csv", "--top", 1, "--link-to", "best"))
        assert (folder / "best" / "d.png").is_symlink()
        assert (folder / "best" / "d.png").samefile(folder / "photos" / "d.png")
        assert "(1 of them before)" in said(dpiqa("select", "scores.csv", "--top", 1, "--link-to", "best"))

    def test_a_folder_among_the_photos_is_refused(self, folder):
        assert "is among the photos" in usage_error("select", "photos", "--top", 1, "--copy-to", "photos/best")

    def test_a_folder_among_the_scores_is_refused(self, folder):
        ScoreFolder("scores").begin({"fingerprint": "abc", "model": "a student"})
        assert "is among the scores" in usage_error("select", "scores", "--top", 1, "--copy-to", "scores/best")

    @pytest.mark.parametrize("option", ["--copy-to", "--link-to"])
    def test_a_file_in_place_of_the_folder_is_refused_before_photos_are_scored(self, folder, option):
        error = usage_error("select", "photos", "--model", "none", "--top", 1, option, "scores.csv/best")
        assert "scores.csv is a file: name a folder" in error

    @pytest.mark.parametrize("option", ["--copy-to", "--link-to"])
    def test_a_photo_that_is_gone_stops_it_before_anything_is_written(self, folder, option):
        (folder / "photos" / "sub" / "b.png").unlink()
        result = dpiqa("select", "scores.csv", "--top", 3, option, "best")
        assert result.exit_code == 1
        assert "photos/sub/b.png: No such file or directory" in said(result)
        assert not (folder / "best").exists()

    def test_a_list(self, folder):
        assert "written to best.txt" in said(dpiqa("select", "scores.csv", "--top", 2, "-o", "best.txt"))
        assert (folder / "best.txt").read_text() == "photos/d.png\nphotos/sub/b.png\n"
        assert "best.txt exists already" in usage_error("select", "scores.csv", "--top", 1, "-o", "best.txt")
        dpiqa("select", "scores.csv", "--top", 1, "-o", "best.txt", "--overwrite")
        assert (folder / "best.txt").read_text() == "photos/d.png\n"

    @pytest.mark.parametrize("output", ["scores.csv", "photos/a.png"])
    def test_a_list_replaces_no_photo_and_no_scores(self, folder, output):
        before = (folder / output).read_bytes()
        error = usage_error("select", "scores.csv", "--top", 1, "-o", output, "--overwrite")
        assert f"{output} is also one of the inputs" in error
        assert (folder / output).read_bytes() == before

    @pytest.mark.parametrize(
        ("output", "message"), [("none/best.txt", "there is no folder none"), ("photos", "photos is a folder")]
    )
    def test_a_list_that_cannot_be_written_is_refused_before_photos_are_scored(self, folder, output, message):
        assert message in usage_error("select", "photos", "--model", "none", "--top", 1, "-o", output, "--overwrite")


def rating(sidecar):
    """What a reader of XMP finds."""
    (description,) = ElementTree.parse(sidecar).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    return int(description.get("{http://ns.adobe.com/xap/1.0/}Rating"))


class TestRatings:
    def test_stars_go_beside_the_photos_and_sidecars_that_exist_are_kept(self, folder):
        (folder / "photos" / "a.png.xmp").write_text("mine")
        (folder / "photos" / "d.CR2").touch()
        result = dpiqa("select", "scores.csv", "--xmp")
        assert result.stdout == ""
        assert "4 sidecars written, 1 kept as they were" in said(result)
        assert (folder / "photos" / "a.png.xmp").read_text() == "mine"
        assert rating(folder / "photos" / "d.png.xmp") == 4
        assert rating(folder / "photos" / "sub" / "c.png.xmp") == 3
        # Of the RAW file that was taken together with the photo.
        assert rating(folder / "photos" / "d.xmp") == 4

    def test_photos_that_are_gone_are_counted(self, folder):
        (folder / "photos" / "sub").rename(folder / "gone")
        result = dpiqa("select", "scores.csv", "--xmp")
        assert result.exit_code == 0
        assert "2 sidecars written, 2 photos not found" in said(result)

    def test_none_is_there(self, folder):
        (folder / "photos").rename(folder / "gone")
        result = dpiqa("select", "scores.csv", "--xmp")
        assert result.exit_code == 1
        assert "0 sidecars written, 4 photos not found" in said(result)

    def test_a_sidecar_that_cannot_be_written(self, folder, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device", "photos/a.png.xmp")

        monkeypatch.setattr("dpiqa.culling.ratings.write_sidecars", full)
        result = dpiqa("select", "scores.csv", "--xmp")
        assert result.exit_code == 1
        assert said(result) == "photos/a.png.xmp: No space left on device"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say which photos: --top, --min-score or --best-of-burst"),
        (["--top", "0"], "expected a number such as 20, or a share such as 10%, got 0"),
        (["--top", "200%"], "got 200%"),
        (["--top", "some"], "got some"),
        (["--top", "1", "--copy-to", "a", "--link-to", "b"], "cannot be combined with --copy-to"),
    ],
)
def test_wrong_use(folder, options, message):
    assert message in usage_error("select", "scores.csv", *options)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["scores.csv", "photos/a.png"], "the scores of one run and nothing else, found scores.csv among 2 inputs"),
        (["photos", "other.jsonl", "scores.csv"], "found other.jsonl among 3 inputs"),
        (["shards/000.TAR"], "found shards/000.TAR, a tar: write its scores with dpiqa score --engine ray -o FOLDER"),
        (["nothere.csv"], "there is no file nothere.csv: expected one that `dpiqa score` wrote"),
        (["scores.csv", "--model", "some"], "is for photos, and scores.csv has scores already"),
        (["scores.csv", "--backend", "auto"], "is for photos, and scores.csv has scores already"),
    ],
)
def test_inputs_that_cannot_be_selected_from(folder, inputs, message):
    assert message in usage_error("select", *inputs, "--top", 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.csv", "photo,quality\na.jpg,1\n", "has no column 'path'"),
        ("other.jsonl", "no json\n", "is no file that `dpiqa score` wrote"),
        ("other.parquet", "no parquet", "is no file that `dpiqa score` wrote"),
        ("other.csv", "path,score\na.jpg,good\n", "is no file that `dpiqa score` wrote"),
        ("other.csv", f"path,score\n{'a' * 200_000},0.5\n", "is no file that `dpiqa score` wrote"),
        ("other.jsonl", '{"path": 7, "score": 0.5}', "expected the path of a photo, found 7"),
        ("other.jsonl", '{"path": null, "score": 0.5}', "expected the path of a photo, found None"),
        ("other.jsonl", '{"path": "a\\u0000.jpg", "score": 0.5}', "expected the path of a photo, found 'a\\x00.jpg'"),
        ("other.jsonl", '{"path": "a\\ud800.jpg", "score": 0.5}', "is no file that `dpiqa score` wrote"),
    ],
)
def test_files_of_somebody_else(folder, name, content, message):
    (folder / name).write_text(content)
    assert message in usage_error("select", name, "--top", 1)
    assert os.listdir(folder / "photos") != []
