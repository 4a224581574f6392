"""Exports on real MXNet: every way to load them gives what torch gives."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch

from plainbert import model_zoo
from plainbert.batching.features import featurize
from plainbert.config import BertConfig
from plainbert.export import example
from plainbert.export.check import batches, check
from plainbert.export.decoding import decoding_of
from plainbert.export.example import copy_program
from plainbert.export.mxnet.format import MXNetFormat
from plainbert.export.names import TASKS
from plainbert.export.program import predict, predict_model, predict_texts
from plainbert.export.source import Source, source_of
from plainbert.formats.gluonnlp import reader
from plainbert.model_zoo.convert import convert, open_any
from plainbert.nn.names import NUMBERS
from plainbert.nn.pooling import Pooling
from tests.helpers import mxnet_sources as sources
from tests.helpers.rounding import rounding, terms_of

pytestmark = pytest.mark.mxnet

NEAR = 1e-5  # what trained models are held to; random ones round more
TEXTS = [
    ("The river rose quickly after the storm.",),
    ("Who wrote the letter?", "Her sister wrote it in 1912, but it was never sent."),
    ("Rain.",),
    ("Interest rates went up again, and borrowing money has become more expensive.",),
]
# As in programs/nets.py.
NETS = {
    "classification": 4, "regression": 1, "question_answering": 2, "ner": 7, "embedding": 0,
}  # fmt: skip
SIZES = BertConfig(
    vocab_size=57,
    hidden_size=48,
    num_hidden_layers=3,
    num_attention_heads=6,
    intermediate_size=80,
    max_position_embeddings=20,
)
NAMES = {"question_answering": "span", "ner": "tagging", "embedding": "pooled"}


def cases() -> dict[str, tuple[Source, dict[str, Any]]]:
    """What is exported, and how."""
    found: dict[str, tuple[Source, dict[str, Any]]] = {}
    for task in TASKS:
        for fused in (False, True):
            found[f"{task} {'fused' if fused else 'separate'}"] = (
                sources.tiny(task), {"fused": fused},
            )  # fmt: skip
    for act in ("relu", "gelu_new", "gelu_pytorch_tanh"):
        found[act] = (sources.tiny("classification", hidden_act=act, layer_norm_eps=1e-3), {})
    for kind in NUMBERS:
        found[f"pooling {kind}"] = (sources.tiny("embedding", Pooling(kind, normalize=True)), {})
    joined = Pooling("mean_max", (-1, -3))
    found["layers"] = (sources.tiny("embedding", joined, num_hidden_layers=3), {})
    for task in TASKS:
        found[f"{task} dropout"] = (sources.tiny(task), {"dropout": 0.3})
    for task, classes in NETS.items():
        labels = tuple(f"l{row}" for row in range(classes)) or None
        changes = {
            name: getattr(SIZES, name)
            for name in (
                "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                "intermediate_size", "max_position_embeddings",
            )
        }  # fmt: skip
        source = sources.tiny(task, Pooling("pooled"), id2label=labels, **changes)
        found[f"{task} net"] = (source, {})
    return found


def case_batches(source: Source) -> tuple[sources.Batch, sources.Batch]:
    """Two, no longer than the model allows."""
    one, (ids, types, mask) = sources.batches()
    most = source.config.max_position_embeddings
    return one, (ids[:, :most], types[:, :most], mask[:, :most])


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, run_there: Callable[..., None]
) -> dict[str, tuple[Source, dict[str, np.ndarray]]]:
    """The cases, and what real MXNet made of them."""
    folder = tmp_path_factory.mktemp("exports")
    torch.manual_seed(3)
    made = cases()
    for name, (source, options) in made.items():
        sources.export(source, folder / name, **options)
        data: dict[str, Any] = {}
        for letter, (ids, types, mask) in zip("ab", case_batches(source), strict=True):
            values = (ids.numpy(), types.numpy(), mask.sum(1).numpy())
            data |= {f"data{k}_{letter}": value for k, value in enumerate(values)}
        if name.endswith(" net"):
            data["net"] = NAMES.get(source.task, source.task)
        np.savez(folder / name / "inputs.npz", **data)
    run_there("run_exports.py", folder)
    return {
        name: (source, dict(np.load(folder / name / "outputs.npz")))
        for name, (source, _) in made.items()
    }


def apart(found: np.ndarray, wanted: torch.Tensor) -> float:
    """The largest difference."""
    assert found.shape == wanted.shape
    assert np.isfinite(found).all()
    return float(np.abs(found - wanted.numpy()).max())


@pytest.mark.parametrize("name", cases())
def test_equals_torch(ran: dict[str, tuple[Source, dict[str, np.ndarray]]], name: str) -> None:
    source, outputs = ran[name]
    assert len(outputs) == 14 + name.endswith(" net")
    wanted = [sources.by_torch(source, batch) for batch in case_batches(source)]
    assert all(float(each.abs().max()) > 0.05 for each in wanted)
    for way, found in outputs.items():
        letter = "a" if way == "gluonnlp" else way[-1]
        if way.startswith("train"):
            continue
        batch = case_batches(source)["ab".index(letter)]
        plain = sources.without_padding(torch.from_numpy(found), batch).numpy()
        right = wanted["ab".index(letter)]
        assert apart(plain, right) <= rounding(terms_of(source.config), right), way


@pytest.mark.parametrize("task", TASKS)
def test_dropout_is_for_training(
    ran: dict[str, tuple[Source, dict[str, np.ndarray]]], task: str
) -> None:
    outputs = ran[f"{task} dropout"][1]
    inert = outputs["block int64 a"]
    assert np.abs(outputs["train 1"] - inert).max() > 0.01
    assert np.abs(outputs["train 1"] - outputs["train 2"]).max() > 0.01
    plain = ran[f"{task} separate"][1]
    assert np.array_equal(plain["train 1"], plain["train 2"])
    assert np.array_equal(plain["train 1"], plain["block int64 a"])


@pytest.fixture(scope="module")
def minilm() -> Source:
    """A real model."""
    return source_of(model_zoo.open_folder("all-MiniLM-L6-v2"), "all-MiniLM-L6-v2")


@pytest.mark.parametrize("fused", [False, True])
def test_a_real_model(tmp_path: Path, minilm: Source, fused: bool) -> None:
    folder = sources.export(minilm, tmp_path, fused=fused)
    with MXNetFormat().open_runner(folder, threads=1) as runner:
        for ids, types, mask in batches(featurize(minilm.tokenizer, TEXTS, 128)):
            batch = tuple(map(torch.from_numpy, (ids, types, mask)))
            wanted = sources.by_torch(minilm, batch)  # type: ignore[arg-type]
            assert apart(runner.run(ids, types, mask), wanted) <= NEAR
        done = check(minilm, runner, TEXTS)
    assert done.difference <= NEAR
    again = open_any(folder).model.state_dict()
    for name, tensor in minilm.model.state_dict().items():
        assert "pooler" in name or torch.equal(again[name], tensor), name


@pytest.mark.parametrize("task", [task for task in TASKS if task != "embedding"])
@pytest.mark.parametrize("fused", [False, True])
def test_the_stored_models(tmp_path: Path, task: str, fused: bool) -> None:
    """The very numbers that real MXNet computed with GluonNLP's own exports."""
    source = sources.stored(task)
    folder = sources.export(source, tmp_path, fused=fused)
    with MXNetFormat().open_runner(folder) as runner:
        for suffix in ("", "_b"):
            batch = sources.stored_batch(suffix)
            found = runner.run(*(each.numpy() for each in batch))
            wanted = sources.EXPECTED[f"{task}_out{suffix}"]
            assert np.abs(found - wanted).max() <= rounding(terms_of(source.config), wanted)


def test_a_graph_that_mxnet_refuses(tmp_path: Path) -> None:
    folder = sources.export(sources.tiny("ner"), tmp_path)
    graph = folder / "ner-symbol.json"
    graph.write_text(graph.read_text("utf-8").replace('"FullyConnected"', '"Nonsense"'))
    with pytest.raises(Exception, match="mxnet cannot run this model"):
        MXNetFormat().open_runner(folder)


@pytest.mark.parametrize("task", TASKS)
def test_the_example(tmp_path: Path, task: str) -> None:
    """It runs where nothing but MXNet and tokenizers is, and cuts what is too long."""
    source = sources.tiny(task)
    folder = sources.export(source, tmp_path / "export")
    copy_program("mxnet", task, folder)
    manifest = {
        "task": task, "max_length": 8, "labels": source.labels, "several": False,
        "decoding": decoding_of(source),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "tokenizers").symlink_to(Path(tokenizers.__file__).parent)
    python = Path(os.environ["PLAINBERT_MXNET"]).absolute()
    row = ("the cat a b", "a cab cat the b")[: 1 if task == "ner" else 2]
    done = subprocess.run(
        [python, folder / "predict.py", *row],
        env={"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    pieces = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))

    def by_torch(*batch: np.ndarray) -> np.ndarray:
        return sources.by_torch(source, tuple(map(torch.from_numpy, batch))).numpy()

    model = predict_model.Model(manifest, pieces, by_torch)
    right = example.TASKS.get(task, predict_texts).results(model, [row])
    assert numbers_of(done.stdout)[0] == numbers_of(predict.lines(right, header=True))[0]
    atol = 1e-5 * max(map(abs, numbers_of(done.stdout)[1]), default=1.0)
    assert numbers_of(done.stdout)[1] == pytest.approx(
        numbers_of(predict.lines(right, header=True))[1], rel=0, abs=atol
    )


def numbers_of(text: str) -> tuple[str, list[float]]:
    """A text without its numbers with a point, and these."""
    number = r"-?\d+\.\d*(?:e-?\d+)?"
    return re.sub(number, "", text), [float(part) for part in re.findall(number, text)]


def test_convert_checkpoint_makes_what_load_parameters_reads(
    tmp_path: Path, run_there: Callable[..., None]
) -> None:
    """MXNet's own load_parameters wants names with dots, which no export has."""
    source = sources.tiny(
        "classification",
        id2label=tuple("abcd"),
        **{
            name: getattr(SIZES, name)
            for name in (
                "vocab_size",
                "hidden_size",
                "num_hidden_layers",
                "num_attention_heads",
                "intermediate_size",
                "max_position_embeddings",
            )
        },
    )
    folder = sources.export(source, tmp_path / "export")
    (tmp_path / "there").mkdir()
    done = convert(open_any(folder), tmp_path / "there" / "classification", "gluonnlp")
    assert reader.read(done.folder).config == reader.read(folder).config
    one, (ids, types, mask) = case_batches(source)
    np.savez(tmp_path / "there" / "inputs.npz", ids=ids, types=types, lengths=mask.sum(1))
    run_there("read_there.py", tmp_path / "there")
    found = dict(np.load(tmp_path / "there" / "outputs.npz"))
    right = sources.by_torch(source, (ids, types, mask))
    assert apart(found["classification/0"], right) <= rounding(terms_of(source.config), right)
