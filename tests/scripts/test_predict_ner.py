"""``scripts/bert/predict_ner.py`` run in this process: every input, every form of output."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import seqeval.metrics
import torch
from seqeval.metrics.sequence_labeling import get_entities

from plainbert import checkpoint
from plainbert.cli.run import run
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError
from plainbert.model import load
from plainbert.nn.layout import Padded
from plainbert.recipes import predict_ner
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.tags import convert
from tests.helpers import folders

HERE = Path(__file__).resolve().parents[2]
SCRIPT = HERE / "scripts" / "bert" / "predict_ner.py"
FIXTURES = HERE / "tests" / "fixtures"
LABELS = ("O", "B-PER", "E-PER", "S-PER", "S-LOC")
TEXTS = ["The cat, ab!", "", "a cat and the cat b", "cat"]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], dict[str, Any]]:
    return predict_ner.main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(21)  # tags of every kind
    model: Any = folders.tiny("token_classification", id2label=LABELS)
    path = tmp_path_factory.mktemp("m") / "model"
    about = {"task": "tagging", "tag_scheme": "bioes", "max_length": 20}
    return str(checkpoint.write(path, model, folders.tokenizer(), about=about))


def test_sentences_as_json_lines(
    main: Callable[..., Any], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = main(["--model_dir", folder, "--sentences", *TEXTS])

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == TEXTS
    right = load(folder).tag(TEXTS)
    assert found["predictions"] == right
    assert sum(len(line["entities"]) for line in lines) > 2
    for line, answer in zip(lines, right, strict=True):
        for got, entity in zip(line["entities"], answer.entities, strict=True):
            assert got["text"] == line["text"][got["start"] : got["end"]]
            assert (got["type"], got["score"]) == (entity.type, entity.score)
            assert 0 < got["score"] <= 1


def test_a_file_of_texts_and_standard_input(
    main: Callable[..., Any], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    output = tmp_path / "out.conll"
    one = main(["--model_dir", folder, "--file", str(tmp_path / "texts.txt"), "--output",
                str(output)])  # fmt: skip
    stream = io.TextIOWrapper(io.BytesIO(("\n".join(TEXTS) + "\n").encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    two = main(["--model_dir", folder, "--file", "-", "--output", str(tmp_path / "out.tsv")])

    assert one["predictions"] == two["predictions"] == load(folder).tag(TEXTS)
    read = conll.read(output)
    assert [each.words for each in read.sentences][0] == ("The", "cat", ",", "ab", "!")
    rows = (tmp_path / "out.tsv").read_text().splitlines()
    assert rows[0].split("\t")[0] == "The cat , ab !"
    assert len(rows) == 4
    with pytest.raises(SystemExit):
        main(["--model_dir", folder, "--sentences", "a", "--output", str(output)])


def test_tagged_columns_are_scored(
    main: Callable[..., Any], folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "gold.conll", tmp_path / "out.txt"
    source.write_text("the X I-PER\ncat X I-PER\nab X I-LOC\n\na X O\ncat X I-PER\nb X O\n")

    found = main(["--load-checkpoint-prefix", folder, "--test-path", str(source), "--output",
                  str(output)])  # fmt: skip

    blocks = output.read_text().strip().split("\n\n")
    rows = [[line.split(" ") for line in block.splitlines()] for block in blocks]
    assert [[row[0] for row in block] for block in rows] == [
        ["the", "cat", "ab"],
        ["a", "cat", "b"],
    ]  # noqa: E501
    gold, said = ([[row[column] for row in block] for block in rows] for column in (1, 2))
    assert gold == [["B-PER", "I-PER", "B-LOC"], ["O", "B-PER", "O"]]
    assert said == [convert(each.tags, "iob2") for each in found["predictions"]]
    assert found["scores"]["f1"] == seqeval.metrics.f1_score(gold, said)
    printed = capsys.readouterr()
    assert (
        printed.out
        == ", ".join(f"{name} {value:.4f}" for name, value in found["scores"].items()) + "\n"
    )
    assert [line.split()[0] for line in printed.err.split("label ")[1].splitlines()[1:4]] == [
        "LOC",
        "PER",
        "all",
    ]


def test_a_tagger_of_old_whose_labels_hold_control_tokens(
    main: Callable[..., Any], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    labels = ("O", "B-LOC", "I-LOC", "X", "[CLS]", "[SEP]")
    model: Any = folders.tiny("token_classification", id2label=labels)
    folder = checkpoint.write(tmp_path / "m", model, folders.tokenizer())
    (tmp_path / "in.conll").write_text("the B-LOC\ncat I-LOC\n\nab O\na B-LOC\n")

    found = main(["--model_dir", str(folder), "--test-path", str(tmp_path / "in.conll"),
                  "--output", str(tmp_path / "out.conll")])  # fmt: skip

    assert set(found["scores"]) == {"f1", "precision", "recall", "accuracy"}
    # The rule written out: of the first piece's logits the best real tag.
    opened = load(folder)
    for tagging in found["predictions"]:
        words = [word.text for word in tagging.words]
        pieces = [opened.tokenizer.tokenize(word) for word in words]
        vocab = opened.tokenizer.vocab
        inner = [vocab.tokens.index(piece) for row in pieces for piece in row]
        ids = torch.tensor([[vocab.cls_id, *inner, vocab.sep_id]])
        with torch.no_grad():
            logits = opened.model(ids, torch.zeros_like(ids), Padded(torch.ones_like(ids)))
        place, right = 1, []
        for row in pieces:
            right.append(labels[int(logits[0, place, :3].argmax())])
            place += len(row)
        assert [word.tag for word in tagging.words] == right
        got = [(each.type, each.text) for each in tagging.entities]
        assert got == [
            (kind, " ".join(words[start : end + 1])) for kind, start, end in get_entities(right)
        ]
    assert any(tagging.entities for tagging in found["predictions"])


def test_a_tagger_whose_ids_begin_with_1(main: Callable[..., Any], tmp_path: Path) -> None:
    """Id 0 was padding and has no name."""
    torch.manual_seed(5)
    labels = ("LABEL_0", "O", "B-LOC", "I-LOC", "X", "[CLS]")
    model: Any = folders.tiny("token_classification", id2label=labels)
    model.classifier.bias.data = torch.tensor([9.0, 0, 1, 1, 1, 9])
    folder = checkpoint.write(tmp_path / "m", model, folders.tokenizer())
    right = main(["--model_dir", str(folder), "--sentences", *TEXTS])["predictions"]
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"]["0"], config["label2id"]["LABEL_0"]
    for stated in ({"num_labels": 6}, {}):
        (folder / "config.json").write_text(json.dumps({**config, **stated}))
        assert main(["--model_dir", str(folder), "--sentences", *TEXTS])["predictions"] == right
    assert any(tagging.entities for tagging in right)
    assert {word.tag for tagging in right for word in tagging.words} <= {"O", "B-LOC", "I-LOC"}
    config["id2label"]["9"] = config["id2label"].pop("3")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="must name ids 0 to n-1"):
        load(folder)


def test_plain_labels(main: Callable[..., Any], tmp_path: Path) -> None:
    torch.manual_seed(2)
    model: Any = folders.tiny("token_classification")
    folder = str(checkpoint.write(tmp_path / "m", model, folders.tokenizer()))
    (tmp_path / "in.tsv").write_text("the cat\tred blue\nab a c\tgreen red red\n")

    found = main(["--model_dir", folder, "--test-path", str(tmp_path / "in.tsv"), "--output",
                  str(tmp_path / "out.jsonl")])  # fmt: skip

    assert set(found["scores"]) == {"macro_f1", "micro_f1", "accuracy"}
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [[word["text"] for word in line["words"]] for line in lines] == [
        ["the", "cat"],
        ["ab", "a", "c"],
    ]
    for line in lines:
        for word in line["words"]:
            assert line["text"][word["start"] : word["end"]] == word["text"]
            assert word["label"] in folders.LABELS


def test_a_run_folder_stands_for_its_best_model(
    main: Callable[..., Any], folder: str, tmp_path: Path
) -> None:
    (tmp_path / "best").symlink_to(folder)
    found = main(["--model_dir", str(tmp_path), "--sentences", *TEXTS])
    assert found["predictions"] == load(folder).tag(TEXTS)


def test_the_files_of_gluonnlp(main: Callable[..., Any], tmp_path: Path) -> None:
    """Weights and metadata that real GluonNLP wrote, by their prefix."""
    shutil.copy(FIXTURES / "gluonnlp" / "ner.params", tmp_path / "large_bert_003.params")
    (tmp_path / "large_bert_001.params").write_bytes(b"older")
    shutil.copy(FIXTURES / "gluonnlp" / "ner_metadata.pkl", tmp_path / "large_bert_metadata.pkl")
    shutil.copy(FIXTURES / "gluonnlp" / "vocab.json", tmp_path / "vocab.json")
    BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
    ).save(tmp_path / "bert_config.json")

    found = main(["--load-checkpoint-prefix", str(tmp_path / "large_bert"), "--sentences",
                  "a b c"])  # fmt: skip

    names = ("X", "O", "B-PER", "E-PER", "S-PER")
    right = load(tmp_path / "large_bert_003.params", labels=names, lower=True).tag("a b c")
    assert found["predictions"] == [right]
    other = main(["--load-checkpoint-prefix", str(tmp_path / "large_bert"), "--labels",
                  "O,B-A,I-A,B-B,I-B", "--sentences", "a b c"])  # fmt: skip
    assert {word.tag for word in other["predictions"][0].words} <= {"O", "B-A", "I-A", "B-B", "I-B"}


def test_two_processes_answer_as_one(
    main: Callable[[list[str]], dict[str, Any]], folder: str, tmp_path: Path
) -> None:
    source = FIXTURES / "ner" / "wikigold.conll"
    outputs = [tmp_path / f"out{count}.conll" for count in ("1", "2")]
    words = ["--model_dir", folder, "--test-path", str(source), "--output"]
    main([*words, str(outputs[0])])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words, str(outputs[1]), "--num_local_ranks", "2"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
             "PYTHONPATH": str(HERE)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("f1 ")
    assert done.stdout.count("\n") == 1
    assert outputs[0].read_text() == outputs[1].read_text()
    assert len(conll.read(outputs[0])) == len(conll.read(source))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sentences", "a"], "missing: --model_dir"),
        (["--model_dir", "m"], "no texts"),
        (["--model_dir", "m", "--file", "a", "--test-path", "b"], "exclude each other"),
        (["--model_dir", "m", "--sentences", "a", "--output", "x.json"], "ending in .jsonl"),
        (["--model_dir", "FOLDER", "--test-path", "gone.conll"], "gone.conll: does not exist"),
        (["--model_dir", "FOLDER", "--sentences", "a", "--seq-len", "99"], "32 positions"),
        (["--model_dir", "none/such", "--sentences", "a"], "none/such"),
    ],
)
def test_mistakes_are_named(
    main: Callable[..., Any],
    folder: str,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: main([folder if word == "FOLDER" else word for word in words]))
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_table_of_entities(main: Callable[..., Any], folder: str, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.csv"
    source.write_text("\n".join(TEXTS) + "\n")
    main(["--model_dir", folder, "--file", str(source), "--output", str(output)])
    with output.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["row", "text", "entity", "type", "start", "end", "score"]
    right = load(folder).tag(TEXTS)
    assert sum(len(tagging.entities) for tagging in right) > 1
    assert {int(row["row"]) for row in table} == set(range(len(TEXTS)))  # each text has a row
    for number, tagging in enumerate(right):
        rows = [row for row in table if row["row"] == str(number)]
        assert {row["text"] for row in rows} == {TEXTS[number]}
        found = [(row["entity"], row["type"], row["start"], row["end"]) for row in rows]
        assert found == [
            (entity.text, entity.type, str(entity.start), str(entity.end))
            for entity in tagging.entities
        ] or (found == [("", "", "", "")] and not tagging.entities)
        for row, entity in zip(rows, tagging.entities, strict=False):
            assert float(row["score"]) == pytest.approx(entity.score, abs=1e-5)


def test_a_terminal_shows_a_table(
    main: Callable[..., Any],
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(["--model_dir", folder, "--sentences", *TEXTS])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["row", "entity", "type", "where", "confidence"]
    right = [
        [str(row), *entity.text.split(), entity.type, f"{entity.start}-{entity.end}",
         f"{entity.score:.3f}"]
        for row, tagging in enumerate(load(folder).tag(TEXTS))
        for entity in tagging.entities
    ]  # fmt: skip
    assert [line.split() for line in lines] == right
