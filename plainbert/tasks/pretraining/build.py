"""Text to shards: tokenise into a store, then plan, gather and mask shard by shard.

A shard gets whole documents, in all passes, so that one shard can be held out for evaluation.
Which documents is drawn from the seed. Every shard is one worker's job, and a function of the
corpus and the settings alone.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from plainbert import files, folders
from plainbert.cli.program import command
from plainbert.containers import npz
from plainbert.corpus import random_numbers, tokens
from plainbert.corpus.tokens import Reading, Store
from plainbert.processes import WorkerProcesses
from plainbert.progress import Progress
from plainbert.tasks.pretraining import instances, shard_set
from plainbert.tasks.pretraining.masking import Masker
from plainbert.tasks.pretraining.plan import InstancePlan, InstanceSettings, make_plan
from plainbert.tasks.pretraining.shard_file import TYPES, ShardColumns, write_shard
from plainbert.tasks.pretraining.summary import CorpusSummary, Count
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

SHARDS = 64  # a number that most numbers of processes divide, and small enough to hold one out
SHARD_TOKENS = 1 << 23  # of an instance; a shard of so many is about 20 MB
BLOCK_TOKENS = 1 << 22  # planned and shuffled together


@dataclass(frozen=True)
class Job:
    """One shard.

    Attributes:
        name: of its file.
        documents: numbers of its documents; (K,).
    """

    name: str
    documents: NDArray[np.int64]


@dataclass(frozen=True)
class BuildContext:
    """What every job needs.

    Attributes:
        folder: for the shards; the store lies there too.
        settings: how instances are made.
        masker: which tokens it hides, and behind what.
        cls_id: row of [CLS].
        sep_id: row of [SEP].
        sha256: of the vocabulary.
    """

    folder: Path
    settings: InstanceSettings
    masker: Masker
    cls_id: int
    sep_id: int
    sha256: str

    @property
    def store_path(self) -> Path:
        """File of the store."""
        return self.folder / "tokens.npz"

    @property
    def store(self) -> Store:
        """The corpus, mapped once per process."""
        return _store(self.store_path)


def build(
    paths: Sequence[Path],
    reading: Reading,
    settings: InstanceSettings,
    folder: str | Path,
    num_outputs: int | None = None,
    num_workers: int = 0,
    overwrite: bool = False,
    bar: bool = True,
) -> CorpusSummary:
    """Make the shards of a corpus: ``part-000.npz``, ``part-001.npz`` ...

    The tokenizer's files and a summary lie beside them.

    Equal files, settings and vocabulary give equal bytes, whatever the number of workers. The
    shards appear together, once all of them are complete; a kill leaves an older set, or them.

    Args:
        paths: text files.
        reading: how they become tokens.
        settings: how tokens become instances.
        folder: for the shards; made where it does not exist.
        num_outputs: shards; at most one per document. None: 64, more for a large corpus.
        num_workers: processes; 0 does all in this one.
        overwrite: replace shards that are there.
        bar: show progress.

    Raises:
        UsageError: there are shards in ``folder`` already, or files that are not replaced.
        DataError: the text cannot be read.
    """
    begin = time.monotonic()
    folder = Path(folder)
    older = shard_set.check_folder(folder, overwrite)
    vocab = reading.tokenizer.vocab
    masker = Masker.of(reading.tokenizer, settings)
    with folders.published(folder, shard_set.NAMES) as work:
        reading.tokenizer.save(work)
        if not older:
            shard_set.check_tokenizer(folder, work)
        context = BuildContext(work, settings, masker, vocab.cls_id, vocab.sep_id, vocab.sha256)
        with _store_closed(), WorkerProcesses(num_workers, reading, context) as workers:
            store = tokens.tokenise(paths, reading, context.store_path, workers, bar)
            jobs = plan_jobs(store, settings, num_outputs)
            counts = _write_all(context, store, jobs, workers, bar)
        summary = CorpusSummary.of(counts, store, len(paths), settings, time.monotonic() - begin)
        summary.warn()
        content = asdict(summary) | {"settings": asdict(settings), "vocab_sha256": vocab.sha256}
        content |= shard_set.parts(work, [job.name for job in jobs])
        files.write_json(work / shard_set.SUMMARY_FILE, content)
    return summary


def first_instance(folder: str | Path, tokenizer: Tokenizer) -> str:
    """The tokens of the first instance in a folder of shards, and what was masked."""
    columns = npz.read(sorted(Path(folder).glob(shard_set.SHARD_NAMES))[0])
    words = tokenizer.vocab.tokens
    ids = columns["input_ids"][: columns["offsets"][1]]
    last = columns["masked_offsets"][1]
    masks = zip(columns["masked_lm_positions"][:last], columns["masked_lm_ids"][:last], strict=True)
    text = " ".join(words[row] for row in ids)
    return f"{text}; masked: {', '.join(f'{at} {words[row]}' for at, row in masks)}"


def next_command(folder: Path, summary: CorpusSummary) -> str:
    """The command that trains on the shards; those whose number ends in 0 are held out."""
    held, every = summary.shards > 1, shard_set.SHARD_NAMES
    trained, evaluated = ("part-*[!0].npz", "part-*0.npz") if held else (every, every)
    return (
        f"{command('run_pretraining')} --data {quote(f'{folder}/{trained}')} "
        f"--data_eval {quote(f'{folder}/{evaluated}')} --vocab {quote(str(folder))}"
    )


def plan_jobs(store: Store, settings: InstanceSettings, num_outputs: int | None) -> list[Job]:
    """Deal the documents out to shards of about as many tokens."""
    sizes = store.document_tokens
    D = store.num_documents
    if num_outputs is None:
        num_outputs = max(SHARDS, -(-len(store.ids) * settings.dupe_factor // SHARD_TOKENS))
    num_outputs = min(num_outputs, D)
    order = np.argsort(random_numbers.keys(settings.seed, 0, np.arange(D)), kind="stable")
    ends = sizes[order].cumsum()
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, num_outputs) / num_outputs)
    # Each shard gets a document at least.
    later = np.arange(num_outputs - 1)
    cuts = np.maximum.accumulate(np.maximum(cuts, 1) - later) + later
    cuts = np.minimum(cuts, D - num_outputs + 1 + later)
    digits = max(3, len(str(num_outputs - 1)))
    return [
        Job(f"part-{number:0{digits}}.npz", np.sort(part))
        for number, part in enumerate(np.split(order, cuts))
    ]


def _write_all(
    context: BuildContext, store: Store, jobs: Sequence[Job], workers: WorkerProcesses, bar: bool
) -> list[Count]:
    passes, sizes = context.settings.dupe_factor, store.document_tokens
    counts = []
    with Progress("write shards", "token", int(sizes.sum()) * passes, True, bar) as progress:
        for job, count in zip(jobs, workers.in_order(write, context, jobs), strict=True):
            counts.append(count)
            progress.update(int(sizes[job.documents].sum()) * passes)
    return counts


def write(context: BuildContext, job: Job) -> Count:
    """Make one shard; not all of its instances are in memory at once."""
    store, total = context.store, np.zeros(5, np.int64)
    before = {
        "offsets": 1,
        "masked_offsets": 3,
    }  # in ``total``: what they are offsets of
    with contextlib.ExitStack() as stack:
        spools = {
            name: stack.enter_context(tempfile.TemporaryFile(dir=context.folder)) for name in TYPES
        }
        types: dict[str, Any] = {}
        for plan in blocks(store, job.documents, context.settings):
            for part in instances.slices(plan):
                columns = instances.columns(
                    store, part, context.masker, context.cls_id, context.sep_id
                )
                for name, spool in spools.items():
                    column = np.ascontiguousarray(getattr(columns, name))
                    if name in before:
                        column = column[min(total[0], 1) :] + total[before[name]]  # one 0 in all
                    spool.write(column.data)
                types = {name: getattr(columns, name).dtype for name in spools}
                total += (
                    len(part),
                    len(columns.input_ids),
                    part.cut.sum(),
                    len(columns.masked_lm_ids),
                    part.random_next.sum(),
                )
        arrays = {name: _mapped(spool, types[name]) for name, spool in spools.items()}
        write_shard(context.folder / job.name, ShardColumns(**arrays), context.sha256)
    return Count(*total.tolist())


def blocks(
    store: Store, documents: NDArray[np.int64], settings: InstanceSettings
) -> Iterator[InstancePlan]:
    """Plans of some documents at a time in all passes, each shuffled."""
    passes = settings.dupe_factor
    number = np.repeat(documents, passes)
    turn = np.tile(np.arange(passes), len(documents))
    block = store.document_tokens[number].cumsum() // BLOCK_TOKENS
    for cut in np.split(np.arange(len(number)), np.flatnonzero(np.diff(block)) + 1):
        plan = make_plan(store, number[cut], turn[cut], settings)
        yield plan.take(np.argsort(plan.keys, kind="stable"))


def _mapped(spool: IO[bytes], dtype: Any) -> NDArray[Any]:
    spool.flush()
    return np.memmap(spool, dtype, "r") if spool.tell() else np.zeros(0, dtype)


@functools.lru_cache(maxsize=1)
def _store(path: Path) -> Store:
    return Store.read(path)


@contextlib.contextmanager
def _store_closed() -> Iterator[None]:
    """Let go of the store afterwards, whatever happens."""
    try:
        yield
    finally:
        _store.cache_clear()
