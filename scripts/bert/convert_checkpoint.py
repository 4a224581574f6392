r"""Convert a checkpoint between GluonNLP, Google's TensorFlow and Hugging Face formats.

    python scripts/bert/convert_checkpoint.py --from uncased_L-12_H-768_A-12 --to bert-base

Everything else is in plainbert/recipes/convert_checkpoint.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.convert_checkpoint import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
