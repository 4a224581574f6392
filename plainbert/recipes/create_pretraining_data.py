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

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.flag_tables import helped
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import FolderFlags, SamplingVocabularyFlags
from plainbert.tasks.pretraining.flags import MaskingFlags, ShardsFlags

if TYPE_CHECKING:
    from plainbert.tasks.pretraining.summary import CorpusSummary
    from plainbert.text.tokenizer import Tokenizer

NAME = "create_pretraining_data"
VOCABULARIES = ("bert_dataset", "vocab", "sentencepiece", "model_dir", "train_vocab")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(FolderFlags, SamplingVocabularyFlags, MaskingFlags, ShardsFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: text, a folder, a vocabulary from one of four places": (
            "input_file", "output_dir", "train_vocab", "vocab", "model_dir", "bert_dataset",
        ),
        "what people set": (
            "split_sentences", "max_len", "max_predictions_per_seq", "masked_lm_prob",
            "short_seq_prob", "whole_word_mask", "dupe_factor", "num_workers", "seed",
        ),
        "output": ("num_outputs", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "train_vocab": "none is trained",
        "vocab": "none",
        "model_dir": "none",
        "bert_dataset": "none",
        "split_sentences": "a line is a sentence",
        "num_workers": "one for each core",
        "num_outputs": "64, more for a large text",
    }

    output_dir: str = helped(
        "output_dir", "Folder to write the shards, the tokenizer and summary.json into."
    )
    overwrite: bool = helped("overwrite", "Replace the shards that are in --output_dir.", False)
    max_len: int = helped(
        "max_len", "Longest input in tokens, [CLS] and two [SEP] counted; texts fill it.", 512
    )
    num_workers: int | None = None

    def checked(self) -> Self:
        settings = super().checked()
        self.exclusive("vocab", "sentencepiece", "model_dir", "train_vocab")
        self.exclusive("bert_dataset", "vocab", "model_dir", "train_vocab")
        self.needs("vocab_kind", "train_vocab")
        self.exclusive("cased", "do_lower_case")
        if not self.typed.intersection(VOCABULARIES):
            self.refuse(
                "no vocabulary: give --dataset_name, --vocab, --sentencepiece, --model_dir or "
                "--train_vocab."
            )
        return settings


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def vocabulary(settings: Settings, paths: Sequence[Path]) -> Tokenizer:
    """The vocabulary that the flags name, or one trained on the text."""
    from plainbert.corpus import documents
    from plainbert.corpus.vocabulary import train_vocabulary
    from plainbert.recipes.shared.vocabulary import tokenizer_of

    if settings.train_vocab is None:
        tokenizer = tokenizer_of(settings)
        assert tokenizer is not None
        return tokenizer
    lower = settings.lower is not False
    sentences = documents.sentences(paths, settings.split_sentences)
    with tempfile.TemporaryDirectory() as folder:
        return train_vocabulary(sentences, settings.train_vocab, folder, settings.vocab_kind, lower)


def run(settings: Settings) -> CorpusSummary:
    """Write the shards."""
    from plainbert.corpus import documents
    from plainbert.corpus.tokens import Reading
    from plainbert.processes import cores
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.pretraining import build, plan, shard_set

    instances = plan.InstanceSettings(
        max_seq_length=settings.max_len,
        short_seq_prob=settings.short_seq_prob,
        masked_lm_prob=settings.masked_lm_prob,
        max_predictions_per_seq=settings.max_predictions_per_seq,
        whole_word_mask=settings.whole_word_mask,
        dupe_factor=settings.dupe_factor,
        seed=settings.seed,
    )
    # Before the folder is touched: what cannot be made must not leave one behind.
    shard_set.check_folder(settings.output_dir, settings.overwrite)
    paths = documents.find_files(settings.input_file)
    with start(settings, recipe=NAME):
        tokenizer = vocabulary(settings, paths)
        summary = build.build(
            paths,
            Reading(tokenizer, settings.split_sentences, settings.seed),
            instances,
            settings.output_dir,
            settings.num_outputs,
            cores() if settings.num_workers is None else settings.num_workers,
            settings.overwrite,
        )
        for line in summary.lines():
            log.info("%s", line)
        folder = Path(settings.output_dir)
        if settings.verbose:
            log.debug("the first row: %s", build.first_instance(folder, tokenizer))
        log.info("Wrote %d rows", summary.instances)
        log.info("Time cost=%.1f s", summary.seconds)
        log.info("next: %s", build.next_command(folder, summary))
    return summary


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    settings = parse_args(argv)
    with command.shown(settings, NAME, argv):
        return asdict(run(settings))
