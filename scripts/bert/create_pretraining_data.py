r"""Make shards of masked pairs of texts from raw text, for pre-training.

One sentence per line, a blank line between documents; with the vocabulary of a published model:

    python scripts/bert/create_pretraining_data.py --input_file 'text/*.txt' --output_dir shards \
        --dataset_name book_corpus_wiki_en_uncased --max_seq_length 128 \
        --max_predictions_per_seq 20 --dupe_factor 10

With a vocabulary of its own, trained on the same text:

    python scripts/bert/create_pretraining_data.py --input_file text.txt.xz --output_dir shards \
        --train_vocab 8000 --vocab_kind wordpiece --max_seq_length 128

From prose whose lines are not sentences, with a SentencePiece model:

    python scripts/bert/create_pretraining_data.py --input_file prose.txt --output_dir shards \
        --split_sentences de --sentencepiece spm.model --cased

The folder gets part-000.npz, part-001.npz ..., the files of the tokenizer and summary.json. A
document is in one shard only, so that a shard can be held out. The result depends on the text,
the vocabulary, the flags and --random_seed; not on --num_workers, which is one process per core
where it is not given.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plainbert.cli import values
from plainbert.cli.run import run
from plainbert.recipes.shared import flags

if TYPE_CHECKING:
    from plainbert.tasks.pretraining.plan import Settings

OWN = {
    flags.Flag("input_file", values.patterns, "Text files: paths or globs, .gz and .xz too; "
               "several, or between commas.", group="data", metavar="GLOB", nargs="+"):
        flags.REQUIRED,
    flags.Flag("split_sentences", str, "The lines are not sentences: join those of a block between "
               "blank lines and split it by the rules of a language (en when none is named).",
               group="data", metavar="LANGUAGE", nargs="?", const="en"): None,
    flags.Flag("train_vocab", values.positive_int, "Train a vocabulary of so many tokens on the "
               "text.", group="model", metavar="TOKENS"): None,
    flags.Flag("vocab_kind", values.one_of("kind", lambda: ("wordpiece", "sentencepiece")),
               "What --train_vocab trains: wordpiece or sentencepiece.", group="model",
               metavar="KIND"): "wordpiece",
    flags.Flag("dupe_factor", values.positive_int, "Passes over the text, each with pairs and "
               "masks of its own.", group="masking", metavar="N"): 1,
    flags.Flag("num_outputs", values.positive_int, "Shards to write, at most one per document; "
               "each is one process's work, and one can be held out. When not given: 64, more for "
               "a large text (8 million tokens each).", group="output", metavar="N"): None,
}  # fmt: skip


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    for flag, default in OWN.items():
        parser.add(flag, default)
    flags.add(parser, output_dir=flags.REQUIRED, overwrite=False, verbose=False, seed=12345)
    flags.add(parser, bert_dataset=None, model_dir=None, vocab=None, do_lower_case=None)
    flags.add(parser, sentencepiece=None, cased=False, sp_nbest=0, sp_alpha=1.0)
    flags.add(parser, max_len=512, max_predictions_per_seq=80, masked_lm_prob=0.15)
    flags.add(parser, short_seq_prob=0.1, whole_word_mask=False, num_workers=None)
    args = flags.parse(parser, argv)
    parser.exclusive(args, "vocab", "sentencepiece", "model_dir", "train_vocab")
    parser.exclusive(args, "bert_dataset", "vocab", "model_dir", "train_vocab")
    parser.needs(args, "vocab_kind", "train_vocab")
    parser.exclusive(args, "cased", "do_lower_case")
    given = {"bert_dataset", "vocab", "sentencepiece", "model_dir", "train_vocab"}
    if not given.intersection(args.given):
        parser.error(
            "no vocabulary: give --dataset_name, --vocab, --sentencepiece, --model_dir or "
            "--train_vocab."
        )
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    from plainbert.corpus import documents
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.pretraining import shard_set
    from plainbert.tasks.pretraining.plan import Settings

    settings = Settings(
        args.max_len,
        args.short_seq_prob,
        args.masked_lm_prob,
        args.max_predictions_per_seq,
        args.whole_word_mask,
        args.dupe_factor,
        args.seed,
    )
    shard_set.check_folder(args.output_dir, args.overwrite)
    paths = documents.find_files(args.input_file)
    args.gpus = ()  # nothing here computes on one
    with start(args, script=__file__) as ready:
        return make(args, paths, settings, ready.log)


def make(
    args: argparse.Namespace, paths: Sequence[Path], settings: Settings, log: Logger
) -> dict[str, Any]:
    """Make the shards."""
    from plainbert.corpus import documents
    from plainbert.corpus.tokens import Reading
    from plainbert.corpus.vocabulary import train_vocabulary
    from plainbert.processes import cores
    from plainbert.recipes.shared.vocabulary import casing, tokenizer_of
    from plainbert.tasks.pretraining import build

    if args.train_vocab is None:
        tokenizer = tokenizer_of(args)
    else:
        lower = casing(args) is not False
        texts = documents.sentences(paths, args.split_sentences)
        with tempfile.TemporaryDirectory() as trained:
            tokenizer = train_vocabulary(texts, args.train_vocab, trained, args.vocab_kind, lower)
    assert tokenizer is not None
    summary = build.build(
        paths,
        Reading(tokenizer, args.split_sentences, args.seed),
        settings,
        args.output_dir,
        args.num_outputs,
        cores() if args.num_workers is None else args.num_workers,
        args.overwrite,
    )
    for line in summary.lines():
        log.info("%s", line)
    folder = Path(args.output_dir)
    if args.verbose:
        log.debug("the first instance: %s", build.first_instance(folder, tokenizer))
    log.info("Wrote %d total instances", summary.instances)
    log.info("Time cost=%.1f s", summary.seconds)
    log.info("next: %s", build.next_command(folder, summary))
    return asdict(summary)


if __name__ == "__main__":
    run(main)
