"""SQuAD's and CMRC's scores, against the published definitions written out in other words."""

from __future__ import annotations

import json
import random
import re
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.tasks.squad import scores as metrics
from plainbert.tasks.squad.files import read

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "squad"
WORDS = st.lists(
    st.sampled_from(["the", "The", "a", "an", "cat", "Cat!", "U.S.", "--", "été", "3,5", ""]),
    max_size=5,
).map(" ".join)
CHINESE = st.text(st.sampled_from("光荣公司，。《》-_、Koei 12 ."), max_size=8)


def words_of(text: str) -> list[str]:
    """The steps of ``normalize_answer`` in their order."""
    text = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text, flags=re.UNICODE)
    return text.split()


def shared(first: list[str], second: list[str]) -> int:
    rest = list(second)
    count = 0
    for word in first:
        if word in rest:
            rest.remove(word)
            count += 1
    return count


def harmonic(common: int, ours: int, right: int) -> float:
    if common == 0:
        return 0
    precision = 1.0 * common / ours
    recall = 1.0 * common / right
    return (2 * precision * recall) / (precision + recall)


def official_v1(gold: dict[str, list[str]], said: dict[str, str]) -> dict[str, float]:
    total = exact = 0
    f1 = 0.0
    for key, right in gold.items():
        total += 1
        if key not in said:
            continue
        ours = words_of(said[key])
        exact += max(ours == words_of(text) for text in right)
        f1 += max(
            harmonic(shared(ours, words_of(text)), len(ours), len(words_of(text))) for text in right
        )
    return {"exact_match": 100.0 * exact / total, "f1": 100.0 * f1 / total}


def official_v2(
    gold: dict[str, list[str]], said: dict[str, str], na: dict[str, float], threshold: float
) -> dict[str, float]:
    raw: dict[str, dict[str, float]] = {"exact": {}, "f1": {}}
    for key, texts in gold.items():
        right = [words_of(text) for text in texts if words_of(text)] or [[]]
        ours = words_of(said[key])
        raw["exact"][key] = max(int(ours == text) for text in right)
        raw["f1"][key] = max(
            int(ours == text)
            if not ours or not text
            else harmonic(shared(ours, text), len(ours), len(text))
            for text in right
        )
    found: dict[str, float] = {}
    for prefix, keys in (
        ("", list(gold)),
        ("HasAns_", [key for key in gold if gold[key]]),
        ("NoAns_", [key for key in gold if not gold[key]]),
    ):
        if not keys:
            continue
        for name, scores in raw.items():
            kept = [float(not gold[key]) if na[key] > threshold else scores[key] for key in keys]
            found[prefix + name] = 100.0 * sum(kept) / len(keys)
        found[prefix + "total"] = len(keys)
    for name, scores in raw.items():
        current = best = sum(not right for right in gold.values())
        limit = 0.0
        for key in sorted(na, key=na.__getitem__):
            current += scores[key] if gold[key] else (-1 if said[key] else 0)  # type: ignore[assignment]
            if current > best:
                best, limit = current, na[key]
        found[f"best_{name}"] = 100.0 * best / len(scores)
        found[f"best_{name}_thresh"] = limit
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=3), WORDS), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
)
def test_version_1_to_the_last_digit(rows: list[tuple[list[str], str]], lost: set[int]) -> None:
    gold = {str(row): right for row, (right, _) in enumerate(rows)}
    said = {str(row): text for row, (_, text) in enumerate(rows) if row not in lost}

    assert metrics.squad_v1(gold, said) == official_v1(gold, said)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(WORDS, max_size=3), WORDS, st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])),
        min_size=1,
        max_size=7,
    ),
    st.sampled_from([1.0, 0.5]),
)
def test_version_2_to_the_last_digit(
    rows: list[tuple[list[str], str, float]], threshold: float
) -> None:
    gold = {str(row): right for row, (right, _, _) in enumerate(rows)}
    said = {str(row): text for row, (_, text, _) in enumerate(rows)}
    na = {str(row): value for row, (_, _, value) in enumerate(rows)}

    right = official_v2(gold, said, na, threshold)
    assert metrics.squad_v2(gold, said, na, threshold) == right
    plain = metrics.squad_v2(gold, said)
    sure = official_v2(gold, said, dict.fromkeys(na, 0.0), 1.0)
    assert plain == {key: value for key, value in sure.items() if "best" not in key}


def test_real_questions_and_answers() -> None:
    """Right answers, their neighbours and nothing at all, on SQuAD 2.0."""
    gold = {
        each.id: [answer.text for answer in each.answers]
        for each in read(FIXTURES / "dev-v2.0.json").questions
    }
    generator = random.Random(1)
    some = [text for right in gold.values() for text in right]
    said = {key: generator.choice([*right, "", *some[:2]]) for key, right in gold.items()}
    na = {key: generator.random() for key in gold}

    assert metrics.squad_v2(gold, said, na) == official_v2(gold, said, na, 1.0)
    answerable = {key: right for key, right in gold.items() if right}
    assert metrics.squad_v1(answerable, said) == official_v1(answerable, said)
    assert json.dumps(metrics.squad_v2(gold, said, na))


def test_threshold_below_every_score_answers_nothing() -> None:
    gold = {"x": ["cat"], "y": [], "z": []}
    said = {"x": "dog", "y": "dog", "z": "cat"}
    scores = {"x": 0.0, "y": 0.0, "z": 0.0}
    odds = {"x": -3.0, "y": -1.0, "z": 2.0}
    answerable = {key: bool(right) for key, right in gold.items()}

    best = metrics.best_threshold(scores, said, odds, answerable, lowest=-4.0)
    assert best == (pytest.approx(200 / 3), -4.0)


def segments(text: str) -> list[str]:
    """CMRC's ``mixed_segmentation`` without punctuation; Latin words by a plain rule."""
    marks = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
    found: list[str] = []
    word = ""
    for sign in [sign for sign in text.lower().strip() if sign not in marks] + [" "]:
        if "\u4e00" <= sign <= "\u9fa5" or sign.isspace() or not sign.isalnum():
            found += [word] if word else []
            word = ""
            found += [] if sign.isspace() else [sign]
        else:
            word += sign
    return found


def longest(first: list[str], second: list[str]) -> int:
    runs = (
        size
        for size in range(len(first), 0, -1)
        for at in range(len(first) - size + 1)
        for other in range(len(second) - size + 1)
        if first[at : at + size] == second[other : other + size]
    )
    return next(runs, 0)


@settings(max_examples=300, deadline=None)
@given(CHINESE, CHINESE)
def test_chinese_by_characters(said: str, right: str) -> None:
    ours, theirs = segments(said), segments(right)
    marks = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
    bare = ["".join(x for x in text.lower().strip() if x not in marks) for text in (said, right)]

    found = metrics.by_characters({"q": [right]}, {"q": said})
    assert found["f1"] == 100 * harmonic(longest(ours, theirs), len(ours), len(theirs))
    assert found["exact_match"] == 100 * (bare[0] == bare[1])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("वह पटने से, ३.५", ["वह", "पटने", "से", ",", "३", ".", "५"]),
        ("המקום בְּיָפוֹ؟", ["המקום", "בְּיָפוֹ", "؟"]),
        ("cafe\u0301s 中文\u0301 می\u200cروم", ["cafe\u0301s", "中", "文", "می\u200cروم"]),
        ("👩\u200d🚀❤\ufe0f!", ["👩\u200d", "🚀", "❤\ufe0f", "!"]),
        ("\u0301a\u0301 \u200d", ["a\u0301"]),
    ],
)
def test_words_keep_their_marks(text: str, pieces: list[str]) -> None:
    kept = [piece for piece in metrics.CMRC_PIECES.findall(text) if piece.strip("\u0301\u200d")]

    assert kept == pieces
    assert metrics.characters_f1(text, text) == 1


def test_a_word_with_another_vowel_sign_is_another_word() -> None:
    assert metrics.characters_f1("पटने", "पटना") == 0
    assert metrics.characters_f1("वह पटने", "वह पटना") == 0.5


def test_which_scoring_a_set_needs() -> None:
    def gold(name: str) -> dict[str, list[str]]:
        return {
            each.id: [answer.text for answer in each.answers]
            for each in read(FIXTURES / name).questions
        }

    assert metrics.scoring_of(gold("cmrc2018.json")) == metrics.CHARACTERS
    assert metrics.scoring_of(gold("dev-v1.1.json")) == metrics.WORDS
    assert metrics.scoring_of(gold("cmrc2018.json"), metrics.WORDS) == metrics.WORDS
    assert metrics.scoring_of({"q": ["大阪の城"]}) == metrics.CHARACTERS
    assert metrics.scoring_of({"q": ["서울 한강", "Москва"]}) == metrics.WORDS
    assert metrics.scoring_of({}) == metrics.WORDS


def test_version_2_by_characters() -> None:
    gold = {"x": ["光荣公司"], "y": []}
    scores = metrics.functions_of(metrics.CHARACTERS)
    found = metrics.squad_v2(gold, {"x": "光荣", "y": ""}, scores=scores)

    assert found["HasAns_f1"] == pytest.approx(100 * 2 / 3)
    assert (found["HasAns_exact"], found["NoAns_f1"]) == (0, 100)


def test_what_lacks_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert metrics.squad_v1({"x": ["a b"], "y": []}, {"y": "c"}) == {"exact_match": 0, "f1": 0}
    assert "1 rows have no prediction and score 0" in caplog.text
    assert "1 rows have no right answer and are not scored" in caplog.text
    assert metrics.squad_v2({"x": ["cat"], "y": []}, {"y": ""})["total"] == 1
    assert "1 rows have no prediction." in caplog.text
