r"""Fine-tune BERT to find entities, or to give every word of a sentence a label.

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.conll \
        --dev-path dev.conll --test-path test.conll --output_dir runs/ner

Everything else is in plainbert/recipes/finetune_ner.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.finetune_ner import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
