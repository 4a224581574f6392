"""``python -m plainbert.recipes NAME ...``: any command, without its script."""

from __future__ import annotations

import sys
from importlib import import_module

from plainbert.cli.run import run
from plainbert.errors import UnknownNameError

NAMES = (
    "embedding", "finetune_classifier", "finetune_squad", "finetune_ner", "predict_classifier",
    "predict_squad", "predict_ner", "run_pretraining", "create_pretraining_data",
    "create_punctuation_data", "convert_checkpoint", "compare_checkpoints", "export", "launch",
)  # fmt: skip


def main() -> int:
    """Run the recipe that the first word names; its exit status."""
    name, words = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name not in NAMES:
        raise UnknownNameError("command", name, NAMES)
    recipe = import_module(f"plainbert.recipes.{name}")
    results = recipe.main(words)
    return int(recipe.status(results)) if "status" in vars(recipe) else 0


if __name__ == "__main__":
    run(main, status=int)
