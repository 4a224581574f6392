"""Fine-tuning and prediction by two processes: the results of one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from plainbert import checkpoint
from plainbert.recipes import predict_classifier
from plainbert.recipes.shared import blocks
from tests.helpers import folders, scripts
from tests.helpers.processes import Command, environment
from tests.helpers.rounding import rounding, terms_of

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "bert"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder, and rows whose length is no multiple of anything here."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    checkpoint.write(folder / "model", folders.tiny("embedding"), folders.tokenizer())
    for split, count in (("train", 45), ("dev", 21), ("test", 13)):
        texts = [" ".join(["b", "the"] * (1 + row % 5) + ["a"] * (row % 2)) for row in range(count)]
        lines = [f"{text}\t{'yes' if row % 2 else 'no'}" for row, text in enumerate(texts)]
        (folder / f"{split}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return folder


def two_run(script: str, *words: str) -> Command:
    words = (*words, "--num_local_ranks", "2")
    return Command([sys.executable, str(SCRIPTS / script), *words], environment())


def words_for(tiny: Path, output: Path, *more: str) -> list[str]:
    files = [
        word
        for split in ("train", "dev", "test")
        for word in (f"--{split}_file", str(tiny / f"{split}.tsv"))
    ]
    return [
        "--model_dir",
        str(tiny / "model"),
        *files,
        "--text_columns",
        "text",
        "--epochs",
        "2",
        "--lr",
        "1e-3",
        "--max_len",
        "16",
        "--dtype",
        "float32",
        "--dropout",
        "0",
        "--attention_dropout",
        "0",
        "--optimizer",
        "sgd",
        "--output_dir",
        str(output),
        "--metric",
        "macro_f1",
        *more,
    ]


@pytest.fixture(scope="module")
def alone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone") / "one"
    main = scripts.load(SCRIPTS / "finetune_classifier.py").main
    main(words_for(tiny, folder, "--batch_size", "8"))
    return folder


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_fine_tuning(tiny: Path, alone: Path, tmp_path: Path, strategy: str) -> None:
    want, found = alone, tmp_path / "two"
    words = words_for(tiny, found, "--batch_size", "4", "--dist_strategy", strategy)
    done = two_run("finetune_classifier.py", *words).wait(120)
    assert done.status == 0, done.text
    assert done.text.count(f"next: python {SCRIPTS / 'predict_classifier.py'} ") == 1
    assert (found / "best").readlink() == (want / "best").readlink()
    for name in ("eval_results.json", "table.tsv"):
        assert (found / name).read_text() == (want / name).read_text()
    ours, theirs = (load_file(each / "last/model.safetensors") for each in (found, want))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=2e-6, msg=name)


def test_prediction(tiny: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    folder = checkpoint.write(
        tmp_path / "trained", folders.tiny("classification"), folders.tokenizer()
    )
    for count in (13, 1):  # a rank without a row, too
        rows = [{"text": f"{'the ' * (row % 6)}cat a"} for row in range(count)]
        file = tmp_path / f"rows{count}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = ["--model_dir", str(folder), "--file", str(file), "--text_columns", "text"]
        one, two = (tmp_path / f"{name}{count}.tsv" for name in ("one", "two"))
        scripts.load(SCRIPTS / "predict_classifier.py").main([*words, "--output", str(one)])
        done = two_run("predict_classifier.py", *words, "--output", str(two)).wait(120)
        assert done.status == 0, done.text
        tables = [
            [line.split("\t") for line in output.read_text().splitlines()] for output in (one, two)
        ]
        assert [row[:2] for row in tables[1]] == [row[:2] for row in tables[0]]
        for got, want in zip(tables[1][1:], tables[0][1:], strict=True):
            assert [float(x) for x in got[2:]] == pytest.approx(
                [float(x) for x in want[2:]], rel=0, abs=rounding(terms_of(folders.CONFIG))
            )


def test_what_one_process_began_two_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    folder = checkpoint.write(
        tmp_path / "trained", folders.tiny("classification"), folders.tokenizer()
    )
    source, whole, output = tmp_path / "rows.txt", tmp_path / "whole.tsv", tmp_path / "out.tsv"
    # Three blocks, by their number of characters.
    texts = [f"{'the ' * (row % 5)}cat {'a b c ' * 12_000}" for row in range(36)]
    source.write_text("".join(f"{text}\n" for text in texts))
    words = ["--model_dir", str(folder), "--file", str(source), "--gpus", "", "--output"]
    predict_classifier.main([*words, str(whole)])

    add = blocks.BlockWork.add

    def once(self: blocks.BlockWork, *parts: Any, **state: Any) -> None:
        if self.done:
            raise KeyboardInterrupt
        add(self, *parts, **state)

    with monkeypatch.context() as patch:
        patch.setattr(blocks.BlockWork, "add", once)
        with pytest.raises(KeyboardInterrupt):
            predict_classifier.main([*words, str(output)])
    begun = (blocks.work_folder(output) / "lines.part").read_text()
    done = two_run("predict_classifier.py", *words, str(output), "--resume").wait(120)
    assert done.status == 0, done.text
    assert output.read_text().startswith(begun)
    tables = [path.read_text().splitlines() for path in (output, whole)]
    ours, right = ([line.split("\t")[1:] for line in table] for table in tables)
    assert len(ours) == 37
    assert [row[0] for row in ours] == [row[0] for row in right]
    for one, other in zip(ours[1:], right[1:], strict=True):
        assert [float(x) for x in one[1:]] == pytest.approx(
            [float(x) for x in other[1:]], rel=0, abs=rounding(terms_of(folders.CONFIG))
        )
