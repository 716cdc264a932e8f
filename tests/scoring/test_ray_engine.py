"""Scoring with Ray Data gives the rows of the local engine, for every kind of input, and goes on where it ended."""

import os
import shutil
from types import SimpleNamespace

import datasets
import pyarrow.dataset as pads
import pytest
import ray
from PIL import Image

from dpiqa import Scorer
from dpiqa.scoring.engines.inputs import find_inputs
from dpiqa.scoring.engines.ray import _cores_beside_a_gpu, _cores_to_claim, score_inputs
from dpiqa.scoring.image_files import find_images
from dpiqa.scoring.rows import COLUMNS, to_row
from dpiqa.scoring.score import Score
from support.images import encoded
from support.shards import damage_row_group, write_parquet, write_tar
from support.tiny_students import save_tiny

# Ray warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, object_store_memory=200 * 1024**2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("checkpoint"))


def rows_in(folder):
    """The rows of an output by their keys, of which none may stand twice."""
    rows = pads.dataset(folder, format="parquet").to_table().to_pylist()
    by_key = {row["key"]: row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def score(output, checkpoint, *names, carry=(), **options):
    inputs = find_inputs(map(str, names), carry=carry)
    return score_inputs(Scorer.from_pretrained(checkpoint), str(checkpoint), inputs, str(output), **options)


def columns(row, *but):
    return {name: row[name] for name in COLUMNS if name not in but}


@pytest.fixture(scope="module")
def scored(tmp_path_factory, _sample_images, checkpoint):
    """Photos of all kinds in one run, and the rows of the local engine for those in a folder."""
    root = tmp_path_factory.mktemp("inputs")
    photos = {
        "a.jpg": encoded(Image.fromarray(_sample_images[0])),
        "sub/b.jpg": encoded(Image.fromarray(_sample_images[1])),
    }
    photos |= {"cut.jpg": photos["a.jpg"][:9_000], "empty.jpg": b"", "text.png": b"no photo"}
    photos |= {"small.png": encoded(Image.new("RGB", (16, 16)), "PNG"), os.fsdecode(b"caf\xe9.jpg"): photos["a.jpg"]}
    for name, content in photos.items():
        (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "photos" / name).write_bytes(content)
    names = [name for name in photos if name.isascii()]
    samples = {name: photos[name] for name in names} | {"a.text": b"words"}
    write_tar(root / "all.tar", dict(sorted(samples.items())))
    write_tar(root / "cut.tar", {"1.jpg": photos["a.jpg"], "2.jpg": photos["a.jpg"]})
    (root / "cut.tar").write_bytes((root / "cut.tar").read_bytes()[:-20_000])
    write_parquet(root / "bytes.parquet", {"image": [photos[name] for name in names], "text": names})
    write_parquet(root / "names.parquet", {"image": [f"photos/{name}" for name in names], "text": names})
    write_parquet(root / "damaged.parquet", {"image": [photos["a.jpg"]] * 4, "text": [*"abcd"]}, row_group_size=2)
    damage_row_group(root / "damaged.parquet", 0)
    listed = [str(root / "photos"), str(root / "missing.jpg"), str(root / "c.nef")]
    inputs = [*listed, f"{root}/*.tar", f"{root}/*.parquet", f"file://{root}/photos/sub"]
    counts = score(root / "scores", checkpoint, *inputs, carry=["text"])
    return SimpleNamespace(
        root=root, names=names, counts=counts, rows=rows_in(root / "scores"), local=_local(checkpoint, listed)
    )


def _local(checkpoint, names):
    found = find_images(names)
    results = Scorer.from_pretrained(checkpoint).stream(found.paths)
    scores = [next(results) if error is None else Score(float("nan"), error=error) for _, error in found.entries]
    return {path: columns(to_row(path, score)) for (path, _), score in zip(found.entries, scores, strict=True)}


class TestRows:
    def test_a_mixed_folder_has_the_rows_of_the_local_engine(self, scored):
        assert len(scored.local) == 9
        local = {row["path"]: row for row in scored.local.values()}
        assert {key: columns(row) for key, row in scored.rows.items() if key in local} == local

    @pytest.mark.parametrize("shard", ["bytes.parquet", "names.parquet", "all.tar"])
    def test_photos_in_a_shard_have_the_same_values(self, scored, shard):
        for number, name in enumerate(scored.names):
            key = f"/{name}" if shard == "all.tar" else f"#{number}"
            row = scored.rows[f"{scored.root}/{shard}{key}"]
            assert columns(row, "path") == columns(scored.local[f"{scored.root}/photos/{name}"], "path"), name

    def test_a_row_has_the_path_that_a_table_names(self, scored):
        assert scored.rows[f"{scored.root}/names.parquet#0"]["path"] == "photos/a.jpg"

    def test_columns_are_carried(self, scored):
        assert scored.rows[f"{scored.root}/bytes.parquet#1"]["text"] == "sub/b.jpg"
        assert scored.rows[f"{scored.root}/all.tar/a.jpg"]["text"] == "words"
        assert scored.rows[f"{scored.root}/photos/a.jpg"]["text"] is None

    def test_photos_behind_a_url(self, scored):
        row = scored.rows[f"file://{scored.root}/photos/sub/b.jpg"]
        assert columns(row, "path") == columns(scored.local[f"{scored.root}/photos/sub/b.jpg"], "path")

    def test_a_damaged_tar_is_an_error_beside_its_sound_photos(self, scored):
        assert scored.rows[f"{scored.root}/cut.tar/1.jpg"]["error"] is None
        assert "what follows its first 1 sample is not scored" in scored.rows[f"{scored.root}/cut.tar"]["error"]

    def test_a_damaged_row_group_is_an_error_for_each_of_its_rows(self, scored):
        errors = [scored.rows[f"{scored.root}/damaged.parquet#{number}"]["error"] for number in range(4)]
        assert [error is None for error in errors] == [False, False, True, True]
        assert "row group 0" in errors[0]

    def test_datasets_reads_the_folder_as_one_table(self, scored, tmp_path):
        table = datasets.load_dataset(str(scored.root / "scores"), split="train", cache_dir=str(tmp_path))
        assert sorted(table["key"]) == sorted(scored.rows)

    def test_nothing_else_is_there_and_all_is_counted(self, scored):
        num = len(scored.names)
        assert len(scored.rows) == 9 + 3 * num + 2 + 4 + 1
        assert scored.counts.scored + scored.counts.failed == len(scored.rows)
        assert scored.counts.failed == sum(row["error"] is not None for row in scored.rows.values())


class TestResume:
    def test_photos_that_have_a_row_are_left_out(self, scored, checkpoint, photo, tmp_path):
        output, more = shutil.copytree(scored.root / "scores", tmp_path / "scores"), tmp_path / "more.jpg"
        photo.save(more)
        before = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
        counts = score(output, checkpoint, scored.root / "photos", more, carry=["text"], resume=True)
        rows = rows_in(output)
        assert rows.keys() - scored.rows.keys() == {str(more)}
        assert rows[str(more)]["error"] is None
        assert counts.scored == scored.counts.scored + 1
        assert {path: path.stat().st_mtime_ns for path in before} == before

    @pytest.mark.parametrize(
        ("cores", "in_cluster", "gpus", "claimed"),
        [(4, 4, 0, 3), (1, 1, 0, 1), (2, 4, 0, 2), (16, 64, 0, 16), (8, 8, 1, 7), (8, 16, 1, 7), (1, 8, 1, 1)],
    )
    def test_a_core_is_left_for_looking_which_rows_are_there(self, cores, in_cluster, gpus, claimed):
        assert _cores_to_claim(cores, in_cluster, gpus=gpus) == claimed


@pytest.mark.parametrize(
    ("machines", "cores"),
    [
        ([{"CPU": 16.0, "GPU": 2.0}], 8),
        ([{"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 32.0, "GPU": 1.0}], 8),
        ([{"CPU": 4.0, "GPU": 8.0}], 1),
        ([{"CPU": 4.0}], 1),
    ],
)
def test_an_actor_with_a_gpu_fits_on_every_machine_that_has_one(machines, cores):
    assert _cores_beside_a_gpu(machines) == cores
