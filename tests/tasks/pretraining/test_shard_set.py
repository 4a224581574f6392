"""``plainbert.tasks.pretraining.shard_set``: a set of shards appears whole, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from plainbert import folders
from plainbert.errors import FormatError, UsageError
from plainbert.tasks.pretraining.build import build
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.tasks.pretraining.shards import Shards, matching_files, write_shard
from tests.helpers import npz_files, texts

SETTINGS = InstanceSettings(32, 0.1, 0.15, 5, seed=7)
OF_GLUONNLP = Path(__file__).parents[2] / "fixtures" / "corpus" / "gluonnlp.npz"


def create(folder: Path, outputs: int = 3, seed: int = 1, overwrite: bool = False) -> Path:
    source = texts.write(folder.parent, 12, seed, f"{seed}.txt")
    build([source], texts.reading(), SETTINGS, folder, outputs, overwrite=overwrite, bar=False)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def count(folder: Path, pattern: str = "part-*.npz", skip_bad: bool = False) -> int:
    """Shards that are opened."""
    shards = Shards.open([f"{folder}/{pattern}"], skip_bad=skip_bad, background=False)
    return shards.num_shards


def of_old_version(folder: Path) -> Path:
    """A summary as it was before it named the shards."""
    summary = json.loads((folder / "summary.json").read_text())
    del summary["parts"]
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.mark.parametrize("old", [False, True])
def test_a_part_of_a_set_is_refused_whichever_shard_is_named(
    tmp_path: Path, old: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder = create(tmp_path / "out")
    if old:
        of_old_version(folder)
    assert (count(folder), count(folder, "part-00[12].npz"), count(folder, "*.npz")) == (3, 2, 3)
    (folder / "part-001.npz").unlink()
    reason = "lacks some of 3 shards" if old else r"lacks part-001\.npz, which summary\.json names"
    for pattern in ("part-*.npz", "part-000.npz", "*.npz"):
        with pytest.raises(FormatError, match=f"not whole: it {reason}"):
            count(folder, pattern)
    assert count(folder, skip_bad=True) == 2
    assert "skipped: the set of shards in" in caplog.text


def test_shards_without_their_summary_are_refused(tmp_path: Path) -> None:
    """What a kill of older versions left behind, and what a copy may lack."""
    folder = create(tmp_path / "out")
    summary = json.loads((folder / "summary.json").read_text())
    for text in ("{", "[]", '{"of": "something else"}', json.dumps({**summary, "parts": 3}),
                 json.dumps({**summary, "shards": "3"}), None):  # fmt: skip
        if text is None:
            (folder / "summary.json").unlink()
        else:
            (folder / "summary.json").write_text(text)
        with pytest.raises(FormatError, match=r"not whole: it has no summary\.json.* --overwrite"):
            count(folder)
        assert count(folder, skip_bad=True) == 3
    create(folder, 2, overwrite=True)  # as the message says
    assert count(folder) == 2


def test_shards_of_another_set_are_refused(tmp_path: Path) -> None:
    folder, other = create(tmp_path / "out"), create(tmp_path / "other", seed=2)
    shutil.copy(other / "part-001.npz", folder)
    with pytest.raises(FormatError, match=r"part-001\.npz is not the shard of that name which"):
        count(folder)
    assert count(folder, "part-00[02].npz") == 2  # what is used is of the set
    assert count(folder, skip_bad=True) == 2
    shutil.copy(folder / "part-000.npz", folder / "part-001.npz")
    with pytest.raises(FormatError, match=r"part-001\.npz is not the shard"):
        count(folder)
    shutil.copy(other / "part-001.npz", folder / "part-003.npz")  # one too many
    with pytest.raises(FormatError, match=r"part-003\.npz is not the shard"):
        count(folder, "part-003.npz")


def test_files_of_other_tools_and_names_are_of_no_set(tmp_path: Path) -> None:
    folder = create(tmp_path / "out")
    shutil.copytree(folder, tmp_path / "named")
    for number, path in enumerate(sorted((tmp_path / "named").iterdir())):
        if path.suffix == ".npz":
            path.rename(path.with_name(f"mine-{number}.npz"))
        else:
            path.unlink()
    assert count(tmp_path / "named", "*.npz") == 3
    (tmp_path / "theirs").mkdir()
    for number in range(2):  # GluonNLP gives the same names, and writes no summary
        shutil.copy(OF_GLUONNLP, tmp_path / "theirs" / f"part-{number:03}.npz")
    assert count(tmp_path / "theirs") == 2
    (tmp_path / "theirs" / "summary.json").write_text('{"of": "something else"}')
    assert count(tmp_path / "theirs") == 2


def test_a_set_that_is_replaced_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shards were opened before, some after."""
    folder = create(tmp_path / "out")
    paths = matching_files([f"{folder}/part-*.npz"])
    before = Shards.open([str(paths[0])])._files
    create(folder, 3, seed=2, overwrite=True)
    monkeypatch.setattr(
        "plainbert.tasks.pretraining.shards.Shard", lambda path, vocab: before.pop(0)
    )
    with pytest.raises(FormatError, match=r"part-000\.npz is not the shard of that name"):
        Shards.open([str(paths[0])])


def halfway(folder: Path) -> None:
    """As a kill leaves it when all is decided, and nothing in its place."""
    fresh = create(folder.parent / "fresh", 2, seed=2)
    fresh.rename(folder / folders.COMMITTED)
    steps = {"removed": sorted(path.name for path in folder.glob("[!.]*")),
             "files": sorted(names(folder / folders.COMMITTED))}  # fmt: skip
    (folder / folders.COMMITTED / "plainbert-journal.json").write_text(json.dumps(steps))


@pytest.mark.parametrize("pattern", ["out/part-*.npz", "*/part-*.npz", "**/part-*.npz", "out/**"])
def test_readers_finish_a_set_on_its_way(tmp_path: Path, pattern: str) -> None:
    folder = create(tmp_path / "out")
    halfway(folder)
    paths = [path for path in matching_files([f"{tmp_path}/{pattern}"]) if path.suffix == ".npz"]
    assert paths == [folder / "part-000.npz", folder / "part-001.npz"]
    assert count(folder) == 2
    assert not (folder / folders.COMMITTED).exists()


def test_a_set_on_its_way_that_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create(tmp_path / "out")
    halfway(folder)

    def fail(_: Path) -> None:
        raise OSError(30, "Read-only file system", "x")

    monkeypatch.setattr(folders, "finish", fail)
    with pytest.raises(UsageError, match=r"out holds a new set .*Read-only file system\. Read it"):
        count(folder)


def test_the_next_start_finishes_first(tmp_path: Path) -> None:
    folder = create(tmp_path / "out")
    halfway(folder)
    with pytest.raises(UsageError, match="holds shards already"):
        create(folder)
    assert count(folder) == 2
    halfway(folder)
    create(folder, 4, overwrite=True)
    assert count(folder) == 4


def test_what_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for name, content in (
        ("part-000.npz", OF_GLUONNLP.read_bytes()), ("part-0.npz", b"mine"),
        ("summary.json", b'{"total": 3}'), ("summary.json", b"mine"), ("vocab.txt", b"mine\n"),
        ("tokenizer.json", b"{}"), ("spm.model", b"mine"),
    ):  # fmt: skip
        folder.mkdir()
        (folder / name).write_bytes(content)
        with pytest.raises(UsageError, match="it is not replaced. Move it away"):
            create(folder, overwrite=True)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {name: content}
        shutil.rmtree(folder)
    create(folder)  # beside a set of ours too
    shutil.copy(OF_GLUONNLP, folder / "part-100.npz")
    with pytest.raises(UsageError, match=r"part-100\.npz is not of create_pretraining_data\.py"):
        create(folder, overwrite=True)
    shutil.copy(folder / "part-001.npz", folder / "part-100.npz")
    create(folder, 2, overwrite=True)
    assert count(folder) == 2
    shutil.rmtree(folder)
    # The files of the tokenizer that is used may lie there before.
    folder.mkdir()
    texts.tokenizer().save(folder)
    before = names(folder)
    create(folder)
    assert names(folder) > before
    assert count(folder) == 3


def test_shards_of_own_writing_need_names_of_their_own(tmp_path: Path) -> None:
    write_shard(
        tmp_path / "part-7.npz", npz_files.columns(npz_files.instances(4)), npz_files.VOCAB.sha256
    )
    with pytest.raises(FormatError, match=r"has no summary\.json"):
        count(tmp_path)
    (tmp_path / "part-7.npz").rename(tmp_path / "7.npz")
    assert count(tmp_path, "*") == 1
