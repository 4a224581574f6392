"""From files of words and tags to features, and from a trained tagger to scores and predictions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from plainbert import files
from plainbert.errors import UnknownNameError, UsageError
from plainbert.infer.evaluation import RESULTS_FILE, Evaluation, Scores, logits
from plainbert.infer.logits import ComputesLogits
from plainbert.tasks.ner import conll, scores
from plainbert.tasks.ner.conll import Sentences
from plainbert.tasks.ner.decode import decide
from plainbert.tasks.ner.features import WordFeatures, featurize_words
from plainbert.tasks.ner.result_files import comparable, report, score, table
from plainbert.tasks.ner.tags import TagSet, faults, marks_entities, scheme_of
from plainbert.tasks.reports import format_report
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy

log = logging.getLogger(__name__)

REPORT_FILE = "report.json"  # in the run folder: scores by type or label


@dataclass(frozen=True)
class Data:
    """One split, tokenised.

    Attributes:
        sentences: in the order of the file.
        words: the same, as features; labelled if every word has a tag.
    """

    sentences: Sentences
    words: WordFeatures

    @property
    def gold(self) -> list[Sequence[str]]:
        """The tags as the file has them."""
        return [sentence.tags or () for sentence in self.sentences.sentences]


def read(
    path: str | Path, limit: int | None = None, form: str | None = None, tagged: bool = True
) -> Sentences:
    """Read a file.

    Args:
        path: see :func:`plainbert.tasks.ner.conll.read`.
        limit: use only so many sentences, the first ones.
        form: as for that function.
        tagged: whether every word must have a tag.
    """
    data = conll.read(path, form, tagged)
    return replace(data, sentences=data.sentences[:limit])


def describe(data: Sentences) -> None:
    """Log what a file holds, and what of it had to be mended."""
    words = sum(len(sentence.words) for sentence in data.sentences)
    log.info("%s: %d sentences, %d words", data.path, len(data), words)
    for reason, lines in data.problems.items():
        log.warning("%d line(s) with %s. First: %s", len(lines), reason, lines[0])
    tags = [sentence.tags for sentence in data.sentences if sentence.tags is not None]
    counts = Counter(tag for each in tags for tag in each)
    if not marks_entities(counts):
        shown = ", ".join(f"{tag} {count}" for tag, count in counts.most_common(20))
        log.info("%s: %s", data.path, f"plain labels: {shown}" if tags else "no tags")
        return
    scheme, _ = scheme_of(tags)
    log.info("%s: the tags mark entities in %s", data.path, scheme.upper())
    if broken := faults(data, scheme):
        log.warning(
            "%d tag(s) are not as %s has them; they are read as conlleval reads them:\n  %s%s",
            len(broken),
            scheme.upper(),
            "\n  ".join(broken[:10]),
            "\n  ..." if len(broken) > 10 else "",
        )


def load(
    data: Sentences,
    split: str,
    model: ComputesLogits,
    tokenizer: Tokenizer,
    tags: TagSet,
    max_len: int,
) -> Data:
    """Tokenise one split, and report the tags that the model does not have.

    Args:
        data: from :func:`read`.
        split: its name, for the log.
        model: its positions limit ``max_len``.
        tokenizer: of the model.
        tags: of the model.
        max_len: tokens that the model sees at a time.

    Raises:
        UsageError: ``max_len`` is more than the model has positions.
    """
    most = model.config.max_position_embeddings
    if max_len > most:
        raise UsageError(f"max_len={max_len}: this model has {most} positions; give at most that.")
    words = [sentence.words for sentence in data.sentences]
    labels = None
    if data.tagged:
        labels = [tags.ids(sentence.tags or ()) for sentence in data.sentences]
        if unknown := tags.unknown(data):
            shown = ", ".join(f"{tag} ({count})" for tag, count in sorted(unknown.items()))
            log.warning(
                "%s has tags that the model was not trained for and can never predict, with the "
                "number of words: %s",
                split,
                shown,
            )
    made = featurize_words(tokenizer, words, max_len, labels)
    log.info(
        "%s: %d sentences, %d words, %d tokens",
        split,
        len(made),
        len(made.first),
        len(made.features.ids),
    )
    return Data(data, made)


class Tags(Evaluation):
    """Entity F1, or the scores of plain labels, on tagged sets.

    Args:
        sets: by the name of the split; at least one, all tagged.
        tags: of the model.
        dtype: of the matrix products.
        ranks: they share the rows.
        metric: the score that chooses; f1 of entities, macro_f1 of labels when not given.

    Raises:
        UnknownNameError: no such score for these tags.
    """

    better = 1

    def __init__(
        self,
        sets: Mapping[str, Data],
        tags: TagSet,
        dtype: torch.dtype,
        ranks: ParallelStrategy = ALONE,
        metric: str | None = None,
    ) -> None:
        known = scores.ENTITY_METRICS if tags.entities else scores.LABEL_METRICS
        if metric is not None and metric not in known:
            kind = "entities" if tags.entities else "plain labels"
            raise UnknownNameError(f"metric of {kind}", metric, known)
        self.sets, self.tags, self.dtype, self.ranks = sets, tags, dtype, ranks
        self.chooses = metric or known[0]

    def __call__(self, model: ComputesLogits) -> Scores:
        return {
            split: score(
                predict(model, data, self.tags, self.dtype, self.ranks), data.gold, self.tags
            )
            for split, data in self.sets.items()
        }


def predict(
    model: ComputesLogits,
    data: Data,
    tags: TagSet,
    dtype: torch.dtype = torch.float32,
    ranks: ParallelStrategy = ALONE,
    bar: bool = False,
) -> list[list[str]]:
    """The tags of every sentence; those that mark entities in IOB2.

    Args:
        model: where it computes.
        data: the set.
        tags: of the model.
        dtype: of the matrix products.
        ranks: they share the rows; every one gets all tags.
        bar: show progress.
    """
    found = decide(logits(model, data.words.features, dtype, ranks, bar), data.words, tags)
    return [comparable(each, tags) for each, _ in found]


def judge(
    model: ComputesLogits,
    data: Mapping[str, Data],
    tags: TagSet,
    dtype: torch.dtype,
    folder: Path,
    ranks: ParallelStrategy = ALONE,
) -> Scores:
    """Score every tagged split and write the predictions of all.

    Args:
        model: with its best weights, where it computes.
        data: splits to run, by name.
        tags: of the model.
        dtype: of the matrix products.
        folder: gets ``eval_results.json``, ``report.json`` and ``SPLIT_predictions.conll`` (or
            ``.tsv``, where the split has a sentence a line).
        ranks: they share the rows; rank 0 writes.

    Returns:
        split to metric to score.
    """
    found: Scores = {}
    reports: dict[str, scores.Report] = {}
    for split, part in data.items():
        predicted = predict(model, part, tags, dtype, ranks, bar=ranks.rank == 0)
        if part.sentences.tagged:
            found[split] = score(predicted, part.gold, tags)
            reports[split] = report(predicted, part.gold, tags)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in found[split].items())
            log.info("%s (%d sentences): %s", split, len(predicted), shown)
            if reports[split]:
                log.info("%s:\n%s", split, format_report(reports[split]))
        if ranks.rank == 0:
            suffix = ".conll" if part.sentences.form == "columns" else ".tsv"
            path = folder / f"{split}_predictions{suffix}"
            files.write_text(path, table(part.sentences.sentences, predicted, suffix, tags))
            log.info("predictions of %s: %s", split, path)
    if ranks.rank == 0:
        files.write_json(folder / RESULTS_FILE, found)
        files.write_json(folder / REPORT_FILE, reports)
    return found
