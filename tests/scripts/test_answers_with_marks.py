"""Answers that end with vowel signs and points, learned by heart, come out whole."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from plainbert import checkpoint
from plainbert.recipes import finetune_squad
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers.folders import FIXTURES, tiny

QUESTIONS = FIXTURES / "squad" / "marks.json"


def test_ten_answers_learned_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = WordPiece(Vocab.read(FIXTURES / "text" / "uncased.txt"))
    model = tiny(
        "question_answering",
        vocab_size=len(tokenizer.vocab),
        hidden_size=64,
        intermediate_size=128,
        max_position_embeddings=128,
        initializer_range=0.1,
    )
    checkpoint.write(tmp_path / "model", model, tokenizer)

    finetune_squad.main(
        ["--model_dir", str(tmp_path / "model"), "--train_file", str(QUESTIONS),
         "--predict_file", str(QUESTIONS), "--epochs", "20", "--batch_size", "10", "--lr", "3e-3",
         "--optimizer", "adamw", "--max_len", "96", "--max_query_length", "20",
         "--output_dir", str(tmp_path / "run")]
    )  # fmt: skip

    content = json.loads(QUESTIONS.read_text("utf-8"))
    asked = [
        qa for article in content["data"] for part in article["paragraphs"] for qa in part["qas"]
    ]
    right = {qa["id"]: qa["answers"][0]["text"] for qa in asked}
    assert json.loads((tmp_path / "run" / "predictions.json").read_text("utf-8")) == right
