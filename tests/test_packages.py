"""Packages that only some commands need: those say so at once, the others do without."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint
from plainbert.errors import MissingDependencyError
from plainbert.recipes import (
    embedding,
    export,
    finetune_classifier,
    finetune_ner,
    predict_classifier,
    predict_ner,
    quickstart,
)
from plainbert.tasks.classification import scores, several
from plainbert.tasks.ner import scores as tag_scores
from tests.helpers import folders

ROOT = Path(__file__).resolve().parent.parent
SCORES = ("sklearn", "scipy", "seqeval")


@pytest.fixture
def without_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ``pip install plainbert``: Python takes None for a package that is not there."""
    for name in [name for name in sys.modules if name.partition(".")[0] in SCORES]:
        monkeypatch.delitem(sys.modules, name)
    for name in SCORES:
        monkeypatch.setitem(sys.modules, name, None)


def model(folder: Path, head: str) -> str:
    torch.manual_seed(0)
    return str(checkpoint.write(folder / head, folders.tiny(head), folders.tokenizer()))


def refused(main: Callable[[list[str]], Any], *words: str) -> str:
    with pytest.raises(MissingDependencyError) as caught:
        main(list(words))
    return str(caught.value)


def test_the_base_install_has_no_packages_of_scores() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {"scikit-learn", "scipy", "seqeval"}
    assert not any(line.startswith(tuple(names)) for line in project["dependencies"])
    extra = project["optional-dependencies"]["scores"]
    assert {line.partition(">")[0] for line in extra} == names


@pytest.mark.usefixtures("without_scores")
def test_training_says_so_before_any_work(tmp_path: Path) -> None:
    train = tmp_path / "train.tsv"
    train.write_text("text\tlabel\na\tx\nb\ty\n")
    tags = tmp_path / "tags.conll"
    tags.write_text("Anna B-PER\n\n")
    out = str(tmp_path / "run")
    classifier = ["--model_dir", model(tmp_path, "embedding"), "--train_file", str(train),
                  "--output_dir", out]  # fmt: skip
    for main, words in (
        (finetune_classifier.main, classifier),
        (finetune_ner.main, ["--train-path", str(tags), "--output_dir", out]),
        (quickstart.main, ["--output_dir", out]),
    ):
        message = refused(main, *words)
        assert "scikit-learn" in message
        assert "[scores]" in message
    assert not Path(out).exists()


@pytest.mark.usefixtures("without_scores")
def test_tags_to_score_say_so_before_a_model_is_opened(tmp_path: Path) -> None:
    tags = tmp_path / "tags.conll"
    tags.write_text("Anna B-PER\n\n")
    # It has no head for tags, which would be said if it was opened.
    words = ["--model_dir", model(tmp_path, "embedding"), "--test-path", str(tags)]
    assert "scoring a tagger needs the package 'scikit-learn'" in refused(predict_ner.main, *words)


def test_an_export_to_score_says_so_before_it_is_opened(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "out"
    words = ["--model_dir", model(tmp_path, "classification"), "--format", "torch"]
    export.main([*words, "--output_dir", str(out), "--max_len", "8", "--sentences", "a"])
    request.getfixturevalue("without_scores")
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\ta\nb\tc\n")  # no column of labels
    words = ["--evaluate", str(out), "--dev_file", str(rows)]
    assert "[scores]" in refused(export.main, *words)


@pytest.mark.usefixtures("without_scores")
def test_what_scores_nothing_does_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding.main(["--model_dir", model(tmp_path, "embedding"), "--pooling_strategy", "mean",
                    "--sentences", "a cab"])  # fmt: skip
    predict_classifier.main(["--model_dir", model(tmp_path, "classification"), "--sentences", "a"])
    predict_ner.main(["--model_dir", model(tmp_path, "token_classification"), "--sentences", "a"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4  # a vector, a header, a label, the words
    assert not {*SCORES} & {name for name, module in sys.modules.items() if module is not None}


@pytest.mark.usefixtures("without_scores")
def test_every_score_names_the_extra() -> None:
    flags: Any = torch.ones(1, 2).bool().numpy()
    for compute in (
        lambda: scores.compute(["accuracy"], [0], [0]),
        lambda: scores.report([0], [0], ["a"]),
        lambda: several.compute(["accuracy"], flags, flags),
        lambda: tag_scores.score([["O"]], [["O"]]),
        lambda: tag_scores.report([["O"]], [["O"]]),
        lambda: tag_scores.score_labels([["O"]], [["O"]]),
        lambda: tag_scores.report_labels([["O"]], [["O"]]),
    ):
        with pytest.raises(MissingDependencyError, match=r"\[scores\]"):
            compute()


def test_the_missing_one_is_named_as_pip_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with pytest.raises(MissingDependencyError, match="needs the package 'seqeval'"):
        tag_scores.require()
    scores.require()
