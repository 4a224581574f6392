"""Programs of torch.export: what they compute, what they need, and what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.export.example import copy_program
from plainbert.export.names import TASKS
from plainbert.export.source import Source
from plainbert.export.torch.format import TorchFormat
from plainbert.nn.pooling import Pooling
from tests.helpers import folders
from tests.helpers.rounding import rounding, terms_of

SHAPES = [(4, 9), (1, 9), (4, 2), (1, 2), (2, 8)]
CASES = [
    *((task, "gelu", Pooling() if task == "embedding" else None) for task in TASKS),
    ("ner", "relu", None),
    ("classification", "gelu_new", None),
    ("embedding", "gelu", Pooling("mean_max", layers=(-1, -2), normalize=True)),
    ("embedding", "gelu", Pooling("none", layers=(-2,))),
    ("embedding", "gelu", Pooling("pooled")),
]


def made(task: str, pooling: Pooling | None = None, activation: str = "gelu") -> Source:
    model = folders.tiny(TASKS[task], hidden_act=activation)
    labels = folders.LABELS if task in ("classification", "ner") else ()
    return Source(model, task, folders.tokenizer(), 32, labels, pooling)


def difference(source: Source, folder: Path) -> float:
    """The largest one, over batches of several shapes, at tokens, relative to 1 or the outputs."""
    found = [0.0]
    with TorchFormat().open_runner(folder) as runner, torch.no_grad():
        for rows, length in SHAPES:
            batch = [each[:rows, :length].contiguous() for each in folders.batch()]
            wanted = source.module()(*batch)
            scores = torch.from_numpy(runner.run(*(each.numpy() for each in batch)))
            assert scores.shape == wanted.shape
            if scores.dim() == 3:
                scores, wanted = scores[batch[2] > 0], wanted[batch[2] > 0]
            found.append(float((scores - wanted).abs().max() / max(1, wanted.abs().max())))
    return max(found)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of one; tests copy what they change."""
    folder = tmp_path_factory.mktemp("tagger")
    TorchFormat().write(made("ner"), folder)
    return folder


@pytest.mark.parametrize(
    ("task", "activation", "pooling"), CASES, ids=[f"{case[0]}{n}" for n, case in enumerate(CASES)]
)
def test_same_outputs_at_any_shape(
    tmp_path: Path, task: str, activation: str, pooling: Pooling | None
) -> None:
    source = made(task, pooling, activation)
    TorchFormat().write(source, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt2"]
    assert difference(source, tmp_path) < rounding(terms_of(source.config))


def test_the_source_stays_as_it_was(tmp_path: Path) -> None:
    source = made("ner")
    before = {name: each.clone() for name, each in source.model.state_dict().items()}
    TorchFormat().write(source, tmp_path)
    after = source.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert all(each.requires_grad for each in source.model.parameters())


def test_inputs_beyond_the_positions_are_refused(tagger: Path) -> None:
    ids = np.ones((1, 33), np.int64)
    with (
        TorchFormat().open_runner(tagger) as runner,
        pytest.raises(RuntimeError, match="to be <= 32, but got 33"),
    ):
        runner.run(ids, ids, ids)


@pytest.mark.slow
def test_compiled(tmp_path: Path) -> None:
    source = made("embedding", Pooling("mean_max", layers=(-1, -2), normalize=True))
    TorchFormat(compiled=True).write(source, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["compiled.pt2"]
    assert difference(source, tmp_path) < rounding(terms_of(source.config))
    # Whatever number of threads it was compiled with, it takes as many as torch has.
    with zipfile.ZipFile(tmp_path / "compiled.pt2") as archive:
        code = b"".join(archive.read(name) for name in archive.namelist() if ".kernel.cpp" in name)
    assert b"#pragma omp parallel\n" in code
    assert runs_alone(source, tmp_path)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="needs the C.. compiler no-such-compiler, which is not"):
        TorchFormat(compiled=True).require()
    TorchFormat().require()


def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("CppCompileError: C++ compile error\n\nCommand:\ng\n\nOutput:\nno omp.h")

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", fail)
    with pytest.raises(CheckpointError, match=r"could not compile the model: no omp\.h$"):
        TorchFormat(compiled=True).write(made("ner"), tmp_path)


def runs_alone(source: Source, folder: Path) -> bool:
    """Whether the example gets the source's scores, in a Python where plainbert is out of reach."""
    source.tokenizer.save(folder)
    about = {
        "task": source.task, "max_length": 32, "labels": source.labels, "several": False,
        "decoding": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(about))
    copy_program("torch", source.task, folder)
    # An editable install is found through the path, any other one is shadowed.
    code = """
import pathlib, runpy, sys
sys.path = [each for each in sys.path if not pathlib.Path(each, "plainbert", "nn").is_dir()
            or each.endswith("site-packages")]
sys.modules["plainbert"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not [name for name in sys.modules if name.startswith("plainbert.")]
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(folder / "predict.py"), "the cat", "a cab"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = source.tokenizer.ids_many(["the cat", "a cab"])
    vocab = source.tokenizer.vocab
    ids = [vocab.cls_id, *one, vocab.sep_id, *two, vocab.sep_id]
    types = [0] * (len(one) + 2) + [1] * (len(two) + 1)
    with torch.no_grad():
        wanted = source.module()(*torch.tensor([[ids], [types], [[1] * len(ids)]]))[0]
    numbers = json.loads(done.stdout)["vector"]
    atol = rounding(terms_of(source.config), wanted)
    return bool(torch.allclose(torch.tensor(numbers), wanted, rtol=0, atol=atol))


def test_it_runs_with_torch_alone(tmp_path: Path) -> None:
    source = made("embedding", Pooling())
    TorchFormat().write(source, tmp_path)
    assert runs_alone(source, tmp_path)


def test_threads_are_given_back(tagger: Path) -> None:
    before = torch.get_num_threads()
    with TorchFormat().open_runner(tagger, threads=before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


class Evil:
    """What unpickling must not do."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (pytest.fail, ("it was unpickled",))


def changed(path: Path, change: dict[str, Callable[[bytes], bytes]]) -> None:
    """Write an archive anew, with other contents of those files."""
    with zipfile.ZipFile(path) as archive:
        entries = {each.filename: archive.read(each) for each in archive.infolist()}
    assert sum(name.endswith(tuple(change)) for name in entries) == len(change)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            for end, make in change.items():
                content = make(content) if name.endswith(end) else content
            archive.writestr(name, content)


def pickled(config: bytes) -> bytes:
    return config.replace(b'"use_pickle":false', b'"use_pickle":true', 1).replace(
        b'"use_pickle": false', b'"use_pickle": true', 1
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs/model.pt": lambda old: pickle.dumps(Evil())}, "pickled objects .*model.pt"),
        ({"weights_config.json": pickled}, "pickled objects .*weights_config.json: model"),
        (
            {
                "constants_config.json": lambda old: json.dumps(
                    {"config": {"x": {"path_name": "opaque_obj_0", "use_pickle": False}}}
                ).encode()
            },
            "pickled objects .*constants_config.json: x",
        ),
        ({"weights_config.json": lambda old: b"[]"}, "is not a program of torch.export"),
        ({"weights_config.json": lambda old: b"{"}, "is not a program of torch.export"),
    ],
)
def test_pickles_are_refused(
    tagger: Path, tmp_path: Path, change: dict[str, Callable[[bytes], bytes]], message: str
) -> None:
    shutil.copytree(tagger, tmp_path, dirs_exist_ok=True)
    changed(tmp_path / "model.pt2", change)
    with pytest.raises(FormatError, match=message):
        TorchFormat().open_runner(tmp_path)


def test_nothing_is_pickled(tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TorchFormat().write(made("ner"), tmp_path)

    def fail(*arguments: object, **options: object) -> None:
        pytest.fail("torch unpickles something")

    monkeypatch.setattr(torch, "load", fail)
    monkeypatch.setattr(pickle, "loads", fail)
    TorchFormat().open_runner(tmp_path)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither compiled\.pt2 nor model\.pt2"):
        TorchFormat().open_runner(tmp_path)
    (tmp_path / "model.pt2").write_bytes(b"PK nonsense")
    with pytest.raises(FormatError, match="not a program of torch.export"):
        TorchFormat().open_runner(tmp_path)
