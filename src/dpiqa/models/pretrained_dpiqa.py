"""What teacher and student have in common as models of transformers."""

from __future__ import annotations

import os
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

_NAMED_KEYS = 3


class DPIQAPreTrainedModel(PreTrainedModel):
    """What all models share: they take pixels, and load a checkpoint completely or not at all."""

    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    # The loss is a mean over the batch: Trainer divides by the number of accumulation steps itself.
    accepts_loss_kwargs = False

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *args: Any,
        output_loading_info: bool = False,
        ignore_mismatched_sizes: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loads a checkpoint, as `PreTrainedModel.from_pretrained` does, and refuses weights that do not fit.

        transformers gives random values to what a checkpoint lacks. A score of random weights looks like any other,
        so that here this is an error, unless the caller asks for it: with `output_loading_info=True`, which answers
        what is missing, or with `ignore_mismatched_sizes=True`, which makes a start for training.

        Args:
            pretrained_model_name_or_path: Folder or Hub id; only safetensors are read.
            *args: As in transformers.
            output_loading_info: Whether to return (model, dict with `missing_keys`, `unexpected_keys` and
                `mismatched_keys`).
            ignore_mismatched_sizes: Whether weights may be missing, superfluous or of another shape.
            **kwargs: As in transformers, such as `dtype`, `device_map`, `revision` and `cache_dir`.

        Raises:
            OSError: When there is no such checkpoint, or its file of weights is damaged.
            ValueError: When no model can be made of its config.json, weights are missing or of another shape, or the
                model has no place for some.
        """
        kwargs.setdefault("use_safetensors", True)
        source = pretrained_model_name_or_path
        if source is not None and os.path.isfile(os.path.join(source, "export.json")):
            raise OSError(
                f"{source} is a student that was exported for ONNX Runtime or OpenVINO, and can only score. Name the "
                "checkpoint that it was exported from (its export.json says which)."
            )
        try:
            # transformers' own error about sizes names none: see below.
            model, info = super().from_pretrained(
                source, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
            )
        except SafetensorError as error:
            raise OSError(f"{source}: the file of weights is damaged or cut short ({error}).") from error
        except (ImportError, MemoryError, OSError, ValueError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of what config.json asks for: a size that does not divide, a part that is unknown
            raise ValueError(f"{source}: no {cls.__name__} can be made of its config.json ({error}).") from error
        if output_loading_info:
            return model, info
        of_other_shape = {name for name, *_ in info["mismatched_keys"]}
        problems = [
            f"{kind} {_some(names)}"
            for kind, names in (
                ("without", info["missing_keys"] - of_other_shape),
                ("with unknown", info["unexpected_keys"]),
                ("with another shape of", of_other_shape),
            )
            if names
        ]
        if problems and not ignore_mismatched_sizes:
            raise ValueError(
                f"The weights of {source} do not fit a {cls.__name__} of its config.json: they are "
                f"{' and '.join(problems)}. Get the files again from where they came from. To start a training with "
                "random values in place of what is missing, load it with ignore_mismatched_sizes=True."
            )
        return model


def _some(keys: set[str]) -> str:
    named = ", ".join(sorted(keys)[:_NAMED_KEYS])
    return named if len(keys) <= _NAMED_KEYS else f"{named} and {len(keys) - _NAMED_KEYS} more"


__all__ = ["DPIQAPreTrainedModel"]
