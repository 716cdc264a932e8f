"""ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime

from .exported import ExportedBackend


class OnnxBackend(ExportedBackend):
    """Computes with ONNX Runtime; see [`dpiqa.scoring.backends.exported.ExportedBackend`]."""

    name = "onnx"
    file = weights = "model.onnx"

    def _load(self, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        # Calls come from several threads at once, and each is computed in its own.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = str(self.folder / self.file)
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own exceptions have no common class
            raise OSError(f"{path} cannot be read by ONNX Runtime: {error}") from None

    def _run(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(self._session.run(None, {"pixels": pixels}))


__all__ = ["OnnxBackend"]
