r"""Pre-train BERT with many processes, started by mpirun: run_pretraining.py under its old name.

The exchange between processes is torch.distributed's (gloo on CPUs, NCCL on GPUs); mpirun only
starts them. --dist_strategy says what they share.

    mpirun -np 2 --allow-run-as-root python scripts/bert/run_pretraining_hvd.py \
        --data 'shards/*.npz' --num_steps 20000 --batch_size 32 --ckpt_dir runs/own
    mpirun -np 4 -H host0:2,host1:2 -x MASTER_ADDR=host0 \
        python scripts/bert/run_pretraining_hvd.py --data 'shards/*.npz' --ckpt_dir runs/own
    python scripts/launch.py --hosts host0:2,host1:2 --with mpirun \
        scripts/bert/run_pretraining_hvd.py --data 'shards/*.npz' --ckpt_dir runs/own

The last one adds what a bare mpirun lacks to notice a cut network. The hosts need the same files at
the same paths, --ckpt_dir too. Text is masked on the way with --raw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plainbert.cli.run import run
from plainbert.recipes import run_pretraining


def parse_args(argv: Sequence[str] | None = None) -> run_pretraining.Settings:
    return run_pretraining.parse_args(argv, __doc__)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    return run_pretraining.main(argv, __doc__)


if __name__ == "__main__":
    run(main)
