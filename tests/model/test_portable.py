"""A model that goes elsewhere computes the same there."""

from __future__ import annotations

import copy
import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plainbert
from plainbert import checkpoint
from plainbert.errors import DeviceError, UsageError
from plainbert.model import Model
from tests.helpers import folders

HEADS = ("embedding", "classification", "regression", "token_classification", "question_answering",
         "masked_lm", "pretraining")  # fmt: skip
TEXTS = ["the cat", "a b c a", "b"]


def written(place: Path, head: str = "classification", **about: Any) -> Path:
    torch.manual_seed(0)
    return checkpoint.write(place, folders.tiny(head), folders.tokenizer(), about=about)


def results(model: Model) -> tuple[list[str], list[float]]:
    """What a model gives, as its head has it: words and numbers."""
    if model.head in ("classification", "regression"):
        predictions = model.predict(TEXTS)
        labels = [str(one.label) for one in predictions if model.head == "classification"]
        return labels, [one.score for one in predictions]
    if model.head == "token_classification":
        words = [word for tagging in model.tag(TEXTS) for word in tagging.words]
        return [word.tag for word in words], [word.score for word in words]
    if model.head == "question_answering":
        answer = model.answer("a", "the cat a b c")
        return [answer.text], [answer.probability]
    return [], model.encode(TEXTS).ravel().tolist()


def same(model: Model, right: tuple[list[str], list[float]]) -> bool:
    """Whether a model gives the same; sums may be taken in another order."""
    words, numbers = results(model)
    return words == right[0] and numbers == pytest.approx(right[1], rel=0, abs=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pickled_and_copied(tmp_path: Path, head: str, dtype: str) -> None:
    model = plainbert.load(written(tmp_path / "m", head, max_length=12), dtype=dtype)
    right = results(model)
    data = pickle.dumps(model)
    copied = copy.deepcopy(model)
    shutil.rmtree(tmp_path / "m")  # the other machine has no such folder
    arrived: Model = pickle.loads(data)
    for other in (arrived, copied, pickle.loads(pickle.dumps(arrived))):
        assert same(other, right)
        assert other.max_len == 12
        assert repr(other) == repr(model)
        assert other.body is not model.body


def test_an_own_process(tmp_path: Path) -> None:
    model = plainbert.load(written(tmp_path / "m"))
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    code = (
        "import pickle, sys; model = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print([one.score for one in model.predict(['the cat', 'a b c a', 'b'])])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.pickle")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    right = [one.score for one in model.predict(TEXTS)]
    assert json.loads(done.stdout) == pytest.approx(right, rel=0, abs=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_saved(tmp_path: Path, head: str) -> None:
    about = {"pooling": "cls", "normalize": True, "max_length": 9, "task": "colours",
             "prompts": {"query": "a "}, "truncate_dim": 7,
             "include_prompt": False}  # fmt: skip
    folder = written(tmp_path / "m", head, **about)
    model = plainbert.load(folder)
    right = results(model)
    assert model.save(tmp_path / "again") == tmp_path / "again"
    again = plainbert.load(tmp_path / "again")
    assert same(again, right)
    assert (again.checkpoint.about, again.labels) == (model.checkpoint.about, model.labels)
    with pytest.raises(UsageError, match="exists"):
        model.save(tmp_path / "again")
    again.save(tmp_path / "again", overwrite=True)  # in the place of its own weights
    assert same(plainbert.load(tmp_path / "again"), right)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not replaced"):
        model.save(tmp_path / "notes", overwrite=True)


def test_what_is_saved_are_the_weights_that_were_opened(tmp_path: Path) -> None:
    folder = written(tmp_path / "m", "embedding")
    plainbert.load(folder, dtype="bfloat16").save(tmp_path / "again")
    first, second = (
        (path / "model.safetensors").read_bytes() for path in (folder, tmp_path / "again")
    )
    assert first == second


def test_sentence_transformers_settings_are_saved(tmp_path: Path) -> None:
    """Of a folder that sentence-transformers wrote, which has no file of ours."""
    from sentence_transformers import SentenceTransformer

    folder = written(tmp_path / "m", "embedding", pooling="mean", normalize=True, max_length=9)
    SentenceTransformer(str(folder), device="cpu").save(str(tmp_path / "theirs"))
    assert not (tmp_path / "theirs/plainbert.json").exists()
    model = plainbert.load(tmp_path / "theirs")
    model.save(tmp_path / "again")
    right = SentenceTransformer(str(tmp_path / "again"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(model.encode(TEXTS), right, rtol=0, atol=1e-5)
    assert same(plainbert.load(tmp_path / "again"), results(model))


def test_labels_that_the_caller_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    config = (folder / "config.json").read_text()
    for row, label in enumerate(folders.LABELS):
        config = config.replace(f'"{label}"', f'"LABEL_{row}"')
    (folder / "config.json").write_text(config)
    model = plainbert.load(folder, labels=["x", "y", "z"])
    assert pickle.loads(pickle.dumps(model)).labels == ("x", "y", "z")
    model.save(tmp_path / "again")
    assert plainbert.load(tmp_path / "again").labels == ("x", "y", "z")


def test_weights_that_are_gone_or_others_by_now(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    model, kept = plainbert.load(folder), plainbert.load(folder).keep()
    right = results(kept)
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(data + b" ")
    with pytest.raises(UsageError, match="is gone or has changed since"):
        pickle.dumps(model)
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match="is gone or has changed since"):
        model.save(tmp_path / "again")
    assert same(model, right)  # what computes needs no folder
    kept.save(tmp_path / "again")
    assert same(plainbert.load(tmp_path / "again"), right)


def test_to_a_device(tmp_path: Path) -> None:
    model = plainbert.load(written(tmp_path / "m"))
    assert model.to("cpu") is model.to(torch.device("cpu"))
    with pytest.raises(UsageError, match="is not a device"):
        model.to("gpu")
    with pytest.raises(DeviceError, match=f"cuda:{torch.cuda.device_count()}"):
        model.to(f"cuda:{torch.cuda.device_count()}")
    if torch.cuda.is_available():
        right = [one.score for one in model.predict(TEXTS)]
        assert model.to("cuda").body.config is not None
        assert [one.score for one in model.predict(TEXTS)] == pytest.approx(right, abs=1e-4)


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    folder = written(tmp_path / "runs/colours/step-0000012", task="colours")
    line = repr(plainbert.load(folder, dtype="bfloat16", device="cpu"))
    assert line == (
        "<plainbert.Model colours/step-0000012: BertForSequenceClassification, 2 layers of 16; "
        "task colours; labels red, green, blue; 32 tokens; cpu, bfloat16>"
    )
    line = repr(plainbert.load("all-MiniLM-L6-v2"))
    assert re.match(r"<plainbert.Model all-MiniLM-L6-v2: BertModel, 6 layers of 384; pooling", line)
