"""The ONNX format: ``model.onnx`` and ``model.int8.onnx``, for ONNX Runtime and others.

Processors without VNNI (before about 2019) add pairs of 8-bit products in 16 bits, which can
overflow. ONNX Runtime avoids that in sessions with the entry ``session.x64quantprecision``, as they
are opened here on such processors. On others the entry would only make int8 as slow as float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from plainbert.batching.features import tokenized
from plainbert.cli.program import command
from plainbert.errors import CheckpointError, FormatError, MissingDependencyError, UsageError
from plainbert.export.format import Format
from plainbert.export.names import FORMATS, INPUTS, FormatInfo
from plainbert.export.onnx import graph, ranges
from plainbert.export.onnx import int8 as onnx_int8
from plainbert.export.runner import Floats, Ids, Runner
from plainbert.export.source import Source
from plainbert.infer.devices import adds_small_products

if TYPE_CHECKING:
    import onnx_ir as ir

MODEL, INT8 = "model.onnx", "model.int8.onnx"
LIMIT = 2_000_000_000  # bytes; a protobuf file has at most 2 GiB. Larger weights lie beside it.


@dataclass(frozen=True)
class ONNXFormat(Format):
    """ONNX files, which ONNX Runtime checks.

    Attributes:
        int8: also write a model with int8 matrix products, and open it.
        calibration: texts (or pairs) that show which values occur, for int8.
    """

    info: ClassVar[FormatInfo] = FORMATS["onnx"]
    int8: bool = False
    calibration: tuple[tuple[str, ...], ...] = ()

    @property
    def quantized(self) -> bool:
        """Whether an int8 model is written, and opened."""
        return self.int8

    def variants(self) -> tuple[Self, ...]:
        """One for float32, then this one if it is int8."""
        return (replace(self, int8=False), self) if self.int8 else (self,)

    def require(self) -> None:
        """Make sure that there is what writes and runs ONNX, and texts if it is to be int8.

        Raises:
            UsageError: int8 without calibration texts.
            MissingDependencyError: a package is not installed.
        """
        if self.int8 and not self.calibration:
            raise UsageError(
                "int8 needs texts like those the model is for, to see which values occur: give "
                "some with --file or --sentences, 100 or more (labels are not needed)."
            )
        graph.require()
        _onnxruntime()

    def write(self, source: Source, folder: Path) -> None:
        """Write a model into a folder.

        Args:
            source: the model.
            folder: it exists; gets ``model.onnx``, and ``model.onnx.data`` if that would be too
                large.
        """
        model = graph.build(source)
        _save(model, folder / MODEL)
        if self.int8:
            texts = tokenized(
                source.tokenizer,
                self.calibration,
                source.max_length,
                source.config.max_position_embeddings,
            )
            onnx_int8.quantize(model, ranges.observe(source.body, texts))
            _save(model, folder / INT8)

    def open_runner(self, folder: Path, threads: int = 0) -> Runner:
        """Open an exported folder in ONNX Runtime, on the CPU.

        Args:
            folder: with ``model.onnx``, or ``model.int8.onnx`` for int8.
            threads: number of threads of the runtime; its own choice when 0.

        Raises:
            CheckpointError: there is no such file.
            FormatError: the file is damaged.
            MissingDependencyError: onnxruntime is not installed.
        """
        path = path_of(folder, self.int8)
        onnxruntime = _onnxruntime()
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.log_severity_level = 3  # errors
        if self.int8 and not adds_small_products():
            settings.add_session_config_entry("session.x64quantprecision", "1")
        try:
            session = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of many classes, which have nothing else in common
            raise FormatError(f"ONNX Runtime cannot open {path}: {error}") from None
        return ONNXRunner(session)


class ONNXRunner(Runner):
    """A model in ONNX Runtime.

    Args:
        session: an ``onnxruntime.InferenceSession``.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Floats:
        """See :meth:`plainbert.export.runner.Runner.run`."""
        arrays = (np.asarray(array, np.int64) for array in (ids, types, mask))
        outputs: Floats = self._session.run(None, dict(zip(INPUTS, arrays, strict=True)))[0]
        return outputs

    def __exit__(self, *error: Any) -> None:
        self._session = None  # its threads end with it


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        purpose = "running an exported ONNX model"
        raise MissingDependencyError("onnxruntime", "export", purpose) from None
    return onnxruntime


def path_of(folder: Path, int8: bool) -> Path:
    """The file of an exported model.

    Args:
        folder: the export.
        int8: look for ``model.int8.onnx`` in place of ``model.onnx``.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(folder) / (INT8 if int8 else MODEL)
    if not path.is_file():
        words = "--format onnx --int8" if int8 else "--format onnx"
        raise CheckpointError(
            f"{folder} holds no {path.name}; {command('export')} {words} writes it."
        )
    return path


def _save(model: ir.Model, path: Path) -> None:
    import onnx_ir as ir

    tensors = (value.const_value for value in model.graph.initializers.values())
    large = sum(tensor.nbytes for tensor in tensors if tensor is not None) > LIMIT
    ir.save(model, path, external_data=f"{path.name}.data" if large else None)
