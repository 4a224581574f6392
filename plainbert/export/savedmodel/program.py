r"""Run a SavedModel in TensorFlow for another process; no part of plainbert is imported.

.tf/bin/python -I plainbert/runtimes/answer.py plainbert/export/savedmodel/program.py \
        VERSION_FOLDER THREADS
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def load(folder: str, threads: str) -> Callable[..., Any]:
    """The signature that returns logits, as a function of named arrays.

    Args:
        folder: the SavedModel.
        threads: number of threads for its operations; as TensorFlow likes when 0.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it talks about the processor otherwise
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    model = tf.saved_model.load(folder)

    def run(**arrays: Any) -> Any:
        # The signature is read from the model for every batch: its variables live as long as the
        # model does.
        signature = model.signatures["logits"]
        inputs = {name: tf.constant(array) for name, array in arrays.items()}
        try:
            return signature(**inputs)["logits"]
        except tf.errors.OpError as error:  # many lines, of which one says what is wrong
            lines = [line for line in error.message.splitlines() if line[:1] not in ("", "\t")]
            sys.exit(lines[-1])

    return run
