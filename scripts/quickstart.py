"""Sentence vectors from a real BERT, then a spam filter fine-tuned on real messages.

    make quickstart
    python scripts/quickstart.py

Everything else is in plainbert/recipes/quickstart.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.quickstart import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
