r"""Compare two checkpoints on the same text, layer by layer; or one with another engine.

    python scripts/bert/compare_checkpoints.py runs/mrpc/best converted/mrpc

Everything else is in plainbert/recipes/compare_checkpoints.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.compare_checkpoints import main, parse_args, status

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main, status)
