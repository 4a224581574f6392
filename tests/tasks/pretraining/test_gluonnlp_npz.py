"""GluonNLP's own files are read like shards, whatever NumPy wrote them; nothing in them runs."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.containers import npz, object_pickle
from plainbert.errors import CheckpointError, FormatError
from plainbert.tasks.pretraining import gluonnlp_npz
from plainbert.tasks.pretraining.shards import Shards
from plainbert.text.gluonnlp_vocab import gluonnlp_order, reordered
from plainbert.text.vocab import Vocab
from tests.helpers.npz_files import VOCAB, instances, npy, old_arrays, pack, plain, unpickled

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests/fixtures"
UNCASED = FIXTURES / "text/uncased.txt"


def opened(path, vocab=VOCAB):
    shards = Shards.open([str(path)], vocab)
    return plain(shards.rows(np.arange(len(shards))))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_of_every_numpy(tmp_path, protocol, method):
    made = instances(1500)  # the pickler hands elements over in thousands
    members = {name: npy(array, protocol) for name, array in old_arrays(made).items()}
    if protocol == 2:  # as from Python 3; empty bytes are written as a call of bytes itself
        made = [one for one in made if one["places"]]
        members = {name: npy(array, 2) for name, array in old_arrays(made).items()}
    pack(tmp_path / "a.npz", members, method)
    assert opened(tmp_path / "a.npz") == made


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_this_numpy(tmp_path, save):
    made = instances(40)
    save(tmp_path / "a.npz", **old_arrays(made))
    assert opened(tmp_path / "a.npz") == made


def test_files_of_python_2(tmp_path):
    # There bytes are strings: the same pickle with Python 2's instruction for them.
    made = [one for one in instances(60) if one["places"]]
    members = {}
    for name, array in old_arrays(made).items():
        members[name] = npy(array, 3)
        if array.dtype.hasobject:
            assert b"C\x01b" in members[name]
            members[name] = members[name].replace(b"C\x01b", b"U\x01b", 1)
    pack(tmp_path / "a.npz", members)
    assert opened(tmp_path / "a.npz") == made


@given(
    st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=30), st.integers(2, 4)
)
@settings(deadline=None)
def test_rows_of_any_lengths(rows, protocol):
    array = np.array([np.array(row, np.int32) for row in rows], dtype=object)
    if protocol == 2 and not all(rows):
        protocol = 3
    data = npy(array, protocol)
    head = 10 + int.from_bytes(data[8:10], "little")
    values, lengths = gluonnlp_npz._rows(memoryview(data)[head:], array.shape)
    assert lengths.tolist() == [len(row) for row in rows]
    assert values.tolist() == [value for row in rows for value in row]


@pytest.mark.parametrize("name", ["gluonnlp", "gluonnlp_one_mask"])
def test_what_the_original_script_wrote(name, caplog):
    """Words instead of numbers: its rows are in GluonNLP's order, ours in Google's."""
    google = UNCASED.read_text(encoding="utf-8").splitlines()
    theirs = list(google)
    for row, token in enumerate(("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")):
        place = theirs.index(token)
        theirs[row], theirs[place] = theirs[place], theirs[row]
    path = FIXTURES / f"corpus/{name}.npz"
    with caplog.at_level(logging.INFO):
        found = opened(path, Vocab.from_txt(UNCASED))
    assert "GluonNLP's order" in caplog.text
    old = unpickled(path)
    assert len(found) == len(old["valid_lengths"]) == (11 if name.endswith("mask") else 15)
    assert old["masked_lm_ids"].ndim == (2 if name.endswith("mask") else 1)
    for row, one in enumerate(found):
        words = [google[token] for token in one["ids"]]
        assert words == [theirs[token] for token in old["input_ids"][row]]
        assert (words[0], words[one["split"] - 1], words[-1]) == ("[CLS]", "[SEP]", "[SEP]")
        labels = [google[token] for token in one["labels"]]
        assert labels == [theirs[token] for token in old["masked_lm_ids"][row]]
        assert one["places"] == list(old["masked_lm_positions"][row])
        assert sum(old["segment_ids"][row]) == len(words) - one["split"]
        assert one["random"] == old["next_sentence_labels"][row]


def test_the_vocabulary_in_its_own_order_needs_no_translation(caplog):
    vocab = Vocab.from_txt(UNCASED)
    own = reordered(vocab, gluonnlp_order(vocab))
    path = FIXTURES / "corpus/gluonnlp.npz"
    with caplog.at_level(logging.INFO):
        found = opened(path, own)
    assert "GluonNLP's order" not in caplog.text
    assert found[0]["ids"][0] == 2
    assert opened(path, None) == found


def test_another_vocabulary_is_an_error_even_where_damage_is_skipped():
    vocab = Vocab(["[PAD]", "a", "b", "c", "d", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    for path, message in ((FIXTURES / "corpus/gluonnlp.npz", "tokens up to .* rows 0 to 8"),):
        shards = Shards.open([str(path)], vocab, skip_bad=True)
        with pytest.raises(CheckpointError, match=message):
            shards.rows(np.array([0]))


def test_other_frames_are_an_error(tmp_path):
    made = instances(5)
    pack(tmp_path / "a.npz", {name: npy(a) for name, a in old_arrays(made).items()})
    other = Vocab([*VOCAB.tokens[:2], "one", "more", *VOCAB.tokens[2:]])
    with pytest.raises(CheckpointError, match="begin with token 53 and end with 54"):
        opened(tmp_path / "a.npz", other)


def test_masks_of_weight_zero_are_padding(tmp_path):
    made = [one for one in instances(30) if len(one["places"]) > 1]
    arrays = old_arrays(made)
    for row in arrays["masked_lm_weights"]:
        row[-1] = 0
    np.savez(tmp_path / "a.npz", **arrays)
    for one in made:
        del one["places"][-1], one["labels"][-1]
    assert opened(tmp_path / "a.npz") == made


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("valid_lengths", lambda a: a + 1, "disagree"),
        ("valid_lengths", lambda a: a * 0, "without tokens"),
        ("valid_lengths", lambda a: a[:-1], "instances"),
        ("valid_lengths", lambda a: a.astype("f4"), "valid_lengths as float32"),
        (
            "segment_ids",
            lambda a: np.array([row[::-1].copy() for row in a], object),
            "zeros before",
        ),
        ("segment_ids", lambda a: np.array([row * 2 for row in a], object), "zeros before"),
        ("masked_lm_weights", lambda a: np.array([row / 2 for row in a], object), "weights"),
        ("masked_lm_ids", lambda a: np.array([row[1:] for row in a], object), "disagree"),
        ("masked_lm_positions", lambda a: np.array([row + 99 for row in a], object), "positions"),
        ("masked_lm_positions", lambda a: np.array([row - 99 for row in a], object), "from -"),
        ("input_ids", lambda a: np.array([row.astype("f8") for row in a], object), "float64"),
        ("input_ids", lambda a: np.array(["x"] * len(a), object), "cannot be read"),
        ("input_ids", lambda a: np.array([list(row) for row in a], object), "cannot be read"),
        ("next_sentence_labels", lambda a: a + 1, "next_sentence_labels"),
        ("input_ids", lambda a: None, "no input_ids"),
        ("masked_lm_ids", lambda a: np.zeros((len(a), 2), int), "where GluonNLP has arrays"),
    ],
)
def test_parts_that_do_not_go_together(tmp_path, name, change, message):
    arrays = old_arrays(instances(30))
    arrays[name] = change(arrays[name])
    np.savez(tmp_path / "a.npz", **{key: a for key, a in arrays.items() if a is not None})
    with pytest.raises(FormatError, match=message):
        opened(tmp_path / "a.npz")


class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/plainbert-was-here",)


def test_nothing_runs(tmp_path):
    arrays = old_arrays(instances(3))
    arrays["input_ids"] = np.array([Runs(), Runs(), Runs()], dtype=object)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match="it names posix.system"):
        opened(tmp_path / "a.npz")
    assert not Path("/tmp/plainbert-was-here").exists()


NDARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
NONE = b"J\xff\xff\xff\xff"
I4 = b"cnumpy\ndtype\nX\2\0\0\0i4\x89\x88\x87R(K\3X\1\0\0\0<NNN" + NONE * 2 + b"K\0tb"
O8 = I4.replace(b"i4", b"O8").replace(b"<", b"|").replace(b"K\0tb", b"K?tb")


def state(shape: bytes, kind: bytes, data: bytes) -> bytes:
    return b"(K\x01" + shape + kind + b"\x89" + data + b"tb"


WHOLE = (
    b"\x80\x03"
    + NDARRAY
    + state(
        b"K\x02\x85", O8, b"](" + 2 * (NDARRAY + state(b"K\x01\x85", I4, b"C\x04\1\2\3\4")) + b"e"
    )
    + b"."
)


def test_the_pickle_that_the_next_ones_break():
    assert [row.tolist() for row in pickle.loads(WHOLE)] == [[0x04030201]] * 2
    values, lengths = gluonnlp_npz._rows(memoryview(WHOLE), (2,))
    assert (values.tolist(), lengths.tolist()) == ([0x04030201] * 2, [1, 1])


@pytest.mark.parametrize(
    "data",
    [
        WHOLE.replace(b"numpy\nndarray", b"builtins\nlist"),
        WHOLE.replace(b"_reconstruct", b"scalar"),
        WHOLE.replace(b"K\x01\x85", b"J\xff\xff\xff\x7f\x85"),  # 8 GB, said the shape
        WHOLE.replace(b"K\x01\x85", b"J\xff\xff\xff\xff\x85"),
        WHOLE.replace(b"K\x01\x85", b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85"),
        WHOLE.replace(b"K\x01\x85", b"K\x00\x85"),
        WHOLE.replace(b"K\x02\x85", b"K\x03\x85"),
        WHOLE.replace(b"i4", b"V4"),
        WHOLE.replace(b"i4", b"M8"),
        WHOLE.replace(b"NNN", b"K\x00NN"),
        WHOLE.replace(b"C\x04\1\2\3\4", b"B\xff\xff\xff\xff"),
        WHOLE.replace(b"C\x04\1\2\3\4", b"\x96\xff\xff\xff\xff\xff\x00\x00\x00"),  # BYTEARRAY8
        WHOLE.replace(b"C\x04\1\2\3\4", b"]"),
        WHOLE[:-1],
        b"",
        b".",
        b"N.",
        b"(" * 100_000 + b".",
        b")" + b"\x85" * 100_000 + b".",
        b"]" * 100_000 + b".",
        b")" * 100_000 + b".",
        b"K\x00q\x00" * 100_000 + b".",
        b"K\x00" + b"\x94" * 100_000 + b".",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        NDARRAY + b"}b.",
        NDARRAY + b"N}K\x01\x86b.",
        b"cnumpy\nndarray\n)\x81.",
        b"cnumpy\ndtype\n(K\x01tR.",
        b"cnumpy\nndarray\n(K\x01tR.",
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.",
        b"\x82\x01.",
        b"P1\n.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"](K\x00K\x01el" + b".",
    ],
)
def test_hostile_pickles_are_refused(data):
    with pytest.raises(ValueError, match=r"."):
        object_pickle.unpickled(memoryview(data), (2,))


def test_a_hostile_file_takes_little_memory_and_time(tmp_path):
    """Small files that unpack to many instructions, each of which makes something."""
    N = 90_000  # what it claims to hold decides how much may be done
    plain_ones = npy(np.ones(N, "i4"))
    head = npy(np.array([None] * N)).split(b"\n")[0] + b"\n"
    bombs = [
        b"(" * (3 << 20), b")" + b"\x85" * (3 << 20), b"K\x00\x85" * (1 << 20), NDARRAY * 60_000,
        b"K\x00" + b"\x94" * (3 << 20), b"X\1\0\0\0a" + b"\x94" * (3 << 20), b"]" * (3 << 20),
    ]  # fmt: skip
    for number, bomb in enumerate(bombs):
        members = dict.fromkeys(gluonnlp_npz.RAGGED, head + b"\x80\x03" + bomb)
        members.update(dict.fromkeys(gluonnlp_npz.PLAIN, plain_ones))
        pack(tmp_path / f"{number}.npz", members, zipfile.ZIP_DEFLATED)
    program = (
        "import resource, sys\n"
        "from plainbert.containers import npz\n"
        "from plainbert.tasks.pretraining import gluonnlp_npz\n"
        "from plainbert.errors import FormatError\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (20, 20))\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "before = peak()\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        gluonnlp_npz.read(npz.Archive(path, objects=True), None)\n"
        "    except FormatError:\n"
        "        print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True, text=True,
    )  # fmt: skip
    megabytes = [int(line) for line in done.stdout.split()]
    assert len(megabytes) == len(bombs), done.stderr
    assert max(megabytes) < 100


def test_lengths_are_known_without_the_tokens(tmp_path):
    made = instances(10)
    members = {name: npy(array) for name, array in old_arrays(made).items()}
    head = members["input_ids"].index(b"\n") + 1
    members["input_ids"] = members["input_ids"][:head] + b"garbage, which nobody looks at yet"
    pack(tmp_path / "a.npz", members)
    shards = Shards.open([str(tmp_path / "a.npz")], VOCAB, background=False)
    assert shards.lengths.tolist() == [len(one["ids"]) for one in made]
    with pytest.raises(FormatError, match="input_ids, which cannot be read"):
        shards.rows(np.array([0]))


def test_objects_are_only_read_for_these_files():
    with pytest.raises(FormatError, match="Python objects"):
        npz.read(FIXTURES / "corpus/gluonnlp.npz")
