r"""Predict with a fine-tuned classifier: a label and the probability of every label, per row.

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best \
        --sentences "Are we still on for lunch?" "You have WON a prize, call now"

Everything else is in plainbert/recipes/predict_classifier.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.predict_classifier import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
