"""SavedModels that were exported, in TensorFlow itself.

``PLAINBERT_TENSORFLOW`` names a Python that has it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from plainbert import model_zoo
from plainbert.batching.features import featurize
from plainbert.errors import CheckpointError
from plainbert.export.check import batches
from plainbert.export.example import copy_program
from plainbert.export.names import TASKS
from plainbert.export.savedmodel import format
from plainbert.export.savedmodel.format import SavedModelFormat
from plainbert.export.source import Source, source_of
from plainbert.nn.pooling import Pooling
from plainbert.runtimes.find import find_python
from plainbert.runtimes.runtime import TENSORFLOW
from tests.helpers import folders
from tests.helpers.rounding import rounding, terms_of

pytestmark = pytest.mark.tensorflow

PROGRAM = Path(__file__).parent / "programs" / "run_exported.py"
GOLDEN = Path(__file__).parent.parent / "golden" / "savedmodel"
SHAPES = [(4, 9), (1, 2), (2, 32)]

# name -> task, what its config says, pooling
CASES = {
    "classification": ("classification", {}, None),
    "several_labels": ("classification", {"problem_type": "multi_label_classification"}, None),
    "regression": ("regression", {}, None),
    "question_answering": ("question_answering", {}, None),
    "ner": ("ner", {}, None),
    "embedding": ("embedding", {}, Pooling("mean", normalize=True)),
    "relu": ("classification", {"hidden_act": "relu"}, None),
    "gelu_new": ("ner", {"hidden_act": "gelu_new"}, None),
    "gelu_pytorch_tanh": ("regression", {"hidden_act": "gelu_pytorch_tanh"}, None),
    "pooled": ("embedding", {}, Pooling("pooled")),
    "none": ("embedding", {}, Pooling("none", layers=(-1, -2))),
    "lower_layer": ("embedding", {}, Pooling("none", layers=(-2,), normalize=True)),
    **{kind: ("embedding", {}, Pooling(kind)) for kind in ("max", "mean_max", "first", "last")},
}
KINDS = [name for name in CASES if name == "several_labels" or name in TASKS]  # of signatures


def source(name: str) -> Source:
    task, changes, pooling = CASES[name]
    torch.manual_seed(list(CASES).index(name))
    model = folders.tiny(TASKS[task], **changes)
    return Source(model, task, folders.tokenizer(), 32, folders.LABELS, pooling)


def batch(rows: int, length: int) -> dict[str, np.ndarray]:
    """Tokens under the signatures' names, with padding where there is room for it."""
    generator = np.random.default_rng(rows * length)
    lengths = generator.integers(2, length + 1, rows)
    lengths[0] = length
    mask = np.arange(length) < lengths[:, None]
    ids = generator.integers(5, len(folders.TOKENS), mask.shape) * mask
    types = generator.integers(0, 2, mask.shape) * mask
    found = {"input_ids": ids, "input_mask": mask, "segment_ids": types}
    return {name: each.astype(np.int32) for name, each in found.items()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case in a folder of its own, built by one process and run by another."""
    root = tmp_path_factory.mktemp("exported")
    python = find_python(TENSORFLOW)
    for name in CASES:
        (root / name / "request").mkdir(parents=True)
        format.request(source(name), root / name / "1700000000", root / name / "request")
        for number, shape in enumerate(SHAPES):
            np.savez(root / name / f"batch-{number}.npz", **batch(*shape))
    format.build(python, [root / name / "request" for name in CASES])
    done = subprocess.run(
        [python, PROGRAM, *(root / name for name in CASES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return root


def results(folder: Path) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Batches, and every output of theirs."""
    for number in range(len(SHAPES)):
        paths = (folder / f"{kind}-{number}.npz" for kind in ("batch", "result"))
        given, found = (dict(np.load(path)) for path in paths)
        yield given, found


def close(found: np.ndarray, wanted: torch.Tensor, mask: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    if found.shape[:2] == mask.shape and found.shape != mask[:, :1].shape:  # per token
        found, wanted = found[mask > 0], wanted[torch.from_numpy(mask) > 0]
    atol = rounding(terms_of(folders.CONFIG), wanted)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("name", CASES)
def test_same_outputs(exported: Path, name: str) -> None:
    one = source(name)
    for given, found in results(exported / name):
        mask = given["input_mask"]
        order = ("input_ids", "segment_ids", "input_mask")
        with torch.no_grad():
            logits = one.module()(*(torch.from_numpy(given[key]).long() for key in order))
        answers: dict[str, torch.Tensor] = {
            "several_labels": {"probabilities": logits.sigmoid()},
            "classification": {"probabilities": F.softmax(logits, -1)},
            "regression": {"predictions": logits[..., 0]},
            "question_answering": {"start_logits": logits[..., 0], "end_logits": logits[..., -1]},
            "ner": {},
            "embedding": {"vectors": logits},
        }[name if name in KINDS else one.task]  # fmt: skip
        close(found.pop("logits/logits"), logits, mask)
        for signature in ("serving_default", "tokens_only", "session"):
            for key, wanted in answers.items():
                close(found.pop(f"{signature}/{key}"), wanted, mask)
            if one.task == "ner":
                tags, lengths = (
                    found.pop(f"{signature}/{key}") for key in ("predictions", "seq_len")
                )
                assert tags.dtype == lengths.dtype == np.int32
                assert (tags == logits.argmax(-1).numpy())[mask > 0].all()
                assert (lengths == mask.sum(1) - 2).all()
        assert not found


@pytest.mark.parametrize("name", KINDS)
def test_signatures_are_frozen(exported: Path, name: str, update_golden: bool) -> None:
    shown = (exported / name / "show.txt").read_text()
    # A set of operations is printed in any order.
    shown = re.sub(r"\{('.*')\}", lambda ops: "\n".join(sorted(ops[1].split(", "))), shown)
    path = GOLDEN / f"{name}.txt"
    if update_golden:
        path.write_text(shown)
    assert shown == path.read_text()


def test_nothing_is_forgotten() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(KINDS)
    assert {CASES[name][0] for name in KINDS} == set(TASKS)


def test_a_given_length_is_returned(exported: Path, tmp_path: Path) -> None:
    code = f"""
import tensorflow as tf
model = tf.saved_model.load({str(exported / "ner" / "1700000000")!r})
row = tf.ones((2, 5), tf.int32)
given = dict.fromkeys(("input_ids", "input_mask", "segment_ids", "label_ids", "output_mask"), row)
print(model.signatures["serving_default"](**given, seq_len=[7, 0])["seq_len"].numpy().tolist())
"""
    done = subprocess.run(
        [find_python(TENSORFLOW), "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[7, 0]\n", done.stderr


def test_written_and_opened(tmp_path: Path) -> None:
    one = source("ner")
    before = int(time.time())
    SavedModelFormat().write(one, tmp_path)
    (version,) = tmp_path.iterdir()  # the weights that were handed over are gone
    assert before <= int(version.name) <= time.time()
    files = {str(each.relative_to(version)) for each in version.rglob("*") if each.is_file()}
    assert {"saved_model.pb", "variables/variables.index"} < files
    assert b"keras" not in (version / "saved_model.pb").read_bytes().lower()

    runner = SavedModelFormat().open_runner(tmp_path, threads=1)
    with runner:
        for shape in SHAPES:
            given = batch(*shape)
            order = ("input_ids", "segment_ids", "input_mask")
            ids, types, mask = (given[key].astype(np.int64) for key in order)
            with torch.no_grad():
                wanted = one.module()(*map(torch.from_numpy, (ids, types, mask)))
            close(runner.run(ids, types, mask), wanted, mask)
        ids = np.ones((1, 33), np.int64)
        with pytest.raises(CheckpointError, match=r"more tokens than the model has .*\[33\]"):
            runner.run(ids, ids, ids)


def test_the_example(exported: Path, tmp_path: Path) -> None:
    one = source("classification")
    version = exported / "classification" / "1700000000"
    shutil.copytree(version, tmp_path / version.name)
    one.tokenizer.save(tmp_path)
    about = {
        "task": "classification", "max_length": 32, "labels": one.labels, "several": False,
        "decoding": {},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    copy_program("savedmodel", "classification", tmp_path)
    done = subprocess.run(
        [find_python(TENSORFLOW), "-I", tmp_path / "predict.py", "the cat", "a cab"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    header, row = (line.split("\t") for line in done.stdout.splitlines())
    assert header == ["text", "label", "p(red)", "p(green)", "p(blue)"]
    ((ids, types, mask),) = batches(featurize(one.tokenizer, [("the cat", "a cab")], 32))
    with torch.no_grad():
        wanted = one.module()(*map(torch.from_numpy, (ids, types, mask))).softmax(-1)[0]
    found = [float(cell) for cell in row[2:]]
    assert found == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_published_model(tmp_path: Path) -> None:
    opened = model_zoo.open_folder(model_zoo.resolve("all-MiniLM-L6-v2"))
    one = source_of(opened, "all-MiniLM-L6-v2")
    SavedModelFormat().write(one, tmp_path)
    texts = [("The cat sat on the mat.",), ("Why?", "Because " * 60), ("naïve café",)]
    with SavedModelFormat().open_runner(tmp_path) as runner, torch.no_grad():
        for ids, types, mask in batches(featurize(one.tokenizer, texts, one.max_length)):
            wanted = one.module()(*map(torch.from_numpy, (ids, types, mask)))
            close(runner.run(ids, types, mask), wanted, mask)
