"""The filter by score inside the real Data-Juicer."""

import json
import math
import subprocess
import sys

import pytest
from data_juicer.core.data import NestedDataset
from data_juicer.ops.base_op import OPERATORS
from data_juicer.utils.constant import Fields
from PIL import ImageFile

from dpiqa import Scorer
from dpiqa.integrations.data_juicer import NAME, STATS, ImageQualityFilter
from support.images import encoded

pytestmark = pytest.mark.filterwarnings("ignore")
ImageFile.LOAD_TRUNCATED_IMAGES = False  # Data-Juicer has set it for all tests


@pytest.fixture(autouse=True)
def damaged_files_are_decoded_in_part(monkeypatch):
    """As it is wherever Data-Juicer was imported."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


@pytest.fixture
def files(photos, tmp_path):
    """Paths of a photograph, of a ruined one, and of a file that is none."""
    photos[0].save(tmp_path / "good.png")
    photos[0].resize((32, 24)).resize(photos[0].size).save(tmp_path / "ruined.jpg", quality=5)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return {name: str(tmp_path / f"{name}.{suffix}") for name, suffix in FILES.items()}


FILES = {"good": "png", "ruined": "jpg", "broken": "png"}
SAMPLES = {
    "good": ["good"],
    "ruined": ["ruined"],
    "broken": ["broken"],
    "both": ["good", "ruined"],
    "none": [],
}


@pytest.fixture
def samples(files):
    return [{"text": text, "images": [files[name] for name in names]} for text, names in SAMPLES.items()]


def run(samples, **options):
    """The names of the samples that are kept, and all their scores."""
    operator = OPERATORS.modules[NAME](num_proc=1, **options)
    dataset = NestedDataset.from_list(samples).add_column(Fields.stats, [{}] * len(samples))
    scored = dataset.map(operator.compute_stats, batch_size=2)
    kept = scored.filter(operator.process, batch_size=2)
    return [row["text"] for row in kept], [row[Fields.stats][STATS] for row in scored]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["good", "both", "none"]),
        ({"any_or_all": "all"}, ["good", "none"]),
        ({"max_score": 0.35, "min_score": 0}, ["ruined", "both", "none"]),
        ({"reversed_range": True}, ["ruined", "both", "none"]),
        ({"min_score": 0}, ["good", "ruined", "both", "none"]),
    ],
)
def test_samples_in_the_range_are_kept(samples, options, expected):
    assert run(samples, **options)[0] == expected


def test_stats_are_the_scores(samples, files, tiny_checkpoint, monkeypatch):
    scores = run(samples, model=str(tiny_checkpoint), min_score=-100)[1]
    with monkeypatch.context() as patched:
        patched.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
        good, ruined = (Scorer.from_pretrained(tiny_checkpoint)(files[name]).score for name in ("good", "ruined"))
    assert scores[0] == [good]
    assert math.isnan(scores[2][0])
    assert scores[3:] == [[good, ruined], []]


def test_a_photo_that_is_cut_short_has_no_score(photo):
    sample = {"text": "", "images": ["cut.jpg"], "image_bytes": [encoded(photo)[:20_000]]}
    kept, scores = run([sample], min_score=0)
    assert (kept, math.isnan(scores[0][0])) == ([], True)
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # for the other operators of Data-Juicer


def test_bytes_come_before_paths(photo, files, tiny_checkpoint):
    sample = {"text": "", "images": [files["broken"]], "image_bytes": [encoded(photo, "PNG")]}
    kept, scores = run([sample], model=str(tiny_checkpoint), min_score=-100)
    assert (kept, math.isfinite(scores[0][0])) == ([""], True)


def test_what_has_a_score_is_not_scored_again(files):
    samples = {"images": [[files["good"]]], Fields.stats: [{STATS: [7.0]}]}
    assert ImageQualityFilter().compute_stats_batched(samples)[Fields.stats] == [{STATS: [7.0]}]


def test_neither_any_nor_all():
    with pytest.raises(ValueError, match='Expected "any" or "all" as any_or_all, got \'most\''):
        ImageQualityFilter(any_or_all="most")


@pytest.mark.slow
def test_a_recipe(samples, tmp_path):
    (tmp_path / "samples.jsonl").write_text("\n".join(map(json.dumps, samples)) + "\n")
    (tmp_path / "operators.py").write_text("import dpiqa.integrations.data_juicer\n")
    (tmp_path / "recipe.yaml").write_text(
        f"""
project_name: photos
dataset_path: {tmp_path}/samples.jsonl
export_path: {tmp_path}/kept.jsonl
work_dir: {tmp_path}/work
np: 2
custom_operator_paths: [{tmp_path}/operators.py]
process:
  - {NAME}:
      min_score: 0.35
      any_or_all: all
"""
    )
    code = "import sys; from data_juicer.tools.process_data import main; main()"
    command = [sys.executable, "-c", code, "--config", str(tmp_path / "recipe.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert [row["text"] for row in kept] == ["good", "none"]
