"""Which backend scores a checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import shutil
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...extras import how_to_install
from ..checkpoint_source import local_folder, model_type_of
from .exported import EXPORT_JSON, ExportedBackend, read_export

if TYPE_CHECKING:
    from .backend import Backend

_log = logging.getLogger(__name__)
# What each needs; the fastest first (`benchmarks/bench_score.py`).
EXPORTED = {"openvino": "openvino", "onnx": "onnxruntime"}
BACKENDS = ("torch", *EXPORTED)
# Raised when what is exported changes, so that what an older version exported is not found any more.
_EXPORT_VERSION = 2
_STALE_SECONDS = 24 * 60 * 60


def load_backend(
    source: str | os.PathLike[str],
    backend: str | None,
    *,
    device: Any = "auto",
    dtype: str = "auto",
    threads: int = 1,
    **hub: Any,
) -> Backend:
    """Loads a checkpoint for a backend.

    Args:
        source: Folder or Hub id of a student, a teacher, or what `dpiqa export` wrote.
        backend: "torch", "onnx" or "openvino"; "auto" takes the fastest that is installed and agrees with PyTorch.
            None takes the one that the checkpoint was exported for, and torch for others.
        device: See [`dpiqa.scoring.devices.pick_device`].
        dtype: See [`dpiqa.Scorer`].
        threads: How many photos will be computed at the same time.
        **hub: `revision`, `cache_dir` and `local_files_only`.

    Raises:
        OSError: When there is no such checkpoint, or its files are damaged.
        ValueError: When it is a checkpoint of another kind of model, cannot be computed so, or there is no such
            device.
        ImportError: When the backend is not installed.
    """
    if backend not in (None, "auto", *BACKENDS):
        raise ValueError(f"Unknown backend {backend!r}: expected auto, {', '.join(BACKENDS)}.")
    folder = local_folder(source, **hub)
    kind = model_type_of(folder, source)
    if (folder / EXPORT_JSON).is_file():
        exported_for = read_export(folder)["backend"]
        if exported_for not in EXPORTED:
            raise OSError(f"{folder / EXPORT_JSON} is damaged: expected onnx or openvino, found {exported_for!r}.")
        if backend not in (None, "auto", exported_for):
            raise ValueError(
                f"{source} was exported for {exported_for}, and cannot be computed with {backend}: leave the backend "
                "(--backend, or the environment's DPIQA_BACKEND) at auto."
            )
        return _load_exported(folder, exported_for, device, dtype, threads)
    if backend in EXPORTED:
        if kind != "dpiqa-student":
            raise ValueError(f"{source} is a teacher: expected a student for {backend}, or the backend torch.")
        return _load_exported(_exported_form(folder, backend, source), backend, device, dtype, threads, source)
    if backend == "auto" and kind == "dpiqa-student":
        for name in _worth_a_try(device, dtype):
            try:
                return _load_exported(_exported_form(folder, name, source), name, device, dtype, threads, source)
            except (ValueError, OSError, ImportError) as error:  # PyTorch, in the end, always can
                _log.warning("Scoring goes on without %s: %s", name, error)
    from .torch_backend import TorchBackend

    return TorchBackend.from_pretrained(folder, kind, device=device, dtype=dtype, source=source)


def installed_backends() -> list[str]:
    """Backends that can be used here, the fastest first."""
    return [*(name for name, package in EXPORTED.items() if find_spec(package)), "torch"]


def exported_class(backend: str) -> type[ExportedBackend]:
    """The class of "onnx" or "openvino".

    Raises:
        ImportError: When it is not installed; says what to install.
    """
    if not find_spec(EXPORTED[backend]):
        raise ImportError(f"The backend {backend} is not installed: {how_to_install(backend)}.")
    if backend == "onnx":
        from .onnx_backend import OnnxBackend

        return OnnxBackend
    from .openvino_backend import OpenvinoBackend

    return OpenvinoBackend


def _load_exported(
    folder: Path,
    backend: str,
    device: Any,
    dtype: str,
    threads: int,
    source: str | os.PathLike[str] | None = None,
) -> Backend:
    if str(device).partition(":")[0] not in ("auto", "cpu"):
        raise ValueError(f"{backend} computes on the CPU only, not on {device}: take torch, or the device cpu.")
    named = None if source is None else os.fspath(source)
    return exported_class(backend)(folder, dtype=dtype, threads=threads, source=named)


def _worth_a_try(device: Any, dtype: str) -> list[str]:
    """Backends for "auto" to try before PyTorch: none where there may be something faster than the CPU."""
    accelerated = sys.platform == "darwin" or os.path.exists("/dev/nvidiactl") or shutil.which("nvidia-smi")
    if str(device).partition(":")[0] not in ("auto", "cpu") or (str(device) == "auto" and accelerated):
        return []
    names = installed_backends()[:-1]
    return [name for name in names if dtype == "auto" or dtype in exported_class(name).dtypes_here()]


def _exported_form(folder: Path, backend: str, source: str | os.PathLike[str]) -> Path:
    """Where a checkpoint is in the form of a backend: made when first asked for, and kept by content.

    Raises:
        ExportError: When it does not agree with PyTorch; that is kept as well.
    """
    from huggingface_hub import cached_assets_path, constants

    exported_class(backend)
    key = f"{backend}-{_content_key(folder, backend)}"
    kept = cached_assets_path("dpiqa", namespace="exports", subfolder=key, assets_dir=constants.HF_ASSETS_CACHE)
    refused, form = kept / "refused.txt", kept / backend
    if (form / EXPORT_JSON).is_file():
        return form
    from ..export import export_student
    from ..export_check import ExportError

    if refused.is_file():
        raise ExportError(refused.read_text(encoding="utf-8"))
    _remove_stale(kept.parent)
    _log.warning("Exporting %s for %s; this takes half a minute, once.", source, backend)
    try:
        export_student(folder, backend, form)
    except ExportError as error:
        refused.write_text(str(error), encoding="utf-8")
        raise
    except OSError:  # as when another process was faster
        if not (form / EXPORT_JSON).is_file():
            raise
    return form


def _remove_stale(exports: Path) -> None:
    """Removes what exports that were killed have left in the cache, after a day: one may be going on now."""
    for name in EXPORTED:
        for unfinished in exports.glob(f"*/.{name}.*"):
            with contextlib.suppress(OSError):  # as when another process is faster
                if unfinished.stat().st_mtime < time.time() - _STALE_SECONDS:
                    shutil.rmtree(unfinished)


def _content_key(folder: Path, backend: str) -> str:
    module = import_module(EXPORTED[backend])  # its distribution may have another name, as onnxruntime-gpu
    digest = hashlib.sha256(f"{_EXPORT_VERSION} {module.__version__} {platform.machine()}".encode())
    for path in sorted([*folder.glob("*.safetensors*"), folder / "config.json", folder / "preprocessor_config.json"]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


__all__ = ["BACKENDS", "EXPORTED", "exported_class", "installed_backends", "load_backend"]
