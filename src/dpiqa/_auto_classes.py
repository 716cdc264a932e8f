"""Registration of the dpiqa classes with transformers' Auto classes and pipelines, when those are first imported.

`import dpiqa` must not import torch, yet `AutoModel.from_pretrained` and `pipeline` must know both models afterwards,
whichever of `dpiqa` and `transformers` was imported first. So each registration waits for the module it concerns.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_CONFIGURATION = "transformers.models.auto.configuration_auto"
_MODELING = "transformers.models.auto.modeling_auto"
_IMAGE_PROCESSING = "transformers.models.auto.image_processing_auto"
_PIPELINES = "transformers.pipelines"
_OWN_PIPELINE = f"{__package__}.models.pipeline_dpiqa"


def _register_config(module: ModuleType) -> None:
    # transformers' configurations need the modeling module; while that one is being imported, it is its turn first.
    if _MODELING in sys.modules and not hasattr(sys.modules[_MODELING], "AutoModel"):
        return
    from .models.configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig

    for config in (DPIQAConfig, DPIQAStudentConfig):
        module.AutoConfig.register(config.model_type, config, exist_ok=True)


def _register_model(module: ModuleType) -> None:
    _register_config(sys.modules[_CONFIGURATION])
    from .models.modeling_dpiqa import DPIQAModel
    from .models.modeling_dpiqa_student import DPIQAStudent

    for model in (DPIQAModel, DPIQAStudent):
        module.AutoModel.register(model.config_class, model)


def _register_image_processor(module: ModuleType) -> None:
    from .models.configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig
    from .models.image_processing_dpiqa import DPIQAImageProcessor

    for config in (DPIQAConfig, DPIQAStudentConfig):
        module.AutoImageProcessor.register(config, image_processor_classes={"pil": DPIQAImageProcessor})


def _import_pipeline(module: ModuleType) -> None:
    # Importing ours registers it. When it was first, it is half imported here and registers once it is whole.
    importlib.import_module(_OWN_PIPELINE)


def _register_pipeline(module: ModuleType) -> None:
    from transformers import AutoModel
    from transformers.pipelines import PIPELINE_REGISTRY

    from .checkpoints import bundled_checkpoint

    PIPELINE_REGISTRY.register_pipeline(
        module.TASK,
        module.ImageQualityAssessmentPipeline,
        pt_model=AutoModel,
        default={"model": (str(bundled_checkpoint()), "main")},
        type="image",
    )


_REGISTER = {
    _CONFIGURATION: _register_config,
    _MODELING: _register_model,
    _IMAGE_PROCESSING: _register_image_processor,
    _PIPELINES: _import_pipeline,
    _OWN_PIPELINE: _register_pipeline,
}


def register_when_imported() -> None:
    """Registers with what is imported already of the Auto classes and pipelines, and with the rest once it is."""
    for name, register in _REGISTER.items():
        if name in sys.modules:
            register(sys.modules[name])
    sys.meta_path.insert(0, _AutoClassFinder())


class _AutoClassFinder(MetaPathFinder):
    """Finds the modules above as usual and adds the registration to their execution."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _REGISTER:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(Loader):
    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _REGISTER[module.__name__](module)
