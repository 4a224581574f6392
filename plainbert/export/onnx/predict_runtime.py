"""Goes with predict.py: the model in ONNX Runtime.

OpenVINO runs the same files: ``openvino.Core().compile_model("model.onnx")``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")


def load(folder: Path, about: dict[str, Any]) -> Callable[..., Any]:
    """The model as a function of padded ids, types and mask, each (B, L).

    Args:
        folder: of the export.
        about: the content of manifest.json.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    name = "model.int8.onnx" if about["quantized"] else "model.onnx"
    if about["quantized"] and not _adds_small_products():
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(folder / name), options)
    names = ("input_ids", "token_type_ids", "attention_mask")

    def run(*inputs: Any) -> Any:
        return session.run(None, dict(zip(names, inputs, strict=True)))[0]

    return run


def _adds_small_products() -> bool:
    """Whether the processor adds 8-bit products in 32 bits; older ones can overflow without."""
    try:
        features = Path("/proc/cpuinfo").read_bytes().decode("ascii", "replace")
    except OSError:
        return True  # no Linux: ONNX Runtime's own choice
    return "avx" not in features or any(name in features for name in VNNI)
