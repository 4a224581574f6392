r"""Start a script as several processes, on this machine or on several hosts.

    python scripts/launch.py --ranks 2 scripts/bert/run_pretraining.py --data 'shards/*.npz'

Everything else is in plainbert/recipes/launch.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.launch import main, parse_args, status

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main, status)
