"""Putting a checkpoint on the Hub, every file of it checked before one is sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from safetensors import safe_open
from transformers import AutoModel

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from .remote_code import save_with_code

# What save_with_code writes anew.
_EXPORTED = frozenset({"auto_map", "custom_pipelines"})


class UploadError(ValueError):
    """A checkpoint that should not go to the Hub, with the file and the reason."""


class CheckedFile(NamedTuple):
    """A file of an upload: its name in the repository, its length, and what was found in it."""

    name: str
    num_bytes: int
    found: str


def push_to_hub(
    checkpoint: str | os.PathLike[str], repo_id: str, *, dry_run: bool = False, private: bool = False
) -> list[CheckedFile]:
    """Uploads a checkpoint with its model card and the code that it needs.

    Weights, configurations, card and code are put together in a temporary folder, as they will be in the repository,
    and checked there. The token is the one of `hf auth login` or of the variable HF_TOKEN.

    Args:
        checkpoint: Folder of a student or a teacher, with its model card as README.md.
        repo_id: "organisation/name" on the Hub; made when it does not exist.
        dry_run: Whether to stop before anything is sent.
        private: Whether a new repository is private.

    Returns:
        The files that were sent, or would be.

    Raises:
        UploadError: When a file is missing or not fit to be sent, or nothing on the Hub can have this name.
        OSError: When there is no such checkpoint.
    """
    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory(prefix="dpiqa-upload-") as folder:
        _gather(Path(checkpoint), Path(folder))
        files = check_upload(folder)
        if not dry_run:
            api = HfApi()
            api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with dpiqa")
    return files


def check_repo_id(repo_id: str) -> None:
    """Checks a name before anything is made ready for it.

    Raises:
        UploadError: When it is not "organisation/name", or the Hub does not allow it.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UploadError(str(error)) from error
    if "/" not in repo_id:
        raise UploadError(f"{repo_id}: expected a name such as organisation/{repo_id}; a user is an organisation too.")


def check_upload(folder: str | os.PathLike[str]) -> list[CheckedFile]:
    """Checks every file of a folder that is to become a repository.

    Args:
        folder: What [`push_to_hub`] would send.

    Raises:
        UploadError: When weights are not safetensors or not finite, a configuration is no JSON, the card lacks its
            licence, or a file is none of these and no code.
    """
    root = Path(folder)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    missing = [name for name in ("config.json", "preprocessor_config.json", "README.md") if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        missing.append("*.safetensors")
    if missing:
        raise UploadError(f"{root}: {', '.join(missing)} missing.")
    return [CheckedFile(name, (root / name).stat().st_size, _check(root / name)) for name in names]


def _gather(checkpoint: Path, folder: Path) -> None:
    card = checkpoint / "README.md"
    if not card.is_file():
        raise UploadError(
            f"{card}: missing; a checkpoint goes to the Hub with a model card. The training commands write one; for "
            "others write the file yourself, with license, library_name and tags in its first lines "
            "(https://huggingface.co/docs/hub/model-cards)."
        )
    if card.is_symlink():
        raise UploadError(f"{card}: a link; put the card itself there, so that no other file is sent by mistake.")
    model, loading = AutoModel.from_pretrained(checkpoint, dtype="auto", output_loading_info=True)
    incomplete = [*loading["missing_keys"], *loading["mismatched_keys"], *loading["unexpected_keys"]]
    if incomplete:
        raise UploadError(f"{checkpoint}: the weights do not fit config.json, for one {incomplete[0]}.")
    processor = DPIQAImageProcessor.from_pretrained(checkpoint)
    unknown = {
        "config.json": [*_unknown_keys(model.config.to_dict(), _known_keys(model))],
        "preprocessor_config.json": [*_unknown_keys(processor.to_dict(), DPIQAImageProcessor().to_dict())],
    }
    for name, keys in unknown.items():
        if keys:
            raise UploadError(f"{checkpoint / name}: {', '.join(keys)} mean nothing to dpiqa; remove what is private.")
    save_with_code(model, processor, folder)
    shutil.copyfile(card, folder / card.name)


def _known_keys(model: Any) -> dict[str, Any]:
    """A configuration with every key that there can be; what it says of a teacher's parts is diffusers' own."""
    known = type(model.config)().to_dict()
    for part in ("autoencoder", "unet"):
        if hasattr(model, part):
            known[f"{part}_config"] = dict(getattr(model, part).config)
    return known


def _unknown_keys(config: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if key in _EXPORTED:
            continue
        if key not in known:
            yield prefix + key
        elif key.endswith("_config") and isinstance(value, Mapping) and isinstance(known[key], Mapping):
            yield from _unknown_keys(value, known[key], f"{prefix}{key}.")


def _check(path: Path) -> str:
    if path.suffix not in _CHECKS:
        raise UploadError(f"{path.name}: expected only {', '.join(_CHECKS)} files.")
    return _CHECKS[path.suffix](path)


def _check_weights(path: Path) -> str:
    parameters = 0
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118, it is not a dict
            tensor = file.get_tensor(name)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise UploadError(f"{path.name}: {name} has values that are not finite.")
            parameters += tensor.numel()
    return f"{parameters:,} finite values"


def _check_json(path: Path) -> str:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UploadError(f"{path.name}: no JSON ({error}).") from error
    return "JSON"


def _check_code(path: Path) -> str:
    return "code of dpiqa"


def _check_card(path: Path) -> str:
    try:
        card = ModelCard.load(path)
    except ValueError as error:
        raise UploadError(f"{path.name}: the metadata are not valid: {error}") from error
    unfilled = re.search(r"{{.*?}}|\[More Information Needed\]", card.text)
    if unfilled:
        raise UploadError(f"{path.name}: {unfilled[0]} was never filled in.")
    data = card.data.to_dict()
    missing = [key for key in ("license", "library_name", "tags") if not data.get(key)]
    if missing or not card.text.strip():
        raise UploadError(f"{path.name}: the model card has no {', '.join(missing) or 'text'}.")
    return f"model card, {data['license']}"


_CHECKS: dict[str, Callable[[Path], str]] = {
    ".safetensors": _check_weights,
    ".json": _check_json,
    ".py": _check_code,
    ".md": _check_card,
}
