"""Texts that UTF-8 cannot hold go through every command, to every form of output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plainbert import checkpoint
from plainbert.recipes import (
    compare_checkpoints,
    embedding,
    export,
    finetune_classifier,
    finetune_squad,
    predict_classifier,
    predict_ner,
    predict_squad,
)
from tests.helpers import folders

HERE = Path(__file__).resolve().parents[2]
LONE = "the \ud83d cat\ud83d a"  # JSON of a text that was cut in the middle of an emoji
SHOWN = r"the \ud83d cat\ud83d a"
HEADS = ("embedding", "classification", "token_classification", "question_answering")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    about = {"max_length": 24, "doc_stride": 6, "max_query_length": 8, "version_2": True}
    return {
        head: str(
            checkpoint.write(place / head, folders.tiny(head), folders.tokenizer(), about=about)
        )
        for head in HEADS
    }


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """As JSON Lines hold it: escaped, so that the file itself is UTF-8."""
    path = tmp_path / "rows.jsonl"
    lines = [{"text": LONE, "label": "pos"}, {"text": "a b", "label": "neg\ud83d"}] * 4
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Standard output as a shell gives it: UTF-8, strict."""
    assert sys.stdout.errors == "strict"
    return lambda: capsys.readouterr().out


def squad(tmp_path: Path) -> str:
    qas = [
        {"id": "q\ud83d", "question": "the \ud83d", "answers": [{"text": "cat", "answer_start": 6}]}
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": LONE, "qas": qas}]}]}))
    return str(path)


def test_predict_classifier(
    models: dict[str, str], rows: str, tmp_path: Path, printed: Callable[[], str]
) -> None:
    words = ["--model_dir", models["classification"], "--file", rows]
    predict_classifier.main(words)
    assert f"\n{SHOWN}\t" in printed()
    predict_classifier.main([*words, "--output", str(tmp_path / "o.tsv")])
    assert f"\n{SHOWN}\t" in (tmp_path / "o.tsv").read_text("utf-8")
    predict_classifier.main([*words, "--output", str(tmp_path / "o.jsonl")])
    lines = (tmp_path / "o.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0])["text"] == LONE


def test_embedding(
    models: dict[str, str], rows: str, tmp_path: Path, printed: Callable[[], str]
) -> None:
    words = ["--model_dir", models["embedding"], "--file", rows]
    embedding.main(words)
    assert f"Text: {SHOWN}\n" in printed()
    embedding.main([*words, "--pooling_strategy", "mean"])
    last = printed().splitlines()[-8]
    assert json.loads(last)["text"] == LONE
    for name in ("v.npz", "v.jsonl"):
        embedding.main([*words, "--output", str(tmp_path / name)])
    assert np.load(tmp_path / "v.npz")["text"].tolist()[0] == LONE
    assert json.loads((tmp_path / "v.jsonl").read_text("utf-8").splitlines()[0])["text"] == LONE


def test_predict_ner(
    models: dict[str, str], rows: str, tmp_path: Path, printed: Callable[[], str]
) -> None:
    words = ["--model_dir", models["token_classification"], "--file", rows]
    predict_ner.main(words)
    assert json.loads(printed().splitlines()[0])["text"] == LONE
    for name in ("o.tsv", "o.conll", "o.jsonl"):
        predict_ner.main([*words, "--output", str(tmp_path / name)])
    # In a column stand words, to which half a character does not belong.
    assert (tmp_path / "o.tsv").read_text("utf-8").startswith("the cat a\t")
    lines = (tmp_path / "o.conll").read_text("utf-8").splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["the", "cat", "a"]
    assert json.loads((tmp_path / "o.jsonl").read_text("utf-8").splitlines()[0])["text"] == LONE


def test_predict_squad(models: dict[str, str], tmp_path: Path, printed: Callable[[], str]) -> None:
    words = ["--model_dir", models["question_answering"], "--file", squad(tmp_path)]
    predict_squad.main(words)
    assert r"the \ud83d" in printed()
    for name in ("o.json", "o.jsonl"):
        predict_squad.main([*words, "--output", str(tmp_path / name)])
    assert list(json.loads((tmp_path / "o.json").read_text("utf-8"))) == ["q\ud83d"]
    assert json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["question"] == "the \ud83d"
    predict_squad.main([*words, "--output_dir", str(tmp_path / "out")])
    for name in ("predictions", "nbest_predictions", "null_odds", "na_probs", "raw_predictions"):
        assert list(json.loads((tmp_path / f"out/{name}.json").read_text("utf-8"))) == ["q\ud83d"]


def test_fine_tuning(
    models: dict[str, str], rows: str, tmp_path: Path, printed: Callable[[], str]
) -> None:
    out = ["--model_dir", models["embedding"], "--epochs", "1", "--dtype", "float32"]
    finetune_classifier.main(
        ["--train_file", rows, "--dev_file", rows, "--test_file", rows, "--max_len", "16", *out,
         "--output_dir", str(tmp_path / "run")]
    )  # fmt: skip
    lines = (tmp_path / "run/table.tsv").read_text("utf-8").splitlines()
    assert {line.split("\t")[1] for line in lines[1:]} <= {"pos", r"neg\ud83d"}
    assert "next:" in printed()
    finetune_squad.main(
        ["--train_file", squad(tmp_path), "--predict_file", squad(tmp_path), "--max_len", "24",
         "--doc_stride", "6", "--max_query_length", "8", *out, "--output_dir", str(tmp_path / "qa")]
    )  # fmt: skip
    assert list(json.loads((tmp_path / "qa/predictions.json").read_text())) == ["q\ud83d"]


def test_compare(models: dict[str, str], printed: Callable[[], str]) -> None:
    folder = models["classification"]
    compare_checkpoints.main([folder, folder, "--sentences", LONE])
    assert printed()


@pytest.mark.parametrize(
    ("main", "head"),
    [
        (predict_classifier.main, "classification"),
        (embedding.main, "embedding"),
        (predict_ner.main, "token_classification"),
    ],
    ids=["predict_classifier", "embedding", "predict_ner"],
)
def test_words_of_the_command_line_that_are_no_utf8(
    models: dict[str, str],
    main: Callable[[list[str]], object],
    head: str,
    printed: Callable[[], str],
) -> None:
    """As Python hands them on."""
    word = b"caf\xe9 the cat".decode("utf-8", "surrogateescape")
    main(["--model_dir", models[head], "--sentences", word])
    assert r"caf\udce9 the cat" in printed()


def test_bytes_of_the_command_line_that_are_no_utf8(models: dict[str, str]) -> None:
    path, model = HERE / "scripts/bert/predict_ner.py", models["token_classification"]
    words = [sys.executable, path, "--model_dir", model, "--sentences", b"caf\xe9 the cat"]
    done = subprocess.run(
        words,
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(HERE)},
    )
    assert done.returncode == 0, done.stderr
    assert rb"caf\udce9 the cat" in done.stdout


def test_a_label_of_half_characters_comes_back(models: dict[str, str], tmp_path: Path) -> None:
    model: Any = folders.tiny("classification", id2label=("a\ud83d", "b", "c"))
    folder = checkpoint.write(tmp_path / "m", model, folders.tokenizer())
    assert json.loads((folder / "config.json").read_text("utf-8"))["id2label"]["0"] == "a\ud83d"


def test_an_export_and_its_example(models: dict[str, str], tmp_path: Path) -> None:
    """predict.py of an export runs without the library, on such words too."""
    words = ["--model_dir", models["classification"], "--format", "torch", "--max_len", "12"]
    export.main([*words, "--output_dir", str(tmp_path / "e"), "--sentences", LONE])
    done = subprocess.run(
        [sys.executable, tmp_path / "e" / "predict.py", b"caf\xe9 the cat"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"red" in done.stdout
