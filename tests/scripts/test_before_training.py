"""What a run will need is looked at before its first step: files, labels, scores, disk."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint, recipes
from plainbert.cli.run import run
from plainbert.recipes import finetune_classifier, finetune_ner, finetune_squad, run_pretraining
from plainbert.recipes.shared.training_settings import LoopFlags
from plainbert.train import disk
from plainbert.train.step import Stepper
from tests.helpers import folders, questions

ROWS = [("the cat", "pos"), ("a b", "neg"), ("cat cat", "pos"), ("b b", "neg")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return str(checkpoint.write(folder, folders.tiny("embedding"), folders.tokenizer()))


@pytest.fixture
def no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first step would be an error of another kind."""

    def step(*_: object) -> None:
        raise AssertionError("a step was made")

    monkeypatch.setattr(Stepper, "step", step)


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return path


def classifier(tiny: str, folder: Path, *more: str) -> list[str]:
    train = table(folder / "train.tsv", ROWS * 3)
    return ["--model_dir", tiny, "--train_file", str(train), "--epochs", "1", "--max_len", "16",
            "--dtype", "float32", "--output_dir", str(folder / "run"), *more]  # fmt: skip


def refused(
    main: Callable[[list[str]], Any], words: list[str], capsys: pytest.CaptureFixture[str]
) -> str:
    with pytest.raises(SystemExit) as ended:
        run(lambda: main(words))
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    return printed[printed.index("error: ") :]


@pytest.mark.usefixtures("no_step")
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["pos", "neg", "mixed"], r"test.tsv:4: the label 'mixed' is not one of: neg, pos."),
        (["pos", "-1", "neg"], r"test.tsv:3: the label '-1' is not one of"),
        (["pos", "", "neg"], r"test.tsv:3: the label is empty, but others are not"),
        (["-1", "", "neg"], r"test.tsv:3: the label is empty, but others are not"),
    ],
)
def test_labels_of_the_test_file(
    tiny: str, tmp_path: Path, labels: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    test = table(tmp_path / "test.tsv", [("the cat", label) for label in labels])
    words = classifier(tiny, tmp_path, "--test_file", str(test))
    assert said in refused(finetune_classifier.main, words, capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stand_in", ["-1", "-1.0", "", "null", "NaN", "?", None, -1, float("nan")])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_hidden_labels(tiny: str, tmp_path: Path, stand_in: object, kind: str) -> None:
    test = tmp_path / "test.jsonl"
    rows = [{"text": text, "label": stand_in} for text, _ in ROWS]
    test.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if isinstance(stand_in, str):
        test = table(tmp_path / "test.tsv", [(text, stand_in) for text, _ in ROWS])
    words = classifier(tiny, tmp_path, "--test_file", str(test))
    if kind == "numbers":
        table(tmp_path / "train.tsv", [(text, f"{len(text)}.5") for text, _ in ROWS])
    scores = finetune_classifier.main(words)
    assert scores == {}
    lines = (tmp_path / "run/table.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["index", "0", "1", "2", "3"]


def test_a_label_that_only_looks_hidden(tiny: str, tmp_path: Path) -> None:
    test = table(tmp_path / "test.tsv", [("the cat", "-1"), ("a", "-1")])
    words = classifier(tiny, tmp_path, "--test_file", str(test))
    table(tmp_path / "train.tsv", [("the cat", "-1"), ("a b", "1")] * 4)
    assert set(finetune_classifier.main(words)) == {"test"}


@pytest.mark.usefixtures("no_step")
@pytest.mark.parametrize(
    ("rows", "metric", "said"),
    [
        ([*ROWS, ("c", "other")], "f1", "f1 is for two classes, and there are 3; use macro_f1."),
        ([("a", "1.5"), ("b", "2.5")], "accuracy", "accuracy is for classes, and the labels are"),
    ],
)
def test_a_metric_that_the_task_has_not(
    tiny: str, tmp_path: Path, rows: list[tuple[str, str]], metric: str, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = classifier(tiny, tmp_path, "--metric", metric)
    words += ["--dev_file", str(table(tmp_path / "train.tsv", rows))]
    assert said in refused(finetune_classifier.main, words, capsys)


@pytest.mark.usefixtures("no_step")
def test_a_published_task(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The test file is read first here too, in whichever layout it comes."""
    folder = tmp_path / "ChnSentiCorp"
    folder.mkdir()
    for split, last in (("train", "1"), ("dev", "0"), ("test", "3")):
        (folder / f"{split}.tsv").write_text(f"label\ttext_a\n0\tthe cat\n1\ta b\n{last}\tb\n")
    words = ["--task_name", "ChnSentiCorp", "--data_dir", str(tmp_path), "--model_dir", tiny,
             "--output_dir", str(tmp_path / "run")]  # fmt: skip
    assert "test.tsv:4: the label '3' is not one of: 0, 1" in refused(
        finetune_classifier.main, words, capsys
    )


@pytest.mark.usefixtures("no_step")
def test_other_recipes(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conll = tmp_path / "train.conll"
    conll.write_text("cat B-ANI\na O\n\nb O\n\n" * 4)
    bad = tmp_path / "test.conll"
    bad.write_text("cat B-ANI\na\n\n")
    out = ["--model_dir", tiny, "--output_dir", str(tmp_path / "run")]
    words = ["--train-path", str(conll), "--test-path", str(bad), *out]
    assert "test.conll:2" in refused(finetune_ner.main, words, capsys)

    train = questions.write(tmp_path / "train.json", 4, 1)
    (tmp_path / "predict.json").write_text('{"data": [{"paragraphs": [{}]}]}')
    words = ["--train_file", str(train), "--predict_file", str(tmp_path / "predict.json"), *out]
    assert "has no 'context'" in refused(finetune_squad.main, words, capsys)

    (tmp_path / "text.txt").write_text("the cat a b c\n" * 30)
    words = ["--raw", "--data", str(tmp_path / "text.txt"), "--data_eval", "none.txt",
             "--model_dir", tiny, "--ckpt_dir", str(tmp_path / "pre"), "--max_seq_length", "16",
             "--no_nsp"]  # fmt: skip
    assert "none.txt" in refused(run_pretraining.main, words, capsys)
    assert not (tmp_path / "pre").exists()
    words = ["--data", str(tmp_path / "*.npz"), "--model_dir", tiny, "--ckpt_dir",
             str(tmp_path / "pre")]  # fmt: skip
    assert "*.npz" in refused(run_pretraining.main, words, capsys)
    assert not (tmp_path / "pre").exists()


@pytest.mark.usefixtures("no_step")
def test_where_a_trace_or_an_export_goes(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, words = commands(tiny, tmp_path)["pretraining"]
    said = refused(run_pretraining.main, [*words, "--profile", str(tmp_path / "no/x.json")], capsys)
    assert "a file in a folder that exists is expected" in said

    (tmp_path / "other/export-torch").mkdir(parents=True)
    (tmp_path / "other/export-torch/notes.txt").write_text("mine")
    words = classifier(tiny, tmp_path, "--export", "torch")
    words[words.index("--output_dir") + 1] = str(tmp_path / "other")
    assert "it is not replaced" in refused(finetune_classifier.main, words, capsys)
    assert (tmp_path / "other/export-torch/notes.txt").read_text() == "mine"


def commands(tiny: str, folder: Path) -> dict[str, tuple[Callable[[list[str]], Any], list[str]]]:
    """A command line of every recipe that trains."""
    conll = folder / "train.conll"
    conll.write_text("cat B-ANI\na O\n\nb O\n\n" * 4)
    squad = questions.write(folder / "train.json", 4, 1)
    (folder / "text.txt").write_text("the cat a b c\n" * 30)
    out = ["--model_dir", tiny, "--output_dir", str(folder / "run")]
    return {
        "classifier": (finetune_classifier.main, classifier(tiny, folder)),
        "ner": (finetune_ner.main, ["--train-path", str(conll), "--max_len", "20", *out]),
        "squad": (
            finetune_squad.main,
            ["--train_file", str(squad), "--max_len", "24", "--doc_stride", "8", *out],
        ),
        "pretraining": (
            run_pretraining.main,
            ["--raw", "--data", str(folder / "text.txt"), "--max_seq_length", "16", "--no_nsp",
             "--training_steps", "4", *out],
        ),
    }  # fmt: skip


@pytest.mark.usefixtures("no_step")
@pytest.mark.parametrize("recipe", ["classifier", "ner", "squad", "pretraining"])
def test_a_full_disk(
    tiny: str, tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    main, words = commands(tiny, tmp_path)[recipe]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    said = refused(main, words, capsys)
    assert "checkpoint(s) of" in said
    assert "0.0 MB are free" in said


@pytest.mark.parametrize("optimizer", ["bertadam", "sgd"])
def test_the_size_of_a_checkpoint_is_known_before(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    asked: list[tuple[int, int]] = []
    check = disk.check

    def noting(folder: Path, size: int, number: int) -> None:
        asked.append((size, number))
        check(folder, size, number)

    monkeypatch.setattr(disk, "check", noting)
    words = classifier(tiny, tmp_path, "--epochs", "3", "--keep_checkpoints", "1")
    finetune_classifier.main([*words, "--optimizer", optimizer])
    [(size, number)] = asked
    parts = ("model.safetensors", "training.safetensors")
    last = tmp_path / "run/last"
    headers = 20_000
    places = (last, last.with_name(last.readlink().name.replace("step", "state")))
    paths = [place / name for place, name in zip(places, parts, strict=True)]
    real = sum(path.stat().st_size for path in paths if path.exists())
    assert size <= real <= size + headers
    assert number == 3  # the last one, one that is kept, and the one that is being written


def test_every_recipe_that_trains_is_here(tiny: str, tmp_path: Path) -> None:
    training = set()
    for info in pkgutil.iter_modules(recipes.__path__):
        module = importlib.import_module(f"plainbert.recipes.{info.name}")
        settings = getattr(module, "Settings", None)
        if isinstance(settings, type) and issubclass(settings, LoopFlags):
            training.add(module.main)
    assert training == {main for main, _ in commands(tiny, tmp_path).values()}
