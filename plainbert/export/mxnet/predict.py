"""What the model in this folder makes of a text, or of a pair of texts.

    pip install numpy==1.23.5 mxnet==1.9.1 tokenizers
    python predict.py "a text" ["a second one"]

Python 3.8 to 3.11. Lines that MXNet prints about types are harmless.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(text: str, second: str | None = None) -> None:
    """Print the classes' scores, or each token's, or what else the model returns."""
    import mxnet as mx
    import numpy as np
    from tokenizers import Tokenizer

    about = json.loads((HERE / "manifest.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokens = tokenizer.encode(text, second)
    graph, weights = (f"{HERE / about['task']}{end}" for end in ("-symbol.json", "-0000.params"))
    model = mx.gluon.SymbolBlock.imports(graph, ["data0", "data1", "data2"], weights)
    inputs = ([tokens.ids], [tokens.type_ids], [len(tokens.ids)])
    scores = model(*(mx.nd.array(rows) for rows in inputs)).asnumpy()[0]
    if about.get("several"):  # several labels per text: each has a probability of its own
        scores = 1 / (1 + np.exp(-scores))
    if scores.ndim == 2:
        for row, token in enumerate(tokens.tokens):
            print(token, scores[row])
    else:
        print({label: scores[row] for row, label in enumerate(about["labels"])} or scores)


if __name__ == "__main__":
    # Bytes that are no UTF-8 come as halves of characters, which no tokenizer takes.
    main(*(re.sub("[\ud800-\udfff]", "\ufffd", word) for word in sys.argv[1:]))
