"""Shards give back what was written, in the order that was asked for; damaged ones are named."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.containers import npz
from plainbert.errors import CheckpointError, DataError, FormatError, UsageError
from plainbert.tasks.pretraining import shards as module
from plainbert.tasks.pretraining.shards import Shards, matching_files, write_shard
from plainbert.text.vocab import Vocab
from tests.helpers.npz_files import VOCAB, columns, instances, plain
from tests.helpers.processes import environment, helper

SIZES = (5, 0, 1, 17, 8)


@pytest.fixture
def folder(tmp_path):
    for number, size in enumerate(SIZES):
        write_shard(tmp_path / f"p{number}.npz", columns(instances(size, number)), VOCAB.sha256)
    return tmp_path


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    made = []
    for number, size in enumerate(SIZES):
        part = instances(size, number)
        write_shard(folder / f"p{number}.npz", columns(part), VOCAB.sha256)
        made += part
    return made, Shards.open([str(folder / "*.npz")], VOCAB)


@given(st.lists(st.integers(0, sum(SIZES) - 1), max_size=40))
@settings(deadline=None)
def test_any_instances_in_any_order(several, numbers):
    made, shards = several
    assert plain(shards.rows(np.array(numbers, np.int64))) == [made[number] for number in numbers]


def test_lengths_are_those_of_the_instances(several):
    made, shards = several
    assert shards.lengths.tolist() == [len(one["ids"]) for one in made]
    assert shards.num_tokens == sum(len(one["ids"]) for one in made)
    assert len(shards) == len(made)
    assert shards.num_shards == len(SIZES)


@pytest.mark.parametrize("row", [-1, sum(SIZES)])
def test_no_such_instance(several, row):
    with pytest.raises(UsageError, match="instances 0 to 30"):
        several[1].rows(np.array([0, row]))


@pytest.mark.parametrize(("size", "kind"), [(65536, "<u2"), (65537, "<i4")])
def test_tokens_are_as_narrow_as_they_can_be(tmp_path, size, kind):
    vocab = Vocab([*VOCAB.tokens, *(f"more{row}" for row in range(size - len(VOCAB)))])
    made = instances(3)
    made[0]["ids"][1] = size - 1
    write_shard(tmp_path / "a.npz", columns(made), vocab.sha256)
    assert npz.read(tmp_path / "a.npz")["input_ids"].dtype.str == kind
    assert plain(Shards.open([str(tmp_path / "a.npz")], vocab).rows(np.arange(3))) == made


def test_the_file_is_what_the_documentation_says(folder):
    with np.load(folder / "p3.npz") as found:
        N, T, M = 17, len(found["input_ids"]), len(found["masked_lm_ids"])
        assert {name: (found[name].dtype.str, found[name].shape) for name in found} == {
            "version": ("<i8", ()),
            "input_ids": ("<u2", (T,)),
            "offsets": ("<i8", (N + 1,)),
            "segment_split": ("<i4", (N,)),
            "masked_lm_positions": ("<u2", (M,)),
            "masked_lm_ids": ("<u2", (M,)),
            "masked_offsets": ("<i8", (N + 1,)),
            "next_sentence_labels": ("|i1", (N,)),
            "vocab_sha256": ("|S64", ()),
        }
        assert found["vocab_sha256"].item().decode() == VOCAB.sha256


def test_globs(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    shards = Shards.open(["~/p[34].npz", str(folder / "p3.npz"), str(folder / "p0*")], VOCAB)
    assert shards.num_shards == 3
    assert plain(shards.rows(np.array([0])))[0] == instances(5, 0)[0]
    with pytest.raises(DataError, match="nothing\\*.npz.*matches no file"):
        Shards.open([str(folder / "*.npz"), str(folder / "nothing*.npz")], VOCAB)
    with pytest.raises(DataError, match="no instances"):
        Shards.open([str(folder / "p1.npz")], VOCAB)


def test_another_vocabulary(folder):
    other = Vocab([*VOCAB.tokens[:-1], "other"])
    for skip_bad in (False, True):  # the wrong vocabulary is no damage
        with pytest.raises(CheckpointError) as caught:
            Shards.open([str(folder / "*.npz")], other, skip_bad=skip_bad)
    for part in (VOCAB.sha256[:12], other.sha256[:12], "p0.npz", "create_pretraining_data.py"):
        assert part in str(caught.value)
    assert len(Shards.open([str(folder / "*.npz")])) == sum(SIZES)


def damage(path: Path) -> None:
    """Change a token within the stored array."""
    array = npz.read(path)["input_ids"]
    data = bytearray(path.read_bytes())
    at = data.index(array.tobytes())
    data[at + 2] ^= 1
    path.write_bytes(data)


def test_damage_is_found_before_the_first_use(folder):
    damage(folder / "p3.npz")
    shards = Shards.open([str(folder / "*.npz")], VOCAB, background=False)
    shards.rows(np.arange(6))  # of other files
    with pytest.raises(FormatError, match=r"p3\.npz.*checksum"):
        shards.rows(np.array([0, 6]))
    with pytest.raises(FormatError, match=r"p3\.npz"):
        shards.rows(np.arange(6))  # known by now: better early than in the night


def test_the_background_finds_damage_by_itself(folder):
    damage(folder / "p4.npz")
    shards = Shards.open([str(folder / "*.npz")], VOCAB)
    shards._thread.join(10)
    with pytest.raises(FormatError, match=r"p4\.npz"):
        shards.rows(np.array([0]))


def test_verify_finds_it_at_the_start(folder):
    damage(folder / "p3.npz")
    with pytest.raises(FormatError, match=r"p3\.npz"):
        Shards.open([str(folder / "*.npz")], VOCAB, verify=True)
    shards = Shards.open([str(folder / "*.npz")], VOCAB, verify=True, skip_bad=True)
    assert len(shards) == sum(SIZES) - 17
    assert len(shards.skipped) == 1
    assert plain(shards.rows(np.array([6]))) == instances(8, 4)[:1]


@pytest.mark.parametrize("background", [False, True])
def test_skipping_keeps_the_numbers_of_all_others(folder, background):
    damage(folder / "p3.npz")
    shards = Shards.open([str(folder / "*")], VOCAB, skip_bad=True, background=background)
    assert len(shards) == sum(SIZES)
    rows = shards.rows(np.array([23, 6, 5, 22, 4]))
    assert plain(rows) == [instances(8, 4)[0], instances(1, 2)[0], instances(5, 0)[4]]
    assert len(shards.skipped) == 1
    assert "p3.npz" in shards.skipped[0]
    assert len(shards.rows(np.arange(6, 23))) == 0
    assert len(shards.skipped) == 1


def test_files_without_structure_are_skipped_at_the_start_and_all_bad_is_an_error(folder):
    (folder / "p0.npz").write_bytes(b"PK")
    with pytest.raises(FormatError, match=r"p0\.npz"):
        Shards.open([str(folder / "*")], VOCAB)
    shards = Shards.open([str(folder / "*")], VOCAB, skip_bad=True)
    assert len(shards) == sum(SIZES) - 5
    damage(folder / "p4.npz")
    shards = Shards.open([str(folder / "p4.npz")], VOCAB, skip_bad=True)
    with pytest.raises(FormatError, match="all 1 shards"):
        shards.rows(np.array([0]))


def rewrite(path: Path, **changes) -> None:
    arrays = {**npz.read(path), **changes}
    npz.write(path, {name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("version=np.array(2)", "version 2"),
        ("version=None", "not version"),
        ("offsets=None", "not offsets"),
        ("offsets=a['offsets'].astype('i4')", "offsets as <i4"),
        ("offsets=a['offsets'][None]", "offsets as <i8 of shape"),
        ("offsets=a['offsets'][:-1]", "offsets"),
        ("offsets=a['offsets'] + 1", "do not grow from 0"),
        ("offsets=a['offsets'][::-1].copy()", "do not grow"),
        ("offsets=np.r_[a['offsets'][:-1], 2**62]", "do not grow"),
        ("offsets=np.r_[0, -2**63, a['offsets'][2:]]", "do not grow"),
        ("offsets=np.r_[0, 2**63 - 1, a['offsets'][2:]]", "do not grow"),
        ("offsets=np.r_[0, 0, a['offsets'][2:]]", "do not grow"),
        ("masked_offsets=a['masked_offsets'] - 1", "masks that do not grow"),
        ("segment_split=a['segment_split'][1:]", "not as many splits"),
        ("masked_lm_ids=a['masked_lm_ids'][1:]", "masked tokens and"),
        ("input_ids=a['input_ids'].astype('f4')", "input_ids as <f4"),
        ("next_sentence_labels=a['segment_split']", "next_sentence_labels as <i4"),
        ("vocab_sha256=np.array(b'x')", "vocab_sha256 as"),
    ],
)
def test_structure_is_looked_at_when_a_file_is_opened(folder, change, message):
    path = folder / "p3.npz"
    name, value = change.split("=", 1)
    rewrite(path, **{name: eval(value, {"a": npz.read(path), "np": np})})  # noqa: S307
    with pytest.raises(FormatError, match=message) as caught:
        Shards.open([str(path)], VOCAB)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_ids", len(VOCAB)),
        ("masked_lm_ids", len(VOCAB)),
        ("masked_lm_positions", 40),
        ("segment_split", -1),
        ("segment_split", 60),
        ("next_sentence_labels", 2),
        ("next_sentence_labels", -2),
    ],
)
def test_contents_are_looked_at_before_the_first_use(folder, name, value):
    path = folder / "p3.npz"
    array = np.array(npz.read(path)[name])
    array[-1] = value
    rewrite(path, **{name: array})
    shards = Shards.open([str(path)], VOCAB)
    with pytest.raises(FormatError, match=f"has {name} that cannot be"):
        shards.rows(np.array([0]))


@pytest.mark.parametrize("row", range(5))
def test_a_mask_just_behind_its_instance(tmp_path, row):
    made = [one for one in instances(20) if one["places"]][:5]
    write_shard(tmp_path / "a.npz", columns(made), VOCAB.sha256)
    arrays = npz.read(tmp_path / "a.npz")
    places = np.array(arrays["masked_lm_positions"])
    for past, message in ((-1, None), (0, "masked_lm_positions that cannot be")):
        places[arrays["masked_offsets"][row]] = len(made[row]["ids"]) + past
        rewrite(tmp_path / "a.npz", masked_lm_positions=places)
        shards = Shards.open([str(tmp_path / "a.npz")], VOCAB)
        if message is None:
            assert len(shards.rows(np.arange(5))) == 5
        else:
            with pytest.raises(FormatError, match=message):
                shards.rows(np.arange(5))


def test_contents_are_looked_at_in_pieces(folder, monkeypatch):
    # Every border between pieces, so that no instance falls between two of them.
    path = folder / "p3.npz"
    array = np.array(npz.read(path)["segment_split"])
    array[9] = 1000
    rewrite(path, segment_split=array)
    for size in range(1, 19):
        monkeypatch.setattr("plainbert.tasks.pretraining.shard_file.CHUNK", size)
        with pytest.raises(FormatError, match="segment_split"):
            Shards.open([str(path)], VOCAB).rows(np.array([0]))
        Shards.open([str(folder / "p4.npz")], VOCAB).rows(np.array([0]))


def test_a_file_that_is_replaced_while_in_use_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(module, "MAPPED", 1)
    shards = Shards.open([str(folder / "*")], VOCAB)
    shards.rows(np.array([0]))
    shards.rows(np.array([6]))  # the other file is let go
    write_shard(folder / "p0.npz", columns(instances(5, 9)), VOCAB.sha256)
    with pytest.raises(FormatError, match=r"p0\.npz was changed"):
        shards.rows(np.array([0]))


def test_packed_shards_are_copied_with_a_warning(folder):
    arrays = dict(np.load(folder / "p3.npz"))
    np.savez_compressed(folder / "p3.npz", **arrays)
    with pytest.warns(UserWarning, match=r"p3\.npz is packed"):
        shards = Shards.open([str(folder / "p3.npz")], VOCAB)
    assert plain(shards.rows(np.arange(17))) == instances(17, 3)


def test_more_files_than_descriptors(tmp_path):
    made = instances(2)
    write_shard(tmp_path / "p000.npz", columns(made), VOCAB.sha256)
    for number in range(1, 400):
        os.link(tmp_path / "p000.npz", tmp_path / f"p{number:03d}.npz")
    program = (
        "import resource, sys, numpy as np\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
        "from plainbert.tasks.pretraining.shards import Shards\n"
        "shards = Shards.open([sys.argv[1]])\n"
        "rows = shards.rows(np.random.default_rng(0).permutation(len(shards)))\n"
        "print(len(rows), int(rows.ids.sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "*.npz")],
        capture_output=True, text=True,
    )  # fmt: skip
    total = 400 * sum(sum(one["ids"]) for one in made)
    assert done.stdout.split() == ["800", str(total)], done.stderr


def test_threads_read_at_once(folder):
    shards = Shards.open([str(folder / "*")], VOCAB)
    expected = plain(shards.rows(np.arange(sum(SIZES))))
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(30):
            index = rng.integers(0, sum(SIZES), 9)
            if plain(shards.rows(index)) != [expected[number] for number in index]:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_thread_ends_with_the_shards(folder):
    shards = Shards.open([str(folder / "*")], VOCAB)
    thread, stop = shards._thread, shards._stop
    del shards
    thread.join(10)
    assert stop.is_set()
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["shard", "shard_fixed", "old", "pickle", "pickle4"])
def test_broken_files(tmp_path, kind):
    number = 200
    done = subprocess.run(
        helper("fuzz_corpus", kind, number, tmp_path, 5),
        env=environment(),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
    counts = literal_eval(done.stdout.splitlines()[-1])
    assert sum(counts.values()) == number
    assert counts["read"] > 0
    assert counts["FormatError"] > number / 2


def test_folders_and_files_whose_names_look_like_globs(tmp_path: Path) -> None:
    for name in ("run[1]/part-0.npz", "run1/part-0.npz", "run[1]/part-[a].npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = tmp_path / "run[1]"
    both = [folder / "part-0.npz", folder / "part-[a].npz"]
    assert matching_files([f"{folder}/*.npz"]) == both
    assert matching_files([str(folder / "part-[a].npz")]) == both[1:]
