import errno
import os

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


def test_paths_can_be_path_objects_and_a_single_one(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    both = [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert find_images(tmp_path).paths == find_images(str(tmp_path)).paths == both
    assert find_images([tmp_path / "b.jpg", tmp_path / "*.jpg"]).paths == both[::-1]


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


def test_a_file_that_is_named_again_is_taken_once_by_the_path_that_came_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.jpg", "sub/b.jpg")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    os.link("a.jpg", "hard.jpg")
    found = find_images(["./a.jpg", "a.jpg", "*.jpg", "sub/b.jpg", str(tmp_path), "gone.jpg", "gone.jpg", "a\0b"])
    assert found.paths == ["./a.jpg", "hard.jpg", "sub/b.jpg", "gone.jpg", "a\0b"]
    assert found.repeated == 8


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
    assert find_images([f"{tmp_path}/*.jpg"]).entries == [(f"{tmp_path}/*.jpg", "no file matches this pattern")]


def test_names_of_a_list_are_no_patterns(tmp_path):
    touch(tmp_path, "gone1.jpg")
    assert find_images([f"{tmp_path}/gone[1].jpg"], patterns=False).paths == [f"{tmp_path}/gone[1].jpg"]


def test_raw_files_are_counted_by_kind(tmp_path):
    touch(tmp_path, "a.jpg", "b.CR2", "c.cr2", "d.dng", "notes.txt")
    found = find_images([str(tmp_path)])
    assert (found.raw, found.skipped) == ({".CR2": 2, ".DNG": 1}, 4)


def test_a_pipe_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "b.jpg")
    expected = [(str(tmp_path / "b.jpg"), "not a regular file")]
    assert find_images([str(tmp_path)]).entries == find_images([str(tmp_path / "b.jpg")]).entries == expected


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "sub/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert find_images([str(tmp_path)]).entries == [
        (str(tmp_path / "a.jpg"), None),
        (str(tmp_path / "sub"), "this folder cannot be read (Permission denied)"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1_500, 2_100])
def test_a_deep_folder(tmp_path, monkeypatch, depth):
    """The deeper one is longer than a path can be."""
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "z.jpg")
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    os.close(os.open("deep.jpg", os.O_CREAT))
    monkeypatch.chdir(tmp_path)
    found = find_images(["."])
    assert found.paths[0] == "./z.jpg"
    if depth == 1_500:
        assert found.paths[1].endswith("d/deep.jpg")
    else:
        assert found.entries[-1][1] == "this folder cannot be read (File name too long)"
    assert find_images(["**/*.jpg"]).entries
    _remove_deep_folder()


def _remove_deep_folder():
    """Step by step, since the path is too long and the recursion too deep for others."""
    depth = 0
    while os.path.isdir("d"):
        os.chdir("d")
        depth += 1
    os.remove("deep.jpg")
    for _ in range(depth):
        os.chdir("..")
        os.rmdir("d")


@pytest.mark.parametrize(
    ("folder", "walked"),
    [("a", True), ("a/b", True), ("a/b/new", True), ("a/.hidden/new", False), (".", False), ("ab", False)],
)
def test_folders_that_are_walked(tmp_path, folder, walked):
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = find_images([str(tmp_path / "a")])
    assert found.holds(tmp_path / folder) is walked


@pytest.mark.parametrize(("folder", "holds"), [("a", True), ("a/b/..", True), ("a/b", False), (".", False)])
def test_a_folder_of_which_a_file_is_named(tmp_path, folder, holds):
    (tmp_path / "a" / "b").mkdir(parents=True)
    touch(tmp_path, "a/photo.jpg")
    assert find_images([str(tmp_path / "a" / "photo.jpg")]).holds(tmp_path / folder) is holds
