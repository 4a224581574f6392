"""How right answers to questions are: SQuAD's scores, and CMRC 2018's for texts without blanks.

All scores are percentages over a whole set. ``gold`` maps the id of a question to the texts of
its right answers (none: it has no answer), ``predictions`` to the text that was answered.
"""

from __future__ import annotations

import logging
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from plainbert.text.marks import JOINERS, MARKS

log = logging.getLogger(__name__)

Gold = Mapping[str, Sequence[str]]
Score = Callable[[str, str], float]  # (prediction, right answer) -> from 0 to 1

NOT_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(a|an|the)\b")
# Scripts that write no blanks between words: Thai, Lao, Burmese, Khmer, kana, ideographs.
_NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
UNSPACED = re.compile(f"[{_NO_BLANKS}\U00020000-\U0003ffff]")
# What CMRC 2018 takes for punctuation; all else, ASCII's comma and full stop too, counts.
CMRC_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』") | {"……"}
# Runs of other characters are words: letters, digits and their marks together, other signs alone.
_LETTERS = r"[^\W\u4e00-\u9fa5]"
_EXTENSION = rf"(?![\x00-\u02ff])[{MARKS}{JOINERS}]+"  # passing over Latin letters is far faster
CMRC_PIECES = re.compile(
    rf"[\u4e00-\u9fa5]|{_LETTERS}+(?:{_EXTENSION}{_LETTERS}*)*|[^\w\s](?:{_EXTENSION})?"
)

WORDS, CHARACTERS = "words", "characters"
SCORINGS = ("auto", WORDS, CHARACTERS)


def normalize(text: str) -> str:
    """Lower-case; without ASCII punctuation, English articles, and blanks but single ones.

    Source:
        Rajpurkar et al. 2016, evaluate-v1.1.py and evaluate-v2.0.py.
    """
    bare = text.lower().translate(NOT_ASCII_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", bare).split())


def exact(prediction: str, answer: str) -> float:
    """Whether both are the same once normalised."""
    return float(normalize(prediction) == normalize(answer))


def f1(prediction: str, answer: str) -> float:
    """F1 of the words that both have; 0 if one of them has none."""
    ours, right = normalize(prediction).split(), normalize(answer).split()
    common = sum((Counter(ours) & Counter(right)).values())
    return _harmonic(common, len(ours), len(right))


def squad_v1(gold: Gold, predictions: Mapping[str, str]) -> dict[str, float]:
    """SQuAD 1.1: for every question its best score over the right answers.

    A question without a prediction scores 0, as officially; how many there are is logged.
    Questions without a right answer have no place in 1.1 and are not counted.

    Returns:
        "exact_match" and "f1".
    """
    return _means(gold, predictions, exact, f1)


def by_characters(gold: Gold, predictions: Mapping[str, str]) -> dict[str, float]:
    """CMRC 2018: ideographs count one by one, and F1 is that of the longest common run.

    Latin words are split at blanks and signs, where the official script asks NLTK.

    Returns:
        "exact_match" and "f1".

    Source:
        Cui et al. 2019, cmrc2018_evaluate.py.
    """
    return _means(gold, predictions, characters_exact, characters_f1)


def squad_v2(
    gold: Gold,
    predictions: Mapping[str, str],
    na_probs: Mapping[str, float] | None = None,
    na_threshold: float = 1.0,
    lowest: float = 0.0,
    scores: tuple[Score, Score] = (exact, f1),
) -> dict[str, float]:
    """SQuAD 2.0: no answer is right where there is none.

    Args:
        gold: right answers by id; those that are empty once normalised do not count.
        predictions: "" says that there is no answer. Ids that lack are left out, as officially.
        na_probs: how likely each question is to have no answer; any number that grows with it.
        na_threshold: questions above it are taken as "no answer".
        lowest: the threshold that stands for "never answer".
        scores: how a prediction compares with an answer: exact match, F1.

    Returns:
        "exact", "f1", "total"; the same for ``HasAns_`` and ``NoAns_`` questions, where there
        are any; with ``na_probs`` also "best_exact", "best_exact_thresh", "best_f1" and
        "best_f1_thresh": the threshold with the best score.
    """
    known = [key for key in gold if key in predictions]
    if len(known) < len(gold):
        log.warning("%d rows have no prediction.", len(gold) - len(known))
    answerable = {key: bool(gold[key]) for key in gold}
    raw = [{key: _best_v2(score, predictions[key], gold[key]) for key in known} for score in scores]
    kept = raw
    if na_probs is not None:
        above = {key for key in known if na_probs[key] > na_threshold}
        kept = [
            {key: float(not answerable[key]) if key in above else values[key] for key in known}
            for values in raw
        ]
    metrics: dict[str, float] = {}
    parts = {
        "": known,
        "HasAns_": [key for key in known if answerable[key]],
        "NoAns_": [key for key in known if not answerable[key]],
    }
    for prefix, keys in parts.items():
        if keys:
            for name, values in zip(("exact", "f1"), kept, strict=True):
                metrics[f"{prefix}{name}"] = 100.0 * sum(values[key] for key in keys) / len(keys)
            metrics[f"{prefix}total"] = len(keys)
    if na_probs is not None and known:
        for name, values in zip(("exact", "f1"), raw, strict=True):
            score, threshold = best_threshold(values, predictions, na_probs, answerable, lowest)
            metrics[f"best_{name}"], metrics[f"best_{name}_thresh"] = score, threshold
    return metrics


def best_threshold(
    scores: Mapping[str, float],
    predictions: Mapping[str, str],
    na_probs: Mapping[str, float],
    answerable: Mapping[str, bool],
    lowest: float = 0.0,
) -> tuple[float, float]:
    """The threshold of "no answer" with the best mean score.

    Args:
        scores: of the predictions, by id.
        predictions: what is answered below the threshold.
        na_probs: how likely each question is to have no answer; any number that grows with it.
        answerable: whether a question has an answer.
        lowest: the threshold that stands for "never answer".

    Returns:
        the score in percent, and the threshold.

    Source:
        Rajpurkar et al. 2018, evaluate-v2.0.py, ``find_best_thresh``.
    """
    current = best = float(sum(not answer for answer in answerable.values()))
    threshold = lowest
    for key in sorted(na_probs, key=lambda key: na_probs[key]):
        if key not in scores:
            continue
        current += scores[key] if answerable[key] else -bool(predictions[key])
        if current > best:
            best, threshold = current, na_probs[key]
    return 100.0 * best / len(scores), threshold


def scoring_of(gold: Gold, scoring: str = "auto") -> str:
    """``WORDS`` or ``CHARACTERS``; for "auto" by the script that most answers are written in."""
    if scoring != "auto":
        return scoring
    total = unspaced = 0
    for answers in gold.values():
        for answer in answers:
            total += len(answer)
            unspaced += len(UNSPACED.findall(answer))
    return CHARACTERS if 2 * unspaced > total else WORDS


def functions_of(scoring: str) -> tuple[Score, Score]:
    """Exact match and F1 of ``WORDS`` or ``CHARACTERS``, for :func:`squad_v2`."""
    return (characters_exact, characters_f1) if scoring == CHARACTERS else (exact, f1)


def characters_exact(prediction: str, answer: str) -> float:
    """Whether both are the same without CMRC's punctuation."""
    bare = [
        "".join(sign for sign in text.lower().strip() if sign not in CMRC_PUNCTUATION)
        for text in (prediction, answer)
    ]
    return float(bare[0] == bare[1])


def characters_f1(prediction: str, answer: str) -> float:
    """F1 of the longest run of pieces that both have; 0 if one of them has none."""
    ours, right = (_pieces(text) for text in (prediction, answer))
    return _harmonic(_longest_run(ours, right), len(ours), len(right))


def _pieces(text: str) -> list[str]:
    bare = "".join(sign for sign in text.lower() if sign not in CMRC_PUNCTUATION)
    return CMRC_PIECES.findall(bare)


def _longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest contiguous run that two sequences share."""
    longest = 0
    row = [0] * (len(second) + 1)
    for piece in first:
        above = row
        row = [0] * (len(second) + 1)
        for place, other in enumerate(second):
            if piece == other:
                row[place + 1] = above[place] + 1
                longest = max(longest, row[place + 1])
    return longest


def _harmonic(common: int, ours: int, right: int) -> float:
    """F1 in the official order of operations, so that the last digit agrees."""
    if not common:
        return 0.0
    precision, recall = 1.0 * common / ours, 1.0 * common / right
    return (2 * precision * recall) / (precision + recall)


def _best_v2(score: Score, prediction: str, answers: Sequence[str]) -> float:
    """Answers that are empty once normalised do not count, and two empty texts agree."""
    kept = [answer for answer in answers if normalize(answer)]
    if not kept or not normalize(prediction):
        return float(not kept and not normalize(prediction))
    return _best(score, prediction, kept)


def _best(score: Score, prediction: str, answers: Iterable[str]) -> float:
    return max(score(prediction, answer) for answer in answers)


def _means(
    gold: Gold, predictions: Mapping[str, str], exact_score: Score, f1_score: Score
) -> dict[str, float]:
    scored = {key: answers for key, answers in gold.items() if answers}
    missing = sum(key not in predictions for key in scored)
    if missing:
        log.warning("%d rows have no prediction and score 0.", missing)
    if len(scored) < len(gold):
        log.warning("%d rows have no right answer and are not scored.", len(gold) - len(scored))
    sums = [0.0, 0.0]
    for key, answers in scored.items():
        if key in predictions:
            for place, score in enumerate((exact_score, f1_score)):
                sums[place] += _best(score, predictions[key], answers)
    count = max(1, len(scored))
    return {"exact_match": 100.0 * sums[0] / count, "f1": 100.0 * sums[1] / count}
