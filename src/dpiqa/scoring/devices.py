"""Where PyTorch computes, and in what type."""

from __future__ import annotations

import torch

from .backends.backend import DTYPES


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device of this name; for "auto" the best at hand: cuda, then mps, then cpu.

    Raises:
        ValueError: When PyTorch cannot compute on it here.
    """
    if device != "auto":
        if not _is_known(device):
            raise ValueError(f"cannot compute on {str(device)!r} here: expected auto, cpu, cuda, cuda:N or mps.")
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError, ImportError) as error:  # also what only a vendor's PyTorch has, as hpu
            reason = str(error).splitlines()[0].partition(". ")[0].rstrip(".")
            raise ValueError(f"cannot compute on {str(device)!r} here ({reason}): try auto or cpu.") from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _is_known(device: str | torch.device) -> bool:
    try:
        return torch.device(device).type != "meta"  # which computes nothing
    except (RuntimeError, TypeError):  # whose message lists all that PyTorch could be built for
        return False


def pick_dtype(dtype: str, model_type: str, device: torch.device) -> torch.dtype:
    """The type of this name; for "auto" float32, the reference, for a student.

    For a teacher "auto" is what is fast and keeps the ranking (see
    [`dpiqa.scoring.frozen_teacher.inference_dtype`]).

    Raises:
        ValueError: When there is no such type.
    """
    if dtype != "auto":
        if dtype not in DTYPES:
            raise ValueError(f"Unknown dtype {dtype!r}: expected auto, {', '.join(DTYPES)}.")
        return getattr(torch, dtype)
    if model_type != "dpiqa":
        return torch.float32
    from .frozen_teacher import inference_dtype

    return inference_dtype(device)


__all__ = ["pick_device", "pick_dtype"]
