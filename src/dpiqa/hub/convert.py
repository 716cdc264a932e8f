"""The authors' checkpoints as ours."""

from __future__ import annotations

import copy
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file

from ..models.configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig
from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..models.modeling_dpiqa import DPIQAModel
from ..models.modeling_dpiqa_student import DPIQAStudent
from ..models.prompts import PromptGrid, encode_prompts, load_text_model
from ..version import __version__

_STUDENT_BACKBONE = "base_model.features."
_STUDENT_HEAD = ("conv_transpose.", "fc1.", "fc2.", "fc3.")

# Published name -> ours, for the teacher's parts that keep their inner names, and the decoder's.
_TEACHER_NAMES: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"gamma$": "text_adapter.gamma",
    r"text_adapter\.fc\.0\.": "text_adapter.fc1.",
    r"text_adapter\.fc\.2\.": "text_adapter.fc2.",
    r"vae\.": "autoencoder.",
    r"unet\.": "unet.",
    r"img_adapter\.": "image_adapter.adapter.",
    r"QFD\.conv([1-4])\.": lambda match: f"decoder.convs.{int(match[1]) - 1}.",
    r"QFD\.se([1-4])\.fc\.0\.": lambda match: f"decoder.squeezes.{int(match[1]) - 1}.fc1.",
    r"QFD\.se([1-4])\.fc\.2\.": lambda match: f"decoder.squeezes.{int(match[1]) - 1}.fc2.",
    r"QFD\.fuse_conv\.": "decoder.fuse_conv.",
    r"QFD\.se_fuse\.fc\.0\.": "decoder.fuse_squeeze.fc1.",
    r"QFD\.se_fuse\.fc\.2\.": "decoder.fuse_squeeze.fc2.",
    r"QFD\.conv_score([1-3])\.": lambda match: f"decoder.map_convs.{int(match[1]) - 1}.",
    r"QFD\.fc([1-3])\.": lambda match: f"decoder.mlp.{2 * int(match[1]) - 2}.",
}
# What only our checkpoints have.
_OURS = ("autoencoder.", "backbone.", "decoder.")
_NAMED_PROBLEMS = 10
# In the published files and without effect on a score.
_TEACHER_UNUSED = (
    "vae.decoder.",
    "vae.post_quant_conv.",
    "unet.conv_norm_out.",
    "unet.conv_out.",
    "QFD.bnc1.",
    "QFD.classifier_dist.",
    "text_encoder.text_model.",
)


def convert_checkpoint(
    checkpoint: str | os.PathLike[str],
    kind: Literal["teacher", "student"],
    output: str | os.PathLike[str],
    *,
    prompt_embeddings: str | os.PathLike[str] | torch.Tensor | None = None,
    text_model: str | os.PathLike[str] = "openai/clip-vit-large-patch14",
    config: DPIQAConfig | DPIQAStudentConfig | None = None,
) -> DPIQAModel | DPIQAStudent:
    """Turns a `.pth` file of the published code into a checkpoint folder of ours, with the published behaviour.

    Args:
        checkpoint: The authors' file; read without running code from it.
        kind: Which of the two models it is.
        output: Folder for weights, configuration, image processor and a short model card.
        prompt_embeddings: (num_prompts, width), or a `.safetensors`, `.npy` or `.pt` file that holds them alone. The
            authors' files do not contain the teacher's prompt embeddings, and it only gives its scores with those
            that it was trained with. When not given they are computed with `text_model` from the published prompts.
        text_model: CLIP checkpoint for that.
        config: Sizes and behaviour, for checkpoints that were trained with other sizes than the published ones.

    Returns:
        The model.

    Raises:
        OSError: When a file cannot be read, or the CLIP checkpoint is not to be had.
        ValueError: When the file is not what `kind` says; the message lists the keys.
    """
    if kind not in ("teacher", "student"):
        raise ValueError(f'Unknown kind {kind!r}: expected "teacher" or "student".')
    published = _load_pickle(checkpoint)
    model: DPIQAModel | DPIQAStudent
    if kind == "student":
        if prompt_embeddings is not None:
            raise ValueError("A student has no prompt embeddings.")
        model = DPIQAStudent(config or DPIQAStudentConfig(score_range=(0.0, 100.0)))
        weights = convert_student_state_dict(published, model)
    else:
        grid: PromptGrid | None
        if prompt_embeddings is None:
            grid = PromptGrid()
            rows = encode_prompts(list(grid), *load_text_model(text_model))
        else:
            rows = _load_tensor(prompt_embeddings)
            grid = _words_of(rows, config)
        published_behaviour = {"pixel_range": "unit", "latent_sampling": "sample", "score_range": (0.0, 100.0)}
        config = copy.deepcopy(config) if config else DPIQAConfig(**published_behaviour)
        config.num_prompts = len(rows)
        config.prompt_grid = grid.to_dict() if grid else None
        with torch.device("meta"):
            model = DPIQAModel(config)
        weights = convert_teacher_state_dict(published, model)
        model.text_adapter.check_embeddings(rows)
        weights["text_adapter.prompt_embeddings"] = rows
    weights = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    model.load_state_dict(weights, assign=True)
    model.eval().save_pretrained(output)
    size = {"height": model.config.image_size, "width": model.config.image_size}
    DPIQAImageProcessor(size=size).save_pretrained(output)
    (Path(output) / "README.md").write_text(_card(Path(checkpoint), kind), encoding="utf-8")
    return model


def convert_student_state_dict(published: Mapping[str, torch.Tensor], model: DPIQAStudent) -> dict[str, torch.Tensor]:
    """Renames the tensors of a published student checkpoint to ours.

    torchvision's and transformers' EfficientNet declare the same layers in the same order under different names, so
    the backbone maps one to one in order; every pair must agree in kind (`weight`, `running_mean`, ...) and shape.

    Args:
        published: State dict with the published names (`base_model.features.*`, `conv_transpose.*`, `fc1..3.*`),
            with or without the `module.` prefix of `DataParallel`.
        model: The student that the result is for, EfficientNet with the spatial head.

    Returns:
        A state dict for `model.load_state_dict`.

    Raises:
        ValueError: When keys are missing, unexpected, or of another shape; the message lists them.
    """
    published = _without_prefix(published)
    ours = model.state_dict()
    source = [key for key in published if key.startswith(_STUDENT_BACKBONE)]
    target = [key for key in ours if key.startswith("backbone.")]
    pairs = list(zip(source, target, strict=False))
    pairs += [(key, f"head.{key}") for key in published if key.startswith(_STUDENT_HEAD)]
    return _renamed(published, ours, pairs, "student")


def convert_teacher_state_dict(published: Mapping[str, torch.Tensor], model: DPIQAModel) -> dict[str, torch.Tensor]:
    """Renames the tensors of a published teacher checkpoint to ours and leaves out those without effect.

    Left out are the autoencoder's decoder, the UNet's output convolution, two unused layers of the quality feature
    decoder, and a text encoder.

    Args:
        published: State dict with the published names (`vae.*`, `unet.*`, `gamma`, `text_adapter.*`, `img_adapter.*`,
            `QFD.*`), with or without the `module.` prefix of `DataParallel`.
        model: The teacher that the result is for; may be on the meta device.

    Returns:
        A state dict for `model.load_state_dict`, without the prompt embeddings, which published files do not hold.

    Raises:
        ValueError: When keys are missing, unexpected, or of another shape; the message lists them.
    """
    published = {k: v for k, v in _without_prefix(published).items() if not k.startswith(_TEACHER_UNUSED)}
    ours = {key: value for key, value in model.state_dict().items() if key != "text_adapter.prompt_embeddings"}
    pairs = []
    for key in published:
        for pattern, name in _TEACHER_NAMES.items():
            our_key, found = re.subn(f"^{pattern}", name, key)
            if found:
                pairs.append((key, our_key))
    return _renamed(published, ours, pairs, "teacher")


def _without_prefix(published: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("module."): value for key, value in published.items()}


def _renamed(
    published: Mapping[str, torch.Tensor],
    ours: Mapping[str, torch.Tensor],
    pairs: Iterable[tuple[str, str]],
    kind: str,
) -> dict[str, torch.Tensor]:
    pairs = list(pairs)
    if any(key.startswith(_OURS) for key in published):
        raise ValueError(
            "This is a checkpoint of dpiqa already, and there is nothing to convert: a folder that holds it as "
            "model.safetensors, with its config.json and its preprocessor_config.json is what --model takes."
        )
    problems = [f"unexpected {key}" for key in published.keys() - {key for key, _ in pairs}]
    problems += [f"nothing for {key}" for key in ours.keys() - {key for _, key in pairs}]
    for key, our_key in pairs:
        if our_key not in ours:
            problems.append(f"unexpected {key}")
            continue
        shape, our_shape = tuple(published[key].shape), tuple(ours[our_key].shape)
        if key.rsplit(".", 1)[-1] != our_key.rsplit(".", 1)[-1] or shape != our_shape:
            problems.append(f"{key} {shape} does not fit {our_key} {our_shape}")
    if problems:
        named = "; ".join(sorted(problems)[:_NAMED_PROBLEMS])
        more = f"; and {len(problems) - _NAMED_PROBLEMS} more" if len(problems) > _NAMED_PROBLEMS else ""
        raise ValueError(f"Not a published {kind} checkpoint for this configuration: {named}{more}.")
    return {our_key: published[key] for key, our_key in pairs}


def _load_pickle(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    content = _read_without_code(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        found = f"a dict with {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: expected a state dict, that is names and tensors, got {found}.")
    return content


def _read_without_code(path: str | os.PathLike[str], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, MemoryError):
        raise
    except Exception:
        # On damaged data readers raise nearly anything, and PyTorch's and NumPy's own messages recommend to run what
        # is in the file.
        raise ValueError(f"{path}: not a file of tensors that can be read without running code from it.") from None


def _load_tensor(source: str | os.PathLike[str] | torch.Tensor) -> torch.Tensor:
    if isinstance(source, torch.Tensor):
        return source
    suffix = Path(source).suffix
    if suffix == ".npy":
        tensor = _read_without_code(source, lambda: torch.from_numpy(np.load(source, allow_pickle=False)))
    elif suffix == ".safetensors":
        tensors = _read_without_code(source, lambda: load_file(source))
        tensor = next(iter(tensors.values())) if len(tensors) == 1 else tensors
    else:
        tensor = _read_without_code(source, lambda: torch.load(source, map_location="cpu", weights_only=True))
    if not isinstance(tensor, torch.Tensor) or tensor.ndim != 2 or not tensor.is_floating_point():
        raise ValueError(f"{source}: expected one floating point tensor of shape (num_prompts, width).")
    return tensor


def _words_of(rows: torch.Tensor, config: DPIQAConfig | DPIQAStudentConfig | None) -> PromptGrid | None:
    """The prompts behind the rows of a file: the configuration's or the published ones, if there are as many."""
    words = config.prompt_grid if isinstance(config, DPIQAConfig) else None
    grid = PromptGrid(**words) if words else PromptGrid()
    return grid if len(grid) == len(rows) else None


def _card(checkpoint: Path, kind: str) -> str:
    with checkpoint.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        digest = hashlib.sha256(content).hexdigest()
    return f"""---
library_name: transformers
tags: [image-quality-assessment, dpiqa]
license: other
license_name: see-authors
---

# DP-IQA {kind}, converted

`{checkpoint.name}` (SHA-256 {digest}) of the authors of DP-IQA
([arXiv 2405.19996](https://arxiv.org/abs/2405.19996)), converted with `dpiqa convert` {__version__}. The weights are
the authors' work and stay under the terms under which they published them (their code: CC BY-NC-SA, that is without
commercial use); only the format is new.
"""


__all__ = ["convert_checkpoint", "convert_student_state_dict", "convert_teacher_state_dict"]
