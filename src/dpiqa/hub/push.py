"""Putting a checkpoint on the Hub, every file of it checked before one is sent."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.utils import validate_repo_id
from safetensors import safe_open
from transformers import AutoModel

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from .remote_code import save_with_code


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
        UploadError: When a file is missing or not fit to be sent.
        huggingface_hub.errors.HFValidationError: When nothing on the Hub can have this name.
        OSError: When there is no such checkpoint.
    """
    validate_repo_id(repo_id)
    with tempfile.TemporaryDirectory(prefix="dpiqa-upload-") as folder:
        _gather(Path(checkpoint), Path(folder))
        files = check_upload(folder)
        if not dry_run:
            api = HfApi()
            api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with dpiqa")
    return files


def check_upload(folder: str | os.PathLike[str]) -> list[CheckedFile]:
    """Checks every file of a folder that is to become a repository.

    Args:
        folder: What [`push_to_hub`] would send.

    Raises:
        UploadError: When weights are not safetensors or not finite, a configuration names code that is not there,
            code does not compile or imports a file that is not there, the card lacks its licence, or a file is none
            of these.
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
        raise UploadError(f"{card}: missing; a checkpoint goes to the Hub with a model card.")
    model, loading = AutoModel.from_pretrained(checkpoint, dtype="auto", output_loading_info=True)
    incomplete = [*loading["missing_keys"], *loading["mismatched_keys"], *loading["unexpected_keys"]]
    if incomplete:
        raise UploadError(f"{checkpoint}: the weights do not fit config.json, for one {incomplete[0]}.")
    save_with_code(model, DPIQAImageProcessor.from_pretrained(checkpoint), folder)
    shutil.copyfile(card, folder / card.name)


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
    content = json.loads(path.read_text(encoding="utf-8"))
    references = [*_references(content)]
    for reference in references:
        module, name = reference.split(".")
        code = path.parent / f"{module}.py"
        classes = ast.walk(ast.parse(code.read_bytes())) if code.is_file() else ()
        if not any(isinstance(node, ast.ClassDef) and node.name == name for node in classes):
            raise UploadError(f"{path.name}: names {reference}, which is not in {code.name}.")
    return f"JSON, {len(references)} references to code" if references else "JSON"


def _references(content: dict[str, Any]) -> Iterator[str]:
    yield from content.get("auto_map", {}).values()
    for pipeline in content.get("custom_pipelines", {}).values():
        yield pipeline["impl"]


def _check_code(path: Path) -> str:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise UploadError(f"{path.name}: {error}.") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and not (path.parent / f"{node.module}.py").is_file():
            raise UploadError(f"{path.name}: imports .{node.module or ''}, which is not there.")
    return "code, its imports are there"


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
