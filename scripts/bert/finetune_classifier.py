r"""Fine-tune BERT to classify texts or pairs of texts, or to give them a number.

    python scripts/bert/finetune_classifier.py --model_dir all-MiniLM-L6-v2 \
        --train_file train.tsv --dev_file dev.tsv --text_columns text --label_column label

Everything else is in plainbert/recipes/finetune_classifier.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.finetune_classifier import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
