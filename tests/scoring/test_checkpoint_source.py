"""Looking for a checkpoint: at once, and by its name."""

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import httpx

from dpiqa import Scorer
from dpiqa.scoring.checkpoint_source import only_local
from support.hub_cache import add_to_cache


@pytest.fixture
def hub(monkeypatch):
    """The Hub, asked through `model_info`; what it answers is set by calling this."""
    asked = []

    def answers(error=None):
        def model_info(self, name, **options):
            asked.append(name)
            if error is not None:
                raise error

        monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
        return asked

    return answers


def test_a_folder_needs_no_hub(hub, tmp_path):
    asked = hub()
    assert only_local(tmp_path)
    assert asked == []


def test_a_file_is_no_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(OSError, match="is a file: expected the folder of a checkpoint"):
        only_local(tmp_path / "model.safetensors")


def test_a_model_of_the_hub(hub):
    hub()
    assert not only_local("org/name")


def test_without_a_network_the_cache_is_taken(hub, tmp_path, tiny_checkpoint):
    asked = hub(httpx.ConnectError("no network"))
    add_to_cache(tmp_path / "cache", "org/name", tiny_checkpoint)
    assert Scorer.from_pretrained("org/name", cache_dir=tmp_path / "cache")
    assert asked == ["org/name"]


def test_without_a_network_a_missing_model_is_named(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub(httpx.ConnectError("no network"))
    with pytest.raises(OSError, match=r"no model org/nosuch: .* \(.*cache\), and the Hub cannot be reached"):
        only_local("org/nosuch", cache_dir=tmp_path / "cache")


def test_offline_a_missing_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"no model org/nosuch: .* and HF_HUB_OFFLINE is set"):
        only_local("org/nosuch", cache_dir=tmp_path)


def test_local_files_only_asks_nobody(hub, tmp_path):
    asked = hub()
    with pytest.raises(OSError, match=r"at revision v2: .* and local_files_only is set"):
        only_local("org/nosuch", revision="v2", cache_dir=tmp_path, local_files_only=True)
    assert asked == []


def test_a_name_that_no_model_can_have():
    with pytest.raises(OSError, match="There is no folder photos/my/model"):
        only_local("photos/my/model")


def test_a_model_that_the_hub_does_not_have(hub):
    response = httpx.Response(404, request=httpx.Request("GET", "https://huggingface.co"))
    hub(RepositoryNotFoundError("404", response=response))
    with pytest.raises(OSError, match="the Hub has none of this name that you may see"):
        only_local("org/nosuch")
