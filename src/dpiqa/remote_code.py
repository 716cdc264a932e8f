"""Checkpoints that bring their own code, for people who have not installed dpiqa."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from .image_processing_dpiqa import DPIQAImageProcessor
from .modeling_dpiqa import DPIQAModel
from .modeling_dpiqa_student import DPIQAStudent


def save_with_code(
    model: DPIQAModel | DPIQAStudent,
    processor: DPIQAImageProcessor,
    folder: str | os.PathLike[str],
    **kwargs: Any,
) -> None:
    """Saves a checkpoint together with the files of dpiqa that it needs.

    `AutoModel.from_pretrained(folder, trust_remote_code=True)` and `AutoImageProcessor` then work with transformers
    alone (a teacher needs diffusers as well), locally or from the Hub.

    Args:
        model: Teacher or student.
        processor: Its image processor.
        folder: Where to; made when it does not exist.
        **kwargs: Arguments of `model.save_pretrained`, such as `max_shard_size`.
    """
    exported = {"AutoConfig": model.config, "AutoModel": model, "AutoImageProcessor": processor}
    with ExitStack() as registered:
        for auto_class, part in exported.items():
            cls = type(part)
            # Only while this is saved: what is registered exports its code with every save from then on.
            registered.callback(setattr, cls, "_auto_class", cls._auto_class)
            cls.register_for_auto_class(auto_class)
        for part in (model.config, processor):
            registered.callback(part.__dict__.pop, "auto_map", None)
        model.save_pretrained(folder, **kwargs)
        processor.save_pretrained(folder)


__all__ = ["save_with_code"]
