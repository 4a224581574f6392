r"""Pre-train BERT on masked words and next sentences.

From scratch, on shards made by create_pretraining_data.py, with the vocabulary that lies there:

    python scripts/bert/run_pretraining.py --model bert_4_256_4 --data 'shards/*.npz' \
        --num_steps 20000 --batch_size 64 --lr 5e-4 --warmup_ratio 0.05 --ckpt_dir runs/own

Go on from published weights with text of your own (domain adaptation), masks drawn anew each epoch:

    python scripts/bert/run_pretraining.py --model_dir all-MiniLM-L6-v2 --raw --data text.txt \
        --data_eval held_out.txt --max_seq_length 128 --num_steps 2000 --batch_size 4096 \
        --use_avg_len --lr 1e-4 --ckpt_dir runs/adapted

Several processes or GPUs; what a checkpoint is worth on other data:

    python scripts/bert/run_pretraining.py --num_local_ranks 2 --data 'shards/*.npz'
    python scripts/bert/run_pretraining.py --gpus 0,1 --data 'shards/*.npz'
    python scripts/bert/run_pretraining.py --data_eval 'held_out/*.npz' --ckpt_dir runs/own

A run that was interrupted goes on with the same command and --resume.

--ckpt_dir gets last and best (model folders that every script opens), older checkpoints as
step-0025000, metrics.jsonl, log.txt and TensorBoard events. Next: scripts/bert/embedding.py or
scripts/bert/finetune_classifier.py with --model_dir CKPT_DIR/last.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plainbert.cli.run import run
from plainbert.recipes.shared import pretraining_flags


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return pretraining_flags.parse(__doc__, argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    from plainbert.recipes.shared import pretraining

    return pretraining.main(args, __file__, argv)


if __name__ == "__main__":
    run(main)
