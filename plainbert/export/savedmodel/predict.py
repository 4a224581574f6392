"""What the model in this folder makes of a text, or of a pair of texts.

    pip install tensorflow-cpu tokenizers
    python predict.py "a text" ["a second one"]

TensorFlow Serving runs the same: --model_base_path is this folder, the signature tokens_only.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(text: str, second: str | None = None) -> None:
    """Print each output, per class or per token."""
    import tensorflow as tf
    from tokenizers import Tokenizer

    about = json.loads((HERE / "manifest.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokens = tokenizer.encode(text, second)
    newest = max((path.name for path in HERE.iterdir() if path.name.isdecimal()), key=int)
    model = tf.saved_model.load(str(HERE / newest))
    inputs = {
        "input_ids": tokens.ids,
        "input_mask": tokens.attention_mask,
        "segment_ids": tokens.type_ids,
    }
    run = model.signatures["tokens_only"]
    for name, value in run(**{name: tf.constant([row]) for name, row in inputs.items()}).items():
        print(name, value[0].numpy())
    print("tokens", tokens.tokens, "labels", about["labels"])


if __name__ == "__main__":
    # Bytes that are no UTF-8 come as halves of characters, which no tokenizer takes.
    main(*(re.sub("[\ud800-\udfff]", "\ufffd", word) for word in sys.argv[1:]))
