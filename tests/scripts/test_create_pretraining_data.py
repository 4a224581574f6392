"""``scripts/bert/create_pretraining_data.py`` run in this process, and once as a program."""

from __future__ import annotations

import gzip
import json
import logging
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plainbert.errors import DataError, UsageError
from plainbert.recipes import create_pretraining_data
from plainbert.tasks.pretraining.shards import Shards
from plainbert.text.reader import read_tokenizer
from tests.helpers import texts

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "bert" / "create_pretraining_data.py"
SAMPLE = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
MODEL = ROOT / "tests" / "fixtures" / "text" / "unigram1000.model"
Main = Callable[[list[str]], dict[str, Any]]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], dict[str, Any]]:
    return create_pretraining_data.main


@pytest.fixture
def vocab(tmp_path: Path) -> str:
    path = tmp_path / "vocab.txt"
    texts.tokenizer().vocab.save_txt(path)
    return str(path)


def argv(source: str | Path, folder: str | Path, *more: str) -> list[str]:
    return ["--input_file", str(source), "--output_dir", str(folder), "--num_workers", "0", *more]


def test_the_sample_with_a_vocabulary_of_its_own(
    main: Main, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "plainbert")
    folder = tmp_path / "out"
    found = main(
        argv(
            SAMPLE,
            folder,
            "--train_vocab",
            "1500",
            "--max_seq_length",
            "128",
            "--max_predictions_per_seq",
            "20",
            "--dupe_factor",
            "2",
            "--whole_word_mask",
            "--verbose",
        )
    )
    said, last = caplog.text, caplog.messages[-1]
    assert (found["files"], found["documents"], found["sentences"]) == (1, 75, 14614)
    assert found["shards"] == 64
    assert 0.145 < found["masked"] / found["tokens"] < 0.155
    assert 0.5 < found["random_next"] / found["instances"] < 0.6
    assert json.loads((folder / "summary.json").read_text("utf-8"))["tokens"] == found["tokens"]
    tokenizer = read_tokenizer(folder)
    assert len(tokenizer.vocab) == 1500
    shards = Shards.open([f"{folder}/part-*.npz"], tokenizer.vocab)
    assert len(shards) == found["instances"]
    rows = shards.rows(np.arange(0, len(shards), 97))
    ids = rows.ids.copy()
    ids[rows.masked_rows] = rows.masked_ids
    assert (ids == tokenizer.vocab.unk_id).mean() < 0.01
    assert int(rows.lengths.max()) == 128
    for words in ("Wrote ", "padding avoided", "Time cost=", "the first row: [CLS]"):
        assert words in said
    assert last.startswith("next: plainbert run_pretraining --data ")
    assert last.endswith(f"--vocab {folder}")


def test_every_way_to_a_vocabulary(main: Main, tmp_path: Path, vocab: str) -> None:
    source = texts.write(tmp_path)

    def made(*more: str) -> tuple[dict[str, Any], Any]:
        found = main(argv(source, tmp_path / "out", "--overwrite", *more))
        return found, read_tokenizer(tmp_path / "out")

    plain, tokenizer = made("--vocab_file", vocab, "--do_lower_case")
    assert tokenizer.vocab.tokens == tuple(texts.TOKENS)
    assert tokenizer.lower
    for more in (["--vocab", vocab, "--do_lower_case", "false"], ["--vocab", vocab, "--cased"]):
        assert not made(*more)[1].lower
    texts.tokenizer().save(tmp_path)
    for more in (["--vocab", vocab], ["--vocab", str(tmp_path)], ["--model_dir", str(tmp_path)]):
        found, tokenizer = made(*more)
        assert found | {"seconds": 0} == plain | {"seconds": 0}
        assert tokenizer.lower
    best, tokenizer = made("--sentencepiece", str(MODEL), "--cased")
    assert not tokenizer.lower
    assert (tmp_path / "out" / "spm.model").exists()
    drawn = made("--sentencepiece", str(MODEL), "--cased", "--sp_nbest", "-1", "--sp_alpha", "0.1")
    assert drawn[0]["text_tokens"] > best["text_tokens"]
    same = made("--vocab", str(tmp_path / "out"), "--sp_nbest", "-1", "--sp_alpha", "0.1")
    assert same[0]["text_tokens"] == drawn[0]["text_tokens"]
    source = SAMPLE
    trained = made("--train_vocab", "150", "--vocab_kind", "sentencepiece")
    assert len(trained[1].vocab) == 150
    assert (tmp_path / "out" / "spm.model").exists()
    assert not (tmp_path / "out" / "vocab.txt").exists()


def test_published_vocabularies(
    main: Main, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = texts.write(tmp_path)
    main(argv(source, tmp_path / "1", "--model_dir", "all-MiniLM-L6-v2"))
    assert len(read_tokenizer(tmp_path / "1").vocab) == 30522
    main(
        argv(
            source,
            tmp_path / "2",
            "--dataset_name",
            "book_corpus_wiki_en_uncased",
            "--sentencepiece",
            str(MODEL),
        )
    )
    assert "--sentencepiece is used; --dataset_name is not" in caplog.text


def test_packed_globs_and_prose(main: Main, tmp_path: Path, vocab: str) -> None:
    prose = "The cab came. The\nfog rose. It rained.\n\n" * 20
    (tmp_path / "a.prose.gz").write_bytes(gzip.compress(prose.encode()))
    (tmp_path / "b.prose.xz").write_bytes(lzma.compress(prose.encode()))
    (tmp_path / "c.prose").write_text("", "utf-8")
    found = main(
        argv(
            f"{tmp_path}/a*,{tmp_path}/?.prose*,",
            tmp_path / "out",
            "--split_sentences",
            "--vocab",
            vocab,
            "--do_lower_case",
        )
    )
    assert (found["files"], found["documents"], found["sentences"]) == (3, 40, 120)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "no vocabulary: give --dataset_name, --vocab"),
        (["--vocab", "v", "--train_vocab", "9"], "--vocab and --train_vocab exclude"),
        (["--dataset_name", "d", "--model_dir", "m"], "exclude each other"),
        (["--vocab", "v", "--vocab_kind", "wordpiece"], "--vocab_kind needs --train_vocab"),
        (["--vocab", "v", "--masked_lm_prob", "1.5"], "'1.5' is not a probability"),
        (["--train_vocab", "9", "--vocab_kind", "bpe"], "no kind is named 'bpe'"),
    ],
)
def test_wrong_flags(
    main: Main, tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv("x", tmp_path / "out", *more))
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mistakes(main: Main, tmp_path: Path, vocab: str) -> None:
    source, folder = texts.write(tmp_path), tmp_path / "out"
    lower = ["--vocab", vocab, "--do_lower_case"]
    with pytest.raises(DataError, match="matches no file"):
        main(argv(tmp_path / "*.absent", folder, *lower))
    with pytest.raises(UsageError, match="--max_seq_length 4: at least 5"):
        main(argv(source, folder, *lower, "--max_seq_length", "4"))
    assert not folder.exists()
    cased = tmp_path / "toy-cased.txt"  # which its letters are not
    cased.write_bytes(Path(vocab).read_bytes())
    with pytest.raises(UsageError, match=r"'toy-cased\.txt' says cased; .* --do_lower_case true"):
        main(argv(source, folder, "--vocab", str(cased)))
    with pytest.raises(DataError, match=r"no\.model: does not exist; --sentencepiece needs"):
        main(argv(source, folder, "--overwrite", "--sentencepiece", str(tmp_path / "no.model")))
    (tmp_path / "bad.txt").write_bytes(b"a\n\xff\n")
    with pytest.raises(DataError, match=r"bad\.txt:2: is not UTF-8"):
        main(argv(tmp_path / "bad.txt", folder, "--overwrite", *lower))
    assert not list(folder.glob("part-*"))
    main(argv(source, folder, "--overwrite", *lower))
    with pytest.raises(UsageError, match="holds shards already"):
        main(argv(source, folder, *lower))


def test_as_a_program_with_processes(tmp_path: Path, vocab: str) -> None:
    def run(folder: str, workers: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                str(SCRIPT),
                "--input_file",
                str(texts.write(tmp_path)),
                "--output_dir",
                str(tmp_path / folder),
                "--vocab",
                vocab,
                "--do_lower_case",
                "--num_workers",
                workers,
                "--max_seq_length",
                "32",
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    for folder, workers in (("one", "1"), ("two", "2")):
        done = run(folder, workers)
        assert done.returncode == 0, done.stderr
        assert "Wrote " in done.stderr
        assert done.stdout == ""
    shards = [
        {path.name: path.read_bytes() for path in (tmp_path / folder).glob("part-*")}
        for folder in ("one", "two")
    ]
    assert len(shards[0]) == 40
    assert shards[0] == shards[1]
    again = run("two", "2")
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert again.stderr.count("\n") <= 3
