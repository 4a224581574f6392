"""``scripts/bert/embedding.py`` run in this process."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import plainbert
from plainbert import checkpoint
from plainbert.recipes import embedding
from plainbert.recipes.shared import blocks
from plainbert.tasks.embedding.words import BertEmbedding
from tests.helpers import folders

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "bert" / "embedding.py"
TEXTS = ["the cat", "a cab ||| the cat", "cat b a"]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], dict[str, Any]]:
    return embedding.main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("m") / "model"
    return str(checkpoint.write(path, folders.tiny("embedding"), folders.tokenizer()))


def test_words_as_gluonnlp_prints_them(
    main: Callable[..., Any], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = main(["--params_path", folder, "--sentences", "the cab", "cat", "--oov_way", "sum"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("Text: ")] == ["Text: the cab", "Text: cat"]
    [(words, vectors), _] = result["words"]
    assert words == ["the", "cab"]
    assert [vector.shape for vector in vectors] == [(16,), (16,)]


def test_printed_vectors_are_short_as_documented(
    main: Callable[..., Any], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = main(["--params_path", folder, "--sentences", "the cab cat a b c the aba"])
    printed = capsys.readouterr().out
    [(words, vectors)] = result["words"]
    assert len(words) == len(vectors) == 8
    assert printed.count("...") == len(words)  # three numbers at either end
    text, header, *lines = printed.splitlines()
    assert text == "Text: the cab cat a b c the aba"
    assert header.split() == ["word", "dims", "norm", "vector"]
    assert len(lines) == len(words)
    for line, word, vector in zip(lines, words, vectors, strict=True):
        name, dims, norm, *ends = line.replace("[", " ").replace("]", " ").split()
        assert (name, dims, norm) == (word, "16", f"{np.linalg.norm(vector):.4f}")
        assert ends == [f"{x:.4f}" for x in vector[:3]] + ["..."] + [
            f"{x:.4f}" for x in vector[-3:]
        ]
    assert max(map(len, printed.splitlines())) < 100


def test_a_text_that_is_cut_for_the_words_is_said(
    main: Callable[..., Any], folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    long = "cat " * 30
    result = main(["--params_path", folder, "--sentences", long, "the cat"])
    assert [len(words) for words, _ in result["words"]] == [23, 2]  # beside [CLS] and [SEP]
    assert "1 of 2 rows were longer than 25 tokens and were cut" in caplog.text
    assert "--words --output words.npz" in caplog.text
    result = main(["--params_path", folder, "--sentences", long, "--max_seq_length", "32"])
    assert [len(words) for words, _ in result["words"]] == [30]


@pytest.mark.parametrize("blocks_of", [1, 100])
@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".csv"])
def test_words_in_a_file(
    main: Callable[..., Any],
    folder: str,
    tmp_path: Path,
    suffix: str,
    blocks_of: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "ROWS", blocks_of)
    source, output = tmp_path / "texts.tsv", tmp_path / f"x{suffix}"
    texts = ["the cab", "", "a cab cat"]  # one of no words
    source.write_text("\n".join(["text", *(text or '""' for text in texts)]) + "\n")
    words = ["--params_path", folder, "--file", str(source), "--oov_way", "sum"]
    main([*words, "--words", "--output", str(output)])
    right = BertEmbedding(params_path=folder)(texts, "sum")
    if suffix == ".npz":
        with np.load(output) as read:
            assert set(read.files) == {"text", "word", "vector", "offsets"}
            bounds = read["offsets"].tolist()
            pairs = list(zip(bounds[:-1], bounds[1:], strict=True))
            rows = [(read["word"][a:b].tolist(), read["vector"][a:b]) for a, b in pairs]
            assert len(read["vector"]) == bounds[-1]
            assert read["text"].tolist() == texts
    elif suffix == ".csv":
        table = pd.read_csv(output, keep_default_na=False)
        assert [*table.columns[:3]] == ["text", "word", "v0"]
        parts = [table[table["text"] == text] for text in texts]
        rows = [(part["word"].tolist(), part.filter(regex="^v").to_numpy()) for part in parts]
    else:
        lines = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
        assert [line["text"] for line in lines] == texts
        rows = [(line["words"], line["vectors"]) for line in lines]
    assert [names for names, _ in rows] == [names for names, _ in right]
    for (_, vectors), (names, wanted) in zip(rows, right, strict=True):
        shape = (len(names), 16)
        np.testing.assert_allclose(
            np.reshape(vectors, shape), np.reshape(wanted, shape), rtol=0, atol=1e-5
        )


def test_flags_of_words_and_of_sentences(
    main: Callable[..., Any], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--params_path", folder, "--sentences", "a", "--words", "--normalize", "true"])
    assert "--words and --normalize exclude each other" in capsys.readouterr().err
    words = ["--params_path", folder, "--sentences", "a", "--oov_way", "sum"]
    settings = embedding.parse_args([*words, "--output", "x.npz"])
    assert "--oov_way is for vectors of words: add --words." in settings.notes


@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
def test_sentence_vectors_in_row_order(
    main: Callable[..., Any], folder: str, tmp_path: Path, suffix: str
) -> None:
    source, output = tmp_path / "texts.txt", tmp_path / f"x{suffix}"
    source.write_text("\n".join(TEXTS) + "\n", "utf-8")
    main(
        [
            "--model_dir",
            folder,
            "--file",
            str(source),
            "--output",
            str(output),
            "--pooling_strategy",
            "reduce_mean_max",
            "--pooling_layer",
            "-2",
            "-1",
            "--mask_cls_sep",
        ]
    )
    if suffix == ".npz":
        read = np.load(output)
        texts, vectors = read["text"].tolist(), read["vector"]
    else:
        rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
        texts = [row["text"] for row in rows]
        vectors = np.array([row["vector"] for row in rows])
    assert texts == TEXTS
    right = plainbert.load(folder).encode(
        ["the cat", ("a cab", "the cat"), "cat b a"],
        pooling_strategy="REDUCE_MEAN_MAX", pooling_layer=(-2, -1), mask_cls_sep=True,
    )  # fmt: skip
    assert vectors.shape == (3, 64)
    np.testing.assert_allclose(vectors, right, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def sentence_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its vectors have length 1."""
    path, about = tmp_path_factory.mktemp("s") / "model", {"pooling": "mean", "normalize": True}
    model = folders.tiny("embedding")
    return str(checkpoint.write(path, model, folders.tokenizer(), about=about))


@pytest.mark.parametrize("blocks_of", [1, 100])
@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_vectors_for_other_programs(
    main: Callable[..., Any],
    folder: str,
    tmp_path: Path,
    suffix: str,
    blocks_of: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "ROWS", blocks_of)
    texts = ['the "cat", a', "b", "a\tcab"]
    source, output = tmp_path / "t.jsonl", tmp_path / f"x{suffix}"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    main(["--model_dir", folder, "--file", str(source), "--output", str(output)])
    if suffix == ".npy":
        vectors = np.load(output, allow_pickle=False)
    else:
        table = pd.read_csv(output)
        assert table["text"].tolist() == texts
        assert [*table.columns[1:]] == [f"v{number}" for number in range(16)]
        vectors = table.iloc[:, 1:].to_numpy(np.float32)
    right = plainbert.load(folder).encode(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, right, rtol=0, atol=1e-5)
    if blocks_of == 100:  # nothing is lost on the way
        assert np.array_equal(vectors, right)


@pytest.mark.parametrize(
    ("words", "keywords", "unit"),
    [
        ([], {}, True),
        (["--pooling_strategy", "mean"], {}, True),
        (["--pooling_strategy", "REDUCE_MEAN", "--normalize", "auto"], {}, True),
        (["--pooling_strategy", "cls"], {"pooling_strategy": "cls"}, True),
        (["--normalize", "false"], {"normalize": False}, False),
        (["--normalize=false", "--pooling-strategy", "REDUCE_MEAN"], {"normalize": False}, False),
        (["--normalize", "--pooling_layer", "-2"], {"pooling_layer": -2}, True),
    ],
)
def test_vectors_are_those_of_encode(
    main: Callable[..., Any],
    sentence_folder: str,
    tmp_path: Path,
    words: list[str],
    keywords: dict[str, Any],
    unit: bool,
) -> None:
    output = tmp_path / "x.npz"
    main(["--model_dir", sentence_folder, "--sentences", *TEXTS, "--output", str(output), *words])
    vectors = np.load(output)["vector"]
    rows = ["the cat", ("a cab", "the cat"), "cat b a"]
    assert np.array_equal(vectors, plainbert.load(sentence_folder).encode(rows, **keywords))
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.allclose(lengths, 1, atol=1e-6) == unit


def test_readmes_two_ways_to_a_vector_agree(main: Callable[..., Any], tmp_path: Path) -> None:
    """The command with a pooling by name, and the Python lines, on the same texts."""
    readme = (SCRIPT.parents[2] / "README.rst").read_text("utf-8")
    joined = re.sub(r"\\\n\s*", " ", readme)
    [command] = re.findall(
        r"embedding(?:\.py)? (.*all-MiniLM-L6-v2.* --pooling_strategy.*)", joined
    )
    blocks = re.findall(r"code-block:: python\n\n((?: {4}.*\n|\n)+)", readme)
    [python] = [block for block in blocks if "vectors = model.encode(" in block]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(python), names)
    texts = next(
        ast.literal_eval(node.args[0])
        for node in ast.walk(ast.parse(textwrap.dedent(python)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "model.encode"
    )
    rows, output = tmp_path / "rows.tsv", tmp_path / "v.npz"
    rows.write_text("\n".join(["text", *texts]) + "\n", "utf-8")
    words = shlex.split(command)
    words[words.index("--file") + 1] = str(rows)
    words[words.index("--output") + 1] = str(output)
    main(words)
    np.testing.assert_allclose(np.load(output)["vector"], names["vectors"], rtol=0, atol=1e-6)


def test_standard_input_and_every_token(
    main: Callable[..., Any], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the cat\na\n")))
    output = tmp_path / "x.npz"
    main(
        [
            "--model_dir",
            folder,
            "--file",
            "-",
            "--output",
            str(output),
            "--pooling_strategy",
            "NONE",
        ]
    )
    with np.load(output) as read:
        assert read["offsets"].tolist() == [0, 4, 7]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no texts"),
        (["--sentences", "a", "--output", "x.xls"], "ending in .npz or .npy or .jsonl or .csv"),
        (["--sentences", "a", "--output", "x.csv", "--pooling_strategy", "NONE"], "one vector for"),
        (["--sentences", "a", "--output", "x.npy", "--words"], "no place for words; take .csv"),
        (["--sentences", "a", "--pooling_strategy", "MEEN"], "no pooling is named 'MEEN'"),
        (["--sentences", "a", "--oov_way", "mean"], "no way is named 'mean'"),
        (["--sentences", "a", "--file", "x"], "exclude each other"),
        (["--sentences", "a", "--normalize", "perhaps"], "none of true, false and auto"),
    ],
)
def test_wrong_flags(
    main: Callable[..., Any], flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(flags)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_an_existing_output_is_kept(
    main: Callable[..., Any], folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "x.jsonl"
    output.write_text("mine")
    command = ["--model_dir", folder, "--sentences", "a", "--output", str(output)]
    with pytest.raises(SystemExit):
        main(command)
    assert "Add --overwrite" in capsys.readouterr().err
    assert output.read_text() == "mine"
    main([*command, "--overwrite"])
    assert json.loads(output.read_text())["text"] == "a"


def test_words_of_a_pair(
    main: Callable[..., Any], folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of both texts, in the vectors that the model gives them as a pair."""
    result = main(["--params_path", folder, "--sentences", "the cab ||| cat", "the cab"])
    [(words, vectors), (alone, _)] = result["words"]
    assert (words, alone) == (["the", "cab", "cat"], ["the", "cab"])
    model = plainbert.load(folder)
    tokens = model.encode_tokens([("the cab", "cat")])[0]  # [CLS] the c ##ab [SEP] cat [SEP]
    pieces = model.tokenize("the cab")
    np.testing.assert_array_equal(vectors[0], tokens[1])
    np.testing.assert_array_equal(vectors[2], tokens[len(pieces) + 2])
    assert "Text: the cab ||| cat" in capsys.readouterr().out

    (tmp_path / "t.tsv").write_text("text\nthe cab ||| cat\n")
    result = main(["--params_path", folder, "--file", str(tmp_path / "t.tsv")])
    [(words, _)] = result["words"]
    assert words[-1] == "cat"
    assert len(words) > 3  # in a column the bars are words like others
