"""What the model in this folder makes of a text, or of a pair of texts.

    pip install torch tokenizers
    python predict.py "a text" ["a second one"]

torch's loader trusts the file: run it only on models from people whose programs you would run.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main(text: str, second: str | None = None) -> None:
    """Print the classes' scores, or each token's, or what else the model returns."""
    import torch
    from tokenizers import Tokenizer

    about = json.loads((HERE / "manifest.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokens = tokenizer.encode(text, second)
    if (HERE / "compiled.pt2").exists():
        from torch._inductor import aoti_load_package

        model: Any = aoti_load_package(str(HERE / "compiled.pt2"))
    else:
        model = torch.export.load(HERE / "model.pt2").module()
    inputs = (tokens.ids, tokens.type_ids, tokens.attention_mask)
    with torch.inference_mode():
        scores = model(*(torch.tensor([row]) for row in inputs))[0]
    if about.get("several"):  # several labels per text: each has a probability of its own
        scores = scores.sigmoid()
    if scores.dim() == 2:
        for token, row in zip(tokens.tokens, scores.tolist(), strict=True):
            print(token, row)
    else:
        print(dict(zip(about["labels"], scores.tolist(), strict=False)) or scores.tolist())


if __name__ == "__main__":
    # Bytes that are no UTF-8 come as halves of characters, which no tokenizer takes.
    main(*(re.sub("[\ud800-\udfff]", "\ufffd", word) for word in sys.argv[1:]))
