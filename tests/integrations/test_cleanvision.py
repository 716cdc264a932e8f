"""The issue low_quality inside the real cleanvision."""

import fsspec
import pytest
from cleanvision import Imagelab
from datasets import Dataset, Features, Image

import dpiqa.integrations.cleanvision  # noqa: F401, which registers the issue
from dpiqa import Scorer
from support.images import encoded

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(photos, tmp_path):
    """A folder with two photographs, a ruined one, and a file that is none."""
    (tmp_path / "photos").mkdir()
    photos[0].save(tmp_path / "photos" / "china.png")
    photos[1].save(tmp_path / "photos" / "flower.png")
    photos[0].resize((32, 24)).resize(photos[0].size).save(tmp_path / "photos" / "ruined.jpg", quality=5)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def by_name(series):
    return {path.rsplit("/", 1)[-1]: value for path, value in series.items()}


def find(imagelab, **params):
    imagelab.find_issues({"low_quality": params}, verbose=False)
    return imagelab


def test_a_ruined_photo_is_an_issue_for_the_bundled_student(folder):
    imagelab = find(Imagelab(data_path=str(folder), verbose=False))
    is_issue = by_name(imagelab.issues["is_low_quality_issue"])
    assert is_issue == {"china.png": False, "flower.png": False, "ruined.jpg": True, "broken.png": False}
    assert imagelab.issue_summary.to_dict("records") == [{"issue_type": "low_quality", "num_images": 1}]


def test_scores_are_those_of_the_scorer_and_errors_have_reasons(folder, tiny_scorer):
    imagelab = find(Imagelab(data_path=str(folder), verbose=False), scorer=tiny_scorer, threshold=0)
    scores = by_name(imagelab.issues["low_quality_score"])
    for name in ("china.png", "flower.png", "ruined.jpg"):
        assert scores[name] == pytest.approx(tiny_scorer(folder / name).score, abs=1e-6)
    assert scores["broken.png"] != scores["broken.png"]
    ((index, reason),) = imagelab.info["low_quality"]["errors"].items()
    assert index.endswith("broken.png")
    assert "not an image" in reason


def test_a_threshold(folder, tiny_scorer):
    scores = [tiny_scorer(folder / name).score for name in ("china.png", "flower.png")]
    imagelab = find(Imagelab(data_path=str(folder), verbose=False), scorer=tiny_scorer, threshold=sum(scores) / 2)
    is_issue = by_name(imagelab.issues["is_low_quality_issue"])
    assert is_issue["china.png"] == (scores[0] < scores[1])
    assert is_issue["flower.png"] == (scores[1] < scores[0])


def test_beside_its_own_rules_and_in_its_report(folder, capsys):
    (folder / "broken.png").unlink()  # cleanvision's own rules cannot read it
    imagelab = Imagelab(data_path=str(folder), verbose=False)
    assert "low_quality" in imagelab.list_possible_issue_types()
    imagelab.find_issues({"blurry": {}, "low_quality": {}}, n_jobs=1, verbose=False)
    assert {"blurry_score", "low_quality_score"} <= {*imagelab.issues.columns}
    imagelab.report(["low_quality"], num_images=0)
    assert "Number of examples with this issue: 1" in capsys.readouterr().out


def test_a_data_set_of_hugging_face(photos, tiny_scorer):
    entries = [{"bytes": encoded(photo, "PNG"), "path": None} for photo in photos]
    rows = Dataset.from_dict(
        {"image": [*entries, {"bytes": b"broken", "path": None}]}, features=Features(image=Image())
    )
    imagelab = find(Imagelab(hf_dataset=rows, image_key="image", verbose=False), scorer=tiny_scorer, threshold=0)
    scores = imagelab.issues["low_quality_score"].tolist()
    assert scores[:2] == pytest.approx([tiny_scorer(photo).score for photo in photos], abs=1e-6)
    assert list(imagelab.info["low_quality"]["errors"]) == [2]


def test_photos_that_are_not_on_this_machine(photo, tiny_scorer):
    with fsspec.open("memory://photos/a.png", "wb") as file:
        file.write(encoded(photo, "PNG"))
    imagelab = find(Imagelab(data_path="memory://photos", verbose=False), scorer=tiny_scorer, threshold=0)
    assert imagelab.issues["low_quality_score"].tolist() == [pytest.approx(tiny_scorer(photo).score, abs=1e-6)]


def test_a_laboratory_can_be_saved(folder, tmp_path, tiny_scorer):
    (folder / "broken.png").unlink()
    imagelab = find(Imagelab(data_path=str(folder), verbose=False), scorer=tiny_scorer, threshold=0)
    imagelab.save(str(tmp_path / "saved"))
    loaded = Imagelab.load(str(tmp_path / "saved"))
    assert loaded.issues["low_quality_score"].equals(imagelab.issues["low_quality_score"])
    assert not any(isinstance(value, Scorer) for value in vars(loaded._issue_managers["low_quality"]).values())


def test_a_parameter_that_is_not_known(folder):
    with pytest.raises(ValueError, match="low_quality has no parameter limit: expected threshold or scorer"):
        find(Imagelab(data_path=str(folder), verbose=False), limit=1)
