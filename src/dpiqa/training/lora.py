"""Low-rank adaptation of a teacher's UNet, on `peft` (the extra `[lora]`)."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import ADAPTER_CONFIG_NAME, CONFIG_NAME

from ..extras import how_to_install
from ..models.configuration_dpiqa import DPIQAConfig
from ..models.modeling_dpiqa import DPIQAModel

if TYPE_CHECKING:
    from peft import PeftModel

# Where a teacher that was made for these updates is kept, inside their folder.
BASE = "base"
# The UNet's attention projections, not those of the autoencoder.
_TARGETS = r"unet\..*\.(to_q|to_k|to_v|to_out\.0)"
# What DP-IQA trains beside the UNet (its ablation "adapters + LoRA + decoder").
_TRAINED = ["text_adapter", "image_adapter", "decoder"]


def add_lora(teacher: DPIQAModel, *, rank: int = 16, alpha: int | None = None) -> PeftModel:
    """Leaves a teacher's UNet as it is and gives its attentions low-rank updates to train.

    The text adapter, the image adapter and the decoder are trained as they are. `save_pretrained` of the result
    writes what is trained, not the UNet and the autoencoder.

    Args:
        teacher: Changed in place. Load it from a folder or the Hub: that is where [`merge_lora`] looks for the rest.
        rank: The rank of the updates.
        alpha: The updates are scaled by alpha / rank; `rank` when not given.

    Returns:
        A `peft.PeftModel`, for [`dpiqa.DPIQATrainer`].

    Raises:
        ImportError: When peft is not installed.
    """
    peft = _peft()
    alpha = rank if alpha is None else alpha
    return peft.get_peft_model(
        teacher, peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=_TARGETS, modules_to_save=_TRAINED)
    )


def merge_lora(adapters: str | os.PathLike[str], teacher: str | os.PathLike[str] | None = None) -> DPIQAModel:
    """Adds trained updates to the teacher that they were trained on.

    Args:
        adapters: Folder that `save_pretrained` wrote. A `config.json` in it wins over the teacher's: training leaves
            one there with the new calibration.
        teacher: Folder or Hub id of that teacher; when not given, `base` in the folder, or where it was.

    Returns:
        A plain `DPIQAModel` in eval mode.

    Raises:
        ImportError: When peft is not installed.
        OSError: When the adapters or the teacher are not there.
    """
    peft = _peft()
    if teacher is None:
        teacher = peft.PeftConfig.from_pretrained(os.fspath(adapters)).base_model_name_or_path
        beside = Path(adapters) / BASE
        # Where these updates name another teacher, the one beside them is of an older run.
        if beside.is_dir() and Path(teacher or BASE).name == BASE:
            teacher = beside
    calibrated = (Path(adapters) / CONFIG_NAME).is_file()
    config = DPIQAConfig.from_pretrained(adapters if calibrated else teacher)
    base = DPIQAModel.from_pretrained(teacher, config=config)
    return peft.PeftModel.from_pretrained(base, os.fspath(adapters)).merge_and_unload().eval()


def is_lora(checkpoint: str | os.PathLike[str]) -> bool:
    """Whether a folder holds low-rank updates in place of a whole teacher."""
    return (Path(checkpoint) / ADAPTER_CONFIG_NAME).is_file()


def load_teacher(checkpoint: str | os.PathLike[str]) -> DPIQAModel:
    """A teacher, in eval mode, from its checkpoint or from low-rank updates.

    Args:
        checkpoint: Folder or Hub id of a teacher, or folder of updates.

    Raises:
        OSError: When there is no such checkpoint.
    """
    if is_lora(checkpoint):
        return merge_lora(checkpoint)
    return DPIQAModel.from_pretrained(checkpoint)


def _peft() -> Any:
    try:
        return import_module("peft")
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise ImportError(f"Low-rank updates need peft: {how_to_install('lora')}.", name="peft") from None


__all__ = ["add_lora", "is_lora", "load_teacher", "merge_lora"]
