"""Checkpoints from the Hub, out of a cache, and to it, in a dry run."""

import ast
import copy
import json
import shutil

import pytest
import torch
from huggingface_hub.utils import httpx
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, pipeline

from dpiqa import DPIQAImageProcessor, DPIQAStudent, Scorer, bundled_checkpoint
from dpiqa.hub import push as hub
from support import teachers
from support.commands import dpiqa, usage_error
from support.hub_cache import add_to_cache

REPO = "organisation/student"


@pytest.fixture
def cache(tmp_path, tiny_checkpoint, tiny_student, tiny_processor):
    """Two revisions of a student; "doubled" scores twice as high."""
    add_to_cache(tmp_path / "cache", REPO, tiny_checkpoint)
    doubled = copy.deepcopy(tiny_student)
    with torch.no_grad():
        for parameter in doubled.head.quality.parameters():
            parameter.mul_(2)
    doubled.save_pretrained(tmp_path / "doubled")
    tiny_processor.save_pretrained(tmp_path / "doubled")
    add_to_cache(tmp_path / "cache", REPO, tmp_path / "doubled", "doubled")
    return tmp_path / "cache"


class TestFromTheHub:
    def test_auto_classes_take_an_id(self, cache):
        assert isinstance(AutoModel.from_pretrained(REPO, cache_dir=cache), DPIQAStudent)
        assert isinstance(AutoImageProcessor.from_pretrained(REPO, cache_dir=cache), DPIQAImageProcessor)

    def test_a_pipeline_takes_an_id(self, cache, tiny_scorer, photo):
        rate = pipeline("image-quality-assessment", model=REPO, model_kwargs={"cache_dir": cache})
        assert rate(photo)["score"] == pytest.approx(tiny_scorer(photo).score, rel=1e-5)

    def test_revision_is_honoured(self, cache, tiny_scorer, photo):
        expected = 2 * tiny_scorer(photo).score
        rate = pipeline("image-quality-assessment", model=REPO, revision="doubled", model_kwargs={"cache_dir": cache})
        assert rate(photo)["score"] == pytest.approx(expected, rel=1e-5)
        scorer = Scorer.from_pretrained(REPO, revision="doubled", cache_dir=cache)
        assert scorer(photo).score == pytest.approx(expected, rel=1e-5)

    def test_a_revision_that_is_not_there_is_an_error(self, cache):
        with pytest.raises(OSError, match=r"no-such-revision|cached"):
            AutoModel.from_pretrained(REPO, revision="no-such-revision", cache_dir=cache)

    @pytest.mark.slow
    def test_local_files_only_is_honoured(self, cache, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        Scorer.from_pretrained(REPO, cache_dir=cache, local_files_only=True)
        with pytest.raises(OSError, match=r"no model organisation/other: .* and local_files_only is set"):
            Scorer.from_pretrained("organisation/other", cache_dir=cache, local_files_only=True)


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the bundled student, to be spoiled."""
    return shutil.copytree(bundled_checkpoint(), tmp_path / "checkpoint")


class TestDryRun:
    def test_every_file_is_checked_and_none_is_sent(self, checkpoint, monkeypatch):
        monkeypatch.setattr(hub, "HfApi", lambda: pytest.fail("something would be sent"))
        found = {file.name: file.found for file in hub.push_to_hub(checkpoint, REPO, dry_run=True)}
        assert found["model.safetensors"].endswith("finite values")
        assert found["config.json"] == "JSON"
        assert found["preprocessor_config.json"] == "JSON"
        assert found["README.md"] == "model card, apache-2.0"
        code = {"modeling_dpiqa_student.py", "image_processing_dpiqa.py", "pipeline_dpiqa.py", "images.py"}
        assert code <= found.keys()

    def test_the_weights_keep_their_precision(self, checkpoint):
        sizes = {file.name: file.num_bytes for file in hub.push_to_hub(checkpoint, REPO, dry_run=True)}
        assert sizes["model.safetensors"] < 8_000_000

    def test_a_teacher_is_fit_to_be_sent(self, tmp_path, tiny_processor):
        teachers.teacher().save_pretrained(tmp_path / "teacher")
        tiny_processor.save_pretrained(tmp_path / "teacher")
        shutil.copyfile(bundled_checkpoint() / "README.md", tmp_path / "teacher" / "README.md")
        assert hub.push_to_hub(tmp_path / "teacher", REPO, dry_run=True)

    def test_without_dry_run_the_same_files_are_sent(self, checkpoint, monkeypatch):
        sent = []

        class Api:
            def create_repo(self, repo_id, **options):
                sent.append((repo_id, options))

            def upload_folder(self, *, folder_path, **options):
                sent.append({file.name for file in hub.check_upload(folder_path)})

        monkeypatch.setattr(hub, "HfApi", Api)
        files = hub.push_to_hub(checkpoint, REPO, private=True)
        assert sent == [(REPO, {"private": True, "exist_ok": True}), {file.name for file in files}]


def _without_card(folder):
    (folder / "README.md").unlink()


def _without_licence(folder):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("license: apache-2.0\n", ""))


def _not_finite(folder):
    weights = load_file(folder / "model.safetensors")
    weights["head.quality.bias"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _incomplete(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["head.quality.bias"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _card_by_link(folder):
    (folder / "README.md").rename(folder.parent / "secret.md")
    (folder / "README.md").symlink_to(folder.parent / "secret.md")


def _unknown_key(folder, name="config.json", inside=None):
    config = json.loads((folder / name).read_text())
    (config[inside] if inside else config)["api_key"] = "hf_secret"
    (folder / name).write_text(json.dumps(config))


def _unknown_key_inside(folder):
    _unknown_key(folder, inside="efficientnet_config")


def _unknown_key_of_the_processor(folder):
    _unknown_key(folder, "preprocessor_config.json")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_card, "with a model card. The training commands write one"),
        (_card_by_link, "README.md: a link"),
        (_unknown_key, "config.json: api_key mean nothing to dpiqa"),
        (_unknown_key_inside, "config.json: efficientnet_config.api_key mean nothing"),
        (_unknown_key_of_the_processor, "preprocessor_config.json: api_key mean nothing"),
        (_without_licence, "the model card has no license"),
        (_not_finite, "head.quality.bias has values that are not finite"),
        (_incomplete, "do not fit config.json, for one head.quality.bias"),
    ],
)
def test_a_spoiled_checkpoint_is_not_sent(spoil, message, checkpoint):
    spoil(checkpoint)
    with pytest.raises(hub.UploadError, match=message):
        hub.push_to_hub(checkpoint, REPO, dry_run=True)


class TestCheckUpload:
    @pytest.fixture
    def folder(self, checkpoint, tmp_path):
        hub._gather(checkpoint, tmp_path / "upload")
        return tmp_path / "upload"

    def test_the_code_that_is_named_is_there(self, folder):
        config = json.loads((folder / "config.json").read_text())
        processor = json.loads((folder / "preprocessor_config.json").read_text())
        pipelines = [pipeline["impl"] for pipeline in config["custom_pipelines"].values()]
        for reference in (*config["auto_map"].values(), *processor["auto_map"].values(), *pipelines):
            module, name = reference.split(".")
            tree = ast.parse((folder / f"{module}.py").read_bytes())
            assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}

    def test_the_code_that_is_imported_is_there(self, folder):
        for path in folder.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.ImportFrom) and node.level:
                    assert (folder / f"{node.module}.py").is_file(), path.name

    def test_pickles_are_refused(self, folder):
        torch.save({}, folder / "optimizer.bin")
        with pytest.raises(hub.UploadError, match=r"optimizer.bin: expected only .safetensors, .json, .py, .md"):
            hub.check_upload(folder)

    def test_weights_are_required(self, folder):
        (folder / "model.safetensors").unlink()
        with pytest.raises(hub.UploadError, match=r"\*.safetensors missing"):
            hub.check_upload(folder)


@pytest.mark.parametrize("name", ["a/b/c", "student", "", "a/", "/b", "a/b c"])
def test_a_name_that_the_hub_would_not_take(checkpoint, name):
    with pytest.raises(hub.UploadError, match=r"Repo id must|expected a name"):
        hub.push_to_hub(checkpoint, name, dry_run=True)


def test_saving_leaves_the_configuration_of_the_model_alone(checkpoint):
    hub.push_to_hub(checkpoint, REPO, dry_run=True)
    assert "custom_pipelines" not in json.loads((checkpoint / "config.json").read_text())


class TestCommand:
    def test_a_dry_run_lists_every_file(self):
        result = dpiqa("push", bundled_checkpoint(), REPO, "--dry-run")
        assert result.exit_code == 0, result.output
        for name in ("model.safetensors", "config.json", "README.md", "pipeline_dpiqa.py"):
            assert name in result.stdout
        assert "files are fit to be sent, none was sent" in result.stdout

    def test_it_sends(self, monkeypatch):
        asked = []
        monkeypatch.setattr(hub, "push_to_hub", lambda *arguments, **options: asked.append((arguments, options)) or [])
        result = dpiqa("push", bundled_checkpoint(), REPO, "--private")
        assert asked == [((bundled_checkpoint(), REPO), {"dry_run": False, "private": True})]
        assert f"https://huggingface.co/{REPO}" in result.stdout

    def test_what_is_not_fit_is_wrong_usage(self, checkpoint):
        _without_card(checkpoint)
        assert "The training commands write one" in usage_error("push", checkpoint, REPO, "--dry-run")
        message = usage_error("push", bundled_checkpoint(), "student", "--dry-run")
        assert message.startswith("Invalid value for REPO_ID: student: expected a name such as organisation/student")

    def test_a_hub_that_does_not_take_it_is_status_1(self, monkeypatch):
        def refuse(*arguments, **options):
            raise httpx.ConnectError("no network")

        monkeypatch.setattr(hub, "push_to_hub", refuse)
        result = dpiqa("push", bundled_checkpoint(), REPO)
        assert result.exit_code == 1
        assert result.stderr == "the Hub did not take it: no network\n"
