"""From files of words and tags to features, and from a trained tagger to scores and files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from plainbert import files
from plainbert.batching.features import check_positions
from plainbert.errors import UnknownNameError
from plainbert.infer.evaluation import RESULTS_FILE, Evaluation, Scores, logits
from plainbert.infer.logits import ComputesLogits
from plainbert.tasks.ner import conll, scores
from plainbert.tasks.ner.columns import ColumnChoice
from plainbert.tasks.ner.conll import Sentences
from plainbert.tasks.ner.decode import decode_tags
from plainbert.tasks.ner.features import WordFeatures, prepare
from plainbert.tasks.ner.result_files import comparable, report, score, table
from plainbert.tasks.ner.spelling import OUTSIDE, canonical, is_bare, marks_entities, parse
from plainbert.tasks.ner.tags import TagSet, faults, respelled, scheme_of
from plainbert.tasks.reports import format_report
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.visible import near

log = logging.getLogger(__name__)

SHOWN = 20  # words of the sentence in the log
REPORT_FILE = "report.json"  # in the run folder: scores by type or label


@dataclass(frozen=True)
class TaggedSplit:
    """One split, tokenised.

    Attributes:
        sentences: in the order of the file.
        words: their words as features; labelled if every word has a tag.
    """

    sentences: Sentences
    words: WordFeatures

    @property
    def gold(self) -> list[Sequence[str]]:
        """The tags as the file has them."""
        return [sentence.tags or () for sentence in self.sentences.sentences]


def read(
    path: str | Path,
    limit: int | None = None,
    form: str | None = None,
    tagged: bool = True,
    columns: ColumnChoice = conll.ANY,
) -> Sentences:
    """Read the first sentences of a file; see :func:`plainbert.tasks.ner.conll.read`.

    Args:
        path: UTF-8 text, .gz and .xz too; ``-`` is standard input.
        limit: use only so many sentences; all of them when None.
        form: one of ``conll.FORMS``, for a file without a tab; None: the file's name decides.
        tagged: whether every word must have a tag.
        columns: which of them hold words and tags, for a file of columns.
    """
    sentences = conll.read(path, form, tagged, columns)
    return replace(sentences, sentences=sentences.sentences[:limit])


def describe(data: Sentences, example: bool = True) -> None:
    """Log what a file holds, and what had to be mended.

    Args:
        data: the file.
        example: whether one of its sentences is for all eyes, not for the details alone.
    """
    words = sum(len(sentence.words) for sentence in data.sentences)
    log.debug("%s: %d rows, %d words", data.path, len(data), words)
    for note in data.notes:
        log.debug("%s: %s", data.path, note)
    for reason, lines in data.problems.items():
        log.warning("%d line(s) with %s. First: %s", len(lines), reason, lines[0])
    tags = [sentence.tags for sentence in data.sentences if sentence.tags is not None]
    counts = Counter(tag for sentence in tags for tag in sentence)
    level = logging.INFO if example else logging.DEBUG
    log.log(level, "%s: read as: %s", data.path, sample(data, counts))
    if not marks_entities(counts):
        labels = ", ".join(f"{tag} {count}" for tag, count in counts.most_common(20))
        log.info("%s: %s", data.path, f"plain labels: {labels}" if tags else "no tags")
        if OUTSIDE in counts:
            log.info(
                "no entities are marked: their tags would begin with B-, I-, E- or S-, like B-PER."
            )
        if alike := [tag for tag in counts if parse(tag)[0] == "B" and parse(tag)[1]]:
            others = [tag for tag in counts if is_bare(tag)]
            log.warning(
                "%s: %s look as if they marked entities; they are plain labels here, as too many "
                "words have other tags (%s). O is the tag of words outside.",
                data.path,
                ", ".join(alike[:5]),
                ", ".join(others[:5]),
            )
        return
    scheme, _ = scheme_of(tags)
    log.debug("%s: the tags mark entities in %s", data.path, scheme.upper())
    if odd := respelled(data):
        line = ", ".join(
            f"{tag} ({count}) as {canonical(tag)}" for tag, count in odd.most_common(20)
        )
        log.warning("%s: tags in an unusual spelling are read as usual ones: %s", data.path, line)
    if broken := faults(data, scheme):
        log.warning(
            "%d tag(s) are not as %s has them; they are read as conlleval reads them:\n  %s%s",
            len(broken),
            scheme.upper(),
            "\n  ".join(broken[:10]),
            "\n  ..." if len(broken) > 10 else "",
        )


def sample(data: Sentences, counts: Mapping[str, int]) -> str:
    """The words and tags of one sentence: the first with a tag that is not the commonest."""
    common = max(counts, key=lambda tag: counts[tag], default=OUTSIDE)
    sentence = next(
        (row for row in data.sentences if {*(row.tags or ())} - {common, OUTSIDE}),
        data.sentences[0],
    )
    tags = sentence.tags or ("",) * len(sentence.words)
    parts = [
        f"{word}/{tag}" if tag else word for word, tag in zip(sentence.words, tags, strict=True)
    ]
    return " ".join(parts[:SHOWN]) + (" ..." if len(parts) > SHOWN else "")


def prepare_split(
    sentences: Sentences,
    name: str,
    tokenizer: Tokenizer,
    tags: TagSet,
    max_len: int,
    positions: int,
) -> TaggedSplit:
    """Tokenise one split, and report the tags that the model does not have.

    Args:
        sentences: from :func:`read`.
        name: the name of the split, for the log.
        tokenizer: that of the model's folder.
        tags: the tags that the model learned, or will learn.
        max_len: tokens that the model sees at a time.
        positions: tokens that the model can take at most.

    Raises:
        UsageError: ``max_len`` is more than ``positions``.
    """
    check_positions(max_len, positions)
    labels = None
    if sentences.tagged:
        labels = [tags.ids(sentence.tags or ()) for sentence in sentences.sentences]
        if unknown := tags.unknown(sentences):
            line = ", ".join(f"{tag} ({count})" for tag, count in sorted(unknown.items()))
            log.warning(
                "%s has tags that the model was not trained for and can never predict, with the "
                "number of words: %s",
                name,
                line,
            )
    words = [sentence.words for sentence in sentences.sentences]
    features = prepare(tokenizer, words, max_len, labels)
    log.info(
        "%s: %d rows, %d words, %d tokens",
        name,
        len(features),
        len(features.first),
        len(features.features.ids),
    )
    return TaggedSplit(sentences, features)


class TagEvaluation(Evaluation):
    """Entity F1, or the scores of plain labels, on tagged sets.

    Args:
        sets: by the name of the split; at least one, all tagged.
        tags: the tags that the model learned.
        dtype: of the matrix products.
        ranks: they share the rows.
        metric: the score that chooses; f1 of entities, macro_f1 of labels when not given.

    Raises:
        UnknownNameError: no such score for these tags.
    """

    better = 1

    def __init__(
        self,
        sets: Mapping[str, TaggedSplit],
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
        results, bar = {}, self.ranks.rank == 0
        for name, split in self.sets.items():
            predicted = predict(model, split, self.tags, self.dtype, self.ranks, bar)
            results[name] = score(predicted, split.gold, self.tags)
        return results


def predict(
    model: ComputesLogits,
    split: TaggedSplit,
    tags: TagSet,
    dtype: torch.dtype = torch.float32,
    ranks: ParallelStrategy = ALONE,
    bar: bool = False,
) -> list[list[str]]:
    """The tags of every sentence; those that mark entities in IOB2.

    Args:
        model: where it computes.
        split: the sentences and their features.
        tags: the tags that the model learned.
        dtype: of the matrix products.
        ranks: they share the rows; every one gets all tags.
        bar: show progress.
    """
    token_logits = logits(model, split.words.features, dtype, ranks, bar)
    return [comparable(names, tags) for names, _ in decode_tags(token_logits, split.words, tags)]


def evaluate_splits(
    model: ComputesLogits,
    sets: Mapping[str, TaggedSplit],
    tags: TagSet,
    dtype: torch.dtype,
    folder: Path,
    ranks: ParallelStrategy = ALONE,
) -> Scores:
    """Score every tagged split and write the predictions of all.

    Args:
        model: with its best weights, where it computes.
        sets: the splits to run, by name.
        tags: the tags that the model learned.
        dtype: of the matrix products.
        folder: gets ``eval_results.json``, ``report.json`` and ``SPLIT_predictions.conll`` (or
            ``.tsv``, where the split has a sentence a line).
        ranks: they share the rows; rank 0 writes.

    Returns:
        split to metric to score.
    """
    results: Scores = {}
    reports: dict[str, scores.Report] = {}
    for name, split in sets.items():
        predicted = predict(model, split, tags, dtype, ranks, bar=ranks.rank == 0)
        if split.sentences.tagged:
            results[name] = score(predicted, split.gold, tags)
            reports[name] = report(predicted, split.gold, tags)
            line = ", ".join(f"{metric} {value:.4f}" for metric, value in results[name].items())
            log.debug("%s (%d rows): %s", name, len(predicted), line)
            if reports[name]:
                log.debug("%s:\n%s", name, format_report(reports[name]))
        if ranks.rank == 0:
            suffix = ".conll" if split.sentences.form == "columns" else ".tsv"
            path = folder / f"{name}_predictions{suffix}"
            files.write_text(path, table(split.sentences.sentences, predicted, suffix, tags))
            log.info("predictions of %s: %s", name, near(path))
    if ranks.rank == 0:
        files.write_json(folder / RESULTS_FILE, results)
        files.write_json(folder / REPORT_FILE, reports)
    return results
