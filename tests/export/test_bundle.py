"""Exports as a whole: what is in the folder, the check, and that nothing is left of a bad one."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plainbert import checkpoint
from plainbert.errors import CheckpointError, FormatError, UnknownNameError, UsageError
from plainbert.export import bundle, check, example
from plainbert.export.exported import Exported
from plainbert.export.formats import DEFAULTS, with_defaults
from plainbert.export.manifest import Manifest
from plainbert.export.names import FORMATS, TASKS
from plainbert.export.source import Source, source_of
from plainbert.export.torch.format import PORTABLE, TorchFormat
from plainbert.infer import logits
from plainbert.model_zoo import open_folder
from plainbert.nn.pooling import Pooling
from plainbert.text.reader import read_tokenizer
from tests.helpers import folders
from tests.helpers.rounding import rounding, terms_of

TEXTS = [("the cat sat",), ("a dog", "the cat sat on the mat"), ("a",)]


def source(tmp_path: Path, task: str = "classification", **about: Any) -> Source:
    folder = tmp_path / task
    torch.manual_seed(7)
    checkpoint.write(folder, folders.tiny(TASKS[task]), folders.tokenizer(), about=about)
    return source_of(open_folder(folder), str(folder))


@functools.cache
def program() -> bytes:
    """What the format writes for :func:`source`, which is the same model at every call."""
    with tempfile.TemporaryDirectory() as place:
        TorchFormat().write(source(Path(place)), Path(place))
        return (Path(place) / PORTABLE).read_bytes()


class Traced(TorchFormat):
    """Writes that program without tracing the classifier once more; all else is the format's."""

    def write(self, source: Source, folder: Path) -> None:
        (folder / PORTABLE).write_bytes(program())


@pytest.mark.parametrize("task", TASKS)
def test_a_whole_export(tmp_path: Path, task: str) -> None:
    given = source(tmp_path, task, max_length=20)
    out = tmp_path / "out"
    written = bundle.export(given, out, TorchFormat(), texts=TEXTS)
    names = {path.name for path in out.iterdir()}
    assert {"model.pt2", "tokenizer.json", "vocab.txt", "config.json"} < names
    program = {"predict.py", "predict_model.py", "predict_task.py", "predict_runtime.py"}
    assert program < names
    assert Manifest.read(out) == written
    assert (written.task, written.max_length, written.lower) == (task, 20, given.tokenizer.lower)
    assert written.check["texts"] == 3
    assert written.check["difference"] < rounding(terms_of(given.config))
    card = (out / bundle.CARD).read_text("utf-8")
    assert card.startswith(f"# {task}: a BERT for torch")
    assert all(label in card for label in given.labels)
    assert len(read_tokenizer(out).vocab) == len(given.tokenizer.vocab)


def test_the_example_runs_without_plainbert(tmp_path: Path) -> None:
    given = source(tmp_path)
    bundle.export(given, tmp_path / "out", Traced(), texts=TEXTS)
    code = (
        "import runpy, sys; sys.argv = ['predict.py', 'the cat sat', 'a dog']; "
        "sys.modules['plainbert'] = None; runpy.run_path('predict.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    header, row = (line.split("\t") for line in done.stdout.splitlines())
    assert header[1:] == ["label", *(f"p({label})" for label in given.labels)]
    ids, types, mask = check.batches(
        check.featurize(given.tokenizer, [("the cat sat", "a dog")], 32)
    )[0]
    wanted = given.module()(*map(torch.from_numpy, (ids, types, mask)))[0].softmax(0)
    shares = [float(cell) for cell in row[2:]]
    assert shares == pytest.approx(wanted.tolist(), rel=0, abs=1e-5)
    assert row[1] == given.labels[int(wanted.argmax())]


class Wrong:
    """A runner whose outputs are off by so much."""

    def __init__(self, given: Source, off: float) -> None:
        self.module, self.off = given.module(), off

    def run(self, *batch: Any) -> Any:
        with torch.inference_mode():
            return self.module(*map(torch.from_numpy, batch)).numpy() + np.float32(self.off)


@pytest.mark.parametrize(
    ("off", "quantized", "passes"),
    [
        (0, False, True),
        (3e-4, False, False),
        (3e-4, True, True),
        (3.0, True, False),
        (np.nan, False, False),
        (np.nan, True, False),
    ],
)
def test_the_check(tmp_path: Path, off: float, quantized: bool, passes: bool) -> None:
    given = source(tmp_path)
    runner: Any = Wrong(given, off)
    if passes:
        found = check.check(given, runner, TEXTS, quantized)
        assert found.difference == pytest.approx(off, abs=1e-6)
        assert found.exported > 0
        assert f"{found.texts} texts" in found.line()
    else:
        with pytest.raises(CheckpointError, match="the export differs from its source by"):
            check.check(given, runner, TEXTS, quantized)


def test_an_export_that_is_wrong_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match="it is not kept"):
        bundle.export(source(tmp_path), tmp_path / "out", Traced())
    assert [path.name for path in tmp_path.iterdir()] == ["classification"]


def test_a_folder_that_exists(tmp_path: Path) -> None:
    given, out = source(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="out exists. Choose a new folder, or add --overwrite"):
        bundle.export(given, out, Traced())
    with pytest.raises(UsageError, match=r"has no manifest.json: it is not replaced"):
        bundle.export(given, out, Traced(), overwrite=True)
    assert (out / "thesis.txt").read_text() == "mine"

    (out / "thesis.txt").rename(out / "manifest.json")  # of whatever else
    with pytest.raises(UsageError, match=r"its manifest.json is something else than ours"):
        bundle.export(given, out, Traced(), overwrite=True)
    assert (out / "manifest.json").read_text() == "mine"

    shutil.rmtree(out)
    bundle.export(given, out, Traced())
    (out / "notes.txt").write_text("goes with it")
    bundle.export(given, out, Traced(), overwrite=True)
    assert Manifest.read(out).format == "torch"
    assert not (out / "notes.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classification", "out"]


def test_an_older_export_survives_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, out = source(tmp_path), tmp_path / "out"
    bundle.export(given, out, Traced())
    before = (out / "manifest.json").read_bytes()
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(CheckpointError):
        bundle.export(given, out, Traced(), overwrite=True)
    assert (out / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classification", "out"]


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "words", folders.tiny("masked_lm"), folders.tokenizer())
    with pytest.raises(CheckpointError, match="masked_lm head, which no format has a graph for"):
        source_of(open_folder(tmp_path / "words"), "words")
    checkpoint.write(tmp_path / "plain", folders.tiny("classification"), folders.tokenizer())
    opened = open_folder(tmp_path / "plain")
    with pytest.raises(UsageError, match="99 tokens: the model has 32 positions"):
        source_of(opened, "plain", max_length=99)
    with pytest.raises(UnknownNameError, match="no format is named 'onx'. Did you mean 'onnx'"):
        with_defaults("onx")


def test_layers_and_normalising(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "body", folders.tiny("embedding"), folders.tokenizer())
    opened = open_folder(tmp_path / "body")
    given = source_of(opened, "body", Pooling("mean", (-1, -2), normalize=True))
    ids, types, mask = map(
        torch.from_numpy, check.batches(check.featurize(given.tokenizer, TEXTS, 32))[0]
    )
    with torch.inference_mode():
        found = given.module()(ids, types, mask)
        layers = opened.model(ids, types, mask, every_layer=True).layers
    share = mask[..., None]
    wanted = torch.cat([(layer * share).sum(1) / share.sum(1) for layer in layers[:0:-1]][:2], 1)
    torch.testing.assert_close(found, wanted / wanted.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("task", ["classification", "regression", "question_answering", "ner"])
def test_an_export_where_a_model_is_expected(tmp_path: Path, task: str) -> None:
    given = source(tmp_path, task)
    bundle.export(given, tmp_path / "out", TorchFormat(), texts=TEXTS)
    with TorchFormat().open_runner(tmp_path / "out", 1) as runner:
        model = Exported(runner, given.config, TASKS[task], 32)
        features = check.featurize(given.tokenizer, TEXTS * 5, 32)
        run: Any = logits.run_tokens if task in ("question_answering", "ner") else logits.run
        wanted = run(given.model, features)
        atol = rounding(terms_of(given.config), wanted)
        np.testing.assert_allclose(run(model, features), wanted, rtol=0, atol=atol)
        short = Exported(runner, given.config, TASKS[task], 4)
        with pytest.raises(UsageError, match="this export takes 4 at most"):
            run(short, features)


def test_manifests_of_others(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no manifest.json: it is no exported model"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(FormatError, match="no manifest of an export"):
        Manifest.read(tmp_path)
    values = {
        "format": "caffe", "task": "ner", "source": "", "max_length": 3, "lower": True,
        "labels": [], "output": "",
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(UnknownNameError, match="no format is named 'caffe'"):
        Manifest.read(tmp_path)


def test_every_format_has_its_parts() -> None:
    assert DEFAULTS.keys() == FORMATS.keys()
    for name, format in DEFAULTS.items():
        assert (example.HERE / name / "predict_runtime.py").is_file()
        assert format.info is FORMATS[name]
        assert format.variants() == (format,)
        assert not format.quantized
