r"""Pre-train BERT on masked words and next sentences.

    python scripts/bert/run_pretraining.py --model bert_4_256_4 --data 'shards/*.npz' \
        --num_steps 20000 --batch_size 64 --lr 5e-4 --warmup_ratio 0.05 --ckpt_dir runs/own

Everything else is in plainbert/recipes/run_pretraining.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.run_pretraining import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
