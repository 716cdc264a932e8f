"""A student as a file for ONNX Runtime or OpenVINO, checked against PyTorch before anybody scores with it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..extras import how_to_install
from ..models.configuration_dpiqa import BACKBONE_STRIDE
from ..models.images import OPENING_ERRORS, ImageSource, describe, reason_of
from ..models.modeling_dpiqa_student import DPIQAStudent
from ..version import __version__
from .backends.exported import EXPORT_JSON, ExportedBackend
from .backends.torch_backend import TorchBackend
from .checkpoint_source import local_folder, model_type_of
from .export_check import (
    Agreement,
    ExportError,
    ExportToleranceError,
    check_agreement,
    check_shapes,
    size_of,
    takes_any_size,
)
from .folded_student import fold_student
from .pixel_network import PixelNetwork

_log = logging.getLogger(__name__)
_MIN_CALIBRATION, _MAX_CALIBRATION = 50, 300


def export_student(
    source: str | os.PathLike[str],
    backend: str,
    folder: str | os.PathLike[str],
    *,
    quantize: str | None = None,
    photos: Sequence[ImageSource] = (),
    **hub: Any,
) -> list[Agreement]:
    """Writes a checkpoint for another backend; `Scorer.from_pretrained(folder)` loads it without PyTorch.

    Args:
        source: Folder or Hub id of a student.
        backend: "onnx" or "openvino".
        folder: Where to: no such folder yet, or an empty one.
        quantize: "int8" for weights and activations of 8 bits, calibrated on the photos; None keeps float32.
        photos: Real photos, anything that [`dpiqa.open_image`] takes, to compare scores on, at least 50 for int8;
            those that cannot be opened are left out.
        **hub: `revision`, `cache_dir` and `local_files_only`, as in `Scorer.from_pretrained`.

    Returns:
        How far its scores are from PyTorch's, for every type that it computes in here.

    Raises:
        ExportError: When the network cannot be exported, or what was written does not agree with PyTorch; nothing
            is left then.
        ValueError: When an argument is another one, or there are too few photos.
        OSError: When there is no such checkpoint, or the folder has something in it.
        ImportError: When the backend is not installed.
    """
    if backend not in _WRITE or quantize not in (None, "int8"):
        raise ValueError(f"Expected onnx or openvino, and int8 or nothing to quantize to: got {backend}, {quantize}.")
    target = Path(os.path.realpath(folder))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists and is not empty: name another folder.")
    checkpoint = local_folder(source, **hub)
    kind = model_type_of(checkpoint, source)
    if kind != "dpiqa-student":
        raise ExportError(f"{source} cannot be exported: expected a student, found a teacher.")
    reference = TorchBackend.from_pretrained(checkpoint, kind, device="cpu", dtype="float32")
    sample = _read(reference, photos)
    if quantize and len(sample) < _MIN_CALIBRATION:
        raise ValueError(
            f"int8 is calibrated on real photos: expected at least {_MIN_CALIBRATION} of them, got {len(sample)}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        written = Path(temporary) / target.name
        written.mkdir()
        for name in ("config.json", "preprocessor_config.json"):
            shutil.copyfile(checkpoint / name, written / name)
        notes = {"source": str(source), "backend": backend, "quantized": quantize, "dpiqa": __version__}
        notes["fingerprint"] = reference.fingerprint
        _write_json(written / EXPORT_JSON, notes)
        _write_network(reference, backend, written, quantize, sample[:_MAX_CALIBRATION])
        agreements = _check(reference, backend, written, quantize, sample)
        _write_json(written / EXPORT_JSON, notes | {"agreement": [asdict(agreement) for agreement in agreements]})
        _write_card(checkpoint, written, agreements)
        os.replace(written, target)
    return agreements


class _Network:
    """What is exported, with an example of its input and the sides of it that can change."""

    def __init__(self, network: PixelNetwork, size: tuple[int, int], *, any_size: bool):
        self.module = network.eval()
        self.example = torch.zeros((2, *size, 3), dtype=torch.uint8)
        self.num_outputs = len(network(self.example))
        self.dynamic = {0: torch.export.Dim("batch")}
        if any_size:
            # A side of one feature is a case of its own to torch.export.
            self.dynamic |= {n + 1: torch.export.Dim(side, min=2 * BACKBONE_STRIDE) for n, side in enumerate("hw")}

    def program(self) -> torch.export.ExportedProgram:
        return torch.export.export(self.module, (self.example,), dynamic_shapes=(self.dynamic,))


def _network_of(reference: TorchBackend) -> _Network:
    model, reader = reference.model, reference.reader
    assert isinstance(model, DPIQAStudent)
    network = PixelNetwork(fold_student(model), reader)
    with torch.inference_mode():
        return _Network(network, size_of(reference), any_size=takes_any_size(reference))


def _write_network(
    reference: TorchBackend, backend: str, folder: Path, quantize: str | None, photos: list[np.ndarray]
) -> None:
    try:
        with _quietly():
            _WRITE[backend](_network_of(reference), folder, quantize, photos)
    except ImportError as error:
        raise ImportError(f"{error.name}, for the export, is not installed: {how_to_install(backend)}.") from None
    except OSError:
        raise
    except Exception as error:  # exporters raise nearly anything on a network that they cannot express
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ExportError(f"{reference.source} cannot be exported for {backend}: {reason}") from error


def _read(reference: TorchBackend, photos: Sequence[ImageSource]) -> list[np.ndarray]:
    """The photos' pixels; those that cannot be opened are named and left out."""
    pixels = []
    for photo in photos:
        try:
            pixels.append(reference.reader.read_photo(photo).pixels)
        except OPENING_ERRORS as error:
            _log.warning("%s is left out: %s", describe(photo), reason_of(error, describe(photo)))
    return pixels


def _write_onnx(network: _Network, folder: Path, quantize: str | None, photos: list[np.ndarray]) -> None:
    path = folder / "model.onnx"
    torch.onnx.export(
        network.program(),
        f=path,
        input_names=["pixels"],
        output_names=["score", "quality_map"][: network.num_outputs],
        external_data=False,
        verbose=False,
    )
    if quantize is not None:
        from onnxruntime.quantization import QuantFormat, quantize_static
        from onnxruntime.quantization.calibrate import CalibrationDataReader

        class Photos(CalibrationDataReader):
            def __init__(self) -> None:
                self._rows = iter(photos)

            def get_next(self) -> dict[str, np.ndarray] | None:
                photo = next(self._rows, None)
                return None if photo is None else {"pixels": photo[None]}

        full = folder / "full.onnx"
        path.rename(full)
        quantize_static(full, path, Photos(), quant_format=QuantFormat.QDQ, per_channel=True)
        full.unlink()


def _write_openvino(network: _Network, folder: Path, quantize: str | None, photos: list[np.ndarray]) -> None:
    import openvino

    model = openvino.convert_model(network.program())
    for port, name in zip(model.inputs, ["pixels"], strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, ["score", "quality_map"], strict=False):
        port.get_tensor().set_names({name})
    if quantize is not None:
        import nncf

        calibration = nncf.Dataset([photo[None] for photo in photos])
        model = nncf.quantize(model, calibration, subset_size=len(photos), preset=nncf.QuantizationPreset.MIXED)
    try:
        openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    except RuntimeError as error:  # as on a full disk
        raise OSError(f"OpenVINO cannot write to {folder}: {error}") from None


_WRITE: dict[str, Callable[[_Network, Path, str | None, list[np.ndarray]], None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
}


def _check(
    reference: TorchBackend, backend: str, folder: Path, quantize: str | None, photos: list[np.ndarray]
) -> list[Agreement]:
    from .backends.load import exported_class

    kind: type[ExportedBackend] = exported_class(backend)
    exported = kind(folder)
    check_shapes(reference, exported)
    agreements = [check_agreement(reference, exported, photos, quantized=quantize)]
    if quantize is None and "bfloat16" in kind.dtypes_here():
        try:
            agreements.append(check_agreement(reference, kind(folder, dtype="bfloat16"), photos))
        except ExportToleranceError as error:  # float32 can be used all the same, and nothing else
            _log.warning("%s", error)
    return agreements


def _write_card(checkpoint: Path, folder: Path, agreements: list[Agreement]) -> None:
    card = checkpoint / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else "# A student of DP-IQA\n"
    lines = [
        "\n## Exported form\n",
        f"These files were exported by dpiqa {__version__} for {agreements[0].backend}. "
        "With the path of this folder, `dpiqa score --model PATH` and `Scorer.from_pretrained(PATH)` score with them. "
        "When they were written, their scores were compared:\n",
        *(f"- {agreement}." for agreement in agreements),
    ]
    (folder / "README.md").write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n", encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps what exporters tell their authors off the user's terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


__all__ = ["export_student"]
