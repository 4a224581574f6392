"""From a trained model to answers, scores and files of whole sets of questions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from plainbert import files
from plainbert.infer.evaluation import RESULTS_FILE, Evaluation, Scores, logits
from plainbert.infer.logits import ComputesLogits
from plainbert.tasks.squad import scores as metrics
from plainbert.tasks.squad.data import Squad
from plainbert.tasks.squad.decode import Answer, Search, decode
from plainbert.tasks.squad.predict import THRESHOLD
from plainbert.tasks.squad.result_files import write_folder
from plainbert.tasks.squad.windows import Windows
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SquadSplit:
    """A set of questions, cut into windows.

    Attributes:
        squad: the questions.
        windows: the windows of these questions.
        scoring: ``metrics.WORDS`` or ``metrics.CHARACTERS``.
    """

    squad: Squad
    windows: Windows
    scoring: str = metrics.WORDS

    @classmethod
    def of(cls, squad: Squad, windows: Windows, scoring: str = "auto") -> SquadSplit:
        """Choose the scoring by the answers, if it is "auto", and log it."""
        return cls(squad, windows, scoring_of(squad, scoring))

    def scored(self, null: bool) -> bool:
        """Whether there are right answers to compare with; see :func:`gold_of`."""
        return bool(gold_of(self.squad, null))


class SquadEvaluation(Evaluation):
    """Exact match and F1 of answers.

    With SQuAD 2.0 the best F1 over all thresholds chooses, as that threshold is the one to use.

    Args:
        sets: by the name of the split; at least one, with right answers.
        search: how answers are looked for.
        dtype: of the matrix products.
        ranks: they share the windows.
    """

    better = 1

    def __init__(
        self,
        sets: Mapping[str, SquadSplit],
        search: Search,
        dtype: torch.dtype,
        ranks: ParallelStrategy = ALONE,
    ) -> None:
        self.sets, self.search, self.dtype, self.ranks = sets, search, dtype, ranks
        self.chooses = "best_f1" if search.null else "f1"

    def __call__(self, model: ComputesLogits) -> Scores:
        scores = {}
        for name, split in self.sets.items():
            answers = predict(
                model, split, self.search, self.dtype, self.ranks, bar=self.ranks.rank == 0
            )
            scores[name] = score(split.squad, answers, self.search, split.scoring)
        return scores


def predict(
    model: ComputesLogits,
    split: SquadSplit,
    search: Search,
    dtype: torch.dtype,
    ranks: ParallelStrategy = ALONE,
    bar: bool = False,
) -> list[Answer]:
    """The answer to every question, on every rank; each window is computed by one of them."""
    token_logits = logits(model, split.windows.features, dtype, ranks, bar)
    return decode(token_logits, split.windows, split.squad.questions, search)


def gold_of(squad: Squad, null: bool) -> dict[str, list[str]]:
    """Right answers by id, of the questions that can be scored.

    Args:
        squad: the questions; those whose answer is not told are left out.
        null: whether "no answer" is one; else questions without an answer are left out, too.
    """
    return {
        question.id: [answer.text for answer in question.answers]
        for question in squad.questions
        if question.answers or (null and question.impossible)
    }


def scoring_of(squad: Squad, scoring: str = "auto") -> str:
    """``metrics.WORDS`` or ``metrics.CHARACTERS``: as asked for, or by the answers; logged."""
    gold = gold_of(squad, null=False)
    chosen = metrics.scoring_of(gold, scoring)
    if gold:
        name = "CMRC 2018's, by characters" if chosen == metrics.CHARACTERS else "SQuAD's, by words"
        level = logging.INFO if chosen == metrics.CHARACTERS else logging.DEBUG
        log.log(level, "%s: the scores are %s", squad.name, name)
    return chosen


def score(squad: Squad, answers: list[Answer], search: Search, scoring: str) -> dict[str, float]:
    """Official scores in percent; none where no answer is told.

    With SQuAD 2.0, thresholds are score differences, as in ``null_odds.json``.

    Args:
        squad: the questions.
        answers: an answer to each question, in order.
        search: how answers were looked for.
        scoring: ``metrics.WORDS`` or ``metrics.CHARACTERS``.
    """
    gold = gold_of(squad, search.null)
    if not gold:
        return {}
    if not search.null:
        texts = {answer.id: answer.text for answer in answers}
        by_words = scoring == metrics.WORDS
        return (metrics.squad_v1 if by_words else metrics.by_characters)(gold, texts)
    scored = [answer for answer in answers if answer.id in gold]
    best = {answer.id: answer.best.text if answer.best else "" for answer in scored}
    odds = {answer.id: answer.null_odds or 0.0 for answer in scored}
    return metrics.squad_v2(
        gold,
        best,
        odds,
        search.null_threshold,
        lowest=min(odds.values()) - 1,
        scores=metrics.functions_of(scoring),
    )


def evaluate_splits(
    model: ComputesLogits,
    sets: Mapping[str, SquadSplit],
    search: Search,
    dtype: torch.dtype,
    folder: Path,
    tune: bool = False,
    ranks: ParallelStrategy = ALONE,
) -> Scores:
    """Answer every set, score those with right answers, write the files of the last one.

    Args:
        model: with its best weights, where it computes.
        sets: by the name of the split, in order.
        search: how answers are looked for.
        dtype: of the matrix products.
        folder: gets ``eval_results.json`` and the files of
            :func:`plainbert.tasks.squad.result_files.write_folder`.
        tune: with SQuAD 2.0 and several sets, answer the last one with the best threshold of the
            first.
        ranks: they share the windows; rank 0 writes.

    Returns:
        split to metric to score.
    """
    scores: Scores = {}
    answers: list[Answer] = []
    for name, split in sets.items():
        answers = predict(model, split, search, dtype, ranks, bar=ranks.rank == 0)
        values = score(split.squad, answers, search, split.scoring)
        if values:
            scores[name] = values
            line = ", ".join(f"{metric} {value:.4f}" for metric, value in values.items())
            log.debug("%s (%d rows): %s", name, len(split.squad), line)
        if search.null and "best_f1_thresh" in values:
            best, threshold = values["best_f1"], values["best_f1_thresh"]
            log.info("%s: the best F1, %.4f, is at --%s %.4f", name, best, THRESHOLD, threshold)
            if tune:
                search = replace(search, null_threshold=threshold)
    if ranks.rank == 0:
        files.write_json(folder / RESULTS_FILE, scores)
        if sets:
            write_folder(folder, answers)
    return scores


def store_threshold(folder: Path, threshold: float) -> None:
    """Write the best threshold beside a model, where prediction looks for it."""
    path = files.followed(folder).resolve() / "plainbert.json"
    about = files.read_json(path)
    files.write_json(path, {**about, THRESHOLD: threshold})
