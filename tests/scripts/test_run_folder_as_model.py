"""Every script that predicts takes the folder of a run for its model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import plainbert
from plainbert import checkpoint, files
from plainbert.errors import CheckpointError
from plainbert.recipes import embedding, predict_classifier, predict_ner, predict_squad
from tests.helpers import folders

SCRIPTS: dict[str, tuple[str, Callable[[list[str]], Any], list[str]]] = {
    "predict_classifier": ("classification", predict_classifier.main, ["--sentences", "the cat"]),
    "predict_ner": ("token_classification", predict_ner.main, ["--sentences", "the cat a b"]),
    "predict_squad": (
        "question_answering",
        predict_squad.main,
        ["--question", "a", "--context", "the cat a b", "--max_len", "32"],
    ),
    "embedding": (
        "embedding",
        embedding.main,
        ["--sentences", "the cat", "--pooling_strategy", "mean"],
    ),
    "embedding of words": ("embedding", embedding.main, ["--sentences", "the cat"]),
}


def no_links(target: object, link: object, *rest: object, **more: object) -> None:
    """What ``os.symlink`` does on a disk that has no links."""
    raise PermissionError(1, "Operation not permitted", str(link))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_best_model_of_a_run_else_the_last(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, main, words = SCRIPTS[script]
    run = tmp_path / "run"
    for seed, step in ((1, "step-0000010"), (2, "step-0000020")):
        torch.manual_seed(seed)
        model: Any = folders.tiny(head)
        checkpoint.write(run / step, model, folders.tokenizer())
    (run / "last").symlink_to("step-0000020")
    (run / "args.json").write_text("{}")

    def printed(folder: Path) -> str:
        main(["--model_dir", str(folder), *words])
        streams = capsys.readouterr()
        if folder == run:
            said.append(streams.err)
        return streams.out

    said: list[str] = []
    one, two = printed(run / "step-0000010"), printed(run / "step-0000020")
    assert one != two
    assert printed(run) == two
    assert f"{run / 'last'} (step-0000020) is taken" in said[-1]
    (run / "best").symlink_to("step-0000010")
    assert printed(run) == one
    assert f"{run / 'best'} (step-0000010) is taken" in said[-1]
    # A copy that holds folders in place of links.
    shutil.copytree(run, tmp_path / "copy")
    assert printed(tmp_path / "copy") == one
    # A disk without links has files that hold the name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "symlink", no_links)
        files.point(run / "best", "step-0000010")
    assert (run / "best").is_file()
    assert printed(run) == one
    # The best one was removed by hand.
    shutil.rmtree(run / "step-0000010")
    assert printed(run) == two


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty"):
        plainbert.load(tmp_path / "empty")
    model: Any = folders.tiny("embedding")
    folder = checkpoint.write(tmp_path / "m", model, folders.tokenizer())
    (folder / "best").mkdir()  # a model is a model, whatever lies in its folder
    assert plainbert.load(folder).encode("the cat").shape == (16,)
