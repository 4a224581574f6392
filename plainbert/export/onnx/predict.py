"""What the model in this folder makes of a text, or of a pair of texts.

    pip install onnxruntime tokenizers
    python predict.py "a text" ["a second one"]

OpenVINO runs the same files: ``openvino.Core().compile_model("model.onnx")``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(text: str, second: str | None = None) -> None:
    """Print the classes' scores, or each token's, or what else the model returns."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    about = json.loads((HERE / "manifest.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokens = tokenizer.encode(text, second)
    model = HERE / ("model.int8.onnx" if about["quantized"] else "model.onnx")
    session = onnxruntime.InferenceSession(str(model))
    rows = (tokens.ids, tokens.type_ids, tokens.attention_mask)
    inputs = zip(("input_ids", "token_type_ids", "attention_mask"), rows, strict=True)
    scores = session.run(None, {name: np.array([row], np.int64) for name, row in inputs})[0][0]
    if about.get("several"):  # several labels per text: each has a probability of its own
        scores = 1 / (1 + np.exp(-scores))
    if scores.ndim == 2:
        for token, row in zip(tokens.tokens, scores.tolist(), strict=True):
            print(token, row)
    else:
        print(dict(zip(about["labels"], scores.tolist(), strict=False)) or scores.tolist())


if __name__ == "__main__":
    # Bytes that are no UTF-8 come as halves of characters, which no tokenizer takes.
    main(*(re.sub("[\ud800-\udfff]", "\ufffd", word) for word in sys.argv[1:]))
