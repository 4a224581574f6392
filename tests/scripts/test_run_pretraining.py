"""``run_pretraining.py`` as users run it: real text to shards to a model that other tools open."""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from plainbert import checkpoint, model_zoo
from plainbert.batching.batch import inference_batches
from plainbert.containers import npz
from plainbert.errors import CheckpointError, DataError, FormatError, PlainBertError, UsageError
from plainbert.model_zoo.convert import convert, open_any
from plainbert.recipes import (
    create_pretraining_data,
    embedding,
    finetune_classifier,
    run_pretraining,
)
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.tasks.pretraining.shards import Shards
from plainbert.text.reader import read_tokenizer
from tests.helpers import folders
from tests.helpers.processes import HERE, Command, environment
from tests.helpers.scripts import load

SAMPLE = HERE / "data" / "pretrain" / "en_novels_sample.txt"
Main = Callable[[list[str]], dict[str, Any]]


main: Main = run_pretraining.main


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """One thread for models this small; nobody reads how fast this machine multiplies."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("plainbert.tasks.pretraining.evaluate.matrix_rate", lambda *_: 1e12)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty sentences from each of thirty documents."""
    path = tmp_path_factory.mktemp("text") / "novels.txt"
    documents = SAMPLE.read_text("utf-8").split("\n\n")[:30]
    parts = ["\n".join(document.splitlines()[:20]) for document in documents]
    path.write_text("\n\n".join(parts) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def shards(text: Path) -> Path:
    """Four shards with a vocabulary of their own."""
    create = create_pretraining_data.main
    create(
        [
            "--input_file",
            str(text),
            "--output_dir",
            str(text.parent / "shards"),
            "--train_vocab",
            "500",
            "--max_seq_length",
            "48",
            "--max_predictions_per_seq",
            "8",
            "--num_outputs",
            "4",
            "--num_workers",
            "0",
            "--dupe_factor",
            "2",
        ]
    )
    return text.parent / "shards"


def common(folder: Path, *more: str) -> list[str]:
    return [
        "--model",
        "bert_2_32_2",
        "--ckpt_dir",
        str(folder),
        "--batch_size",
        "16",
        "--lr",
        "3e-3",
        "--warmup_ratio",
        "0.1",
        "--dtype",
        "float32",
        "--log_interval",
        "5",
        "--gpus",
        "",
        *more,
    ]


def words_for(shards: Path, folder: Path, *more: str) -> list[str]:
    return common(folder, "--data", f"{shards}/part-00[0-2].npz", "--num_steps", "8", *more)


def held_out(shards: Path) -> list[str]:
    return ["--data_eval", f"{shards}/part-003.npz"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(shards: Path) -> tuple[Path, dict[str, Any]]:
    folder = shards.parent / "trained"
    more = ("--num_steps", "60", "--ckpt_interval", "20", *held_out(shards))
    return folder, main(words_for(shards, folder, *more))


def test_it_learns_and_leaves_everything_behind(
    trained: tuple[Path, dict[str, Any]], shards: Path
) -> None:
    folder, result = trained
    lines = records(folder)
    losses = [line["mlm_loss"] for line in lines if "mlm_loss" in line]
    assert losses[0] > 5.9  # log(500) is 6.2
    assert losses[-1] < losses[0] - 0.5
    evaluated = [line["eval/mlm_loss"] for line in lines if "eval/mlm_loss" in line]
    assert len(evaluated) == 3
    assert result["eval"]["mlm_loss"] == evaluated[-1] == min(evaluated) < 5.75
    assert set(result["eval"]) == {"mlm_loss", "mlm_acc", "nsp_loss", "nsp_acc"}
    assert result["model"] == str(folder / "last")
    assert json.loads((folder / "eval_results.json").read_text()) == {"eval": result["eval"]}
    said = (folder / "log.txt").read_text("utf-8")
    form = (
        r"\[step 60\]\tmlm_loss=\S+\tmlm_acc=\S+\tnsp_loss=\S+\tnsp_acc=\S+\tthroughput=\S+K tks/s"
    )
    assert re.search(form, said)
    assert f"vocabulary: that of {shards}" in said
    assert (folder / "last").readlink() == Path("step-0000060")
    assert (folder / "best").is_symlink()
    about = json.loads((folder / "last" / "plainbert.json").read_text())
    assert about == {"task": "pretraining", "max_length": 48, "step": 60}
    assert read_tokenizer(folder / "last").vocab.tokens == read_tokenizer(shards).vocab.tokens


def test_other_tools_open_the_result(
    trained: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    last = trained[0] / "last"
    theirs = transformers.AutoModelForPreTraining.from_pretrained(last).eval()
    assert type(theirs).__name__ == "BertForPreTraining"
    ours = model_zoo.open_folder(last).headed.eval()
    data = Shards.open([f"{shards}/part-003.npz"])
    [row] = Instances(data).source.rows(np.array([5])).ids[None]
    batch = Instances(data).batch(np.array([5]), 0, torch.device("cpu"))
    with torch.no_grad():
        got = ours(batch.ids, batch.types, batch.layout)
        want = theirs(torch.tensor(row)[None].long(), token_type_ids=batch.types[None])
    torch.testing.assert_close(got.mlm, want.prediction_logits[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(got.nsp, want.seq_relationship_logits, rtol=0, atol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(last)
    sentence = SAMPLE.read_text("utf-8").splitlines()[7]
    assert tokenizer(sentence, add_special_tokens=False)["input_ids"] == read_tokenizer(last).ids(
        sentence
    )

    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "a b\tx\nc d\ty\n" * 8)
    scores = finetune_classifier.main([
        "--model_dir", str(last), "--train_file", str(tmp_path / "rows.tsv"), "--dev_file",
        str(tmp_path / "rows.tsv"), "--text_columns", "text", "--epochs", "1", "--dtype", "float32",
        "--output_dir", str(tmp_path / "run"), "--gpus", "",
    ])  # fmt: skip
    assert "accuracy" in scores["dev"]
    found = embedding.main(["--model_dir", str(last), "--sentences", "the abbey", "--gpus", ""])
    [(words, vectors)] = found["words"]
    assert words == ["the", "abbey"]
    assert vectors[0].shape == (32,)


def test_evaluation_only(
    trained: tuple[Path, dict[str, Any]],
    shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, result = trained
    before = sorted(path.name for path in folder.iterdir()), weights(folder)
    again = main(common(folder, *held_out(shards)))
    assert again["eval"] == pytest.approx(result["eval"], abs=1e-6)
    assert again["model"] is None
    assert before[0] == sorted(path.name for path in folder.iterdir())
    assert same(before[1], weights(folder))
    assert "Eval mlm_loss=" in capsys.readouterr().out
    elsewhere = ["--model_dir", str(folder / "last"), "--max_eval_samples", "20"]
    part = main(common(tmp_path / "other", *held_out(shards), *elsewhere))
    assert part["eval"]["mlm_loss"] != pytest.approx(result["eval"]["mlm_loss"], abs=1e-4)


def test_evaluation_leaves_what_a_living_run_is_writing(
    trained: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder, symlinks=True)
    parts = [".step-0000080.plainbert.tmp", ".step-0000080.tmp", ".last.plainbert.tmp", ".mine.tmp"]
    for name in parts:
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_text("half")
    main(common(folder, *held_out(shards)))
    for name in parts:
        assert (folder / name / "model.safetensors").read_text() == "half"


def test_going_on_from_its_own_weights(
    trained: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    folder, result = trained
    more = ("--model_dir", str(folder / "last"), "--lr", "0", "--num_steps", "2")
    kept = main(words_for(shards, tmp_path / "0", *more, *held_out(shards)))
    assert kept["eval"] == pytest.approx(result["eval"], abs=1e-6)
    assert same(weights(tmp_path / "0"), weights(folder))
    words_only = words_for(shards, tmp_path / "1", *more, *held_out(shards), "--no_nsp")
    found = main(words_only)["eval"]
    assert set(found) == {"mlm_loss", "mlm_acc"}
    assert found["mlm_loss"] == pytest.approx(result["eval"]["mlm_loss"], abs=1e-5)
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "1" / "last")
    assert type(model).__name__ == "BertForMaskedLM"


def test_published_weights_go_on_with_raw_text(text: Path, tmp_path: Path) -> None:
    found = main([
        "--model_dir", "all-MiniLM-L6-v2", "--no_nsp", "--raw", "--data", str(text), "--data_eval",
        str(text), "--max_eval_samples", "4", "--max_seq_length", "24", "--num_steps", "2",
        "--batch_size", "100", "--use_avg_len", "--ckpt_dir", str(tmp_path), "--gpus", "",
    ])  # fmt: skip
    assert 5 < found["eval"]["mlm_loss"] < 20
    before = model_zoo.open_folder("all-MiniLM-L6-v2").model
    after = model_zoo.open_folder(tmp_path / "last", "masked_lm").headed.bert
    name = "encoder.layer.0.output.dense.weight"
    moved = (after.get_parameter(name) - before.get_parameter(name)).abs().max()
    assert 0 < moved < 1e-3


def test_raw_text_is_masked_anew_in_every_epoch(
    text: Path,
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    seen: dict[int, list[Any]] = {}
    whole = RawText.rows

    def watched(self: RawText, index: Any, epoch: int = 0) -> Any:
        rows = whole(self, index, epoch)
        for place, number in enumerate(index):
            ids = rows.ids[rows.offsets[place] : rows.offsets[place + 1]]
            seen.setdefault(int(number), []).append((epoch, ids.tolist()))
        return rows

    monkeypatch.setattr(RawText, "rows", watched)
    words = [
        "--raw", "--data", str(text), "--vocab", str(shards), "--max_seq_length", "40",
        "--batch_size", "128", "--num_steps", "8", *held_out(shards), "--eval_use_npz",
    ]  # fmt: skip
    found = main(common(tmp_path / "1", *words))
    assert set(found["eval"]) == {"mlm_loss", "mlm_acc", "nsp_loss", "nsp_acc"}
    for drawn in list(seen.values())[10:]:
        masked = dict(drawn)
        assert {0, 1} <= masked.keys()
        assert len({len(ids) for ids in masked.values()}) == 1
    others = [dict(drawn)[0] != dict(drawn)[1] for drawn in seen.values()]
    assert np.mean(others) > 0.9
    losses = [line["mlm_loss"] for line in records(tmp_path / "1") if "mlm_loss" in line]
    assert losses[-1] < losses[0]
    assert list((tmp_path / "1" / "raw_cache").glob("*.npz"))
    main(common(tmp_path / "1", *words, "--overwrite", "--num_steps", "1"))
    assert "found in" in caplog.text  # the text was not tokenised again


def test_text_without_blank_lines_is_one_document(shards: Path, tmp_path: Path) -> None:
    lines = SAMPLE.read_text("utf-8").splitlines()[:40]
    (tmp_path / "one.txt").write_text("\n".join(filter(None, lines)), "utf-8")
    words = ["--raw", "--data", str(tmp_path / "one.txt"), "--vocab", str(shards)]
    found = main(common(tmp_path / "run", *words, "--max_seq_length", "32", "--num_steps", "2"))
    assert Path(found["model"]).is_dir()


def test_a_batch_can_be_given_in_tokens_or_in_all(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    main(words_for(shards, tmp_path / "0", "--use_avg_len", "--batch_size", "300"))
    assert "300 tokens a step" in caplog.text
    per_step = [line["tokens_per_second"] for line in records(tmp_path / "0")]
    assert all(value > 0 for value in per_step)
    main(words_for(shards, tmp_path / "1", "--accumulate", "2"))
    words = words_for(shards, tmp_path / "2", "--total_batch_size", "32", "--accumulate", "2")
    place = words.index("--batch_size")
    del words[place : place + 2]
    main(words)
    assert same(weights(tmp_path / "1"), weights(tmp_path / "2"))
    with pytest.raises(UsageError, match="--total_batch_size 33 cannot be dealt out evenly"):
        main([*words, "--total_batch_size", "33", "--overwrite"])


class Stop(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize("more", [("--optimizer", "lamb"), ("--use_avg_len", "--accumulate", "2")])
def test_an_interrupted_run_ends_as_it_would_have(
    shards: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    from plainbert.train.step import Stepper

    words = [*more, "--batch_size", "200" if "--use_avg_len" in more else "16",
             "--ckpt_interval", "5", "--dtype", "bfloat16", *held_out(shards)]  # fmt: skip
    whole = main(words_for(shards, tmp_path / "whole", *words))
    step = Stepper.step

    def broken(self: Stepper, number: int, *rest: Any) -> Any:
        if number == 6:
            raise Stop
        return step(self, number, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", broken)
        with pytest.raises(Stop):
            main(words_for(shards, tmp_path / "cut", *words))
    assert (tmp_path / "cut" / "last").readlink() == Path("step-0000005")
    again = main(words_for(shards, tmp_path / "cut", *words, "--resume"))
    assert again["eval"] == whole["eval"]
    for name in ("last/model.safetensors", "state-0000008/training.safetensors",
                 "last/training.json"):  # fmt: skip
        ours, theirs = (tmp_path / run / name for run in ("cut", "whole"))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_a_second_phase_begins_where_the_first_ended(
    shards: Path, text: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    create_pretraining_data.main(
        [
            "--input_file",
            str(text),
            "--output_dir",
            str(tmp_path / "long"),
            "--model_dir",
            str(shards),
            "--max_seq_length",
            "96",
            "--num_outputs",
            "2",
            "--num_workers",
            "0",
        ]
    )
    run = tmp_path / "run"
    main(words_for(shards, run))
    first = weights(run)
    words = ["--data", f"{tmp_path}/long/*.npz", "--phase2", "--phase1_num_steps", "8"]
    main(common(run, *words, "--start_step", "8", "--num_steps", "4", "--batch_size", "8"))
    assert (run / "last").readlink() == Path("step-0000012")
    assert json.loads((run / "last" / "plainbert.json").read_text())["max_length"] == 96
    assert not same(first, weights(run))
    assert [line["step"] for line in records(run)] == [5, 10]
    assert "resuming after step 8" in caplog.text


def test_speed_without_data_and_a_trace(shards: Path, tmp_path: Path) -> None:
    words = ["--vocab", str(shards), "--num_steps", "3", "--log_interval", "1"]
    main(common(tmp_path / "0", *words, "--dummy_data_len", "24"))
    main(common(tmp_path / "1", *words, "--synthetic_data", "--max_seq_length", "24"))
    assert same(weights(tmp_path / "0"), weights(tmp_path / "1"))
    assert all(line["utilization"] > 0 for line in records(tmp_path / "0"))

    trace = tmp_path / "trace.json"
    words = words_for(shards, tmp_path / "2", "--profile", str(trace), *held_out(shards))
    assert main(words) == {}
    events = json.loads(trace.read_text())["traceEvents"]
    steps = {event["name"] for event in events if event["name"].startswith("ProfilerStep#")}
    assert steps == {f"ProfilerStep#{step}" for step in range(10, 15)}
    assert any("addmm" in event["name"] for event in events)
    assert not (tmp_path / "2" / "last").exists()


def test_the_old_name_is_the_same_script(shards: Path, tmp_path: Path) -> None:
    main(words_for(shards, tmp_path / "0", "--num_steps", "2"))
    load(HERE / "scripts" / "bert" / "run_pretraining_hvd.py").main(
        words_for(shards, tmp_path / "1", "--num_steps", "2")
    )
    assert same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def garbled(shards: Path, folder: Path) -> Path:
    """A copy of the shards, the second with one byte of its tokens changed."""
    copy = folder / "shards"
    copy.mkdir()
    for path in shards.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    data = bytearray((copy / "part-001.npz").read_bytes())
    data[len(data) // 3] ^= 0x40
    (copy / "part-001.npz").write_bytes(data)
    return copy


def test_a_garbled_shard_is_named_or_left_out(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = garbled(shards, tmp_path)
    for more in ((), ("--verify_shards",)):
        with pytest.raises(FormatError, match=r"part-001\.npz"):
            main(words_for(bad, tmp_path / "run", "--overwrite", "--num_steps", "30", *more))
    assert not (tmp_path / "run" / "last").exists()
    for number, more in enumerate(((), ("--verify_shards",))):
        caplog.clear()
        words = words_for(bad, tmp_path / str(number), "--skip_bad_shards", *more)
        main([*words, "--num_steps", "20"])
        assert re.search(r"skipped.*part-001\.npz", caplog.text)
        assert (tmp_path / str(number) / "last").readlink() == Path("step-0000020")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A model with 32 positions and 12 words."""
    return checkpoint.write(tmp_path / "tiny", folders.tiny("pretraining"), folders.tokenizer())


def test_mistakes_with_data(shards: Path, text: Path, tmp_path: Path, tiny: Path) -> None:
    def fails(kind: type[PlainBertError], words: str, *more: str) -> None:
        with pytest.raises(kind, match=words):
            main(common(tmp_path / "run", "--num_steps", "2", "--overwrite", *more))
        assert not (tmp_path / "run" / "last").exists()

    some = f"{shards}/part-000.npz"
    fails(DataError, r"/no-\*\.npz: matches no file", "--data", f"{shards}/no-*.npz")
    fails(DataError, "matches no file", "--data", some, "--data_eval", f"{shards}/no-*.npz")
    fails(CheckpointError, "vocabulary", "--data", some, "--model_dir", str(tiny))
    fails(
        UsageError,
        "inputs have up to 40 tokens, and the model has 32 positions",
        "--raw",
        "--data",
        str(text),
        "--model_dir",
        str(tiny),
        "--max_seq_length",
        "40",
    )
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "bad.txt").write_bytes(b"a b\n\xff\n")
    raw = ["--raw", "--vocab", str(shards), "--max_seq_length", "40", "--data"]
    fails(DataError, r"empty\.txt: holds no text", *raw, str(tmp_path / "empty.txt"))
    fails(DataError, r"bad\.txt:2: is not UTF-8", *raw, str(tmp_path / "bad.txt"))
    fails(DataError, r"absent\.txt: does not exist", *raw, str(tmp_path / "absent.txt"))
    fails(FormatError, r"novels\.txt", "--data", str(text), "--vocab", str(shards))  # no --raw


def test_mistakes_with_folders(
    trained: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    folder, _ = trained
    before = weights(folder)
    with pytest.raises(UsageError, match=r"holds a run\. Add --resume"):
        main(words_for(shards, folder))
    with pytest.raises(UsageError, match="holds no run"):
        main(words_for(shards, tmp_path / "none", "--resume"))
    with pytest.raises(UsageError, match="holds no checkpoint to evaluate"):
        main(common(tmp_path / "none", *held_out(shards)))
    more = ("--num_steps", "60", "--resume")
    # As many instances, and another one of them.
    shutil.copy(shards / "tokenizer.json", tmp_path)
    for path in shards.glob("part-00[0-2].npz"):
        arrays = dict(np.load(path))
        if path.stem == "part-001":
            arrays["masked_lm_ids"][0] = 7
        npz.write(tmp_path / f"own-{path.name}", arrays)
    other = tmp_path / "own-*.npz"
    for changed, words in (
        (("--model", "bert_2_64_2"), "shape|size|config"),
        (("--model", "bert_3_32_2"), "layer.2"),
        (("--batch_size", "8"), "per_step 16, now 8"),
        (("--seed", "9"), "seed 2, now 9"),
        (("--optimizer", "sgd"), "does not belong to this model and sgd"),
        (("--no_nsp",), "seq_relationship"),
        (("--data", f"{shards}/part-000.npz"), "examples"),
        (("--data", str(other)), "started with other data"),
    ):
        with pytest.raises(CheckpointError, match=words):
            main([*words_for(shards, folder, *more), *changed])
    assert same(before, weights(folder))


@pytest.mark.parametrize("step", ["7", "60"])
def test_a_step_without_a_checkpoint_is_refused(
    trained: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path, step: str
) -> None:
    folder = trained[0] if step == "7" else tmp_path / "new"
    with pytest.raises(UsageError, match=f"--start_step {step}: .* has no checkpoint of that step"):
        main(words_for(shards, folder, "--start_step", step))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to do: give --data to train, --data_eval to evaluate, or both"),
        (["--data", "a", "--kvstore", "dist_async"], "dist_async is not offered"),
        (["--data", "a", "--comm_backend", "dist_async_device"], "dist_sync is"),
        (["--data", "a", "--kvstore", "carrier"], "no way to exchange gradients is named"),
        (["--data", "a", "--phase2"], "--phase2 needs --phase1_num_steps"),
        (["--data", "a", "--phase2", "--phase1_num_steps", "9"], "--start_step 9"),
        (["--data", "a", "--eval_use_npz"], "--eval_use_npz needs --raw"),
        (["--data", "a", "--split_sentences"], "--split_sentences needs --raw"),
        (["--data", "a", "--batch_size", "4", "--total_batch_size", "8"], "exclude each other"),
        (["--data", "a", "--pretrained", "--model_dir", "b"], "exclude each other"),
        (["--data", "a", "--numsteps", "3"], "--num_steps"),
    ],
)
def test_wrong_flags(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "strategy"),
    [("device", "ddp"), ("horovod", "ddp"), ("nccl", "ddp"), ("dist_sync_device", "zero1")],
)
def test_gluonnlps_words_for_the_exchange_of_gradients(word: str, strategy: str) -> None:
    args = run_pretraining.parse_args(["--data", "a", "--comm_backend", word])
    assert args.dist_strategy == strategy
    assert f"--kvstore {word} is --dist_strategy {strategy} here" in " ".join(args.notes)
    named = ["--data", "a", "--kvstore", word, "--dist_strategy", "fsdp"]
    with pytest.raises(SystemExit):
        run_pretraining.parse_args(named)


def test_two_processes_are_one_even_with_a_single_shard(shards: Path, tmp_path: Path) -> None:
    words = [
        "--data", f"{shards}/part-000.npz", "--num_steps", "4", "--dropout", "0",
        "--attention_dropout", "0", *held_out(shards),
    ]  # fmt: skip
    script = str(HERE / "scripts" / "bert" / "run_pretraining.py")
    two = common(tmp_path / "two", *words, "--batch_size", "8", "--num_local_ranks", "2")
    command = Command([sys.executable, script, *two], environment())
    want = main(common(tmp_path / "one", *words))
    done = command.wait(120)

    assert done.status == 0, done.text
    found = json.loads((tmp_path / "two" / "eval_results.json").read_text())
    assert found["eval"] == pytest.approx(want["eval"], abs=1e-4)
    one, other = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        # Adam's first steps divide by the root of what is nearly 0: rounding grows with lr.
        torch.testing.assert_close(other[name], one[name], rtol=0, atol=2e-4, msg=name)
    assert done.text.count("Eval mlm_loss=") == 1
    assert records(tmp_path / "two")[-1]["step"] == 4


def test_scores_are_over_each_instance_once(
    trained: tuple[Path, dict[str, Any]], shards: Path
) -> None:
    """The printed numbers against ``transformers``, one instance after the other."""
    folder, result = trained
    theirs = transformers.AutoModelForPreTraining.from_pretrained(folder / "last").eval()
    data = Shards.open([f"{shards}/part-003.npz"])
    losses: dict[str, list[float]] = {"mlm_loss": [], "nsp_loss": []}
    assert sorted(itertools.chain(*inference_batches(data.lengths))) == list(range(len(data)))
    for row in range(len(data)):
        one = data.rows(np.array([row]))
        ids, types = (torch.tensor(each.astype(np.int64))[None] for each in (one.ids, one.types))
        with torch.no_grad():
            logits = theirs(ids, token_type_ids=types)
        places = torch.tensor(one.masked_positions)
        entropy = torch.nn.functional.cross_entropy
        each = entropy(
            logits.prediction_logits[0, places], torch.tensor(one.masked_ids), reduction="none"
        )
        losses["mlm_loss"] += each.tolist()
        label = torch.tensor(one.next_sentence)
        losses["nsp_loss"].append(float(entropy(logits.seq_relationship_logits, label)))
    for name, values in losses.items():
        assert result["eval"][name] == pytest.approx(np.mean(values), abs=1e-5)


def test_gluonnlps_checkpoint_goes_on_at_its_step(
    trained: tuple[Path, dict[str, Any]],
    shards: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    folder, result = trained
    run = tmp_path / "run"
    convert(open_any(folder / "last"), run, "gluonnlp")
    [weights_file] = run.glob("*.params")
    weights_file.rename(run / "0000005.params")
    more = ("--start_step", "5", "--num_steps", "7", "--lr", "0", "--log_interval", "1")
    found = main(words_for(shards, run, *more, *held_out(shards)))
    assert "its moments begin at 0" in caplog.text
    assert (run / "last").readlink() == Path("step-0000007")
    assert [line["step"] for line in records(run) if "lr" in line] == [6, 7]
    assert found["eval"] == pytest.approx(result["eval"], abs=1e-5)
