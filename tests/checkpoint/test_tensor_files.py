"""Our safetensors files are, byte by byte, those of the library."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from plainbert import checkpoint
from plainbert.checkpoint.tensor_files import TYPES, write_tensors
from plainbert.errors import CheckpointError, FormatError
from tests.helpers.folders import tiny, tokenizer

shapes = st.lists(st.integers(0, 5), max_size=3)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda name: name != "__metadata__"
)


def both(folder, tensors, metadata):
    save_file(
        {name: each.contiguous() for name, each in tensors.items()}, folder / "theirs", metadata
    )
    write_tensors(folder / "ours", tensors, metadata)
    return (folder / "ours").read_bytes(), (folder / "theirs").read_bytes()


@given(
    st.dictionaries(names, st.tuples(shapes, st.sampled_from(list(TYPES))), max_size=6),
    st.none() | st.dictionaries(names, names, min_size=1, max_size=1),
)
def test_same_bytes(tmp_path_factory, entries, metadata):
    tensors = {name: torch.randn(shape).to(dtype) for name, (shape, dtype) in entries.items()}
    ours, theirs = both(tmp_path_factory.mktemp("x"), tensors, metadata)
    assert ours == theirs


@pytest.mark.parametrize("dtype", list(TYPES))
def test_same_bytes_for_models(tmp_path, dtype):
    tensors = tiny("pretraining").to(dtype).state_dict()
    ours, theirs = both(tmp_path, tensors, {"format": "pt"})
    assert ours == theirs


def test_transposed_and_mapped(tmp_path):
    base = {"a": torch.randn(3, 4), "b": torch.randn(6)}
    save_file(base, tmp_path / "first")
    mapped = load_file(tmp_path / "first")
    tensors = {"t": mapped["a"].t(), "part": mapped["b"][2:5], "steps": mapped["b"][::2]}
    ours, theirs = both(tmp_path, tensors, {"format": "pt"})
    assert ours == theirs


def test_folder_from_tensors(tmp_path):
    model = tiny()
    one = checkpoint.write(tmp_path / "one", model, tokenizer(), about={"task": "x"})
    config = checkpoint.read(one).config
    two = checkpoint.write_folder(
        tmp_path / "two", model.state_dict(), tokenizer(), config, {"task": "x"}
    )
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("bert.pooler.dense.bias", torch.full((16,), torch.nan), CheckpointError),
        ("bert.pooler.dense.bias", torch.zeros(16, dtype=torch.int8), FormatError),
        ("bert.embeddings.word_embeddings.weight", torch.zeros(11, 16), CheckpointError),
    ],
)
def test_tensors_that_could_not_be_opened(tmp_path, name, value, error):
    model = tiny()
    tensors = dict(model.state_dict()) | {name: value}
    with pytest.raises(error, match=name.removeprefix("bert.")):
        checkpoint.write_folder(tmp_path / "new", tensors, tokenizer(), model.config)
    assert not list(tmp_path.iterdir())


MEMORY = """
import resource, sys, torch
from plainbert.checkpoint.tensor_files import write_tensors
tensors = {f"t{row}": torch.ones(1000, 1250).t() for row in range(40)}  # 5 MB each, transposed
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_tensors(sys.argv[1], tensors)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_one_tensor_at_a_time(tmp_path):
    """200 MB are written with far less than that more in memory; allocators keep some."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "x")], capture_output=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    )  # fmt: skip
    assert int(done.stdout) < 80_000  # KB
    assert (tmp_path / "x").stat().st_size > 200_000_000
