"""``scripts/bert/compare_checkpoints.py`` as users start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint
from plainbert.recipes import compare_checkpoints
from tests.helpers import folders

HERE = Path(__file__).resolve().parent.parent.parent
SCRIPT = HERE / "scripts" / "bert" / "compare_checkpoints.py"
Main = Callable[[list[str]], dict[str, Any]]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], dict[str, Any]]:
    return compare_checkpoints.main


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A span model, the same again, and one whose layer 1 has another weight."""
    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    model = folders.tiny("question_answering")
    first = checkpoint.write(place / "first", model, folders.tokenizer())
    second = checkpoint.write(place / "second", model, folders.tokenizer())
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[0, 0] += 1e-2
    third = checkpoint.write(place / "third", model, folders.tokenizer())
    return str(first), str(second), str(third)


def ended(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The script as a process of its own."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE), **variables},
    )


def test_status_0_for_equal_models(pair: tuple[str, str, str]) -> None:
    done = ended(pair[0], pair[1])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[5:11]] == [
        "embeddings",
        "layer 1",
        "layer 2",
        "start logits",
        "end logits",
        "loss",
    ]
    assert lines[-1].startswith("equal within 1e-05: the largest difference is 0.0e+00")


def test_status_1_names_the_layer(pair: tuple[str, str, str], tmp_path: Path) -> None:
    done = ended(
        pair[0],
        pair[2],
        "--sentences",
        "the cat",
        "a cab ||| the cat",
        "--output",
        str(tmp_path / "r.json"),
        "--plot",
        str(tmp_path / "p.png"),
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1].endswith("the first is layer 1")
    read = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert read["texts"] == 2
    assert [row["equal"] for row in read["outputs"]] == [True, *[False] * 5]
    assert read["outputs"][0]["max"] == 0.0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_status_2_for_mistakes(pair: tuple[str, str, str]) -> None:
    done = ended(pair[0], "no/such/folder")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no/such/folder" in done.stderr


def test_tolerance(main: Main, pair: tuple[str, str, str]) -> None:
    assert main([pair[0], pair[2], "--tolerance", "100"])["equal"]
    assert not main([pair[0], pair[2]])["equal"]


def test_with_transformers(
    main: Main, pair: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = main([pair[0], "--reference", "transformers", "--tolerance", "1e-12"])
    assert result["equal"]
    assert result["outputs"][-1]["name"] == "loss"
    printed = capsys.readouterr().out
    assert "second  transformers (Hugging Face's classes, on torch)" in printed


def test_texts_of_a_file(main: Main, pair: tuple[str, str, str], tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("the cat\na ||| b\nc\n", "utf-8")
    result = main([pair[0], pair[1], "--file", str(source), "--dtype", "float32"])
    assert (result["texts"], result["tokens"], result["dtype"]) == (3, 4 + 5 + 3, "float32")


@pytest.mark.parametrize("engine", ["mxnet", "tensorflow"])
def test_an_engine_that_is_not_there(
    pair: tuple[str, str, str], engine: str, tmp_path: Path
) -> None:
    missing = str(tmp_path / "bin" / "python")
    done = ended(pair[0], "--reference", engine, "--reference_python", missing)
    assert done.returncode == 2
    assert f"there is no {missing}" in done.stderr
    assert (
        f"pip install {'numpy==1.23.5 mxnet==1.9.1' if engine == 'mxnet' else engine}"
        in done.stderr
    )


@pytest.mark.parametrize("engine", ["mxnet", "tensorflow"])
def test_a_python_without_the_engine(
    pair: tuple[str, str, str], engine: str, tmp_path: Path
) -> None:
    bare = tmp_path / "python"  # as a new virtual environment: no packages
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    variable = {f"PLAINBERT_{engine.upper()}": str(bare)}
    done = ended(pair[0], "--reference", engine, **variable)
    assert done.returncode == 2
    assert f"{bare} lacks what {engine} needs" in done.stderr
    assert "pip install" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "give two checkpoints, or one checkpoint and --reference ENGINE"),
        (["a", "b", "c"], "give two checkpoints"),
        (["a", "b", "--reference", "mxnet"], "give two checkpoints"),
        ([], "missing: CHECKPOINT"),
        (["a", "--reference", "caffe"], "no engine is named 'caffe'"),
        (["a", "b", "--head", "squad"], "no head is named 'squad'"),
        (["a", "b", "--dtype", "bfloat16"], "no dtype is named 'bfloat16'"),
        (["a", "b", "--tolerance", "-1"], "below 0"),
        (["a", "b", "--output", "x.tsv"], "ending in .json is expected"),
        (["a", "b", "--plot", "x.gif"], "ending in .png or .svg or .pdf is expected"),
        (["a", "b", "--reference_python", "x"], "needs --reference"),
        (["a", "b", "--text_columns", "x"], "needs --file"),
    ],
)
def test_wrong_flags(
    main: Main, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_results_are_not_overwritten(
    main: Main, pair: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "r.json"
    output.write_text("mine")
    with pytest.raises(SystemExit):
        main([pair[0], pair[1], "--output", str(output)])
    assert "Add --overwrite" in capsys.readouterr().err
    assert output.read_text() == "mine"
    main([pair[0], pair[1], "--output", str(output), "--overwrite"])
    assert json.loads(output.read_text())["equal"]
