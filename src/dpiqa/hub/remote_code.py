"""Checkpoints that bring their own code, for people who have not installed dpiqa."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from transformers.dynamic_module_utils import custom_object_save

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..models.modeling_dpiqa import DPIQAModel
from ..models.modeling_dpiqa_student import DPIQAStudent
from ..models.pipeline_dpiqa import TASK, ImageQualityAssessmentPipeline

_PIPELINE = f"{ImageQualityAssessmentPipeline.__module__.split('.')[-1]}.{ImageQualityAssessmentPipeline.__name__}"


def save_with_code(
    model: DPIQAModel | DPIQAStudent,
    processor: DPIQAImageProcessor,
    folder: str | os.PathLike[str],
    **kwargs: Any,
) -> None:
    """Saves a checkpoint together with the files of dpiqa that it needs.

    `AutoModel.from_pretrained(folder, trust_remote_code=True)`, `AutoImageProcessor` and
    `pipeline("image-quality-assessment", model=folder, trust_remote_code=True)` then work with transformers alone (a
    teacher needs diffusers as well), locally or from the Hub.

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
        registered.callback(model.config.__dict__.pop, "custom_pipelines", None)
        model.config.custom_pipelines = {TASK: {"impl": _PIPELINE, "pt": ["AutoModel"]}}
        model.save_pretrained(folder, **kwargs)
        processor.save_pretrained(folder)
        custom_object_save(ImageQualityAssessmentPipeline, folder)


__all__ = ["save_with_code"]
