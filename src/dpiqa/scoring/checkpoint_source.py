"""Where a checkpoint comes from, found out before anything large is asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

_TIMEOUT = 10  # seconds
# What a checkpoint is made of, exported ones included.
_FILES = ["*.json", "*.safetensors", "README.md", "model.onnx", "openvino_model.*"]


def local_folder(model: str | os.PathLike[str], **hub: Any) -> Path:
    """The folder of a checkpoint; one on the Hub is downloaded.

    Args:
        model: Folder or Hub id.
        **hub: `revision`, `cache_dir` and `local_files_only`, as in [`only_local`].

    Raises:
        OSError: When there is no such checkpoint.
    """
    hub["local_files_only"] = only_local(model, **hub)
    if os.path.isdir(model):
        return Path(model)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(os.fspath(model), allow_patterns=_FILES, **hub))


def only_local(
    model: str | os.PathLike[str],
    *,
    revision: str = "main",
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> bool:
    """Whether a checkpoint must be loaded without asking the Hub: a folder, or what the cache has while offline.

    The Hub is asked once. transformers and huggingface_hub try again for half a minute, per file, where there is no
    network, and then do not say which model they were looking for.

    Args:
        model: Folder or Hub id.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Where Hub files are kept; None takes the default of huggingface_hub.
        local_files_only: Whether not to ask in any case.

    Raises:
        OSError: When there is no such checkpoint; says where it was looked for.
    """
    name = os.fspath(model)
    if os.path.isdir(name):
        if os.path.exists(os.path.join(name, "adapter_config.json")):
            raise OSError(
                f"{name} holds low-rank updates of a teacher: merge them first, in Python with "
                f'dpiqa.training.lora.merge_lora({name!r}).save_pretrained("merged"), copy preprocessor_config.json '
                "beside it, and name that folder."
            )
        return True
    if os.path.exists(name):
        raise OSError(f"{name} is a file: expected the folder of a checkpoint, or the id of a model on the Hub.")
    from huggingface_hub import constants, try_to_load_from_cache

    reason = "local_files_only is set" if local_files_only else _why_not_on_hub(name, revision)
    if reason is None:
        return False
    cached = try_to_load_from_cache(name, "config.json", cache_dir=cache_dir, revision=revision)
    if isinstance(cached, str):
        return True
    at = "" if revision == "main" else f" at revision {revision}"
    raise OSError(
        f"There is no model {name}{at}: it is no folder here, it is not among the downloaded models "
        f"({cache_dir or constants.HF_HUB_CACHE}), and {reason}."
    )


def model_type_of(folder: Path, name: object = None) -> Literal["dpiqa", "dpiqa-student"]:
    """Which kind of model a checkpoint is, by its `config.json`.

    Args:
        folder: The folder of the checkpoint.
        name: What to call it in an error; the folder when None.

    Raises:
        OSError: When its `config.json` is damaged.
        ValueError: When it is a checkpoint of something else.
    """
    path = folder / "config.json"
    kind = read_json(path).get("model_type") if path.is_file() else None
    if kind not in ("dpiqa", "dpiqa-student"):
        found = f"model_type {kind!r}" if kind else "no config.json with a model_type"
        raise ValueError(
            f"{name or folder} is no checkpoint of dpiqa: expected dpiqa or dpiqa-student, found {found}."
        )
    return kind


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        OSError: When there is no such file, or it is damaged.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise OSError(f"{path} is not a valid JSON file: {error}.") from None
    if not isinstance(content, dict):
        raise OSError(f"{path} is damaged: expected a JSON object, found {type(content).__name__}.")
    return content


def _why_not_on_hub(name: str, revision: str) -> str | None:
    """Why the Hub cannot be asked, or None when it has the model.

    Raises:
        OSError: When the Hub says that there is no such model, or when no model can have this name.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import httpx

    try:
        HfApi().model_info(name, revision=revision, timeout=_TIMEOUT)
    except HFValidationError:
        raise OSError(
            f"There is no folder {name}, and no model on the Hub can have this name: expected a folder, or an id such "
            "as organisation/name."
        ) from None
    except GatedRepoError:
        raise OSError(
            f"{name} is on the Hub for those who asked for access: see its page, then `hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise OSError(
            f"There is no model {name}: it is no folder here, and the Hub has none of this name that you may see "
            "(private ones need `hf auth login`)."
        ) from None
    except HfHubHTTPError as error:
        return None if error.response is not None and error.response.status_code == 404 else "the Hub is out of order"
    except (httpx.HTTPError, OSError):
        return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the Hub cannot be reached"
    return None
