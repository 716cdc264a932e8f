"""Blind image quality assessment with diffusion priors (DP-IQA, arXiv 2405.19996).

Importing the package is cheap: a name's module, and torch with it, is loaded when the name is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._auto_classes import register_when_imported as _register_when_imported
from .version import __version__

if TYPE_CHECKING:
    from .configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig
    from .distillation import DPIQADistillationTrainer, TeacherTargets
    from .image_processing_dpiqa import DPIQAImageProcessor
    from .images import ImageError, open_image
    from .inference import freeze_for_inference
    from .latents import AutoencoderLatents
    from .modeling_dpiqa import DPIQAModel
    from .modeling_dpiqa_student import DPIQAStudent
    from .output_dpiqa import DPIQAOutput
    from .photo_dataset import PhotoDataset
    from .pipeline_dpiqa import ImageQualityAssessmentPipeline
    from .prompts import PromptGrid
    from .quality_loss import QualityLoss
    from .scoring import Score, Scorer
    from .trainer import DPIQATrainer
    from .training_arguments import DPIQATrainingArguments

_MODULE_OF = {
    "AutoencoderLatents": "latents",
    "DPIQAConfig": "configuration_dpiqa",
    "DPIQADistillationTrainer": "distillation",
    "DPIQAImageProcessor": "image_processing_dpiqa",
    "DPIQAModel": "modeling_dpiqa",
    "DPIQAOutput": "output_dpiqa",
    "DPIQAStudent": "modeling_dpiqa_student",
    "DPIQAStudentConfig": "configuration_dpiqa",
    "DPIQATrainer": "trainer",
    "DPIQATrainingArguments": "training_arguments",
    "ImageError": "images",
    "ImageQualityAssessmentPipeline": "pipeline_dpiqa",
    "PhotoDataset": "photo_dataset",
    "PromptGrid": "prompts",
    "QualityLoss": "quality_loss",
    "Score": "scoring",
    "Scorer": "scoring",
    "TeacherTargets": "distillation",
    "freeze_for_inference": "inference",
    "open_image": "images",
}

__all__ = [
    "AutoencoderLatents",
    "DPIQAConfig",
    "DPIQADistillationTrainer",
    "DPIQAImageProcessor",
    "DPIQAModel",
    "DPIQAOutput",
    "DPIQAStudent",
    "DPIQAStudentConfig",
    "DPIQATrainer",
    "DPIQATrainingArguments",
    "ImageError",
    "ImageQualityAssessmentPipeline",
    "PhotoDataset",
    "PromptGrid",
    "QualityLoss",
    "Score",
    "Scorer",
    "TeacherTargets",
    "__version__",
    "bundled_checkpoint",
    "freeze_for_inference",
    "open_image",
]


def bundled_checkpoint() -> Path:
    """Folder of the student that ships inside the package, which every entry point uses when no model is named."""
    return Path(__file__).parent / "checkpoints" / "dpiqa-student-lite0"


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_register_when_imported()
