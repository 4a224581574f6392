"""The ONNX format: ``model.onnx`` and ``model.int8.onnx``, for ONNX Runtime and others.

Processors without VNNI (before about 2019) add pairs of 8-bit products in 16 bits, which can
overflow. ONNX Runtime avoids that in sessions with the entry ``session.x64quantprecision``, as they
are opened here on such processors. On others the entry would only make int8 as slow as float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from plainbert.batching.features import tokenized
from plainbert.errors import CheckpointError, FormatError, MissingDependencyError, UsageError
from plainbert.export.names import INPUTS, Options
from plainbert.export.onnx import graph, ranges
from plainbert.export.onnx import int8 as onnx_int8
from plainbert.export.runner import Ids, Runner, Scores
from plainbert.export.source import Source
from plainbert.infer.devices import adds_small_products

if TYPE_CHECKING:
    import onnx_ir as ir

MODEL, INT8 = "model.onnx", "model.int8.onnx"
LIMIT = 2_000_000_000  # bytes; a protobuf file has at most 2 GiB. Larger weights lie beside it.


def require(options: Options) -> None:
    """Make sure that there is what writes and runs ONNX, and texts if it is to be int8.

    Raises:
        UsageError: int8 without calibration texts.
        MissingDependencyError: a package is not installed.
    """
    if options.int8 and not options.calibration:
        raise UsageError(
            "int8 needs texts like those the model is for, to see which values occur: give some "
            "with --file or --sentences, 100 or more (labels are not needed)."
        )
    graph.require()
    _onnxruntime()


def write(source: Source, folder: Path, options: Options) -> None:
    """Write a model into a folder.

    Args:
        source: the model.
        folder: exists; gets ``model.onnx``, and ``model.onnx.data`` if that would be too large.
        options: ``int8`` and ``calibration`` count.
    """
    model = graph.build(source)
    _save(model, folder / MODEL)
    if options.int8:
        texts = tokenized(
            source.tokenizer,
            options.calibration,
            source.max_length,
            source.config.max_position_embeddings,
        )
        onnx_int8.quantize(model, ranges.observe(source.body, texts))
        _save(model, folder / INT8)


def open_runner(
    folder: Path, threads: int = 0, python: str | None = None, int8: bool = False
) -> Runner:
    """Open an exported folder in ONNX Runtime, on the CPU.

    Args:
        folder: with ``model.onnx``.
        threads: of the runtime; its own choice when 0.
        python: not used; ONNX Runtime is here.
        int8: open ``model.int8.onnx``.

    Raises:
        CheckpointError: there is no such file.
        FormatError: the file is damaged.
        MissingDependencyError: onnxruntime is not installed.
    """
    path = path_of(folder, int8)
    onnxruntime = _onnxruntime()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3  # errors
    if int8 and not adds_small_products():
        settings.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = onnxruntime.InferenceSession(
            str(path), settings, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of many classes, which have nothing else in common
        raise FormatError(f"ONNX Runtime cannot open {path}: {error}") from None
    return _Session(session)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        purpose = "running an exported ONNX model"
        raise MissingDependencyError("onnxruntime", "-e '.[export]'", purpose) from None
    return onnxruntime


def path_of(folder: Path, int8: bool) -> Path:
    """The file of an exported model.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(folder) / (INT8 if int8 else MODEL)
    if not path.is_file():
        made = "--format onnx --int8" if int8 else "--format onnx"
        raise CheckpointError(f"{folder} holds no {path.name}; scripts/export/export.py {made}")
    return path


def _save(model: ir.Model, path: Path) -> None:
    import onnx_ir as ir

    tensors = (value.const_value for value in model.graph.initializers.values())
    large = sum(tensor.nbytes for tensor in tensors if tensor is not None) > LIMIT
    ir.save(model, path, external_data=f"{path.name}.data" if large else None)


class _Session:
    """A model in ONNX Runtime; see :class:`plainbert.export.runner.Runner`."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Scores:
        """See :meth:`plainbert.export.runner.Runner.run`."""
        arrays = (np.asarray(each, np.int64) for each in (ids, types, mask))
        found: Scores = self._session.run(None, dict(zip(INPUTS, arrays, strict=True)))[0]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._session = None  # its threads end with it
