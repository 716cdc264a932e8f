"""`pipeline("image-quality-assessment")`, as people use transformers' other pipelines."""

import contextlib
import itertools
import socketserver
import threading
import time

import datasets
import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from transformers import pipeline

from dpiqa import ImageError, ImageQualityAssessmentPipeline, bundled_checkpoint
from support import loops, teachers
from support.images import encoded

TASK = "image-quality-assessment"


@pytest.fixture
def rate(tiny_checkpoint):
    return pipeline(TASK, model=str(tiny_checkpoint))


def scores(results):
    return [result["score"] for result in results]


class TestLoading:
    def test_the_task_is_known(self, rate):
        assert isinstance(rate, ImageQualityAssessmentPipeline)

    def test_without_a_model_it_is_the_bundled_student(self, photo):
        expected = pipeline(TASK, model=bundled_checkpoint())(photo)
        assert pipeline(TASK)(photo) == expected
        assert expected["score"] == pytest.approx(0.843, abs=0.01)
        assert expected["interval"][0] < expected["score"] < expected["interval"][1]
        assert 0 <= expected["percentile"] <= 100

    def test_a_half_precision_student_computes_in_float32(self):
        assert pipeline(TASK).model.dtype is torch.float32

    def test_another_precision_on_request(self, tiny_checkpoint, photo):
        rate = pipeline(TASK, model=str(tiny_checkpoint), dtype=torch.bfloat16)
        assert rate.model.dtype is torch.bfloat16
        assert np.isfinite(rate(photo)["score"])

    def test_a_model_in_memory(self, tiny_student, tiny_processor, tiny_scorer, photo):
        rate = pipeline(TASK, model=tiny_student.train(), image_processor=tiny_processor)
        assert rate(photo)["score"] == pytest.approx(tiny_scorer(photo).score, rel=1e-5)

    def test_a_teacher(self, tiny_processor, photo):
        teacher = teachers.teacher()
        rate = pipeline(TASK, model=teacher, image_processor=tiny_processor)
        with torch.no_grad():
            expected = teacher(tiny_processor(photo, return_tensors="pt").pixel_values).score.item()
        assert rate(photo)["score"] == pytest.approx(expected, rel=1e-4)


class TestOneImage:
    def test_it_is_what_the_scorer_says(self, rate, tiny_scorer, photo):
        result = rate(photo)
        assert result["score"] == pytest.approx(tiny_scorer(photo).score, rel=1e-5)
        assert (result["width"], result["height"], result["error"]) == (640, 427, None)

    def test_any_kind_of_source(self, rate, photo, save):
        path = save(photo, "photo.png")
        array = np.asarray(photo)
        tensor = torch.from_numpy(array.copy()).movedim(-1, 0)
        expected = rate(photo)["score"]
        for source in (path, str(path), path.read_bytes(), array, tensor, {"bytes": None, "path": str(path)}):
            assert rate(source)["score"] == expected
        with path.open("rb") as file:
            assert rate(file)["score"] == expected

    def test_one_that_cannot_be_scored_raises(self, rate):
        with pytest.raises(ImageError, match="not an image"):
            rate(b"hello")

    def test_return_map(self, rate, tiny_scorer, photo):
        expected = tiny_scorer(photo, return_map=True).quality_map
        assert rate(photo, return_map=True)["quality_map"] == pytest.approx(expected, rel=1e-4)
        assert "quality_map" not in rate(photo)

    def test_return_map_without_a_map_is_an_error(self, tiny_processor, photo):
        with pytest.raises(ValueError, match="pooled head"):
            pipeline(TASK, model=teachers.teacher(), image_processor=tiny_processor, return_map=True)

    def test_an_unknown_argument_is_an_error(self, rate, photo):
        with pytest.raises(TypeError, match="return_maps"):
            rate(photo, return_maps=True)


class TestManyImages:
    def test_batches_change_no_score(self, rate, photos):
        many = [*photos, photos[0].rotate(90), photos[1].resize((100, 300)), photos[0]]
        expected = [rate(photo)["score"] for photo in many]
        for batch_size in (1, 2, 4, 8):
            assert scores(rate(many, batch_size=batch_size)) == pytest.approx(expected, rel=1e-5)

    def test_maps_in_batches(self, rate, photos):
        first, second = rate(photos, batch_size=2, return_map=True)
        assert first["quality_map"] == pytest.approx(rate(photos[0], return_map=True)["quality_map"], rel=1e-4)
        assert first["quality_map"].shape == second["quality_map"].shape == (2, 2)

    @pytest.mark.parametrize("batch_size", [1, 3])
    def test_bad_ones_become_errors_and_cost_the_others_nothing(self, rate, photos, batch_size):
        many = [photos[0], b"", "no/such/file.jpg", encoded(photos[0])[:4000], photos[1]]
        results = rate(many, batch_size=batch_size)
        errors = [result["error"] for result in results]
        assert errors[0] is errors[4] is None
        assert errors[1] == "the file is empty."
        assert errors[2] == "no such file"
        assert "damaged or cut short" in errors[3]
        assert all(np.isnan(result["score"]) and result["percentile"] is None for result in results[1:4])
        assert [results[0]["score"], results[4]["score"]] == pytest.approx(scores(rate(photos)), rel=1e-5)

    def test_tuples_and_no_images_at_all(self, rate, photos):
        assert scores(rate(tuple(photos))) == scores(rate(photos))
        assert rate([]) == []

    @pytest.mark.parametrize(
        "make", [lambda photos: (photo for photo in photos), iter, lambda photos: map(Image.Image.copy, photos)]
    )
    def test_iterators_stream(self, rate, photos, make):
        results = rate(make(photos), batch_size=2)
        assert not isinstance(results, list)
        assert scores(results) == pytest.approx(scores(rate(photos)), rel=1e-5)

    def test_columns_and_batches(self, rate, photos, save):
        paths = [str(save(photo, f"{index}.png")) for index, photo in enumerate(photos)]
        rows = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image(decode=False))
        for many in (pandas.Series(paths), rows["image"], np.stack(photos)):
            assert scores(rate(many)) == pytest.approx(scores(rate(photos)), rel=1e-5)

    def test_a_score_that_is_no_number_is_an_error(self, tiny_student, tiny_processor, photo):
        tiny_student.head.quality.bias.data.fill_(np.nan)
        rate = pipeline(TASK, model=tiny_student, image_processor=tiny_processor)
        assert rate([photo])[0]["error"].startswith("the model gave nan: its weights are damaged")
        with pytest.raises(ValueError, match="weights are damaged"):
            rate(photo)


@pytest.fixture
def server(photo):
    """A web server on loopback: one address delivers a photo, the others what servers get wrong."""
    png = encoded(photo, "PNG")
    whole = b"HTTP/1.0 200 OK\r\n\r\n" + png
    answers = {
        "/photo.png": [whole],
        "/a%20photo.png": [whole],
        "/moved.png": [b"HTTP/1.0 302 Found\r\nLocation: /photo.png\r\n\r\n"],
        "/to-a-file.png": [b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"],
        "/in-a-circle.png": [b"HTTP/1.0 302 Found\r\nLocation: /in-a-circle.png\r\n\r\n"],
        "/garbage.png": [bytes(range(256))],
        "/silent.png": [],
        "/cut.png": [b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n" + png[:100]],
        "/broken-chunks.png": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        "/dripping.png": itertools.chain([b"HTTP/1.0 200 OK\r\n\r\n"], itertools.repeat(b"\0")),
        "/dripping-headers.png": itertools.chain([b"HTTP/1.0 200 OK\r\nX: "], itertools.repeat(b"x")),
        "/endless.png": itertools.chain([b"HTTP/1.0 200 OK\r\n\r\n"], itertools.repeat(bytes(100_000), 10_000)),
    }
    sent = {}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            path = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            with contextlib.suppress(ConnectionError):
                for part in answers.get(path, [b"HTTP/1.0 404 Not Found\r\n\r\n"]):
                    self.wfile.write(part)
                    sent[path] = sent.get(path, 0) + len(part)
                    time.sleep(0.02 if "drip" in path else 0)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.sent = sent
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class TestUrls:
    def test_they_are_refused_unless_asked_for(self, rate, server):
        with pytest.raises(ImageError, match="only with allow_urls=True"):
            rate(f"{server.url}/photo.png")

    @pytest.mark.parametrize("name", ["photo.png", "a photo.png", "moved.png"])
    def test_on_request(self, rate, server, photo, name):
        assert rate(f"{server.url}/{name}", allow_urls=True)["score"] == rate(photo)["score"]

    def test_inside_a_running_event_loop(self, rate, server):
        async def notebook():
            return rate(f"{server.url}/photo.png", allow_urls=True)

        assert np.isfinite(loops.run(notebook())["score"])

    def test_what_cannot_be_fetched_costs_the_others_nothing(self, rate, server):
        bad = {
            f"{server.url}/no-such.png": "could not be fetched (status 404)",
            f"{server.url}/to-a-file.png": "could not be fetched",
            f"{server.url}/in-a-circle.png": "could not be fetched",
            f"{server.url}/garbage.png": "could not be fetched",
            f"{server.url}/silent.png": "could not be fetched",
            f"{server.url}/cut.png": "could not be fetched",
            f"{server.url}/broken-chunks.png": "could not be fetched",
            f"{server.url}/new\nline.png": "could not be fetched",
            "http://127.0.0.1:1/photo.png": "could not be fetched",
            "http://[::1/photo.png": "could not be fetched",
            "http://127.0.0.1:99999/photo.png": "could not be fetched",
            "http:///photo.png": "could not be fetched",
            "http://\udce9.invalid/photo.png": "could not be fetched",
            "file:///etc/passwd": "only http and https",
        }
        results = rate([*bad, f"{server.url}/photo.png"], allow_urls=True)
        for url, result in zip(bad, results, strict=False):
            assert result["error"] is not None, url
            assert result["error"].startswith(bad[url]), url
        assert results[-1]["error"] is None

    @pytest.mark.parametrize("name", ["dripping.png", "dripping-headers.png"])
    def test_what_comes_too_slowly_is_given_up(self, rate, server, monkeypatch, name):
        monkeypatch.setattr("dpiqa.models.image_urls._TOTAL_SECONDS", 0.5)
        with pytest.raises(ImageError, match=r"not delivered within 0\.5 seconds"):
            rate(f"{server.url}/{name}", allow_urls=True)

    def test_a_long_file_is_refused_while_it_comes(self, rate, server, monkeypatch):
        monkeypatch.setattr("dpiqa.models.image_urls.download_image.__kwdefaults__", {"max_bytes": 1000})
        with pytest.raises(ImageError, match="longer than the 1,000 bytes"):
            rate(f"{server.url}/endless.png", allow_urls=True)
        assert server.sent["/endless.png"] < 100_000_000
