"""Sets of words and tags: how they are described, tokenised, predicted and scored."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import seqeval.metrics
import torch

from plainbert.errors import DataError, UnknownNameError, UsageError
from plainbert.tasks.ner import evaluate
from plainbert.tasks.ner.tags import TagSet
from tests.helpers import folders

LABELS = ("O", "B-PER", "E-PER", "S-PER", "S-LOC")
TAGS = TagSet(LABELS, "bioes")
TINY = folders.tokenizer()
TEXT = (
    "the I-PER\ncat I-PER\n\u200b O\nab I-LOC\n\nc O\n\n"
    + "".join(f"{word} {tag}\n" for word, tag in [("aba", "O"), ("b", "I-ORG"), ("the", "O")] * 4)
    + "\n"
)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(21)  # tags of every kind
    return folders.tiny("token_classification", id2label=LABELS)


@pytest.fixture
def data(tmp_path: Path) -> evaluate.TaggedSplit:
    (tmp_path / "dev.conll").write_text(TEXT)
    return evaluate.prepare_split(evaluate.read(tmp_path / "dev.conll"), "dev", TINY, TAGS, 16, 32)


def slow(model: Any, words: tuple[str, ...]) -> list[str]:
    """Tags of a short sentence, one forward pass by itself."""
    ids, firsts = [TINY.vocab.cls_id], []
    for word in words:
        pieces = TINY.ids(word)
        firsts.append(len(ids) if pieces else None)
        ids += pieces
    with torch.no_grad():
        logits = model(torch.tensor([[*ids, TINY.vocab.sep_id]]))[0]
    return ["O" if first is None else LABELS[int(logits[first].argmax())] for first in firsts]


def test_predictions_and_scores(model: Any, data: evaluate.TaggedSplit, tmp_path: Path) -> None:
    evaluation = evaluate.TagEvaluation({"dev": data}, TAGS, torch.float32)
    model.train()

    found = evaluation(model)

    assert model.training
    model.eval()
    predicted = evaluate.predict(model, data, TAGS)
    assert len({tag for each in predicted for tag in each}) > 2
    for sentence, said in zip(data.sentences.sentences[:2], predicted, strict=False):
        right = slow(model, sentence.words)
        assert said == [tag.replace("S-", "B-").replace("E-", "I-") for tag in right]
    gold = [list(each) for each in data.gold]
    assert found["dev"]["f1"] == seqeval.metrics.f1_score(gold, predicted)
    assert (evaluation.chooses, evaluation.better) == ("f1", 1)
    scores = evaluate.evaluate_splits(model, {"dev": data}, TAGS, torch.float32, tmp_path / "run")
    assert scores == found == json.loads((tmp_path / "run/eval_results.json").read_text())
    rows = (tmp_path / "run/dev_predictions.conll").read_text().splitlines()
    assert [row.split(" ")[0] for row in rows] == [line.split(" ")[0] for line in TEXT.splitlines()]


def test_what_chooses(data: evaluate.TaggedSplit) -> None:
    def chooses(tags: TagSet, metric: str | None = None) -> str:
        return evaluate.TagEvaluation({"dev": data}, tags, torch.float32, metric=metric).chooses

    plain = TagSet(("O", "C"), "plain")
    assert chooses(TAGS) == "f1"
    assert chooses(TAGS, "recall") == "recall"
    assert chooses(plain) == "macro_f1"
    assert chooses(plain, "accuracy") == "accuracy"
    with pytest.raises(UnknownNameError, match="metric of entities"):
        chooses(TAGS, "macro_f1")
    with pytest.raises(UnknownNameError, match="metric of plain labels"):
        chooses(plain, "f1")


def test_labels_of_the_features(data: evaluate.TaggedSplit) -> None:
    column = data.words.features.labels
    assert column is not None
    seen = data.words.first >= 0
    ids = [tag for each in data.gold for tag in TAGS.ids(each)]
    assert column[data.words.first[seen]].tolist() == [
        each for each, there in zip(ids, seen, strict=True) if there
    ]
    # Two entities as BIOES has them; a type that the model lacks does not count.
    assert ids[:5] == [1, 2, 0, 4, 0]
    assert ids.count(-100) == 4


def test_what_the_log_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "dev.conll"
    path.write_text("a B-PER\nb I-PER\nc LOC\n\nthe I-LOC\ncat B-ORG\n")

    with caplog.at_level(logging.DEBUG):
        data = evaluate.read(path)
        evaluate.describe(data)
        evaluate.prepare_split(data, "dev", TINY, TAGS, 16, 32)

    assert f"{path}: 2 rows, 5 words" in caplog.text
    assert "the tags mark entities in IOB2" in caplog.text
    assert "2 tag(s) are not as IOB2 has them" in caplog.text
    assert f"{path}:3: 'LOC' is read as 'O' of iob2" in caplog.text
    assert f"{path}:5: 'I-LOC' is read as 'B-LOC' of iob2" in caplog.text
    assert "dev has tags that the model was not trained for" in caplog.text
    assert "S-ORG (1)" in caplog.text
    caplog.clear()
    path.write_text("a b\tC O\nc\tC\n")
    with caplog.at_level(logging.DEBUG):
        evaluate.describe(evaluate.read(path, limit=1))
    assert "1 rows, 2 words" in caplog.text
    assert "plain labels: C 1, O 1" in caplog.text


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="without a tag"):
        evaluate.read(tmp_path / "a.txt")
    words = evaluate.read(tmp_path / "a.txt", tagged=False)
    assert evaluate.prepare_split(words, "test", TINY, TAGS, 16, 32).words.features.labels is None
    with pytest.raises(UsageError, match="max_len=33: this model has 32 positions"):
        evaluate.prepare_split(words, "test", TINY, TAGS, 33, 32)
