"""The loop: what it writes, when it stops, how it goes on."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import math
import os
import re
import shutil
from types import SimpleNamespace

import pytest
import torch

from plainbert import checkpoint, files
from plainbert.batching.batch import Examples
from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.tasks.classification.decode import predicted
from plainbert.tasks.classification.evaluate import ClassifierEvaluation, evaluate
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from plainbert.train import loop, monitor
from plainbert.train.loop import fit
from plainbert.train.pace import Pace
from plainbert.train.parallel.strategy import ParallelStrategy
from plainbert.train.settings import Settings
from plainbert.train.step import DivergedError, Scaler
from tests.helpers import tiny

SETTINGS = Settings(
    epochs=4, batch_size=8, accumulate=2, optimizer="bertadam", lr=3e-3, log_interval=4
)
TRAIN, DEV = tiny.data(100), {"dev": tiny.data(40, 1), "dev_mm": tiny.data(30, 2)}


def train(folder=None, resume=False, model=None, dev=DEV, **changes):
    model = model or tiny.model()
    settings = dataclasses.replace(SETTINGS, **changes)
    result = fit(
        model,
        tiny.tokenizer(),
        Examples(TRAIN),
        settings,
        evaluation=ClassifierEvaluation(dev, ("accuracy", "f1"), settings.dtype) if dev else None,
        folder=folder,
        resume=resume,
        about={"task": "tiny"},
    )
    return model, result


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(path):
    return (path / "model.safetensors").read_bytes()


def going_on(folder):
    """What the last checkpoint of a run has beside its weights."""
    last = files.followed(folder / "last").resolve()
    optimizer = folder / last.name.replace("step", "state") / "training.safetensors"
    return optimizer.read_bytes(), (last / "training.json").read_bytes()


def as_before_states_lay_apart(folder):
    """A run folder whose checkpoints hold their optimizer states."""
    for path in folder.glob("state-*"):
        (path / "training.safetensors").rename(
            folder / path.name.replace("state", "step") / "training.safetensors"
        )
        path.rmdir()


class Stop(Exception):
    """Stands for a power cut: raised in the middle of a step."""


@pytest.fixture
def stop_at(monkeypatch):
    """Make the next run break off in the given step."""

    def arrange(step):
        whole = loop.Stepper.step

        def broken(self, number, *rest):
            if number == step:
                raise Stop
            return whole(self, number, *rest)

        monkeypatch.setattr(loop.Stepper, "step", broken)
        return lambda: monkeypatch.setattr(loop.Stepper, "step", whole)

    return arrange


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, *train(folder, dtype=torch.bfloat16, save_steps=5)


def test_a_run_learns_and_says_so(finished):
    folder, model, result = finished
    assert result.steps == 4 * 7
    assert result.best > 0.9
    assert [step for step, _ in result.history] == [7, 14, 21, 28]
    # The best one is the mean of the first metric over all sets.
    means = {
        step: (s["dev"]["accuracy"] + s["dev_mm"]["accuracy"]) / 2 for step, s in result.history
    }
    assert result.best == max(means.values())
    assert result.best_step == min(step for step, mean in means.items() if mean == result.best)
    assert not model.training
    assert all(getattr(part, "copy_16_bit", None) is None for part in model.modules())


def test_the_run_folder(finished):
    folder, model, result = finished
    assert os.readlink(folder / "last") == "step-0000028"
    assert os.readlink(folder / "best") == f"step-{result.best_step:07d}"
    assert {path.name for path in folder.glob("step-*")} == {
        "step-0000028",
        f"step-{result.best_step:07d}",
    }
    assert not list(folder.glob(".*"))
    about = json.loads((folder / "last" / "plainbert.json").read_text())
    assert about == {"task": "tiny", "step": 28}
    assert list(folder.glob("events.out.tfevents.*"))
    other = tiny.model(seed=9)
    checkpoint.load(other, checkpoint.read(folder / "last").tensors())
    for got, want in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(got, want)


def test_models_are_models_alone(finished):
    """What going on needs lies apart, once, and is of the last checkpoint."""
    folder, _, result = finished
    assert result.best_step != 28
    for path in folder.glob("step-*"):
        assert not list(path.glob("training.s*"))
    assert [path.name for path in folder.glob("state-*")] == ["state-0000028"]
    assert [path.name for path in (folder / "state-0000028").iterdir()] == ["training.safetensors"]


def test_a_state_without_its_checkpoint_is_no_state_to_go_on_from(finished, tmp_path, stop_at):
    """A kill between the two renames leaves the state of a checkpoint that never came."""
    again = stop_at(13)
    with pytest.raises(Stop):
        train(tmp_path, dtype=torch.bfloat16, save_steps=5)
    again()
    shutil.copytree(tmp_path / "state-0000010", tmp_path / "state-0000014")
    shutil.copytree(tmp_path / "state-0000010", tmp_path / "state-0000007")  # of the best one
    train(tmp_path, resume=True, dtype=torch.bfloat16, save_steps=5)
    assert weights(tmp_path / "last") == weights(finished[0] / "last")
    assert [path.name for path in tmp_path.glob("state-*")] == ["state-0000028"]


def test_while_a_run_goes_on_the_checkpoints_that_are_kept_can_be_gone_back_to(tmp_path, stop_at):
    more = {"dev": None, "save_steps": 2, "keep_checkpoints": 1}
    again = stop_at(7)
    with pytest.raises(Stop):
        train(tmp_path, **more)
    again()
    assert {path.name for path in tmp_path.glob("state-*")} == {"state-0000004", "state-0000006"}
    for name in ("state-0000006", "step-0000006"):
        shutil.rmtree(tmp_path / name)
    train(tmp_path, resume=True, training_steps=6, **more)
    assert [path.name for path in tmp_path.glob("state-*")] == ["state-0000006"]


def test_without_its_state_a_checkpoint_is_not_gone_on_from(tmp_path):
    train(tmp_path, epochs=1)
    shutil.rmtree(tmp_path / "state-0000007")
    with pytest.raises(UsageError, match=r"state-0000007 is not there.* used as a model, and not"):
        train(tmp_path, resume=True, epochs=2)


def test_metrics_are_recorded(finished):
    folder, _, result = finished
    lines = records(folder)
    losses = [line for line in lines if "loss" in line]
    assert [line["step"] for line in losses] == [4, 7, 8, 12, 14, 16, 20, 21, 24, 28]
    assert losses[0]["loss"] > 2 * losses[-1]["loss"]
    assert lines[-2]["dev/accuracy"] == result.scores["dev"]["accuracy"]
    assert losses[-1]["lr"] == pytest.approx(3e-3 * (28 - 27) / (28 - 2))


def test_the_log_has_gluonnlps_form(caplog, tmp_path):
    caplog.set_level(logging.INFO)
    train(tmp_path, epochs=1)
    text = caplog.text
    assert "[Epoch 0 Batch 4/7] loss=" in text
    assert "[Epoch 0 Batch 7/7] loss=" in text
    assert "dev_mm: validation metrics:accuracy:" in text


@pytest.mark.parametrize("stop", [3, 13, 27])
def test_a_resumed_run_ends_bit_equal(finished, tmp_path, stop_at, stop):
    again = stop_at(stop)
    with pytest.raises(Stop):
        train(tmp_path, dtype=torch.bfloat16, save_steps=5)
    again()
    # The model handed in does not matter: everything comes from the checkpoint.
    model = None if stop < 5 else tiny.model(seed=5)
    train(tmp_path, resume=True, model=model, dtype=torch.bfloat16, save_steps=5)
    folder, *_ = finished
    assert weights(tmp_path / "last") == weights(folder / "last")
    assert weights(tmp_path / "best") == weights(folder / "best")
    assert going_on(tmp_path) == going_on(folder)
    speeds = {"samples_per_second", "tokens_per_second"}
    ours, theirs = (
        [{key: value for key, value in line.items() if key not in speeds} for line in records(each)]
        for each in (tmp_path, folder)
    )
    assert ours == theirs


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    train(tmp_path, epochs=1)
    before = weights(tmp_path / "last")
    _, result = train(tmp_path, resume=True, epochs=1)
    assert result.steps == 7
    assert weights(tmp_path / "last") == before


def test_resuming_with_another_order_of_the_data_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="seed 2, now 3"):
        train(tmp_path, resume=True, epochs=1, seed=3)
    with pytest.raises(CheckpointError, match="does not belong"):
        train(tmp_path, resume=True, epochs=1, optimizer="sgd")


def test_a_garbled_training_state_is_named(tmp_path):
    train(tmp_path, epochs=1)
    state = tmp_path / "state-0000007" / "training.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"training\.safetensors cannot be read"):
        train(tmp_path, resume=True, epochs=1)
    (tmp_path / "last" / "training.json").write_text('{"step": 1}')
    with pytest.raises(
        FormatError, match=r"training\.json is not a training state: it lacks scaler"
    ):
        train(tmp_path, resume=True, epochs=1)


def test_a_run_whose_loss_was_no_number_can_be_resumed(tmp_path):
    train(tmp_path, dev=None, training_steps=3, save_steps=3, log_interval=4)
    state = tmp_path / "last" / "training.json"
    values = json.loads(state.read_text())
    files.write_json(state, {**values, "losses": {"loss": math.nan}})
    assert json.loads(state.read_text())["losses"] == {"loss": None}
    _, result = train(tmp_path, resume=True, dev=None, training_steps=4, log_interval=4)
    assert result.steps == 4
    assert records(tmp_path)[-1]["loss"] is None


def test_a_new_run_among_old_checkpoints_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(UsageError, match="earlier run"):
        train(tmp_path, epochs=1)


def test_patience_ends_a_run(tmp_path):
    _, result = train(tmp_path, lr=0.0, eval_steps=2, early_stop=3)
    assert result.stopped_early
    assert (result.steps, result.best_step) == (8, 2)
    assert os.readlink(tmp_path / "last") == "step-0000008"
    assert os.readlink(tmp_path / "best") == "step-0000002"
    _, again = train(tmp_path, resume=True, lr=0.0, eval_steps=2, early_stop=3)
    assert (again.steps, again.stopped_early) == (8, True)


def test_older_checkpoints_are_kept_when_asked(tmp_path):
    train(tmp_path, dev=None, epochs=2, save_steps=2, keep_checkpoints=3)
    names = sorted(path.name for path in tmp_path.glob("step-*"))
    assert names == [f"step-{step:07d}" for step in (8, 10, 12, 14)]
    assert not (tmp_path / "best").exists()


def test_copies_of_checkpoints_are_the_users(tmp_path):
    train(tmp_path, dev=None, epochs=1, save_steps=2)
    copies = [tmp_path / name for name in ("step-0000006-keep", "step-9999999 (copy)", "step-x")]
    for path in copies:
        shutil.copytree(tmp_path / "step-0000007", path)
    train(tmp_path, resume=True, dev=None, epochs=3, save_steps=2, keep_checkpoints=1)
    names = {path.name for path in tmp_path.glob("step-*")} - {path.name for path in copies}
    assert names == {"step-0000020", "step-0000021"}
    for path in copies:
        assert json.loads((path / "training.json").read_text())["step"] == 7
        assert (path / "model.safetensors").exists()
    # Only what the finished run may go on from has its optimizer state.
    assert {path.name for path in tmp_path.glob("state-*")} == {"state-0000021"}


def test_checkpoints_are_ordered_by_number(tmp_path):
    more = {"first_step": 9_999_995, "save_steps": 2, "keep_checkpoints": 1, "dev": None}
    train(tmp_path, training_steps=6, **more)
    assert os.readlink(tmp_path / "last") == "step-10000001"
    names = {path.name for path in tmp_path.glob("step-*")}
    assert names == {"step-10000000", "step-10000001"}
    _, result = train(tmp_path, resume=True, training_steps=8, **more)
    assert result.steps == 10_000_003
    names = {path.name for path in tmp_path.glob("step-*")}
    assert names == {"step-10000002", "step-10000003"}


def test_a_folder_in_the_place_of_a_checkpoint_is_named(tmp_path):
    train(tmp_path, dev=None, epochs=1)
    (tmp_path / "step-0000014").mkdir()
    with pytest.raises(UsageError, match=r"step-0000014 has the name of a later checkpoint"):
        train(tmp_path, resume=True, dev=None, epochs=2)
    (tmp_path / "step-0000014").rmdir()
    train(tmp_path, resume=True, dev=None, epochs=2)
    assert os.readlink(tmp_path / "last") == "step-0000014"


def test_a_refused_run_removes_nothing(tmp_path):
    train(tmp_path, epochs=1)
    leftovers = [".step-0000014.plainbert.tmp", ".step-0000003.old.plainbert.tmp"]
    mine = [".notes.tmp", ".step-0000014.tmp"]  # of old runs, the second, with their args.json only
    for name in leftovers + mine:
        (tmp_path / name).mkdir()
    for changes in ({"seed": 3}, {"optimizer": "sgd"}):
        with pytest.raises(CheckpointError):
            train(tmp_path, resume=True, epochs=1, **changes)
    with pytest.raises(UsageError):
        train(tmp_path, epochs=1)
    assert {path.name for path in tmp_path.glob(".*")} == {*leftovers, *mine}
    train(tmp_path, resume=True, epochs=1)
    assert {path.name for path in tmp_path.glob(".*")} == {*mine}


def test_training_steps_override_epochs():
    _, result = train(dev=None, training_steps=9)
    assert result.steps == 9


def test_ctrl_c_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    whole = loop.Stepper.step

    def interrupted(self, number, *rest):
        if number == 9:
            raise KeyboardInterrupt
        return whole(self, number, *rest)

    monkeypatch.setattr(loop.Stepper, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    assert os.readlink(tmp_path / "last") == "step-0000007"
    checkpoint.load(tiny.model(), checkpoint.read(tmp_path / "last").tensors())


def test_without_tensorboard_only_the_details_say_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    caplog.set_level(logging.DEBUG, logger="plainbert")
    assert monitor._tensorboard(tmp_path, 0) is None
    [record] = [record for record in caplog.records if "tensorboard" in record.message]
    assert record.levelno == logging.DEBUG  # log.txt and --verbose have it


def test_a_slow_run_says_how_long_it_takes_and_that_it_is_alive(tmp_path, monkeypatch, caplog):
    """Steps of a minute: an estimate after the second one, else a line for each."""
    now = [0.0]
    whole = loop.Stepper.step

    def slow(self, *rest):
        now[0] += 60
        return whole(self, *rest)

    def clock():
        return now[0]

    monkeypatch.setattr(loop.Stepper, "step", slow)
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=clock, perf_counter=clock))
    monkeypatch.setattr(monitor, "Pace", lambda steps, tokens: Pace(steps, tokens, clock))
    caplog.set_level(logging.INFO)
    train(tmp_path, training_steps=4, log_interval=100, dev=None)
    said = [text for text in caplog.messages if text.startswith(("training takes", "step "))]
    assert re.fullmatch(r"training takes about \d+ (s|min) more; scores come on top\.", said.pop(1))
    assert re.fullmatch(r"step 3 of 4, \d+ (s|min) left", said.pop(1))
    assert said == ["step 1 of 4", "step 4 of 4"]


def test_evaluation_is_over_the_whole_set():
    model = tiny.model().eval()
    features = DEV["dev"]
    hits = 0
    with torch.no_grad():
        for row in range(len(features)):
            ids = torch.tensor([features.row(row)])
            logits = model.classifier(model.bert(ids, attention_mask=torch.ones_like(ids)).pooled)
            hits += int(logits.argmax()) == features.labels[row]
    found = evaluate(model, DEV, ["accuracy"])
    assert found["dev"]["accuracy"] == hits / 40
    assert set(found) == {"dev", "dev_mm"}
    assert predicted(torch.tensor([[0.5], [2.0]]).numpy()).tolist() == [0.5, 2.0]


def test_mistakes_are_named():
    bare = dataclasses.replace(TRAIN, labels=None)
    with pytest.raises(UsageError, match="no labels"):
        Examples(bare)
    with pytest.raises(UsageError, match="no metric"):
        ClassifierEvaluation(DEV, (), torch.float32)


class Ranks(ParallelStrategy):
    """Several ranks as one sees them that has all the work: enough for the order of the data."""

    def __init__(self, size):
        self.size = size


def on(ranks, folder, resume=False, features=TRAIN, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    return fit(
        tiny.model(),
        tiny.tokenizer(),
        Examples(features),
        settings,
        folder=folder,
        resume=resume,
        ranks=Ranks(ranks),
    )


def state(folder):
    return json.loads((folder / "last" / "training.json").read_text())


def as_an_earlier_version(folder):
    """Take out of the newest checkpoint what earlier versions did not write."""
    fields = state(folder)
    for name in ("planned", "skipped"):
        del fields[name]
    del fields["scaler"]["active"], fields["order"]["data"], fields["order"]["vocabulary"]
    (folder / "last" / "training.json").write_text(json.dumps(fields))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_run_is_resumed_again_and_again_on_other_ranks(tmp_path, caplog, earlier):
    on(1, tmp_path, training_steps=2)
    for steps, ranks in ((4, 2), (6, 2), (8, 2), (10, 4), (12, 4), (14, 1), (16, 1)):
        if earlier:
            as_an_earlier_version(tmp_path)
        caplog.clear()
        assert on(ranks, tmp_path, resume=True, training_steps=steps).steps == steps
        assert state(tmp_path)["order"]["per_step"] == 16
        assert ("the run began with 16" in caplog.text) is (ranks > 1)
    # Other flags on the same ranks are no other sharing.
    with pytest.raises(CheckpointError, match="per_step 16, now 10"):
        on(1, tmp_path, resume=True, training_steps=18, batch_size=5)


def changed(what):
    """The training set with one token, label, segment or bound of a row changed."""
    copies = {name: getattr(TRAIN, name).copy() for name in ("ids", "offsets", "types", "labels")}
    if what == "offsets":
        copies[what][50] += 1
    else:
        copies[what][57] = 1 - copies[what][57] if what != "ids" else 9
    return dataclasses.replace(TRAIN, **copies)


@pytest.mark.parametrize("what", ["ids", "offsets", "types", "labels"])
def test_other_data_of_the_same_size_is_refused(tmp_path, what):
    on(1, tmp_path, training_steps=2)
    before = weights(tmp_path / "last")
    with pytest.raises(CheckpointError, match=r"started with other data\. A resumed run"):
        on(1, tmp_path, resume=True, features=changed(what), training_steps=4)
    assert weights(tmp_path / "last") == before
    on(1, tmp_path, resume=True, training_steps=4)


def test_another_vocabulary_is_refused(tmp_path):
    on(1, tmp_path, training_steps=2)
    other = WordPiece(Vocab.from_tokens([*tiny.VOCAB.tokens[:-1], "another"]))
    settings = dataclasses.replace(SETTINGS, training_steps=4)
    with pytest.raises(CheckpointError, match="started with other vocabulary"):
        fit(tiny.model(), other, Examples(TRAIN), settings, folder=tmp_path, resume=True)


def test_a_run_of_an_earlier_version_resumes_bit_equal(finished, tmp_path, stop_at, caplog):
    again = stop_at(13)
    with pytest.raises(Stop):
        train(tmp_path, dtype=torch.bfloat16, save_steps=5)
    again()
    as_an_earlier_version(tmp_path)
    as_before_states_lay_apart(tmp_path)
    train(tmp_path, resume=True, dtype=torch.bfloat16, save_steps=5)
    assert caplog.text.count("kept no fingerprint of its data and vocabulary") == 1
    assert weights(tmp_path / "last") == weights(finished[0] / "last")
    assert going_on(tmp_path) == going_on(finished[0])


@pytest.mark.parametrize("stop", [2, 9])
def test_a_resumed_run_in_float16_ends_bit_equal(tmp_path, stop_at, monkeypatch, stop):
    monkeypatch.setattr(Scaler, "WINDOW", 3)  # the scale rises and falls all the time
    more = {"dtype": torch.float16, "save_steps": 1, "dev": None, "epochs": 3}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole, **more)
    again = stop_at(stop)
    with pytest.raises(Stop):
        train(broken, **more)
    again()
    train(broken, resume=True, **more)
    assert weights(whole / "last") == weights(broken / "last")
    assert going_on(whole) == going_on(broken)
    assert state(whole)["scaler"]["scale"] != 65536.0


@pytest.mark.parametrize("earlier", [False, True])
def test_a_run_resumed_in_float16_gets_a_loss_scale(tmp_path, earlier):
    more = {"save_steps": 1, "dev": None}
    train(tmp_path, training_steps=3, **more)
    if earlier:
        as_an_earlier_version(tmp_path)
    as_before_states_lay_apart(tmp_path)
    train(tmp_path, resume=True, dtype=torch.float16, training_steps=5, **more)
    scaler = state(tmp_path)["scaler"]
    assert (scaler["scale"], scaler["active"]) == (65536.0, True)
    train(tmp_path, resume=True, training_steps=7, **more)
    assert state(tmp_path)["scaler"] == {"scale": 1.0, "good": 0, "active": False}


def test_a_loss_scale_that_fell_to_1_rises_again():
    scaler = Scaler.of(torch.float16)
    for _ in range(20):
        scaler.update(False)
    assert scaler.scale == 1.0
    for _ in range(2 * Scaler.WINDOW):
        scaler.update(True)
    assert scaler.scale == 4.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_run_all_of_whose_steps_were_skipped_has_no_result(tmp_path, dtype):
    model = tiny.model()
    with torch.no_grad():
        model.classifier.weight[0, 0] = torch.nan
    with pytest.raises(DivergedError, match="none of the 6 steps could be applied"):
        train(tmp_path, model=model, training_steps=6, save_steps=1, eval_steps=1, dtype=dtype)
    assert not [
        path.name for path in tmp_path.iterdir() if path.name.startswith(("step", "l", "b"))
    ]


def test_a_run_some_of_whose_steps_were_skipped_says_how_many(tmp_path, caplog, monkeypatch):
    norm = ParallelStrategy.norm
    calls = iter(range(100))
    monkeypatch.setattr(
        ParallelStrategy,
        "norm",
        lambda self, gradients: torch.inf if next(calls) in (0, 3) else norm(self, gradients),
    )
    _, result = train(tmp_path, training_steps=6, save_steps=1)
    assert result.steps == 6
    assert "step 1 is left out" in caplog.text
    assert "2 of 6 steps were left out" in caplog.text
    assert state(tmp_path)["skipped"] == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    # The gradients are finite, and so large a step that the weights are not.
    with pytest.raises(CheckpointError, match="not finite .* the model is not written"):
        train(tmp_path, lr=1e38, weight_decay=1e10, training_steps=3, save_steps=1, dev=None)
    assert not list(tmp_path.glob("step-*"))


@pytest.fixture
def no_links(monkeypatch):
    def fails(*names, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", fails)


def test_a_run_on_a_disk_without_links(finished, tmp_path, no_links, stop_at):
    again = stop_at(20)
    with pytest.raises(Stop):
        train(tmp_path, dtype=torch.bfloat16, save_steps=5)
    again()
    assert (tmp_path / "last").read_text() == "step-0000020\n"
    _, result = train(tmp_path, resume=True, dtype=torch.bfloat16, save_steps=5)
    assert (tmp_path / "last").read_text() == "step-0000028\n"
    assert (tmp_path / "best").read_text() == f"step-{result.best_step:07d}\n"
    for name in ("best", "last"):
        read = checkpoint.read(tmp_path / name)
        assert weights(read.folder) == weights(finished[0] / name)
        other = tiny.model(seed=9)
        checkpoint.load(other, read.tensors())
    assert {path.name for path in tmp_path.glob("step-*")} == {
        path.name for path in finished[0].glob("step-*")
    }
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kept", ["everything", "links", "steps"])
def test_a_run_folder_copied_without_links_is_resumed(finished, tmp_path, stop_at, kept):
    run, copy = tmp_path / "run", tmp_path / "copy"
    again = stop_at(20)
    with pytest.raises(Stop):
        train(run, dtype=torch.bfloat16, save_steps=5)
    again()
    shutil.copytree(run, copy, symlinks=False)
    gone = {"everything": "none", "links": "step-*", "steps": "[bl][ea]st"}[kept]
    for path in copy.glob(gone):
        shutil.rmtree(path)
    train(copy, resume=True, dtype=torch.bfloat16, save_steps=5)
    for name in ("best", "last"):
        assert os.readlink(copy / name) == os.readlink(finished[0] / name)
        assert weights(copy / name) == weights(finished[0] / name)


def test_a_users_folder_in_the_place_of_a_link_stays(tmp_path):
    train(tmp_path, dev=None, epochs=1)
    (tmp_path / "last").unlink()
    shutil.copytree(tmp_path / "step-0000007", tmp_path / "last")
    (tmp_path / "last" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="last is a folder and no copy of a checkpoint"):
        train(tmp_path, resume=True, dev=None, epochs=2)
    assert (tmp_path / "last" / "notes.txt").read_text() == "mine"
