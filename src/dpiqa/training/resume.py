"""Where a run starts: in a new folder, over an old one, or from the checkpoint of a run that was cut off."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import ADAPTER_CONFIG_NAME, CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

_MODEL_FILES = (CONFIG_NAME, ADAPTER_CONFIG_NAME, SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)


def prepare_output(folder: str | os.PathLike[str], *, overwrite: bool, resume: str | None) -> str | None:
    """Makes sure that a run does not start over an older model unasked.

    Args:
        folder: Where the run writes its model.
        overwrite: Whether an older run's checkpoints there may be deleted, and its model be replaced at the end.
        resume: "last" for the newest whole checkpoint in the folder, the folder of a checkpoint, or None.

    Returns:
        The checkpoint to go on from, or None.

    Raises:
        FileExistsError: When the folder holds a model or checkpoints, and neither `overwrite` nor `resume` is given.
        FileNotFoundError: When there is no whole checkpoint to go on from.
        NotADirectoryError: When it is a file.
        ValueError: When both are given.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: expected a folder for the model.")
    if resume is not None:
        if overwrite:
            raise ValueError("Expected one of --overwrite and --resume-from-checkpoint, got both.")
        checkpoint = newest_whole_checkpoint(folder) if resume == "last" else _whole(Path(resume))
        _find_best_beside(checkpoint)
        return str(checkpoint)
    checkpoints = _checkpoints(folder)
    if not overwrite and (checkpoints or any((folder / name).exists() for name in _MODEL_FILES)):
        raise FileExistsError(
            f"{folder} already holds a model. Give another --output, or --overwrite to replace it, or "
            "--resume-from-checkpoint last to go on with a run that was cut off."
        )
    for checkpoint in checkpoints:
        shutil.rmtree(checkpoint)
    return None


def newest_whole_checkpoint(folder: Path) -> Path:
    """The checkpoint of the most steps that can be read; one that was cut off while it was written is passed over.

    Raises:
        FileNotFoundError: When there is none.
    """
    checkpoints = _checkpoints(folder)
    whole = [checkpoint for checkpoint in checkpoints if _damage(checkpoint) is None]
    if not whole:
        damaged = "; ".join(f"{checkpoint.name}: {_damage(checkpoint)}" for checkpoint in checkpoints)
        raise FileNotFoundError(
            f"There is no whole checkpoint in {folder} to go on from{f' ({damaged})' if damaged else ''}. Start again "
            "with --overwrite."
        )
    return whole[-1]


def _whole(checkpoint: Path) -> Path:
    damage = _damage(checkpoint)
    if damage is not None:
        raise FileNotFoundError(f"{checkpoint} is not a whole checkpoint to go on from: {damage}.")
    return checkpoint


def _find_best_beside(checkpoint: Path) -> None:
    """Mends the path of the best checkpoint in the state: of a run that was moved, it is where the run was before."""
    path = checkpoint / TRAINER_STATE_NAME
    state = json.loads(path.read_text(encoding="utf-8"))
    best = state.get("best_model_checkpoint")
    if best is None or os.path.isdir(best):
        return
    beside = checkpoint.with_name(Path(best).name)
    if beside.is_dir():
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(state | {"best_model_checkpoint": str(beside)}, indent=2), encoding="utf-8")
        os.replace(unfinished, path)


def _checkpoints(folder: Path) -> list[Path]:
    """Fewest steps first."""
    found = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, in a few words; None when it is whole."""
    # transformers writes this file last.
    state = checkpoint / TRAINER_STATE_NAME
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{state.name} is missing or cut off"
    weights = list(checkpoint.glob("*.safetensors"))
    for path in weights:
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError):
            return f"{path.name} cannot be read"
    # torch.save writes zip archives, whose directory stands at the end.
    for path in [*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")]:
        if not zipfile.is_zipfile(path):
            return f"{path.name} cannot be read"
    return None if weights else "it has no weights"


__all__ = ["newest_whole_checkpoint", "prepare_output"]
