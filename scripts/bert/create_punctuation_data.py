r"""Make training data for punctuation from any text that has punctuation.

    python scripts/bert/create_punctuation_data.py --input_file 'text/*.txt' --output_dir punct

Everything else is in plainbert/recipes/create_punctuation_data.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.create_punctuation_data import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
