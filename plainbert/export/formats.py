"""All formats of exports, by name."""

from __future__ import annotations

from collections.abc import Mapping

from plainbert.errors import UnknownNameError
from plainbert.export.format import Format
from plainbert.export.mxnet.format import MXNetFormat
from plainbert.export.onnx.format import ONNXFormat
from plainbert.export.savedmodel.format import SavedModelFormat
from plainbert.export.torch.format import TorchFormat

_DEFAULTS: tuple[Format, ...] = (MXNetFormat(), ONNXFormat(), SavedModelFormat(), TorchFormat())
DEFAULTS: Mapping[str, Format] = {format.info.name: format for format in _DEFAULTS}


def with_defaults(name: str) -> Format:
    """A format with its default options.

    Args:
        name: a key of :data:`plainbert.export.names.FORMATS`.

    Raises:
        UnknownNameError: no such format.
    """
    if name not in DEFAULTS:
        raise UnknownNameError("format", name, DEFAULTS)
    return DEFAULTS[name]
