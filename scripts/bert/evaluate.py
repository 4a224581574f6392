r"""Score a fine-tuned model on a labelled file: classes, quantities, entities or answers.

    python scripts/bert/evaluate.py --model_dir runs/spam/best --file test.tsv \
        --text_columns text --label_column label

Everything else is in plainbert/recipes/evaluate.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.evaluate import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
