r"""Find entities in text, or tag words, with a model that finetune_ner.py trained.

    python scripts/bert/predict_ner.py --model_dir runs/ner/best \
        --sentences "Anna Lee flew from Berlin to New York."

Everything else is in plainbert/recipes/predict_ner.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.predict_ner import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
