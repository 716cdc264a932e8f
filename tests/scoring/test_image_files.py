import pytest

from dpiqa.scoring.image_files import find_images


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_is_walked_in_a_stable_order(tmp_path):
    touch(tmp_path, "b.jpg", "a.PNG", "sub/c.webp", "sub/deeper/d.heic")
    found = find_images([str(tmp_path)])
    expected = ["a.PNG", "b.jpg", "sub/c.webp", "sub/deeper/d.heic"]
    assert found.paths == [str(tmp_path / name) for name in expected]
    assert found.skipped == 0


def test_hidden_files_and_other_kinds_are_skipped_and_counted(tmp_path):
    touch(tmp_path, "a.jpg", ".hidden.jpg", "notes.txt", "Thumbs.db", ".cache/b.jpg")
    found = find_images([str(tmp_path)])
    assert found.paths == [str(tmp_path / "a.jpg")]
    assert found.skipped == 3


def test_links_that_loop_are_walked_once(tmp_path):
    touch(tmp_path, "a.jpg", "sub/b.jpg")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "sub")
    assert sorted(path.rsplit("/", 1)[1] for path in find_images([str(tmp_path)]).paths) == ["a.jpg", "b.jpg"]


def test_a_folder_that_is_named_twice_is_walked_once(tmp_path):
    touch(tmp_path, "a.jpg")
    assert len(find_images([str(tmp_path), str(tmp_path)]).paths) == 1


def test_a_pattern_is_expanded(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "c.png", "sub/d.jpg")
    found = find_images([f"{tmp_path}/**/*.jpg"])
    assert found.paths == [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "sub/d.jpg")]


def test_a_file_whose_name_looks_like_a_pattern_is_taken(tmp_path):
    touch(tmp_path, "a [1].jpg")
    assert find_images([str(tmp_path / "a [1].jpg")]).paths == [str(tmp_path / "a [1].jpg")]


def test_a_named_file_is_kept_whatever_it_is_called_and_also_when_missing(tmp_path):
    touch(tmp_path, "photo")
    names = [str(tmp_path / "photo"), str(tmp_path / "missing.jpg")]
    assert find_images(names).paths == names


def test_a_pattern_without_a_match_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file matches '.*\*\.jpg'"):
        find_images([f"{tmp_path}/*.jpg"])
