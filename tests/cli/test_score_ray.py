import pyarrow.dataset as pads
import pytest

from dpiqa import bundled_checkpoint
from support.commands import dpiqa, said, usage_error


@pytest.fixture
def folder(tmp_path, photos):
    root = tmp_path / "photos"
    root.mkdir()
    photos[0].save(root / "china.jpg")
    (root / "broken.jpg").touch()
    return root


class TestUsage:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--engine", "spark"], "expected local or ray, got spark"),
            (["--carry", "id"], "works with --engine ray only"),
            (["--engine", "ray", "-o", "scores", "--sort"], "works with --engine local only"),
            (["--engine", "ray", "-o", "scores", "--maps", "maps"], "works with --engine local only"),
            (["--engine", "ray"], "writes a folder of Parquet files: name one"),
            (["--engine", "ray", "-o", "scores.csv"], "writes a folder of Parquet files: name one"),
            (["--engine", "ray", "-o", "scores", "--resume", "--overwrite"], "cannot be combined with --overwrite"),
        ],
    )
    def test_options_that_do_not_go_together(self, folder, options, message):
        assert message in usage_error("score", folder, *options)

    @pytest.mark.parametrize(
        ("names", "output", "message"),
        [
            (["missing.jpg"], "scores", "no file or folder matches missing.jpg"),
            (["missing/*.tar"], "scores", "no file matches missing/*.tar"),
            (["https://example.org/a.jpg"], "scores", "web servers are not read from"),
            (["a.parquet"], "http://example.org/scores", "cannot write to http://example.org/scores"),
        ],
    )
    def test_what_cannot_be_read_or_written(self, tmp_path, monkeypatch, names, output, message):
        pytest.importorskip("ray")
        monkeypatch.chdir(tmp_path)
        assert message in usage_error("score", *names, "--engine", "ray", "-o", output)

    def test_a_folder_of_somebody_else_is_left_alone(self, folder, tmp_path, tiny_checkpoint):
        pytest.importorskip("ray")
        (tmp_path / "scores").mkdir()
        (tmp_path / "scores" / "precious.txt").touch()
        options = ["--engine", "ray", "-o", tmp_path / "scores", "--overwrite", "--model", tiny_checkpoint]
        assert "files that dpiqa did not write, such as precious.txt" in usage_error("score", folder, *options)
        assert (tmp_path / "scores" / "precious.txt").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray warns of its own code
def test_a_run_a_second_one_and_another_model(folder, tmp_path, quick_model, photo):
    ray = pytest.importorskip("ray")
    output = tmp_path / "scores"
    command = ["score", folder, "--engine", "ray", "-o", output]
    backend = quick_model[-1]
    ray.init(num_cpus=2, object_store_memory=200 * 1024**2, include_dashboard=False, log_to_driver=False)
    try:
        first = dpiqa(*command, *quick_model)
        assert first.exit_code == 0, first.output
        assert f"1 scored by {backend} in float32, 1 error, written to {output}" in said(first)
        assert "has scores already" in usage_error(*command, *quick_model)
        (folder / "china.jpg").rename(folder / "flower.jpg")
        second = dpiqa(*command, *quick_model, "--resume", "--strict")
        assert second.exit_code == 1
        assert f"1 scored by {backend} in float32, 2 kept from before" in said(second)
        assert pads.dataset(output, format="parquet").count_rows() == 3
        assert "scores of two models cannot be mixed" in usage_error(
            *command, "--model", bundled_checkpoint(), "--resume"
        )
    finally:
        ray.shutdown()
