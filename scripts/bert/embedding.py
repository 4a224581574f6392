r"""Vectors of words, or of whole sentences.

    python scripts/bert/embedding.py --sentences "A heron was fishing."

Everything else is in plainbert/recipes/embedding.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.embedding import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
