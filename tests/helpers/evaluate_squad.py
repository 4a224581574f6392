"""The published logic of SQuAD 2.0's script, written out, as an oracle for files.

Source:
    Rajpurkar et al. 2018, evaluate-v2.0.py: main, make_qid_to_has_ans, get_raw_scores,
    apply_no_ans_threshold, make_eval_dict, find_best_thresh. Its order of steps is kept.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from pathlib import Path
from typing import Any


def evaluate(
    data: Path, predictions: Path, na_probs: Path | None = None, threshold: float = 1.0
) -> dict[str, float]:
    """What ``evaluate-v2.0.py DATA PREDICTIONS [-n NA_PROBS] [-t THRESHOLD]`` prints."""
    said = json.loads(predictions.read_text("utf-8"))
    has_answer: dict[str, bool] = {}
    exact: dict[str, float] = {}
    f1: dict[str, float] = {}
    for article in json.loads(data.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                key = question["id"]
                has_answer[key] = bool(question["answers"])
                gold = [answer["text"] for answer in question["answers"]]
                gold = [text for text in gold if _normal(text)] or [""]
                exact[key] = max(float(_normal(text) == _normal(said[key])) for text in gold)
                f1[key] = max(_f1(text, said[key]) for text in gold)
    if na_probs is None:
        absent = dict.fromkeys(said, 0.0)
    else:
        absent = json.loads(na_probs.read_text("utf-8"))
    result = _result(
        _past(exact, absent, has_answer, threshold), _past(f1, absent, has_answer, threshold)
    )
    for prefix, wanted in (("HasAns", True), ("NoAns", False)):
        keys = [key for key, has in has_answer.items() if has is wanted]
        if keys:
            part = _result(
                _past(exact, absent, has_answer, threshold, keys),
                _past(f1, absent, has_answer, threshold, keys),
            )
            result |= {f"{prefix}_{name}": value for name, value in part.items()}
    if na_probs is not None:
        for name, scores in (("exact", exact), ("f1", f1)):
            best, place = _best(said, scores, absent, has_answer)
            result |= {f"best_{name}": best, f"best_{name}_thresh": place}
    return result


def _past(
    scores: dict[str, float], absent: dict[str, float], has_answer: dict[str, bool],
    threshold: float, keys: list[str] | None = None,
) -> list[float]:  # fmt: skip
    return [
        float(not has_answer[key]) if absent[key] > threshold else scores[key]
        for key in (scores if keys is None else keys)
    ]


def _result(exact: list[float], f1: list[float]) -> dict[str, float]:
    total = len(exact)
    return {"exact": 100.0 * sum(exact) / total, "f1": 100.0 * sum(f1) / total, "total": total}


def _best(
    said: dict[str, str], scores: dict[str, float], absent: dict[str, float],
    has_answer: dict[str, bool],
) -> tuple[float, float]:  # fmt: skip
    current = best = float(sum(1 for key in has_answer if not has_answer[key]))
    place = 0.0
    for key in sorted(absent, key=lambda key: absent[key]):
        if key not in scores:
            continue
        if has_answer[key]:
            difference = scores[key]
        else:
            difference = -1 if said[key] else 0
        current += difference
        if current > best:
            best, place = current, absent[key]
    return 100.0 * best / len(scores), place


def _normal(text: str) -> str:
    text = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
    return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text).split())


def _f1(gold: str, said: str) -> float:
    right, ours = _normal(gold).split(), _normal(said).split()
    common: Any = Counter(right) & Counter(ours)
    same = sum(common.values())
    if not right or not ours:
        return float(right == ours)
    if same == 0:
        return 0.0
    precision, recall = 1.0 * same / len(ours), 1.0 * same / len(right)
    return (2 * precision * recall) / (precision + recall)
