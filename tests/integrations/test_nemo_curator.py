"""The filter by score inside the real NeMo Curator."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from nemo_curator.tasks import ImageBatch, ImageObject

from dpiqa.integrations.nemo_curator import ImageQualityFilterStage

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def batch(photos, tmp_path):
    """A photograph in memory, a file of another one, a ruined one, and a file that is none."""
    photos[1].save(tmp_path / "flower.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    ruined = photos[0].resize((16, 12)).resize(photos[0].size)
    images = [
        ImageObject(image_id="memory", image_path="in.tar", image_data=np.asarray(photos[0])),
        ImageObject(image_id="file", image_path=str(tmp_path / "flower.png")),
        ImageObject(image_id="ruined", image_data=np.asarray(ruined)),
        ImageObject(image_id="broken", image_path=str(tmp_path / "broken.png")),
    ]
    return ImageBatch(dataset_name="photos", data=images, _metadata={"source": "here"})


def test_photos_with_a_low_score_or_none_are_left_out(batch):
    stage = ImageQualityFilterStage()
    stage.setup()
    kept = stage.process(batch)
    assert [image.image_id for image in kept.data] == ["memory", "file"]
    assert kept.data[1].metadata["dpiqa_score"] == stage.scorer(batch.data[1].image_path).score
    assert (kept.dataset_name, kept._metadata) == ("photos", {"source": "here"})


def test_another_model_and_least_score(batch, tiny_checkpoint):
    stage = ImageQualityFilterStage(str(tiny_checkpoint), min_score=-100)
    stage.setup()
    assert [image.image_id for image in stage.process(batch).data] == ["memory", "file", "ruined"]


def test_a_batch_without_photos():
    stage = ImageQualityFilterStage()
    stage.setup()
    assert stage.process(ImageBatch(dataset_name="photos", data=[])).data == []


@pytest.mark.slow
def test_a_pipeline_on_ray(batch):
    code = """
        import sys, ray
        from nemo_curator.backends.ray_data import RayDataExecutor
        from nemo_curator.pipeline import Pipeline
        from nemo_curator.tasks import ImageBatch, ImageObject
        from dpiqa.integrations.nemo_curator import ImageQualityFilterStage

        ray.init(num_cpus=2, include_dashboard=False)
        images = [ImageObject(image_id=path, image_path=path) for path in sys.argv[1:]]
        batches = [ImageBatch(dataset_name="photos", data=[image]) for image in images]
        pipeline = Pipeline(name="filter", stages=[ImageQualityFilterStage()])
        results = pipeline.run(RayDataExecutor(), initial_tasks=batches)
        print("kept:", sorted(image.image_id for result in results for image in result.data))
    """
    good, broken = batch.data[1].image_path, batch.data[3].image_path
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), good, broken], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert f"kept: {[good]}" in result.stdout
