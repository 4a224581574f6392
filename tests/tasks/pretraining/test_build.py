"""``plainbert.tasks.pretraining.build``: text to shards."""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from plainbert.containers.npz import Archive
from plainbert.errors import DataError, UsageError
from plainbert.tasks.pretraining import build as module
from plainbert.tasks.pretraining.build import build, plan_jobs
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.tasks.pretraining.shards import Shards
from plainbert.tasks.pretraining.summary import CorpusSummary
from plainbert.text.reader import read_tokenizer
from tests.helpers import slow_corpus, texts

SETTINGS = InstanceSettings(32, 0.1, 0.15, 5, dupe_factor=3, seed=7)


def run(paths: list[Path], folder: Path, num_workers: int = 0, **options: object) -> CorpusSummary:
    settings = replace(SETTINGS, **options.pop("settings", {}))  # type: ignore[arg-type]
    return build(
        paths, texts.reading(), settings, folder, num_workers=num_workers, bar=False, **options
    )  # type: ignore[arg-type]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def test_the_same_bytes_for_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = texts.write(tmp_path, 60)
    alone = run([path], tmp_path / "1", num_outputs=7)
    many = run([path], tmp_path / "2", 3, num_outputs=7)
    assert replace(alone, seconds=0) == replace(many, seconds=0)
    assert len(shards(tmp_path / "1")) == 7
    assert shards(tmp_path / "1") == shards(tmp_path / "2")
    run([path], tmp_path / "3", num_outputs=7, settings={"seed": 8})
    assert shards(tmp_path / "1") != shards(tmp_path / "3")
    # Nor do the pieces in which a shard is made: only the order within it follows the blocks.
    monkeypatch.setattr(module.instances, "TOKENS", 50)
    run([path], tmp_path / "4", num_outputs=7)
    assert shards(tmp_path / "1") == shards(tmp_path / "4")


def test_blocks_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard made in many blocks holds the same instances in another order."""

    def instances(folder: Path) -> list[bytes]:
        with np.load(folder / "part-000.npz") as found:
            parts = np.split(found["input_ids"], found["offsets"][1:-1])
            masks = np.split(found["masked_lm_ids"], found["masked_offsets"][1:-1])
        return [a.tobytes() + b"|" + b.tobytes() for a, b in zip(parts, masks, strict=True)]

    path = texts.write(tmp_path)
    run([path], tmp_path / "1", num_outputs=1)
    monkeypatch.setattr(module, "BLOCK_TOKENS", 100)
    run([path], tmp_path / "2", num_outputs=1)
    one, two = instances(tmp_path / "1"), instances(tmp_path / "2")
    assert one != two
    assert sorted(one) == sorted(two)


def test_the_summary_is_what_the_shards_hold(tmp_path: Path) -> None:
    made = texts.documents(40, seed=1)
    path = texts.write(tmp_path)
    summary = run([path], tmp_path / "out")
    sums = dict.fromkeys(("instances", "tokens", "masked", "random_next"), 0)
    for name in shards(tmp_path / "out"):
        with np.load(tmp_path / "out" / name) as found:
            sums["instances"] += len(found["next_sentence_labels"])
            sums["tokens"] += len(found["input_ids"])
            sums["masked"] += len(found["masked_lm_ids"])
            sums["random_next"] += int(found["next_sentence_labels"].sum())
            assert found["input_ids"].dtype == np.uint16
            assert found["vocab_sha256"] == texts.tokenizer().vocab.sha256.encode()
    stated = asdict(summary)
    assert {name: stated[name] for name in sums} == sums
    assert summary.padding_avoided == 32 * sums["instances"] - sums["tokens"]
    assert (summary.documents, summary.sentences) == (40, sum(map(len, made)))
    assert summary.text_tokens == sum(len(s) for document in made for s in document)
    assert summary.shards == len(shards(tmp_path / "out")) == 40  # not more than documents
    assert summary.cut_tokens > 0
    written = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert written == stated | {
        "settings": asdict(SETTINGS), "vocab_sha256": texts.tokenizer().vocab.sha256,
        "parts": {name: Archive(tmp_path / "out" / name).fingerprint
                  for name in shards(tmp_path / "out")},
    }  # fmt: skip
    tokenizer = read_tokenizer(tmp_path / "out")
    assert tokenizer.vocab.tokens == texts.tokenizer().vocab.tokens
    assert len(Shards.open([f"{tmp_path}/out/part-*.npz"], tokenizer.vocab)) == sums["instances"]
    assert len(summary.lines()) == 4


def test_a_document_is_in_one_shard(tmp_path: Path) -> None:
    """Each document has a letter of its own: first texts tell where it is."""
    path = tmp_path / "t"
    path.write_text("\n\n".join("\n".join([f"{letter} {letter}"] * 30) for letter in "abcdefgh"))
    run([path], tmp_path / "out", num_outputs=4, settings={"masked_lm_prob": 0.0})
    seen: list[set[int]] = []
    for name in shards(tmp_path / "out"):
        with np.load(tmp_path / "out" / name) as found:
            ids = found["input_ids"].copy()
            rows = np.repeat(found["offsets"][:-1], np.diff(found["masked_offsets"]))
            ids[rows + found["masked_lm_positions"]] = found["masked_lm_ids"]
            seen.append(set(ids[found["offsets"][:-1] + 1].tolist()))
    assert sum(map(len, seen)) == len(set.union(*seen)) == 8


def test_shards_are_about_as_large() -> None:
    store = texts.store(texts.documents(3000, 3))
    sizes = [
        int(store.document_tokens[job.documents].sum()) for job in plan_jobs(store, SETTINGS, None)
    ]
    assert len(sizes) == 64
    assert sum(sizes) == len(store.ids)
    assert max(sizes) < 1.3 * min(sizes)
    names = [job.name for job in plan_jobs(store, SETTINGS, 1200)]
    assert (names[0], names[-1], len(names)) == ("part-0000.npz", "part-1199.npz", 1200)
    lopsided = texts.store([[[9] * 10_000], *([[9]] for _ in range(9))])
    jobs = plan_jobs(lopsided, SETTINGS, 10)
    assert sorted(job.documents.tolist() for job in jobs) == [[d] for d in range(10)]


def test_one_document_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t"
    path.write_text("a b c d\n" * 200)
    summary = run([path], tmp_path / "out")
    assert (summary.documents, summary.shards) == (1, 1)
    assert 0 < summary.random_next == summary.random_next_same_document
    assert "the text is one document" in caplog.text


def test_blank_lines_everywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t"
    path.write_text("a\n\n" * 50 + "b c d e f\n\n" * 50)
    summary = run([path], tmp_path / "out")
    assert summary.random_next == summary.instances == 300
    assert "no longer than one sentence" in caplog.text


def test_one_character_lines_and_one_long_line(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("a\n" * 500 + "\n" + "b " * 1_000_000 + "\n")
    summary = run([path], tmp_path / "out", settings={"short_seq_prob": 0.0})
    assert summary.text_tokens == 1_000_500
    assert summary.cut_tokens > 900_000


def test_shards_that_are_there(tmp_path: Path) -> None:
    path = texts.write(tmp_path)
    run([path], tmp_path / "out", num_outputs=5)
    (tmp_path / "out" / "spm.model").touch()  # of a run with another tokenizer
    before = shards(tmp_path / "out")
    with pytest.raises(UsageError, match=r"holds shards already .*--overwrite"):
        run([path], tmp_path / "out")
    assert shards(tmp_path / "out") == before
    run([path], tmp_path / "out", num_outputs=2, overwrite=True)
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert sorted(names) == [
        "part-000.npz",
        "part-001.npz",
        "summary.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_what_fails_leaves_no_shard(tmp_path: Path) -> None:
    path = texts.write(tmp_path, 3000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    run([texts.write(tmp_path, name="small")], tmp_path / "out", num_outputs=3)
    before = shards(tmp_path / "out")
    for limit in (50_000, 600_000):  # while tokenising, while writing the shard
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                run([path], tmp_path / "out", num_outputs=1, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert shards(tmp_path / "out") == before
        assert not list((tmp_path / "out").glob(".*"))
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"text\.txt:1: is not UTF-8"):
        run([path], tmp_path / "out", overwrite=True)
    assert shards(tmp_path / "out") == before


def test_the_first_instance_and_what_comes_next(tmp_path: Path) -> None:
    path = texts.write(tmp_path)
    summary = run([path], tmp_path / "out")
    shown = module.first_instance(tmp_path / "out", texts.tokenizer())
    assert shown.startswith("[CLS] ")
    assert shown.count("[SEP]") == 2
    assert "; masked: " in shown
    command = module.next_command(tmp_path / "out", summary)
    assert command.startswith("plainbert run_pretraining --data ")
    trained = {path.name for path in (tmp_path / "out").glob("part-*[!0].npz")}
    held = {path.name for path in (tmp_path / "out").glob("part-*0.npz")}
    assert trained | held == set(shards(tmp_path / "out"))
    assert texts.tokenizer().vocab.cls_id == slow_corpus.CLS
