"""Folders are written, read and loaded; whatever does not fit is named."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import pytest
import safetensors.torch
import torch

from plainbert import checkpoint
from plainbert.errors import CheckpointError, UsageError
from plainbert.files import read_json
from plainbert.nn.bert import Bert
from plainbert.nn.heads import Classifier, TokenClassifier
from tests.helpers.folders import CONFIG, FIXTURES, point, tiny, tokenizer

OLD = FIXTURES / "checkpoints"
HEADS = [
    "embedding", "classification", "regression", "question_answering", "token_classification",
    "multiple_choice", "masked_lm", "next_sentence", "pretraining",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return checkpoint.write(tmp_path / "model", tiny(), tokenizer(), about={"task": "colours"})


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("head", HEADS)
def test_what_was_written_is_read(tmp_path, head):
    model = tiny(head)
    checkpoint.write(tmp_path / "new", model, tokenizer(), about={"max_length": 20})
    found = checkpoint.read(tmp_path / "new")
    assert found.head == head
    assert found.config == model.config.replace(
        architectures=found.config.architectures, problem_type=found.config.problem_type
    )
    assert found.max_length == 20

    other = tiny(head)
    with torch.no_grad():
        for weight in other.parameters():
            weight.fill_(torch.nan)
    report = checkpoint.load(other, found.tensors())
    assert same(other.state_dict(), model.state_dict())
    assert (report.loaded, report.fresh, report.ignored) == (len(model.state_dict()), (), ())


def test_config_owns_its_facts_and_ours_repeats_none(folder):
    config, about = read_json(folder / "config.json"), read_json(folder / "plainbert.json")
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "red", "1": "green", "2": "blue"}
    assert config["problem_type"] == "single_label_classification"
    assert config["dtype"] == "float32"
    assert about == {"task": "colours"}
    assert not set(about) & set(config)


def test_tied_matrix_is_stored_once_and_queries_keys_values_apart(tmp_path):
    checkpoint.write(tmp_path / "new", tiny("pretraining"), tokenizer())
    with safetensors.safe_open(tmp_path / "new" / "model.safetensors", "pt") as file:
        names = list(file.keys())
        assert file.metadata() == {"format": "pt"}  # transformers 4 refuses files without it
    vocabularies = [name for name in names if "word_embeddings" in name or "decoder" in name]
    assert vocabularies == ["bert.embeddings.word_embeddings.weight"]
    assert "bert.encoder.layer.0.attention.self.query.weight" in names


@pytest.mark.parametrize("name", ["hf_bert-xsmall-dummy", "hf_camphr_bert_tiny"])
def test_torch_files_from_before_zip(name):
    found = checkpoint.read(OLD / name)
    tensors = found.tensors()
    theirs = torch.load(OLD / name / "pytorch_model.bin", weights_only=True)
    assert same(tensors, dict(theirs))
    report = checkpoint.load(Bert(found.config), tensors)
    assert report.loaded == len(theirs)


def test_position_ids_and_prefix_of_a_published_tagger():
    found = checkpoint.read(OLD / "hf_camphr_ner_bert")
    assert (found.head, found.config.num_labels) == ("token_classification", 9)
    report = checkpoint.load(TokenClassifier(found.config), found.tensors())
    assert report.ignored == ("bert.embeddings.position_ids",)
    assert report.fresh == ()


def rename(tensors, *pairs):
    for old, new in pairs:
        tensors = {name.replace(old, new): value for name, value in tensors.items()}
    return tensors


def test_gamma_beta_and_a_missing_prefix(folder):
    tensors = checkpoint.read(folder).tensors()
    gamma, beta = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
    old = rename(tensors, gamma, beta, ("bert.", ""))
    assert any(name.endswith("gamma") for name in old)
    model = tiny()
    checkpoint.load(model, old)
    assert same(model.state_dict(), tensors)


def test_prefix_is_dropped_for_a_body_alone(folder):
    body = tiny("embedding")
    report = checkpoint.load(body, checkpoint.read(folder).tensors())
    assert report.ignored == ("classifier.bias", "classifier.weight")


def test_sharded_folder(folder):
    tensors = checkpoint.read(folder).tensors()
    shard(folder, tensors)
    found = checkpoint.read(folder)
    assert [path.name for path in found.weights] == ["a.safetensors", "b.safetensors"]
    assert same(found.tensors(), tensors)


def shard(folder, tensors, **overrides):
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    table = {name: ("a" if row % 2 else "b") + ".safetensors" for row, name in enumerate(names)}
    for file in set(table.values()):
        part = {name: tensors[name].clone() for name in names if table[name] == file}
        safetensors.torch.save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": table | overrides})
    )


def test_optimizer_slots_and_other_heads_are_counted(folder):
    tensors = checkpoint.read(folder).tensors()
    tensors["bert.pooler.dense.weight/adam_m"] = torch.zeros(2)
    tensors["global_step"] = torch.zeros((), dtype=torch.int64)
    tensors["cls.seq_relationship.weight"] = torch.zeros(2, 16)
    report = checkpoint.load(tiny(), tensors)
    assert report.ignored == (
        "bert.pooler.dense.weight/adam_m",
        "cls.seq_relationship.weight",
        "global_step",
    )


def test_missing_head_is_drawn_new_only_when_allowed(tmp_path, caplog):
    checkpoint.write(tmp_path / "body", tiny("embedding"), tokenizer())
    tensors = checkpoint.read(tmp_path / "body").tensors()
    with pytest.raises(CheckpointError, match=r"has no 'classifier' \(classifier.weight, .*bias\)"):
        checkpoint.load(tiny(), tensors)

    model = tiny()
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(torch.nan)
    caplog.set_level("DEBUG")
    report = checkpoint.load(model, tensors, fresh_heads=True)
    assert report.fresh == ("classifier.weight", "classifier.bias")
    assert "drawn new, to be trained: classifier.weight, classifier.bias" in caplog.text
    assert 0.1 < model.classifier.weight.std() < 0.5  # config.initializer_range is 0.3
    assert model.classifier.bias.eq(0).all()


def test_head_of_another_size(folder):
    tensors = checkpoint.read(folder).tensors()
    model = Classifier(CONFIG.replace(id2label=("yes", "no")))
    with pytest.raises(
        CheckpointError, match=r"classifier.weight has shape \(3, 16\), .* \(2, 16\)"
    ):
        checkpoint.load(model, tensors)
    assert "classifier.weight" in checkpoint.load(model, tensors, fresh_heads=True).fresh


@pytest.mark.parametrize("fresh", [False, True])
def test_body_must_be_whole(folder, fresh):
    tensors = checkpoint.read(folder).tensors()
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    with pytest.raises(CheckpointError, match=r"lacks .*: encoder.layer.1.output.dense.weight"):
        checkpoint.load(tiny(), tensors, fresh_heads=fresh)


def test_body_of_another_shape_names_both(folder):
    tensors = checkpoint.read(folder).tensors()
    tensors["bert.embeddings.word_embeddings.weight"] = torch.zeros(11, 16)
    with pytest.raises(
        CheckpointError, match=r"word_embeddings.weight has shape \(11, 16\), .* \(12, 16\)"
    ):
        checkpoint.load(tiny(), tensors)


@pytest.mark.parametrize("name", ["bert.encoder.layer.2.output.dense.weight", "adapter.weight"])
def test_names_without_a_place_are_listed(folder, name):
    tensors = checkpoint.read(folder).tensors() | {name: torch.zeros(1)}
    with pytest.raises(CheckpointError, match=f"no place for: {name}"):
        checkpoint.load(tiny(), tensors)


def test_untied_decoder_is_refused_and_a_tied_one_welcome(tmp_path):
    checkpoint.write(tmp_path / "new", tiny("masked_lm"), tokenizer())
    tensors = checkpoint.read(tmp_path / "new").tensors()
    words = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.weight"] = words.clone()
    assert checkpoint.load(tiny("masked_lm"), tensors).ignored == ()
    tensors["cls.predictions.decoder.weight"] = words + 1
    with pytest.raises(CheckpointError, match="decoder.weight differs from .*word_embeddings"):
        checkpoint.load(tiny("masked_lm"), tensors)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite(folder, tmp_path, value):
    tensors = {name: each.clone() for name, each in checkpoint.read(folder).tensors().items()}
    tensors["bert.pooler.dense.bias"][3] = value
    with pytest.raises(CheckpointError, match="1 of 16 values of pooler.dense.bias are not finite"):
        checkpoint.load(tiny(), tensors)

    model = tiny()
    with torch.no_grad():
        model.bert.pooler.dense.bias[3] = value
    with pytest.raises(CheckpointError, match="not written"):
        checkpoint.write(tmp_path / "bad", model, tokenizer())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_sum_that_overflows_is_no_fault(folder):
    tensors = checkpoint.read(folder).tensors()
    tensors["bert.pooler.dense.bias"] = torch.full((16,), 3e38)
    checkpoint.load(tiny(), tensors)


def test_half_precision_is_widened(folder):
    tensors = checkpoint.read(folder).tensors()
    half = {name: each.bfloat16() for name, each in tensors.items()}
    model = tiny()
    checkpoint.load(model, half)
    assert same(model.state_dict(), {name: each.float() for name, each in half.items()})


def test_vocabulary_larger_than_the_matrix(tmp_path):
    model = tiny(vocab_size=10)
    with pytest.raises(CheckpointError, match="12 entries, but the model has vectors for 10"):
        checkpoint.write(tmp_path / "new", model, tokenizer())
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_not_overwritten(folder):
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="exists"):
        checkpoint.write(folder, tiny(), tokenizer())
    assert (folder / "model.safetensors").read_bytes() == before


def test_links_are_followed_and_replaced(tmp_path):
    for step in (100, 200):
        path = checkpoint.write(tmp_path / checkpoint.step_name(step), tiny(), tokenizer())
        point("last", path)
        if step == 100:
            point("best", path)
    assert os.readlink(tmp_path / "best") == "step-0000100"
    assert os.readlink(tmp_path / "last") == "step-0000200"
    assert checkpoint.read(tmp_path / "last").folder == (tmp_path / "step-0000200").resolve()

    moved = tmp_path.rename(tmp_path.with_name("moved"))  # the links are relative
    assert checkpoint.read(moved / "best").folder.name == "step-0000100"
    shutil.rmtree(moved / "step-0000100")
    with pytest.raises(CheckpointError, match="links to step-0000100, which does not exist"):
        checkpoint.read(moved / "best")


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_own_pooling_comes_back(tmp_path, pooling, normalize):
    about = {"pooling": pooling, "normalize": normalize, "max_length": 17}
    folder = checkpoint.write(tmp_path / "new", tiny("embedding"), tokenizer(), about=about)
    (folder / "plainbert.json").unlink()  # what is left are sentence-transformers' files
    found = checkpoint.read(folder)
    assert (found.pooling, found.normalize, found.max_length) == (pooling, normalize, 17)


def test_killed_while_writing(tmp_path):
    """After each kill the old state opens; what is left over is removed at the next start."""
    model, text = tiny(), tokenizer()
    rng = random.Random(0)
    leftovers = []
    start = time.perf_counter()
    point("last", checkpoint.write(tmp_path / checkpoint.step_name(1), model, text))
    once = time.perf_counter() - start
    for number in range(1, 301):
        if number > 20 and leftovers:  # on a busy machine most kills come before the first write
            break
        child = os.fork()
        if child == 0:
            try:
                step = 1000 * number
                while True:
                    step += 1
                    written = checkpoint.write(tmp_path / checkpoint.step_name(step), model, text)
                    point("last", written)
            finally:
                os._exit(1)
        time.sleep((3 + number / 10) * once * rng.random())
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        leftovers += checkpoint.remove_leftovers(tmp_path)
        assert not list(tmp_path.glob(".*"))
        for folder in tmp_path.glob("step-*"):
            assert same(checkpoint.read(folder).tensors(), model.state_dict())
    assert same(checkpoint.read(tmp_path / "last").tensors(), model.state_dict())
    assert leftovers, "the kills came between the writes: nothing was tested"
