"""Other engines in a Python of their own: finding it, and what they compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from plainbert import checkpoint
from plainbert.compare import engines, models
from plainbert.compare.names import ENGINES
from plainbert.errors import CheckpointError, UnknownNameError, UsageError
from plainbert.formats.names import FORMATS
from plainbert.model_zoo import LoadedModel
from plainbert.model_zoo.convert import convert, open_any
from plainbert.nn.names import HEADS
from tests.helpers import folders

TEXTS = [("the cat",), ("a cab cat", "the b"), ("c",), ("cat the cat", "a")]
MARKED = [
    pytest.param("mxnet", marks=pytest.mark.mxnet),
    pytest.param("tensorflow", marks=pytest.mark.tensorflow),
]
LACKING = {  # heads that an engine's format has no place for
    "mxnet": {"multiple_choice": "choice scores"},
    "tensorflow": {"multiple_choice": "choice scores", "token_classification": "tag logits"},
}


@pytest.fixture
def opened(tmp_path: Path) -> LoadedModel:
    """A pre-trained model, opened from a folder of ours."""
    return open_any(
        checkpoint.write(tmp_path / "ours", folders.tiny("pretraining"), folders.tokenizer())
    )


def test_every_engine_is_described() -> None:
    for engine in ENGINES.values():
        assert engine.format in FORMATS
        if engine.runtime is not None:
            assert (engines.PROGRAMS / f"run_{engine.name}.py").is_file()


def test_the_programs_import_nothing_of_ours() -> None:
    programs = sorted(engines.PROGRAMS.glob("run_*.py"))
    assert len(programs) == 2
    for path in programs:
        code = path.read_text("utf-8").split('"""', 2)[2]
        assert "plainbert" not in code


def test_an_unknown_engine(opened: LoadedModel) -> None:
    with pytest.raises(UnknownNameError, match="no engine is named 'mxnet2'. Did you mean 'mxnet'"):
        models.reference(opened, "mxnet2", TEXTS)


@pytest.mark.parametrize("engine", ["mxnet", "tensorflow"])
def test_the_very_file_is_handed_over(opened: LoadedModel, tmp_path: Path, engine: str) -> None:
    target = ENGINES[engine].format
    again = open_any(convert(opened, tmp_path / "uncased_theirs", target).folder)
    path, head = engines._weights(again, ENGINES[engine], tmp_path)
    assert path.parent == tmp_path / "uncased_theirs"
    assert head == "pretraining"
    path, _ = engines._weights(opened, ENGINES[engine], tmp_path)  # and else one made of it
    assert path.parent == tmp_path / "model"


def test_a_program_that_fails(opened: LoadedModel, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ValueError: no such layer' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(CheckpointError, match="mxnet cannot run this model: ValueError: no such"):
        models.reference(opened, "mxnet", TEXTS, python=broken)
    broken.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(UsageError, match="python cannot be started"):
        models.reference(opened, "mxnet", TEXTS, python=broken)


@pytest.mark.parametrize("engine", MARKED)
@pytest.mark.parametrize("head", HEADS)
def test_the_engine_agrees(tmp_path: Path, engine: str, head: str) -> None:
    opened = open_any(checkpoint.write(tmp_path / "ours", folders.tiny(head), folders.tokenizer()))

    report = models.reference(opened, engine, TEXTS)

    assert report.equal, report.above
    mine = models.two(opened, opened, TEXTS)
    lacking = LACKING[engine].get(head)
    assert [row.name for row in report.rows] == [
        row.name for row in mine.rows if row.name != lacking
    ]
    assert len(report.notes) == bool(lacking)
    if engine == "tensorflow":  # which computes in float64 too
        assert max(row.max for row in report.rows) < 1e-12


@pytest.mark.parametrize("engine", MARKED)
def test_the_engine_reads_its_own_format(opened: LoadedModel, tmp_path: Path, engine: str) -> None:
    theirs = convert(opened, tmp_path / "uncased_theirs", ENGINES[engine].format).folder
    report = models.reference(open_any(theirs), engine, TEXTS)
    assert report.equal, report.above
    assert report.rows[-1].name == "NSP logits"


@pytest.mark.parametrize("engine", MARKED)
def test_a_difference_is_seen(opened: LoadedModel, tmp_path: Path, engine: str) -> None:
    theirs = open_any(convert(opened, tmp_path / "uncased_theirs", ENGINES[engine].format).folder)
    with torch.no_grad():  # of our side only: the engine reads the file
        theirs.model.bert.encoder.layer[1].attention.self.key.weight[0, 0] += 0.5
    report = models.reference(theirs, engine, TEXTS)
    assert [row.name for row in report.above][0] == "layer 2"


@pytest.mark.parametrize("engine", MARKED)
@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_other_activations(tmp_path: Path, engine: str, activation: str) -> None:
    model = folders.tiny("embedding", hidden_act=activation)
    opened = open_any(checkpoint.write(tmp_path / "ours", model, folders.tokenizer()))
    assert models.reference(opened, engine, TEXTS).equal


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("bert_tiny.params", "NSP logits"),
        ("classification.params", "class logits"),
        ("regression.params", "regression"),
        ("question_answering.params", "loss"),
        ("ner.params", "tag logits"),
        ("export/classification-0000.params", "class logits"),  # flat names, so written anew
    ],
)
def test_files_that_gluonnlp_wrote(name: str, last: str) -> None:
    place = folders.FIXTURES / "gluonnlp"
    opened = open_any(place / name, vocabulary=place / "vocab.json", num_heads=4, lower=True)
    report = models.reference(opened, "mxnet")
    assert report.equal, report.above
    assert report.rows[-1].name == last


@pytest.mark.tensorflow
def test_a_checkpoint_that_tensorflow_wrote() -> None:
    opened = open_any(folders.FIXTURES / "tensorflow", lower=True)
    report = models.reference(opened, "tensorflow")
    assert report.equal, report.above
    assert report.rows[-1].name == "NSP logits"


@pytest.mark.parametrize("one", ["gluonnlp", "tensorflow", "pytorch"])
def test_formats_are_compared_with_each_other(
    opened: LoadedModel, tmp_path: Path, one: str
) -> None:
    theirs = open_any(convert(opened, tmp_path / "uncased_theirs", one).folder)
    report = models.two(opened, theirs, TEXTS, tolerance=0.0)
    assert report.equal, report.above
    assert [row.name for row in report.rows][-2:] == ["MLM logits", "NSP logits"]


@pytest.mark.mxnet
def test_gluonnlps_own_decoder_is_mentioned(tmp_path: Path) -> None:
    model = folders.tiny("masked_lm", hidden_act="relu")
    opened = open_any(checkpoint.write(tmp_path / "ours", model, folders.tokenizer()))
    report = models.reference(opened, "mxnet", TEXTS)
    assert [row.name for row in report.above] == ["MLM logits"]
    assert "erf GELU whatever the model's (relu)" in report.notes[0]
