"""Blind image quality assessment with diffusion priors (DP-IQA, arXiv 2405.19996).

Importing the package is cheap: a name's module, and torch with it, is loaded when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._auto_classes import register_when_imported as _register_when_imported
from .checkpoints import bundled_checkpoint as bundled_checkpoint
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .integrations.frames import add_scores as add_scores
    from .models.configuration_dpiqa import DPIQAConfig as DPIQAConfig
    from .models.configuration_dpiqa import DPIQAStudentConfig as DPIQAStudentConfig
    from .models.image_processing_dpiqa import DPIQAImageProcessor as DPIQAImageProcessor
    from .models.images import ImageError as ImageError
    from .models.images import open_image as open_image
    from .models.modeling_dpiqa import DPIQAModel as DPIQAModel
    from .models.modeling_dpiqa_student import DPIQAStudent as DPIQAStudent
    from .models.output_dpiqa import DPIQAOutput as DPIQAOutput
    from .models.pipeline_dpiqa import ImageQualityAssessmentPipeline as ImageQualityAssessmentPipeline
    from .models.prompts import PromptGrid as PromptGrid
    from .scoring.frozen_teacher import freeze_for_inference as freeze_for_inference
    from .scoring.quality_loss import QualityLoss as QualityLoss
    from .scoring.score import Score as Score
    from .scoring.scorer import Scorer as Scorer
    from .training.arguments import DPIQATrainingArguments as DPIQATrainingArguments
    from .training.distillation import DPIQADistillationTrainer as DPIQADistillationTrainer
    from .training.distillation import TeacherTargets as TeacherTargets
    from .training.latents import AutoencoderLatents as AutoencoderLatents
    from .training.photo_dataset import PhotoDataset as PhotoDataset
    from .training.trainer import DPIQATrainer as DPIQATrainer

_MODULE_OF = {
    "AutoencoderLatents": "training.latents",
    "DPIQAConfig": "models.configuration_dpiqa",
    "DPIQADistillationTrainer": "training.distillation",
    "DPIQAImageProcessor": "models.image_processing_dpiqa",
    "DPIQAModel": "models.modeling_dpiqa",
    "DPIQAOutput": "models.output_dpiqa",
    "DPIQAStudent": "models.modeling_dpiqa_student",
    "DPIQAStudentConfig": "models.configuration_dpiqa",
    "DPIQATrainer": "training.trainer",
    "DPIQATrainingArguments": "training.arguments",
    "ImageError": "models.images",
    "ImageQualityAssessmentPipeline": "models.pipeline_dpiqa",
    "PhotoDataset": "training.photo_dataset",
    "PromptGrid": "models.prompts",
    "QualityLoss": "scoring.quality_loss",
    "Score": "scoring.score",
    "Scorer": "scoring.scorer",
    "TeacherTargets": "training.distillation",
    "add_scores": "integrations.frames",
    "freeze_for_inference": "scoring.frozen_teacher",
    "open_image": "models.images",
}

__all__ = ["__version__", "bundled_checkpoint", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_register_when_imported()
