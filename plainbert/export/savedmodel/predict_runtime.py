"""Goes with predict.py: the model in TensorFlow.

TensorFlow Serving runs the same: --model_base_path is this folder, the signature tokens_only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(folder: Path, about: dict[str, Any]) -> Callable[..., Any]:
    """The model as a function of padded ids, types and mask, each (B, L).

    Args:
        folder: of the export.
        about: the content of manifest.json.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it talks about the processor otherwise
    import tensorflow as tf

    newest = max((path.name for path in folder.iterdir() if path.name.isdecimal()), key=int)
    model = tf.saved_model.load(str(folder / newest))

    def run(ids: Any, types: Any, mask: Any) -> Any:
        inputs = {"input_ids": ids, "input_mask": mask, "segment_ids": types}
        tensors = {name: tf.constant(array, tf.int32) for name, array in inputs.items()}
        # The signature is read from the model each time: its variables live as long as that does.
        return model.signatures["logits"](**tensors)["logits"].numpy()

    return run
