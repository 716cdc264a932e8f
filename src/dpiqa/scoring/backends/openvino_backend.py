"""OpenVINO."""

from __future__ import annotations

import os
import threading
from functools import cache

import numpy as np
import openvino

from .exported import ExportedBackend


@cache
def _core_and_process() -> tuple[openvino.Core, int]:
    """The one core of this process, which stays, and the number of the process.

    Each of them replaces the stack on which the thread handles signals, and puts back what it found when it goes. The
    second of two that go in the order in which they came leaves the first one's, which is freed: the next signal then
    kills the process.
    """
    return openvino.Core(), os.getpid()


def _core() -> openvino.Core:
    core, process = _core_and_process()
    _check_process(process)
    return core


def _check_process(process: int) -> None:
    if os.getpid() != process:  # the threads of OpenVINO are not here, and it would wait for them for ever
        raise RuntimeError(
            "OpenVINO cannot compute in a process that was forked. Take the backend onnx or torch, or leave "
            "num_proc out."
        )


class OpenvinoBackend(ExportedBackend):
    """Computes with OpenVINO; see [`dpiqa.scoring.backends.exported.ExportedBackend`].

    bfloat16 needs a CPU with instructions for it.
    """

    name = "openvino"
    file, weights = "openvino_model.xml", "openvino_model.bin"
    dtypes = ("float32", "bfloat16")

    @classmethod
    def dtypes_here(cls) -> tuple[str, ...]:
        native = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return cls.dtypes if native else ("float32",)

    def _load(self, threads: int) -> None:
        core = _core()
        path = str(self.folder / self.file)
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1]
            raise OSError(f"{path} cannot be read by OpenVINO: {reason}") from None
        if self.reader.do_resize:  # photos come in one size: what does not have to be dynamic is faster
            model.reshape([-1, self.reader.size["height"], self.reader.size["width"], 3])
        options = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[self.dtype],
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            # Else a process with one thread takes the first core, as does the next process beside it.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = core.compile_model(model, "CPU", options)
        self._process = os.getpid()
        self._of_thread = threading.local()
        # Its Python binding sets itself up in the first call; two first calls at once wait for each other for ever.
        side = self.reader.size if self.reader.do_resize else {"height": 64, "width": 64}
        self._run(np.zeros((1, side["height"], side["width"], 3), np.uint8))

    def _run(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        _check_process(self._process)
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        outputs = self._of_thread.request.infer([pixels])
        return tuple(outputs.to_tuple())


__all__ = ["OpenvinoBackend"]
