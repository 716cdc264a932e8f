import copy
import io
import math
import pickle
import threading

import datasets
import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from dpiqa import DPIQAImageProcessor, DPIQAStudent, ImageError, Score, Scorer
from support.images import encoded
from support.tiny_students import tiny_config


@pytest.fixture
def sources(photo, save):
    """One photo as everything that a scorer takes."""
    path = save(photo, "photo.png")
    array = np.asarray(photo)
    return {
        "str": str(path),
        "Path": path,
        "PIL": photo,
        "array": array,
        "tensor": torch.from_numpy(array.copy()).permute(2, 0, 1),
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
    }


def test_every_kind_of_source_alone(tiny_scorer, sources):
    scores = {kind: tiny_scorer(source).score for kind, source in sources.items()}
    assert max(scores.values()) - min(scores.values()) < 1e-6


def test_a_list_of_any_mix_keeps_its_order(tiny_scorer, sources, photos):
    mixed = [photos[1], *sources.values(), photos[1]]
    scores = [score.score for score in tiny_scorer(mixed)]
    assert scores[0] == pytest.approx(scores[-1], abs=1e-5)
    assert scores[0] != pytest.approx(scores[1], abs=1e-4)
    assert scores[1:-1] == pytest.approx([tiny_scorer(photos[0]).score] * len(sources), abs=1e-5)


def test_a_score_is_what_the_model_says(tiny_scorer, tiny_student, tiny_processor, photo):
    with torch.no_grad():
        expected = tiny_student(**tiny_processor(photo, return_tensors="pt")).score.item()
    assert tiny_scorer(photo).score == pytest.approx(expected, abs=1e-6)


def test_a_score_does_not_depend_on_batch_size_or_workers(tiny_student, tiny_processor, photos):
    images = [photo.crop((0, 0, 100 + 40 * index, 200)) for index in range(5) for photo in photos]
    one = Scorer(tiny_student, tiny_processor, batch_size=1, workers=1)(images)
    many = Scorer(tiny_student, tiny_processor, batch_size=7, workers=4)(images)
    np.testing.assert_allclose([s.score for s in one], [s.score for s in many], atol=1e-5)


def test_an_uncalibrated_checkpoint_has_no_percentile_and_no_interval(tiny_scorer, photo):
    result = tiny_scorer(photo)
    assert result.percentile is None
    assert result.interval is None
    assert (result.width, result.height) == photo.size


def test_calibration_comes_out_of_every_path(tiny_student, tiny_processor, photo):
    bare = Scorer(tiny_student, tiny_processor)(photo).score
    tiny_student.config.score_quantiles = [bare - 3.0, bare - 1.0, bare + 1.0]
    tiny_student.config.interval_half_width = 0.25
    scorer = Scorer(tiny_student, tiny_processor)
    for result in (scorer(photo), scorer([photo])[0], next(scorer.stream([photo]))):
        assert result.percentile == pytest.approx(75, abs=0.01)
        assert result.interval == pytest.approx((bare - 0.25, bare + 0.25), abs=1e-5)


@pytest.mark.parametrize(("offset", "percentile"), [(-100.0, 100.0), (100.0, 0.0)])
def test_percentiles_end_at_0_and_100(tiny_scorer, photo, offset, percentile):
    bare = tiny_scorer(photo).score
    tiny_scorer.config.score_quantiles = [bare + offset, bare + offset + 1]
    assert tiny_scorer(photo).percentile == percentile


def test_maps_on_request(tiny_scorer, photo):
    assert tiny_scorer(photo).quality_map is None
    quality_map = tiny_scorer([photo], return_map=True)[0].quality_map
    assert quality_map.shape == (2, 2)
    assert quality_map.dtype == np.float32
    assert quality_map.min() <= tiny_scorer(photo).score <= quality_map.max()


def test_one_bad_image_alone_raises(tiny_scorer, tmp_path):
    with pytest.raises(ImageError, match="file is empty"):
        tiny_scorer(b"")
    with pytest.raises(FileNotFoundError):
        tiny_scorer(tmp_path / "missing.jpg")


def test_bad_images_in_a_list_become_errors_and_nothing_else_is_lost(tiny_scorer, photo, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(encoded(photo)[:5000])
    bad = [tmp_path / "missing.jpg", tmp_path / "cut.jpg", tmp_path, b"text", np.full((64, 64, 3), np.nan), 3]
    results = tiny_scorer([photo, *bad, photo])
    assert [result.error is None for result in results] == [True, *[False] * len(bad), True]
    assert all(math.isnan(result.score) for result in results[1:-1])
    assert results[0].score == results[-1].score
    assert results[1].error == "no such file"
    assert "cut short" in results[2].error
    assert str(tmp_path) not in results[2].error


def test_a_list_of_bad_images_only(tiny_scorer):
    assert [result.error for result in tiny_scorer([b"", b""])] == ["the file is empty."] * 2


def test_an_empty_list(tiny_scorer):
    assert tiny_scorer([]) == []


def test_a_stream_reads_ahead_by_a_few_batches_only(tiny_scorer, photo):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield photo

    stream = tiny_scorer.stream(endless())
    assert isinstance(next(stream), Score)
    assert taken <= 3 * tiny_scorer.workers * tiny_scorer.batch_size
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dpiqa-score")]


def test_a_failing_source_stops_the_stream_with_its_own_error(tiny_scorer, photo):
    def failing():
        yield photo
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(tiny_scorer.stream(failing()))


def test_from_pretrained_a_folder(tiny_checkpoint, tiny_scorer, photo):
    assert Scorer.from_pretrained(tiny_checkpoint)(photo).score == pytest.approx(tiny_scorer(photo).score, abs=1e-6)


def test_from_pretrained_a_hub_id(tmp_path, tiny_checkpoint, tiny_scorer, photo):
    root = tmp_path / "cache" / "models--org--tiny"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "v1").write_text("abc123")
    (root / "snapshots").mkdir()
    tiny_checkpoint.rename(root / "snapshots" / "abc123")
    scorer = Scorer.from_pretrained("org/tiny", revision="v1", cache_dir=tmp_path / "cache", local_files_only=True)
    assert scorer(photo).score == pytest.approx(tiny_scorer(photo).score, abs=1e-6)


def test_a_half_precision_file_is_scored_in_float32(tiny_student, tiny_processor, tmp_path, photo):
    reference = Scorer(tiny_student, tiny_processor)(photo).score
    tiny_student.half().save_pretrained(tmp_path)
    tiny_processor.save_pretrained(tmp_path)
    scorer = Scorer.from_pretrained(tmp_path)
    assert scorer.model.dtype == torch.float32
    assert scorer(photo).score == pytest.approx(reference, abs=0.02)


def test_bfloat16_on_request(tiny_student, tiny_processor, photo):
    reference = Scorer(tiny_student, tiny_processor)(photo).score
    scorer = Scorer(tiny_student, tiny_processor, dtype="bfloat16")
    assert scorer.backend.dtype == "bfloat16"
    assert scorer(photo).score == pytest.approx(reference, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "float8.*float32"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, .* got 0"),
        ({"workers": 0}, "workers must be a whole number of at least 1, .* got 0"),
        ({"workers": -1}, "workers must be a whole number of at least 1, .* got -1"),
        ({"workers": float("nan")}, "workers must be a whole number of at least 1, .* got nan"),
        ({"batch_size": 1.5}, "batch_size must be a whole number of at least 1, .* got 1.5"),
        ({"device": "hpu"}, r"'hpu' here \(.*try auto or cpu"),
        ({"device": 1.5}, "'1.5' here: expected auto, cpu"),
        ({"device": "meta"}, "'meta' here: expected auto, cpu"),
        ({"device": "gpu"}, "'gpu' here: expected auto, cpu, cuda, cuda:N or mps"),
    ],
)
def test_wrong_options_are_errors(tiny_student, tiny_processor, options, message):
    with pytest.raises(ValueError, match=message):
        Scorer(tiny_student, tiny_processor, **options)


def test_workers_are_checked_before_a_model_is_loaded():
    with pytest.raises(ValueError, match="workers must be a whole number"):
        Scorer.from_pretrained("no-such-model", workers=0)


def test_a_pickled_scorer_scores_the_same(tiny_scorer, photos):
    copied = pickle.loads(pickle.dumps(tiny_scorer))
    assert copied(photos) == tiny_scorer(photos)
    assert (copied.batch_size, copied.workers) == (4, 2)


def test_photos_of_several_sizes_where_the_processor_does_not_resize(tiny_student, tiny_processor, photos):
    tiny_processor.do_resize = False
    scorer = Scorer(tiny_student, tiny_processor)
    images = [photos[0], photos[1].resize((100, 60)), photos[1]]
    assert [score.score for score in scorer(images)] == pytest.approx([scorer(p).score for p in images], abs=1e-5)


def test_a_photo_that_the_network_does_not_take_is_an_error_of_its_own(photos):
    student = DPIQAStudent(tiny_config(head="spatial", image_size=64))
    scorer = Scorer(student, DPIQAImageProcessor(do_resize=False))
    results = scorer([photos[0], photos[0].resize((64, 64))])
    assert "takes 64x64 pixels only" in results[0].error
    assert (results[0].width, results[0].height) == photos[0].size
    assert math.isfinite(results[1].score)


def test_several_photos_in_every_form(tiny_scorer, photos, save, tmp_path):
    paths = [save(photo, f"photos/{name}.png") for photo, name in zip(photos, "ab", strict=True)]
    expected = [score.score for score in tiny_scorer(paths)]
    as_dicts = [{"bytes": paths[0].read_bytes(), "path": None}, {"bytes": None, "path": str(paths[1])}]
    rows = datasets.Dataset.from_dict({"image": as_dicts})
    array = np.stack(photos)
    forms = {
        "glob": sorted((tmp_path / "photos").glob("*.png")),
        "generator": (path for path in paths),
        "iterator": map(str, paths),
        "pandas": pandas.Series([str(path) for path in paths], index=[7, 3]),
        "pandas values": pandas.Series([str(path) for path in paths]).to_numpy(),
        "array of text": np.array([str(path) for path in paths]),
        "column": rows.cast_column("image", datasets.Image(decode=False))["image"],
        "decoded column": rows.cast_column("image", datasets.Image())["image"],
        "dicts": as_dicts,
        "array": array,
        "tensor": torch.from_numpy(array).permute(0, 3, 1, 2),
    }
    for form, images in forms.items():
        assert [score.score for score in tiny_scorer(images)] == pytest.approx(expected, abs=1e-6), form


def test_an_entry_of_a_column_is_one_image(tiny_scorer, photo, save):
    path = save(photo, "photo.png")
    expected = tiny_scorer(photo).score
    assert tiny_scorer({"bytes": path.read_bytes(), "path": None}).score == expected
    assert tiny_scorer({"bytes": None, "path": str(path)}).score == expected


def test_a_folder_says_how_to_list_it(tiny_scorer, tmp_path):
    with pytest.raises(ImageError, match=r"this is a folder.*find_images"):
        tiny_scorer(tmp_path)


def test_one_image_is_no_stream(tiny_scorer):
    with pytest.raises(TypeError, match=r"several images, got photo\.jpg"):
        next(tiny_scorer.stream("photo.jpg"))


def test_a_score_says_where_its_photo_is(tiny_scorer, photo, save):
    path = save(photo, "photo.png")
    assert tiny_scorer(path).path == str(path)
    images = [str(path), {"bytes": path.read_bytes(), "path": "in/a/dataset.png"}, photo, "missing.png"]
    assert [score.path for score in tiny_scorer(images)] == [str(path), "in/a/dataset.png", None, "missing.png"]


def test_formats(tiny_student, tiny_processor, photo):
    scorer = Scorer(tiny_student, tiny_processor, formats=["JPEG"])
    jpeg, png = scorer([encoded(photo), encoded(photo, "PNG")])
    assert math.isfinite(jpeg.score)
    assert "none of the formats that are read (JPEG)" in png.error


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_an_error(tiny_student, tiny_processor, photo, value):
    tiny_student.head.quality.bias.data.fill_(value)
    tiny_student.config.interval_half_width = 0.1
    scorer = Scorer(tiny_student, tiny_processor)
    result = scorer([photo])[0]
    assert math.isnan(result.score)
    assert result.error.startswith(f"the model gave {value}: its weights are damaged")
    assert result.interval is None
    assert (result.width, result.height) == photo.size
    with pytest.raises(ValueError, match="weights are damaged"):
        scorer(photo)


def test_repr(tiny_scorer, tiny_checkpoint):
    expected = "Scorer(memory, 64x64 pixels, backend='torch', device='cpu', dtype='float32', batch_size=4, workers="
    assert repr(tiny_scorer).startswith(expected)
    assert f"Scorer({tiny_checkpoint}," in repr(Scorer.from_pretrained(tiny_checkpoint))


def test_no_bar_for_the_weights(tiny_checkpoint, capfd):
    Scorer.from_pretrained(tiny_checkpoint)
    assert "Loading weights" not in capfd.readouterr().err


class TestFingerprint:
    def test_a_saved_checkpoint_keeps_it(self, tiny_scorer, tiny_checkpoint):
        assert Scorer.from_pretrained(tiny_checkpoint).fingerprint == tiny_scorer.fingerprint

    def test_a_calibration_keeps_it(self, tiny_scorer, tiny_student, tiny_processor):
        tiny_student.config.score_quantiles = [0.0, 1.0]
        tiny_student.config.interval_half_width = 0.1
        assert Scorer(tiny_student, tiny_processor).fingerprint == tiny_scorer.fingerprint

    def test_other_weights_pixels_or_types_have_another(self, tiny_scorer, tiny_student, tiny_processor):
        larger = DPIQAImageProcessor(size={"height": 96, "width": 96})
        scorers = [tiny_scorer, Scorer(tiny_student, larger)]
        scorers.append(Scorer(copy.deepcopy(tiny_student), tiny_processor, dtype="bfloat16"))
        trained = copy.deepcopy(tiny_student)
        trained.head.quality.bias.data += 1
        scorers.append(Scorer(trained, tiny_processor))
        assert len({scorer.fingerprint for scorer in scorers}) == len(scorers)


@pytest.mark.slow
def test_max_pixels_above_the_default(tiny_student, tiny_processor):
    scorer = Scorer(tiny_student, tiny_processor, max_pixels=10**9)
    assert math.isfinite(scorer(Image.new("L", (20_001, 10_000))).score)


def test_max_pixels(tiny_student, tiny_processor, photo):
    scorer = Scorer(tiny_student, tiny_processor, max_pixels=1000)
    assert "640x427 is more than" in scorer([photo])[0].error


def test_a_scorer_puts_its_model_in_eval_mode(tiny_processor, tiny_student):
    assert isinstance(Scorer(tiny_student.train(), tiny_processor).model, DPIQAStudent)
    assert not tiny_student.training


def test_a_large_jpeg_scores_like_its_full_decode(tiny_scorer, photo):
    large = photo.resize((2560, 1708), Image.Resampling.BICUBIC)
    data = encoded(large, quality=95)
    assert tiny_scorer(data).score == pytest.approx(tiny_scorer(Image.open(io.BytesIO(data))).score, abs=0.02)
