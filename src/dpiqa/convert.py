"""The authors' checkpoints as ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .modeling_dpiqa_student import DPIQAStudent

_PUBLISHED_BACKBONE = "base_model.features."
_PUBLISHED_HEAD = ("conv_transpose.", "fc1.", "fc2.", "fc3.")


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
    published = {key.removeprefix("module."): value for key, value in published.items()}
    ours = model.state_dict()
    source = [key for key in published if key.startswith(_PUBLISHED_BACKBONE)]
    target = [key for key in ours if key.startswith("backbone.")]
    pairs = list(zip(source, target, strict=False))
    pairs += [(key, f"head.{key}") for key in published if key.startswith(_PUBLISHED_HEAD)]

    problems = [f"unexpected {key}" for key in published.keys() - {key for key, _ in pairs}]
    problems += [f"nothing for {key}" for key in ours.keys() - {key for _, key in pairs}]
    for key, our_key in pairs:
        shape, our_shape = tuple(published[key].shape), tuple(ours[our_key].shape) if our_key in ours else None
        if key.rsplit(".", 1)[-1] != our_key.rsplit(".", 1)[-1] or shape != our_shape:
            problems.append(f"{key} {shape} does not fit {our_key} {our_shape}")
    if problems:
        raise ValueError(
            "Not a published student checkpoint for this configuration:\n  " + "\n  ".join(sorted(problems))
        )
    return {our_key: published[key] for key, our_key in pairs}
