r"""Answer questions with a model that finetune_squad.py trained.

    python scripts/bert/predict_squad.py --model_dir runs/squad/best \
        --question "Who wrote it?" "When?" --context "It was written by Ada in 1843."

Everything else is in plainbert/recipes/predict_squad.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.predict_squad import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
