"""Text as training data without shards: tokenised once, masked anew in every epoch."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.containers import npz
from plainbert.corpus import documents, random_numbers, tokens
from plainbert.corpus.tokens import Reading, Store
from plainbert.processes import WorkerProcesses
from plainbert.tasks.pretraining import instances
from plainbert.tasks.pretraining.masking import Masker
from plainbert.tasks.pretraining.plan import InstancePlan, InstanceSettings, make_plan
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 1
PLANNED = 1 << 22  # tokens of documents planned together


class RawText:
    """Instances of a corpus, to be used like :class:`plainbert.tasks.pretraining.shards.Shards`.

    Which texts make up an instance is drawn once; its masks depend on the epoch.

    Args:
        store: the corpus.
        plan: its instances.
        tokenizer: names the special tokens.
        settings: how to mask.
        fingerprint: a hash of the corpus and the plan, whatever their files are called.
    """

    def __init__(
        self,
        store: Store,
        plan: InstancePlan,
        tokenizer: Tokenizer,
        settings: InstanceSettings,
        fingerprint: str,
    ) -> None:
        self.store, self.plan, self.settings = store, plan, settings
        self.lengths: NDArray[np.int64] = plan.lengths
        self.fingerprint = fingerprint
        self.vocab_sha256 = tokenizer.vocab.sha256
        self._masker = Masker.of(tokenizer, settings)
        self._specials = (tokenizer.vocab.cls_id, tokenizer.vocab.sep_id)

    @classmethod
    def of(
        cls,
        patterns: Sequence[str],
        tokenizer: Tokenizer,
        settings: InstanceSettings,
        cache_folder: str | Path,
        num_workers: int = 0,
        language: str | None = None,
        bar: bool = True,
    ) -> RawText:
        """Open text files; their tokens and the plan are kept in ``cache_folder``.

        The files there are named by a fingerprint of the text files (path, size, time), the
        tokenizer and the settings, and are made where they are missing. Several processes may
        open the same text, best one first.

        Args:
            patterns: globs of text files; ``~`` is expanded, as
                :func:`plainbert.corpus.documents.find_files` does.
            tokenizer: the one that the model has, or will have.
            settings: how to make instances; its seed is the run's.
            cache_folder: made where it does not exist.
            num_workers: processes that tokenise, the first time.
            language: split lines into sentences by the rules of this language.
            bar: show progress.

        Raises:
            DataError: no file matches, or one cannot be read.
        """
        paths = documents.find_files(patterns)
        reading = Reading(tokenizer, language, settings.seed)
        folder = Path(cache_folder)
        name = fingerprint(paths, reading)
        path = folder / f"tokens-{name}.npz"
        if path.exists():
            log.info("tokens of %d files found in %s", len(paths), path)
            store = Store.read(path)
        else:
            with WorkerProcesses(num_workers, reading) as workers:
                store = tokens.tokenise(paths, reading, path, workers, bar)
        # Masks are drawn later: only what the plan depends on is part of its name.
        planned = [
            settings.max_seq_length,
            settings.short_seq_prob,
            settings.dupe_factor,
            settings.seed,
        ]
        plan_path = folder / f"plan-{_hash([VERSION, name, planned])}.npz"
        if not plan_path.exists():
            npz.write(plan_path, _columns(_whole_plan(store, settings)))
        plan = InstancePlan(**npz.read(plan_path))
        log.info(
            "%s documents, %s sentences, %s tokens: %s rows",
            f"{store.num_documents:,}",
            f"{store.num_sentences:,}",
            f"{len(store.ids):,}",
            f"{len(plan):,}",
        )
        content = _hash([npz.Archive(kept).fingerprint for kept in (path, plan_path)])
        return cls(store, plan, tokenizer, settings, content)

    def __len__(self) -> int:
        return len(self.plan)

    def rows(self, index: NDArray[np.int64], epoch: int = 0) -> InstanceRows:
        """Some instances with their masks; equal for equal (seed, epoch, instance).

        Args:
            index: numbers of instances; (B,).
            epoch: pass over the data; every epoch has masks of its own.
        """
        plan = self.plan.take(np.asarray(index))
        plan = replace(plan, keys=random_numbers.keys(plan.keys, self.settings.seed, epoch))
        return instances.rows(self.store, plan, self._masker, *self._specials)


def fingerprint(paths: Sequence[Path], reading: Reading) -> str:
    """A name for what files become with a tokenizer."""
    stats = [(path.resolve(), path.stat()) for path in paths]
    states = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    saved = reading.tokenizer.fingerprint()  # all that a tokenizer is, draws excepted
    drawn = None
    if isinstance(tokenizer := reading.tokenizer, SentencePiece) and tokenizer.nbest not in (0, 1):
        drawn = [tokenizer.nbest, tokenizer.alpha, reading.seed]
    return _hash([tokens.VERSION, states, saved, drawn, reading.language])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:20]


def _whole_plan(store: Store, settings: InstanceSettings) -> InstancePlan:
    """The instances of all documents, in their order."""
    passes = settings.dupe_factor
    number = np.tile(np.arange(store.num_documents), passes)
    turn = np.repeat(np.arange(passes), store.num_documents)
    block = store.document_tokens[number].cumsum() // PLANNED
    parts = [
        make_plan(store, number[cut], turn[cut], settings)
        for cut in np.split(np.arange(len(number)), np.flatnonzero(np.diff(block)) + 1)
    ]
    return InstancePlan(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(InstancePlan)
        )
    )


def _columns(plan: InstancePlan) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(plan, field.name) for field in fields(plan)}
