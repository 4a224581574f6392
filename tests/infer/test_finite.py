"""Results that are not finite: every recipe names the rows, and writes nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import plainbert
from plainbert import checkpoint
from plainbert.infer import finite
from plainbert.infer.finite import NotFiniteError
from plainbert.recipes import (
    embedding,
    export,
    finetune_classifier,
    finetune_ner,
    finetune_squad,
    predict_classifier,
    predict_ner,
    predict_squad,
)
from plainbert.tasks.pretraining.evaluate import HeldOut, SameLength
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.objective import PretrainingObjective
from tests.helpers import folders


def broken(folder: Path, head: str) -> Path:
    """A model whose weights are finite, and for texts with the word "b" its results are not."""
    torch.manual_seed(0)
    model: nn.Module = folders.tiny(head)
    body = getattr(model, "bert", model)
    row = folders.tokenizer().vocab.rows["b"]
    with torch.no_grad():
        # The mean of squares overflows in the first norm.
        body.embeddings.word_embeddings.weight[row, ::2] = 3e38
    checkpoint.write(folder / head, model, folders.tokenizer())
    return folder / head


def test_checks_name_rows() -> None:
    results = np.ones((12, 2), np.float32)
    finite.check(results)
    finite.check(np.full((2, 2), 3e38, np.float32))  # the sum of float32 would overflow
    results[[1, 2, 4, 5, 6, 7, 11], 1] = [math.nan, math.inf, -math.inf, 1, math.nan, 1, math.nan]
    with pytest.raises(NotFiniteError, match=r"5 row\(s\) .*: row 2, row 3, row 5, row 7, row 12"):
        finite.check(results)
    with pytest.raises(NotFiniteError, match=r"2 row\(s\) .*: row 1, row 2\. "):
        finite.check(results[:8], rows=lambda: np.repeat([0, 1], 4))
    results[:] = math.nan
    with pytest.raises(NotFiniteError, match="row 5 and 7 more"):
        finite.check(results)


@pytest.mark.parametrize("pooling", ["mean", "NONE", None])
def test_vectors(tmp_path: Path, pooling: str | None) -> None:
    folder, texts = broken(tmp_path, "embedding"), tmp_path / "texts.txt"
    texts.write_text("a the\nthe b\na\n")
    words = ["--model_dir", str(folder), "--file", str(texts), "--dtype", "float32"]
    output = tmp_path / "vectors.jsonl"
    if pooling is not None:
        words += ["--output", str(output), "--pooling_strategy", pooling]
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: text 2 \('the b'\)\. "):
        embedding.main(words)
    assert not output.exists()
    assert np.isfinite(plainbert.load(folder).encode(["a the", "a"])).all()


def test_labels(tmp_path: Path) -> None:
    folder, texts = broken(tmp_path, "classification"), tmp_path / "texts.tsv"
    texts.write_text("text\tlabel\na\tred\nthe b\tgreen\nc\tblue\nb b\tred\n")
    output = tmp_path / "labels.tsv"
    files = ["--file", str(texts), "--text_columns", "text", "--output", str(output)]
    with pytest.raises(NotFiniteError, match=r"2 row\(s\) .*: text 2 \('the b'\), text 4 \('b b"):
        predict_classifier.main(["--model_dir", str(folder), *files])
    assert not output.exists()
    run = tmp_path / "run"
    sets = ["--dev_file", str(texts), "--text_columns", "text", "--output_dir", str(run)]
    with pytest.raises(NotFiniteError, match=r"row 2, row 4\. "):
        finetune_classifier.main(["--model_dir", str(folder), *sets, "--only_inference"])
    assert not (run / "eval_results.json").exists()


def test_tags(tmp_path: Path) -> None:
    folder, words = broken(tmp_path, "token_classification"), tmp_path / "words.conll"
    words.write_text("a red\nc green\n\nthe red\nb blue\n\n")
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: sentence 2\. "):
        predict_ner.main(["--model_dir", str(folder), "--sentences", "a c", "the b"])
    sets = ["--dev_file", str(words), "--output_dir", str(tmp_path / "run"), "--only_inference"]
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: sentence 2\. "):
        finetune_ner.main(["--model_dir", str(folder), *sets])


def test_answers(tmp_path: Path) -> None:
    folder, squad = broken(tmp_path, "question_answering"), tmp_path / "squad.json"
    questions = [
        {"id": f"id-{text}", "question": "a", "answers": [{"text": "the", "answer_start": 0}]}
        for text in ("the a", "the b")
    ]
    paragraphs = [{"context": question["id"][3:], "qas": [question]} for question in questions]
    squad.write_text(json.dumps({"version": "1.1", "data": [{"paragraphs": paragraphs}]}))
    lengths = ["--max_seq_length", "16", "--max_query_length", "4", "--doc_stride", "4"]
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: question id-the b\. "):
        predict_squad.main(["--model_dir", str(folder), "--file", str(squad), *lengths])
    sets = ["--predict_file", str(squad), "--output_dir", str(tmp_path / "run"), "--only_inference"]
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: question id-the b\. "):
        finetune_squad.main(["--model_dir", str(folder), *sets, *lengths])


def test_an_export(tmp_path: Path) -> None:
    folder, texts = broken(tmp_path, "embedding"), tmp_path / "texts.txt"
    texts.write_text("a the\nthe b\na\n")
    words = ["--model_dir", str(folder), "--format", "torch", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: text 2 \('the b'\)\. "):
        export.main([*words, "--file", str(texts)])
    assert not (tmp_path / "out").exists()


def test_what_is_held_out_of_pre_training() -> None:
    model = folders.tiny("pretraining")
    with torch.no_grad():
        model.cls.seq_relationship.bias[0] = torch.nan  # type: ignore[union-attr, index]
    sets = {"eval": Instances(SameLength(8, 2, len(folders.TOKENS)), np.full(3, 8))}
    with pytest.raises(NotFiniteError, match=r"3 row\(s\) .*: row 1, row 2, row 3\. "):
        HeldOut(sets, PretrainingObjective())(model)  # type: ignore[arg-type]
