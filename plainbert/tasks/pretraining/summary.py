"""What a corpus and its instances are, in numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from plainbert.corpus.tokens import Store
from plainbert.tasks.pretraining.plan import InstanceSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """What was written to one shard; see :class:`CorpusSummary`."""

    instances: int
    tokens: int
    cut_tokens: int
    masked: int
    random_next: int


@dataclass(frozen=True)
class CorpusSummary:
    """What a corpus and its instances are, in numbers.

    Attributes:
        files: that were read.
        documents: with at least one sentence.
        sentences: with at least one token.
        text_tokens: of all sentences, once.
        shards: files written.
        instances: in all passes.
        tokens: of all instances, special ones included.
        padding_avoided: tokens that padding every instance to the full length would add.
        cut_tokens: tokens taken away so that instances keep the limit on the length.
        masked: tokens to predict.
        random_next: instances whose second text was drawn from anywhere.
        random_next_same_document: those of them where there was no other document to draw from.
        seconds: the work took.
    """

    files: int
    documents: int
    sentences: int
    text_tokens: int
    shards: int
    instances: int
    tokens: int
    padding_avoided: int
    cut_tokens: int
    masked: int
    random_next: int
    random_next_same_document: int
    seconds: float

    def lines(self) -> list[str]:
        """For people."""
        full = self.tokens + self.padding_avoided
        return [
            f"{self.files:,} files, {self.documents:,} documents, {self.sentences:,} sentences, "
            f"{self.text_tokens:,} tokens",
            f"{self.instances:,} rows in {self.shards} shards, {self.tokens:,} tokens, "
            f"{self.tokens / self.instances:.1f} each; {self.cut_tokens:,} tokens were cut off to "
            "fit",
            f"padding avoided: {self.padding_avoided:,} tokens, "
            f"{self.padding_avoided / full:.1%} of what full length would be",
            f"masked: {self.masked:,} ({self.masked / self.tokens:.2%} of the tokens); random "
            f"next: {self.random_next:,} ({self.random_next / self.instances:.2%})",
        ]

    @classmethod
    def of(
        cls,
        counts: Sequence[Count],
        store: Store,
        num_files: int,
        settings: InstanceSettings,
        seconds: float,
    ) -> CorpusSummary:
        """Sum up what was written to each shard."""
        total = Count(*np.array([list(asdict(count).values()) for count in counts]).sum(0).tolist())
        return cls(
            files=num_files,
            documents=store.num_documents,
            sentences=store.num_sentences,
            text_tokens=len(store.ids),
            shards=len(counts),
            padding_avoided=total.instances * settings.max_seq_length - total.tokens,
            random_next_same_document=total.random_next if store.num_documents == 1 else 0,
            seconds=round(seconds, 3),
            **asdict(total),
        )

    def warn(self) -> None:
        """Say what the text is probably not meant to be."""
        if self.documents == 1:
            log.warning(
                "the text is one document: no blank line divides it. Random next sentences are "
                "drawn from the same document (%d rows), and there is one shard only. Put a "
                "blank line between documents.",
                self.random_next_same_document,
            )
        elif self.random_next > 0.9 * self.instances:
            log.warning(
                "%.1f %% of the rows have a random next sentence, since most documents are "
                "no longer than one sentence. One sentence per line, and blank lines between "
                "documents only, are expected; --split_sentences cuts lines into sentences.",
                100 * self.random_next / self.instances,
            )
