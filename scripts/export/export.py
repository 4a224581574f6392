r"""Export a model for another runtime, and prove that it computes the same there.

    python scripts/export/export.py --model_dir runs/spam/best --format onnx --output_dir spam-onnx

Everything else is in plainbert/recipes/export.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.export import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
