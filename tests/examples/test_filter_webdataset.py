"""examples/filter_webdataset.py: the same samples every time, whole, and nothing done twice."""

import json
import tarfile

import pytest

pytest.importorskip("ray")

import ray

from dpiqa import Scorer
from dpiqa.scoring.engines.score_folder import ScoreFolder
from support import releases
from support.examples import load_example, wrong_use
from support.images import encoded
from support.shards import write_parquet, write_tar

# Ray warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")
PHOTOS = {f"{seed:04}": encoded(releases.picture(seed), "PNG") for seed in range(6)}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, object_store_memory=200 * 1024**2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def example():
    module = load_example("filter_webdataset")
    ray.cloudpickle.register_pickle_by_value(module)  # as Ray does by itself with a script that is run
    return module


@pytest.fixture
def shards(tmp_path):
    """Two tars of three samples each, with a photo and its label, and in the second one a photo that is none."""
    (tmp_path / "shards").mkdir()
    for number in (0, 3):
        files = {}
        for key in list(PHOTOS)[number : number + 3]:
            files |= {f"{key}.png": PHOTOS[key], f"{key}.txt": key.encode()}
        if number:
            files["broken.png"] = b"no picture"
        write_tar(tmp_path / "shards" / f"{number}.tar", files)
    return tmp_path / "shards"


def names_in(folder):
    names = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            names += tar.getnames()
    return names


def test_the_best_samples_are_kept_whole_and_in_their_order(example, shards, tmp_path, quick_checkpoint, capsys):
    example.main(f"{shards}/*.tar", tmp_path / "kept", 0.5, tmp_path / "scores", str(quick_checkpoint))
    scores = dict(zip(PHOTOS, Scorer.from_pretrained(quick_checkpoint)(list(PHOTOS.values())), strict=True))
    best = sorted(sorted(PHOTOS, key=lambda key: -scores[key].score)[:3])
    assert names_in(tmp_path / "kept") == [f"{key}.{kind}" for key in best for kind in ("png", "txt")]
    assert f"3 of 6 photos are in {tmp_path / 'kept'}; 1 cannot be scored." in capsys.readouterr().out

    # Run again, it leaves whole tars as they are.
    first, *_ = sorted((tmp_path / "kept").glob("*.tar"))
    write_tar(first, {"mark.txt": b""})
    example.main(f"{shards}/*.tar", tmp_path / "kept", 0.5, tmp_path / "scores", str(quick_checkpoint))
    assert names_in(tmp_path / "kept")[0] == "mark.txt"

    with pytest.raises(SystemExit, match="holds tars of another selection"):
        example.main(f"{shards}/*.tar", tmp_path / "kept", 1, tmp_path / "scores", str(quick_checkpoint))


def test_what_stands_before_damage_is_copied(example, tmp_path):
    whole = write_tar(tmp_path / "0.tar", {f"{key}.png": photo for key, photo in PHOTOS.items()})
    with tarfile.open(whole) as tar:
        second = tar.getmembers()[1]
    whole.write_bytes(whole.read_bytes()[: second.offset_data + second.size // 2])
    (tmp_path / "kept").mkdir()
    example.copy_samples({"tar": str(whole), "target": str(tmp_path / "kept" / "0.tar"), "samples": ["0000"]})
    assert names_in(tmp_path / "kept") == ["0000.png"]


def test_tars_of_one_name_are_refused(shards):
    (shards / "other").mkdir()
    (shards / "0.tar").rename(shards / "other" / "3.tar")
    assert "have the same name" in wrong_use("filter_webdataset", f"{shards}/**/*.tar")


def test_scores_of_other_tars_count_for_nothing(example, tmp_path):
    keys = ["a.tar/1.jpg", "a.tar/2.jpg", "b.tar/1.jpg", "b.tar/2.jpg"]
    columns = {"key": keys, "score": [0.1, 0.2, 0.8, 0.9], "__key__": ["1", "2", "1", "2"]}
    write_parquet(tmp_path / "1.parquet", columns)
    assert example.best_samples(tmp_path, ["a.tar"], 0.5) == {"a.tar": ["2"]}


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ({"carried": ["json"]}, "has rows with these carried columns: json; this run would add: __key__"),
        ({"fingerprint": "of another model"}, "name the same model, backend and dtype, or another folder"),
    ],
)
def test_scores_of_another_command_are_refused_in_one_line(shards, tmp_path, quick_checkpoint, note, message):
    model = {"fingerprint": Scorer.from_pretrained(quick_checkpoint).fingerprint, "model": "a student"}
    ScoreFolder(str(tmp_path / "scores")).begin(model)
    (tmp_path / "scores" / ".dpiqa.json").write_text(json.dumps(model | note))
    error = wrong_use(
        "filter_webdataset", f"{shards}/*.tar", "--scores", f"{tmp_path}/scores", "--model", str(quick_checkpoint)
    )
    assert message in error
    assert "--overwrite" not in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "this tar cannot be read (it is empty)"), (bytes(10_240), "there is no photo")]
)
def test_a_tar_without_photos_is_said(tmp_path, quick_checkpoint, content, message):
    (tmp_path / "a.tar").write_bytes(content)
    options = ["--output", f"{tmp_path}/kept", "--scores", f"{tmp_path}/scores", "--model", str(quick_checkpoint)]
    error = wrong_use("filter_webdataset", f"{tmp_path}/a.tar", *options)
    assert error.startswith(f"Nothing in {tmp_path}/a.tar can be scored")
    assert message in error
    assert not (tmp_path / "kept").exists()


def test_links_in_samples_are_copied(example, tmp_path):
    link = tarfile.TarInfo("1.webp")
    link.type, link.linkname = tarfile.SYMTYPE, "1.png"
    with tarfile.open(write_tar(tmp_path / "0.tar", {"1.png": PHOTOS["0000"]}), "a") as tar:
        tar.addfile(link)
    (tmp_path / "kept").mkdir()
    example.copy_samples({"tar": tmp_path / "0.tar", "target": str(tmp_path / "kept" / "0.tar"), "samples": ["1"]})
    assert names_in(tmp_path / "kept") == ["1.png", "1.webp"]


@pytest.mark.parametrize("name", ["s.001.tar", "s.001.tar.gz", "s.001.TGZ"])
def test_only_the_suffix_is_taken_from_a_name(example, name):
    assert example.name_of(f"shards/{name}") == "s.001"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shards"], "Name a tar"),
        (["a.parquet"], "Name a tar"),
        (["b*.tar"], "no file matches"),
        (["a.tar", "--model", "nowhere/at/all"], "no model on the Hub can have this name"),
        (["a.tar", "--share", "0"], "--share 0 keeps no photo"),
        (["a.tar", "--output", "a.tar"], "is a file"),
    ],
)
def test_wrong_use(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar").touch()
    assert message in wrong_use("filter_webdataset", *arguments)
