"""Long files block by block: killed anywhere and resumed, the result is that of an unbroken run."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plainbert import checkpoint, files, model
from plainbert.containers import npz
from plainbert.errors import DataError, UsageError
from plainbert.recipes import embedding, predict_classifier, predict_ner
from plainbert.recipes.shared import blocks
from plainbert.recipes.shared.classifier_work import ClassifierWork
from plainbert.tasks.embedding import result_files
from tests.helpers import folders, kills

LETTERS = ["the", "cat", "a", "cab", "b", "c"]
# What the end of an output's name stands for: a command, and the head of its model.
FORMS: dict[str, tuple[Any, str]] = {
    ".npz": (embedding, "embedding"),
    ".jsonl": (embedding, "embedding"),
    ".tsv": (predict_classifier, "classification"),
    ".tags.jsonl": (predict_ner, "token_classification"),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", 7)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    return {
        kind: str(checkpoint.write(root / kind, folders.tiny(kind), folders.tokenizer()))
        for kind in ("embedding", "classification", "token_classification")
    }


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    draw = random.Random(3)
    rows = [" ".join(draw.choices(LETTERS, k=draw.randint(1, 9))) for _ in range(40)]
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def command(models: dict[str, str], source: Path, output: Path, *words: str) -> Callable[[], Any]:
    recipe, head = FORMS["".join(output.suffixes)]
    argv = [
        "--model_dir",
        models[head],
        "--file",
        str(source),
        "--output",
        str(output),
        "--gpus",
        "",
    ]
    return lambda: recipe.main([*argv, "--threads", "1", *words])


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("suffix", FORMS)
def test_blocks_give_what_one_block_gives(
    models: dict[str, str],
    texts: Path,
    tmp_path: Path,
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many, one = tmp_path / f"many{suffix}", tmp_path / f"one{suffix}"
    command(models, texts, many)()
    monkeypatch.setattr(blocks, "ROWS", 1000)
    command(models, texts, one)()
    if suffix == ".npz":
        both = [np.load(path) for path in (many, one)]
        assert (
            both[0]["text"].tolist()
            == both[1]["text"].tolist()
            == texts.read_text().split("\n")[:-1]
        )
        np.testing.assert_allclose(both[0]["vector"], both[1]["vector"], rtol=0, atol=1e-5)
    else:
        rows = [
            [line.split("\t")[0] if suffix == ".tsv" else json.loads(line)["text"] for line in
             path.read_text().splitlines()]
            for path in (many, one)
        ]  # fmt: skip
        assert rows[0] == rows[1]
        assert len(rows[0]) == 40 + (suffix == ".tsv")
    assert hidden(tmp_path) == []


@pytest.mark.volume(sample=8, whole=1000)  # there are about 50 changes of files
@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".tsv"])
def test_killed_before_a_change_and_resumed(
    models: dict[str, str],
    texts: Path,
    tmp_path: Path,
    suffix: str,
    trials: int,
    record_property: Callable[[str, object], None],
) -> None:
    right, place = tmp_path / f"right{suffix}", tmp_path / "place"
    command(models, texts, right)()
    output = place / f"out{suffix}"
    states = set()

    def prepare() -> None:
        files.remove(place)
        place.mkdir()
        output.write_text("older")

    def check(number: int) -> None:
        assert output.read_bytes() in (b"older", right.read_bytes())
        states.add(str(sorted(hidden(place))))
        command(models, texts, output, "--resume")()
        assert output.read_bytes() == right.read_bytes() or output.read_bytes() == b"older"
        if output.read_bytes() == b"older":  # killed before there was anything to resume
            assert number <= 2
        assert hidden(place) == []

    number = kills.before_each_change(
        command(models, texts, output, "--overwrite"), kills.below(place), prepare, check, trials
    )
    assert number >= min(trials, 20)
    record_property("trials", number)
    assert len(states) > 1


def interrupted(models: dict[str, str], texts: Path, output: Path) -> None:
    """Leave four blocks of work."""
    count, add = 0, blocks.BlockWork.add

    class Stop(Exception):
        pass

    def stop(self: Any, *parts: Any, **state: Any) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise Stop
        add(self, *parts, **state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks.BlockWork, "add", stop)
        with pytest.raises(Stop):
            command(models, texts, output)()


@pytest.mark.parametrize("suffix", FORMS)
def test_what_is_done_is_not_done_again(
    models: dict[str, str],
    texts: Path,
    tmp_path: Path,
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right, output = tmp_path / f"right{suffix}", tmp_path / f"out{suffix}"
    command(models, texts, right)()
    interrupted(models, texts, output)
    sizes: list[int] = []

    def counted(self: Any, rows: Any, work: Any, **words: Any) -> Any:
        sizes.append(len(rows))
        return work(self, rows, **words)

    for kind, name in ((model.Model, "encode"), (ClassifierWork, "predict"), (model.Model, "tag")):
        work = getattr(kind, name)
        monkeypatch.setattr(kind, name, functools.partialmethod(counted, work=work))
    command(models, texts, output, "--resume")()
    assert sizes == [7, 5]
    assert output.read_bytes() == right.read_bytes()
    command(models, texts, output, "--resume")()  # nothing is left to do
    assert sizes == [7, 5]


def test_work_is_neither_lost_nor_mixed(
    models: dict[str, str], texts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.npz"
    interrupted(models, texts, output)
    with pytest.raises(UsageError, match="28 rows .* Add --resume to go on, or --overwrite"):
        command(models, texts, output)()
    with pytest.raises(UsageError, match="with other pooling"):
        command(models, texts, output, "--resume", "--pooling_strategy", "cls")()
    with pytest.raises(UsageError, match="with other tokens"):
        command(models, texts, output, "--resume", "--max_len", "5")()
    lines = texts.read_text().splitlines(keepends=True)
    other = tmp_path / "other.txt"
    other.write_text("".join([lines[0], "the cat\n", *lines[2:]]))
    with pytest.raises(UsageError, match="with other texts"):
        command(models, other, output, "--resume")()
    command(models, texts, output, "--overwrite")()
    assert npz.read(output)["vector"].shape == (40, 16)


def test_a_wrong_row_is_known_before_the_first_is_worked_on(
    models: dict[str, str], tmp_path: Path
) -> None:
    source, output = tmp_path / "x.txt", tmp_path / "x.npz"
    source.write_bytes(b"the cat\n" * 30 + b"\xff\n")
    with pytest.raises(DataError):
        command(models, source, output)()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("tokens", [False, True])
def test_one_long_text_takes_its_own_room(tmp_path: Path, tokens: bool) -> None:
    texts = ["x" * 20_000, *("ü" for _ in range(2000)), "\ud800"]
    vectors: Any = np.arange(2002 * 3, dtype=np.float32).reshape(-1, 3)
    if tokens:
        vectors = [vector[None] for vector in vectors]
    path = tmp_path / "x.npz"
    result_files.write_vectors(path, texts, vectors)
    assert path.stat().st_size < 500_000  # an array of strings: 160 MB
    found = np.load(path)
    offsets = found["text_offsets"].tolist()
    raw = found["text_utf8"].tobytes()
    assert [
        raw[start:stop].decode("utf-8", "surrogatepass")
        for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
    ] == texts
    assert found["vector"].shape == (2002, 3)
    assert ("offsets" in found) == tokens


def test_blocks_end_by_rows_or_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CHARACTERS", 10)
    rows = [("a" * length,) for length in (1, 1, 1, 1, 1, 1, 1, 1, 9, 25, 3, 7)]
    assert [[len(row[0]) for row in block] for block in blocks.cut(rows)] == [
        [1] * 7, [1, 9], [25], [3, 7],
    ]  # fmt: skip
