r"""Make shards of masked pairs of texts from raw text, for pre-training.

    python scripts/bert/create_pretraining_data.py --input_file 'text/*.txt' --output_dir shards \
        --dataset_name book_corpus_wiki_en_uncased --max_seq_length 128 \
        --max_predictions_per_seq 20 --dupe_factor 10

Everything else is in plainbert/recipes/create_pretraining_data.py and in --help.
"""

from __future__ import annotations

from plainbert.cli.run import run
from plainbert.recipes.create_pretraining_data import main, parse_args

__all__ = ["main", "parse_args"]

if __name__ == "__main__":
    run(main)
