"""All that is wrong with a command line is said at once, before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plainbert.cli import mistakes
from plainbert.cli.run import run
from plainbert.recipes import (
    create_pretraining_data,
    embedding,
    finetune_classifier,
    finetune_ner,
    finetune_squad,
    predict_classifier,
    predict_ner,
    run_pretraining,
)
from plainbert.recipes.shared import before

Main = Callable[[list[str]], Any]
Refused = Callable[..., str]
MINILM = ["--model_dir", "all-MiniLM-L6-v2"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files such as beginners have, and we in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.tsv").write_text("text\tlabel\na\tx\nb\ty\n")
    (tmp_path / "semi.csv").write_text("text;label\na;x\nb;y\n")
    (tmp_path / "nolabel.csv").write_text("text\na\nb\n")
    (tmp_path / "nolabel.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "rows.json").write_text('[{"text": "a", "label": "x"}]')
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04 a spreadsheet")
    (tmp_path / "roberta").mkdir()
    (tmp_path / "roberta" / "config.json").write_text('{"model_type": "roberta"}')
    (tmp_path / "old" / "step-0000001").mkdir(parents=True)
    (tmp_path / "old" / "args.json").write_text("{}")
    return tmp_path


@pytest.fixture
def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    def message(main: Main, *words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            run(lambda: main(list(words)))
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (2, "")
        assert err.startswith("error: ")
        assert "Traceback" not in err
        return err

    return message


def test_five_mistakes_are_named_in_a_process_without_torch(folder: Path) -> None:
    code = (
        "import sys\nfrom plainbert.recipes import finetune_classifier\n"
        "try: finetune_classifier.main(sys.argv[1:])\n"
        "finally: print(sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    words = ["--train_file", "good.tsv", "--dev_file", "missing.tsv", "--text_columns", "txet",
             "--bath_size", "3", "--epochs", "0", "--model_dir", "./roberta"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "[]\n")
    first, *lines = done.stderr.splitlines()
    assert first == "error: 5 things stand in the way; nothing was done."
    for words_of_one, line in zip(
        (
            ("--epochs", "'0'", "at least 1"),
            ("--bath_size", "Did you mean --batch_size?"),
            ("missing.tsv", "--dev_file"),
            ("roberta", "BERT is expected"),
            ("good.tsv:1", "'txet'", "Did you mean 'text'?"),
        ),
        lines,
        strict=False,
    ):
        for word in words_of_one:
            assert word in line
    assert lines[5:] == ["  plainbert finetune_classifier --help explains the flags."]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["good.tsv", "semi.csv", "nolabel.csv", "nolabel.jsonl", "rows.json", "book.csv",
         "roberta", "old"]
    )  # fmt: skip


# What a beginner types, and what the one message says.
BEGINNERS: list[tuple[Main, str, tuple[str, ...]]] = [
    (finetune_classifier.main, "--train_file good.tsv --text_columns txet",
     ("good.tsv:1", "'txet'", "Did you mean 'text'?", "Known: label, text")),
    (finetune_classifier.main, "--train_file god.tsv", ("god.tsv", "Did you mean good.tsv?")),
    (finetune_classifier.main, "--train_file nolabel.csv", ("'label'", "--label_column names")),
    (finetune_classifier.main, "--train_file nolabel.jsonl", ("'label'", "Known: text")),
    (finetune_classifier.main, "--train_file semi.csv --text_columns a", ("Known: label, text",)),
    (finetune_classifier.main, "--train_file book.csv", ("as .xlsx", ".csv")),
    (finetune_classifier.main, "--train_file rows.json", ("one value, not rows", ".jsonl")),
    (finetune_classifier.main, "--train_file .", ("is a folder", "--train_file")),
    (finetune_classifier.main, "--train_file good.tsv --learnig_rate 3", ("--learning_rate?",)),
    (finetune_classifier.main, "--train_fil good.tsv", ("Did you mean --train_file?",)),
    (finetune_classifier.main, "--train_file good.tsv --output_dir old", ("holds a run", "--res")),
    (finetune_classifier.main, "--train_file good.tsv --output_dir no --resume", ("no run",)),
    (finetune_classifier.main, "--task_name MRCP", ("'MRCP'", "Did you mean 'MRPC'?")),
    (finetune_ner.main, "--train-path book.csv", ("as .xlsx",)),
    (finetune_squad.main, "--train_file book.csv", ("as .xlsx",)),
    (predict_ner.main, "--file semi.csv --text_columns b", ("semi.csv:1", "'b'")),
    (predict_classifier.main, "--file none.csv", ("none.csv", "does not exist")),
    (embedding.main, "--file good.tsv --text_columns 7", ("good.tsv", "no column 7")),
    (run_pretraining.main, "--data x/*.npz", ("x/*.npz", "matches no file")),
    (create_pretraining_data.main, "--input_file no.txt --output_dir o", ("no.txt",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("main", "words", "parts"), BEGINNERS, ids=[words for _, words, _ in BEGINNERS]
)
def test_a_beginners_mistake_gives_one_message(
    refused: Refused, main: Main, words: str, parts: tuple[str, ...]
) -> None:
    message = refused(main, *words.split(), *MINILM)
    for part in parts:
        assert part in message
    assert "stand in the way" not in message


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("roberta-base", ("is RoBERTa's", "Take a BERT")),
        ("distilbert-base-uncased", ("is DistilBERT's",)),
        ("roberta", ("'roberta' model", "BERT is expected")),
        ("./nowhere", ("nowhere",)),
        ("all-MiniLM-L6-v3", ("Did you mean 'all-MiniLM-L6-v2'?",)),
    ],
)
def test_a_model_that_is_none(refused: Refused, name: str, parts: tuple[str, ...]) -> None:
    message = refused(embedding.main, "--model_dir", name, "--sentences", "a")
    for part in parts:
        assert part in message


def test_a_package_of_an_option(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencex", None)  # as where it is not installed
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    words = ("--input_file", "good.tsv", "--output_dir", "o", "--split_sentences")
    message = refused(create_pretraining_data.main, *words, "--sentencepiece", "no.model")
    assert "3 things" in message
    assert "[split]" in message
    assert "[sentencepiece]" in message
    assert "no.model: does not exist" in message


def test_no_gpu(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    from plainbert.infer import gpus

    if not metadata.version("torch").endswith("+cpu"):
        monkeypatch.setattr(gpus, "DEVICES", ())  # a machine without one
    words = ("--sentences", "a", "--gpu", "1", *MINILM)
    message = refused(embedding.main, *words)
    assert "GPU 1 was asked for, but this machine has none" in message
    assert "--gpus ''" in message


def test_missing_flags_are_explained(refused: Refused) -> None:
    message = refused(predict_classifier.main)
    assert "missing: --model_dir DIR (Model: a published name" in message
    assert "no texts: give --sentences" in message


def test_values_and_flags_that_exclude_each_other(refused: Refused) -> None:
    words = ("--train_file", "good.tsv", "--resume", "--overwrite", "--gpu", "0", "--gpus", "0",
             "--lr", "fast", "--export", "onx", "--max_len")  # fmt: skip
    message = refused(finetune_classifier.main, *words, *MINILM)
    for part in (
        "--lr: 'fast' is not a number",
        "Did you mean 'onnx'?",
        "--max_len: expected one argument",
        "--gpu and --gpus exclude each other",
        "--resume and --overwrite exclude each other",
    ):
        assert message.count(part) == 1


def test_ranks_of_a_launcher_leave_the_look_to_the_first_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*MINILM, "--train_file", "good.tsv", "--output_dir", "old"]
    settings = finetune_classifier.parse_args(words)
    assert [type(error).__name__ for error in before.problems(settings)] == ["UsageError"]
    launcher = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost",
                "MASTER_PORT": "29500"}  # fmt: skip
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    assert before.problems(settings) == []


def test_what_is_right_is_let_through(folder: Path) -> None:
    (folder / "q.json").write_text(json.dumps({"version": "1.1", "data": []}))
    for module, words in (
        (finetune_classifier, "--train_file good.tsv --dev_file semi.csv --test_file nolabel.csv"),
        (finetune_classifier, "--train_file good.tsv --output_dir old --resume"),
        (finetune_classifier, "--dev_file good.tsv --output_dir old --only_inference"),
        (finetune_squad, "--train_file q.json"),
        (predict_classifier, "--file good.tsv"),
        (predict_ner, "--file -"),
        (embedding, "--file nolabel.jsonl"),
        (run_pretraining, "--data *.tsv --raw"),
    ):
        settings = module.parse_args([*words.split(), *MINILM])  # type: ignore[attr-defined]
        assert before.problems(settings) == []


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--bath_size", "3", "-1"], ["no flag is named --bath_size. Did you mean --batch_size?"]),
        (["x", "--y=1"], ["'x' belongs to no flag; a value with blanks needs quotes.",
                          "no flag is named --y."]),
    ],
)  # fmt: skip
def test_words_of_no_flag(words: list[str], messages: list[str]) -> None:
    assert mistakes.about_unknown(words, ["--batch_size", "--lr"])[0] == messages


def test_one_message_of_several() -> None:
    assert mistakes.render(["a"]) == mistakes.render(["a", "a"]) == "a"
    assert mistakes.render(["a\nof a", "b"]).splitlines()[1:] == ["  - a", "    of a", "  - b"]
