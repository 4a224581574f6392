r"""Fine-tune BERT to find the answers to questions in texts: SQuAD 1.1, 2.0, and files like them.

    python scripts/bert/finetune_squad.py --model_dir all-MiniLM-L6-v2 \
        --train_file train.json --predict_file dev.json --epochs 2 --lr 3e-5

Everything else is in plainbert/recipes/finetune_squad.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.finetune_squad import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
