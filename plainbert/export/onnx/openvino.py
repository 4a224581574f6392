"""Exported ONNX files in OpenVINO.

By itself OpenVINO computes a float32 model in bfloat16 where the processor has fast code for that.
Here it is told not to; ``INFERENCE_PRECISION_HINT`` is what to leave out for speed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plainbert.errors import FormatError, MissingDependencyError
from plainbert.export.names import INPUTS
from plainbert.export.onnx.format import path_of
from plainbert.export.runner import Floats, Ids, Runner


def open_runner(folder: Path, threads: int = 0, *, int8: bool = False) -> Runner:
    """Open an exported folder in OpenVINO, on the CPU.

    Args:
        folder: with ``model.onnx``, see :mod:`plainbert.export.onnx.format`.
        threads: number of threads of the runtime; its own choice when 0.
        int8: open ``model.int8.onnx``.

    Raises:
        CheckpointError: there is no such file.
        FormatError: the file is damaged.
        MissingDependencyError: openvino is not installed.
    """
    path = path_of(folder, int8)
    try:
        import openvino
    except ImportError:
        purpose = "running a model in OpenVINO"
        raise MissingDependencyError("openvino", "openvino", purpose) from None
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        model = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise FormatError(f"OpenVINO cannot open {path}: {error}") from None
    return OpenVINORunner(model)


class OpenVINORunner(Runner):
    """A model in OpenVINO.

    Args:
        model: an ``openvino.CompiledModel``.
    """

    def __init__(self, model: Any) -> None:
        self._request = model.create_infer_request()

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Floats:
        """See :meth:`plainbert.export.runner.Runner.run`."""
        arrays = (np.asarray(array, np.int64) for array in (ids, types, mask))
        self._request.infer(dict(zip(INPUTS, arrays, strict=True)))
        return np.array(self._request.get_output_tensor(0).data, np.float32)  # its memory is reused

    def __exit__(self, *error: Any) -> None:
        self._request = None
